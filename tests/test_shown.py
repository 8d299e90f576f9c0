"""What the documentation shows is covered: every fenced block, by the rule for its language.

A block that no rule covers fails here, with its file and line. It is covered by

- a rule of `RULES`: it is run, loaded or checked here,
- being cut from a file in tests/ (``--8<--``), or
- its page's own tests, which know every block there (`PAGES_WITH_TESTS`).
"""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import jupytext
import pytest
from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.example import SybilFailure
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from yaml import safe_load

from qpsdk.config import Config
from qpsdk.errors import PluginError
from qpsdk.finder import PluginLine, bundled_plugins
from qpsdk.settings import SETTINGS
from qpsdk.testing import plugin
from tests.programs import needs
from tests.redis_server import redis_server

ROOT: Final = Path(__file__).parent.parent

PAGES_WITH_TESTS: Final = {
    "README.md": "test_readme.py",
    "docs/how-to/new-plugin.md": "test_new_project.py",
    "docs/how-to/read-the-log.md": "test_how_to_read_the_log.py",
    "docs/how-to/run-under-systemd.md": "test_how_to_systemd.py",
    "docs/lab/index.md": "test_lab_commands.py",
}
"""Pages whose blocks depend on each other, or on programs, and the tests that run them."""

INFO: Final = re.compile(r"(?P<language>\w*)(?P<options>[^\n]*)\n")
"""What stands behind the opening fence."""

SNIPPET: Final = re.compile(r"-+8<-+\s+(?P<path>[^\s:]+)\S*\s+-+8<-+\s*")
"""A block that mkdocs takes from a file."""

TO_DO: Final = (
    "no test covers this block. Give it a language of RULES, cut it from a file in tests/ with"
    " --8<--, or test it and add its page to PAGES_WITH_TESTS; all three are in tests/test_shown.py"
)


def python(example: Example) -> str | None:
    """It runs, after those above it on the page."""
    result: str | None = PythonEvaluator()(example)
    return result


def perl(example: Example) -> str | None:
    """Perl can read it."""
    command = [needs("perl"), "-c"]
    read = subprocess.run(
        command, input=str(example.parsed), capture_output=True, text=True, check=False
    )
    return read.stderr if read.returncode else None


def shell(example: Example) -> str | None:
    """Of the project's own make, the targets are there; other commands need tests of their own."""
    lines = example.parsed.splitlines()
    if not all(line.startswith("make ") for line in lines):
        return TO_DO
    dry = "\n".join(line.replace("make ", "make --dry-run ", 1) for line in lines)
    run = subprocess.run(["sh", "-ec", dry], cwd=ROOT, capture_output=True, text=True, check=False)
    return run.stderr if run.returncode else None


def smtp(_: Example) -> None:
    """It is a test by itself: `test_transcripts_are_collected`."""


def setting(name: str, example: Example) -> str | None:
    """A file of the config directory: it is read, and lines of bundled plugins are loaded."""
    if name != "plugins":
        found = SETTINGS[name].problems(Config({name: example.parsed}))
        return "\n".join(map(str, found)) or None
    for line in example.parsed.splitlines():
        if PluginLine.parse(line).target in bundled_plugins():
            plugin(line)
    return None


def redis(example: Example) -> str | None:
    """A real Redis starts with it."""
    words = [shlex.split(line) for line in example.parsed.splitlines()]
    with redis_server(*[word for name, *values in words for word in (f"--{name}", *values)]):
        return None


def promql(example: Example) -> str | None:
    """It asks for metrics that its page lists; that the list is whole, tests/interop/ sees to."""
    asked = re.findall(r"qpsdk_\w+", example.parsed)
    known = re.findall(r"^\| `(qpsdk_\w+)`", example.document.text, re.MULTILINE)
    missing = [name for name in asked if re.sub(r"_(bucket|count|sum)\Z", "", name) not in known]
    return f"no such metric: {missing}" if missing or not asked else None


