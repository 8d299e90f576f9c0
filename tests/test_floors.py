"""The floors of the house: who may import whom, and what the lower floors do without."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import qpsdk

HOUSE = Path(qpsdk.__file__).parent

FLOORS = {
    0: "constants errors address reply netstring header stream lists",
    1: "smtp qmqp",
    2: "hooks message plugin config settings host finder loader dispatcher log received authresults"
    " reject spool attempts gate limits values meter store",
    3: "intake pace session verdicts parsing authentication trace",
    4: "server testing plugins scaffold cli check explain lab trial doubts qpsmtpd __main__",
}
"""Each room on its floor. A new module gets its place here, with thought."""

EXCEPTIONS = {
    ("qpsdk.qmqp", "qpsdk.server.qmqp"): "qpsdk.qmqp.send, loaded when it is first asked for",
}
"""(importer, imported) that the rule does not hold for, each with its reason."""

FLOOR = {f"qpsdk.{room}": floor for floor, rooms in FLOORS.items() for room in rooms.split()}

OUTSIDE = {
    "asyncio",
    "concurrent.futures",
    "http",
    "logging",
    "multiprocessing",
    "select",
    "selectors",
    "signal",
    "socket",
    "socketserver",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "_socket",
    "_ssl",
}
"""What the floors 0 and 1 do not even load: loops, sockets, threads, processes, files."""


NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
"""Tokens that make no line one of code."""


def name_of(path: Path) -> str:
    """Return the dotted name of a module by its file."""
    parts = path.relative_to(HOUSE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    name_of(path): path
    for path in sorted(HOUSE.rglob("*.py"))
    # The templates of a new project are text for another place.
    if "scaffold" not in path.relative_to(HOUSE).parts[:-1] or path.name == "__init__.py"
}


def room(module: str) -> str:
    """Return the room that a module is in: qpsdk.smtp for qpsdk.smtp.data."""
    return ".".join(module.split(".")[:2])


def imports(module: str, *, everywhere: bool = True) -> set[str]:
    """Read which modules one imports; not `everywhere`: only as it is loaded itself."""
    path = MODULES[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*(parents if node.level else []), node.module or ""]).strip(".")
            names = {f"{source}.{alias.name}" for alias in node.names}
            found |= (names & MODULES.keys()) or {source}
    return found


def test_the_page_names_every_room() -> None:
    """The table of docs/explanation/design.md has each floor with all its rooms."""
    page = (Path(__file__).parent.parent / "docs/explanation/design.md").read_text("utf-8")
    rows = re.findall(r"^\| ([0-4]) \w+ \| ([^|]+) \|", page, re.MULTILINE)
    named = {int(floor): sorted(re.findall(r"`(\w+)`", rooms)) for floor, rooms in rows}
    assert named == {floor: sorted(rooms.split()) for floor, rooms in FLOORS.items()}


def test_imports_are_read() -> None:
    """The reading itself works: on relative, absolute and nested imports."""
    assert "qpsdk.errors" in imports("qpsdk.header")
    assert "qpsdk.netstring" in imports("qpsdk.qmqp.protocol")
    assert "qpsdk.server.stream" in imports("qpsdk.testing.door")
    assert "qpsdk.server.stream" not in imports("qpsdk.testing.door", everywhere=False)
    assert {"re", "qpsdk.reply"} <= imports("qpsdk.smtp.commands")


def test_every_module_has_a_floor() -> None:
    """Each module is on a floor, and each room that is named exists."""
    assert {room(module) for module in MODULES} - {"qpsdk"} == set(FLOOR)


@pytest.mark.parametrize("module", [module for module in MODULES if module != "qpsdk"])
def test_imports_lead_down(module: str) -> None:
    """A module imports from its own floor or lower ones; the public names are for floor 4."""
    floor = FLOOR[room(module)]
    for imported in imports(module):
        if imported.partition(".")[0] != "qpsdk" or (module, imported) in EXCEPTIONS:
            continue
        below = 4 if imported == "qpsdk" else FLOOR[room(imported)]
        assert below <= floor, f"{module} on floor {floor} imports {imported} on floor {below}"


def test_no_circle() -> None:
    """No two modules need each other: there is an order in which each can be read by itself."""
    graph = {
        module: imports(module, everywhere=False) & MODULES.keys() - {"qpsdk"}
        for module in MODULES
        if module != "qpsdk"
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


@pytest.mark.parametrize(
    "module", [module for module in MODULES if FLOOR.get(room(module), 2) <= 3]
)
def test_standard_library_only(module: str) -> None:
    """The core imports nothing but itself and the standard library."""
    roots = {imported.partition(".")[0] for imported in imports(module)}
    assert roots - sys.stdlib_module_names <= {"qpsdk"}


def load(modules: list[str], *, alone: bool) -> set[str]:
    """Import modules in a Python without any package installed; what that has loaded.

    Args:
        alone: Without the public names of the package, which have floor 2 loaded.
    """
    package = f"m = sys.modules['qpsdk'] = type(sys)('qpsdk'); m.__path__ = [{str(HOUSE)!r}]"
    lines = [
        "import importlib, sys",
        f"sys.path.insert(0, {str(HOUSE.parent)!r})",
        package if alone else "import qpsdk",
        f"for module in {modules!r}: importlib.import_module(module)",
        "print(*sys.modules)",
    ]
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert process.returncode == 0, process.stderr
    return set(process.stdout.split())


def on_floors(*floors: int) -> list[str]:
    """List the modules of some floors."""
    return [module for module in MODULES if FLOOR.get(room(module), -1) in floors]


def test_words_and_wires_load_nothing_from_outside() -> None:
    """The floors 0 and 1 load no event loop, socket, thread or process, not even indirectly."""
    loaded = load(on_floors(0, 1), alone=True)
    assert {"qpsdk.smtp.engine", "qpsdk.qmqp.client"} <= loaded
    assert loaded & OUTSIDE == set()


def test_public_names_open_nothing() -> None:
    """Nor do the public names, which have floor 2: but logging has threads, the spool files."""
    loaded = load(["qpsdk.netstring", "qpsdk.smtp.engine", "qpsdk.qmqp"], alone=False)
    assert loaded & OUTSIDE <= {"logging", "threading", "tempfile"}


def test_the_core_needs_no_package() -> None:
    """All of the floors 0 to 3 can be imported where nothing is installed."""
    loaded = load(on_floors(0, 1, 2, 3), alone=False)
    assert "qpsdk.session" in loaded
    assert not any(
        name.startswith(("qpsdk.server", "qpsdk.testing", "qpsdk.cli")) for name in loaded
    )


def lines_of_code(path: Path) -> int:
    """Count the lines that have more than a comment or a docstring."""
    source = path.read_text(encoding="utf-8")
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(lines)


def test_lines_of_code(tmp_path: Path) -> None:
    """Blank lines, comments and docstrings do not count; a text over two lines does."""
    path = tmp_path / "module.py"
    path.write_text(
        '"""Doc\nstring."""\n\n# comment\nx = """a\nb"""\n"""Of x."""\ny = [\n    1,\n]\n'
    )
    assert lines_of_code(path) == 5


def test_size() -> None:
    """The floors 0 to 3 are as small as CONTRIBUTING promises: one can know them all."""
    contributing = (HOUSE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    match = re.search(r"Floors 0 to 3 stay under ([\d,]+) lines of code", contributing)
    assert match is not None
    lines = sum(lines_of_code(MODULES[module]) for module in on_floors(0, 1, 2, 3))
    assert lines < int(match[1].replace(",", ""))