def text(example: Example) -> str | None:
    """What it is, its title says."""
    title = re.search(r'title="([^"]*)"', example.region.lexemes["options"])
    match title and title[1].split("/"):
        case ["config", name] if name in SETTINGS:
            return setting(name, example)
        case ["redis.conf"]:
            return redis(example)
        case ["PromQL"]:
            return promql(example)
    return TO_DO


def yaml(example: Example) -> str | None:
    """It can be read."""
    return None if safe_load(example.parsed) else "there is nothing in it"


RULES: Final[dict[str, Callable[[Example], str | None]]] = {
    "bash": shell,
    "perl": perl,
    "python": python,
    "sh": shell,
    "smtp": smtp,
    "text": text,
    "yaml": yaml,
}
"""By the language of the fence."""

PAGES: Final = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("notebooks/*.py")]
    if "examples" not in path.parts  # what `qpsdk new` makes, which tests run as a whole
)


def blocks(path: Path, written: str) -> Iterator[Example]:
    """Every fenced block of a text, those in lists and tabs too."""
    document = Document(written, str(path))
    for region in RawFencedCodeBlockLexer(INFO)(document):
        region.parsed = region.lexemes["source"]
        region.evaluator = rule(region)
        document.add(region)
    return document.examples()


def rule(region: Region) -> Callable[[Example], str | None]:
    """What covers a block."""
    if cut := SNIPPET.fullmatch(region.parsed):
        found = cut["path"].startswith("tests/") and (ROOT / cut["path"]).is_file()
        return lambda _: None if found else f"{cut['path']} is no file in tests/"
    return RULES.get(region.lexemes["language"], lambda _: TO_DO)


def written(path: Path) -> str:
    """A page's Markdown, or a notebook's: what its code cells show, its own tests run."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = jupytext.read(path, fmt="py:percent").cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_is_covered(path: Path) -> None:
    """Each block does what the rule for it demands, or the page's own tests know it."""
    own = PAGES_WITH_TESTS.get(str(path.relative_to(ROOT)))
    if own is not None:
        tests = (ROOT / "tests" / own).read_text(encoding="utf-8")
        assert "def test_every_block_is_known()" in tests
        return
    for example in blocks(path, written(path)):
        example.evaluate()


def test_transcripts_are_collected(pytestconfig: pytest.Config) -> None:
    """pytest looks for transcripts in every folder that has a page with one."""
    searched = [ROOT / folder for folder in pytestconfig.getini("testpaths")]
    for path in PAGES:
        if path.suffix == ".md" and "```smtp" in written(path):
            assert any(path.is_relative_to(folder) for folder in searched), path


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("```ruby\nputs 1\n```", "no test covers this block"),
        ("~~~\nwhat\n~~~", "no test covers this block"),
        ('=== "A"\n\n    ```sh\n    ls\n    ```', "no test covers this block"),
        ("```python\n--8<--\nqpsdk/nowhere.py:part\n--8<--\n```", "is no file in tests/"),
        ("```perl\nsub {\n```", "syntax error"),
        ("```sh\nmake love\n```", "No rule to make target"),
        ("```text\nrcpt_ok\n```", "no test covers this block"),
    ],
    ids=["unknown", "no language", "in a tab", "snippet", "perl", "make", "text"],
)
def test_what_is_not_covered_is_told(tmp_path: Path, block: str, problem: str) -> None:
    """The rules find what is wrong, and where."""
    (example,) = blocks(tmp_path / "page.md", f"# Page\n\n{block}\n")
    with pytest.raises(SybilFailure, match=problem) as failure:
        example.evaluate()
    assert f"page.md, line {5 if '===' in block else 3}, column" in str(failure.value)


def test_config_lines_are_loaded(tmp_path: Path) -> None:
    """A line of config/plugins with an option that its plugin does not take is found."""
    page = '```text title="config/plugins"\nqueue/qmqp_forward 192.0.2.1 hurry=1\n```'
    (example,) = blocks(tmp_path / "page.md", page)
    with pytest.raises(PluginError, match="hurry"):
        example.evaluate()
