"""`qpsdk plugins`: what can be loaded, from where, and what cannot."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from qpsdk.cli import app
from qpsdk.errors import SetupError
from qpsdk.finder import bundled_plugins

pytestmark = pytest.mark.usefixtures("modules_as_before")

GREET = '''\
"""Greets each client by name.

More about it.
"""
from qpsdk import Plugin

class Greet(Plugin):
    """A class."""
    def hook_quit(self, connection): ...
    def hook_connect(self, connection): ...
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config directory whose plugin_dirs are `plugins`; a package that is installed."""
    for name in ("config", "plugins/queue", "installed/party-1.0.dist-info"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "config" / "plugin_dirs").write_text("../plugins\n../nowhere\n")
    info = tmp_path / "installed" / "party-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[qpsdk.plugins]\nparty = party_plugin:Party\nhangover = nothing:Hangover\n"
    )
    (tmp_path / "installed" / "party_plugin.py").write_text(
        "from qpsdk import Plugin\n"
        "class Base(Plugin):\n"
        "    def register(self, qp):\n"
        "        self.register_hook('rcpt', print)\n"
        "class Party(Base):\n"
        "    '''Makes noise.'''\n"
        "    def hook_noop(self, connection, text): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "installed")
    return tmp_path


def run(*arguments: str | Path, **environment: str) -> dict[str, list[tuple[str, ...]]]:
    """What the command prints: by the first word of each line, the other columns."""
    result = CliRunner().invoke(app, ["plugins", *map(str, arguments)], env=environment)
    assert result.exit_code == 0, result.output
    header, *lines = result.stdout.splitlines()
    columns = [header.index(name) for name in ("PLUGIN", "FROM", "HOOKS", "WHAT IT DOES")]
    found: dict[str, list[tuple[str, ...]]] = {}
    for line in lines:
        ends = [*columns[1:], len(line)]
        name, *rest = (line[a:b].strip() for a, b in zip(columns, ends, strict=True))
        found.setdefault(name, []).append(tuple(rest))
    return found


def test_bundled(folder: Path) -> None:
    """Without a config directory: the bundled plugins, and those of installed packages."""
    found = run()
    assert set(found) == {*bundled_plugins(), "party", "hangover"}
    assert found["queue/discard"] == [
        ("bundled", "queue", "Takes messages that another plugin marked, and drops them.")
    ]
    assert found["party"] == [("package party", "noop,...", "Makes noise.")]


def test_directories(folder: Path) -> None:
    """With one: also the files in its plugin_dirs. A hidden one is marked."""
    plugins = folder / "plugins"
    (plugins / "greet.py").write_text(GREET)
    (plugins / "queue" / "discard.py").write_text(GREET)
    for found in (
        run("--config", folder / "config"),
        run(QPSDK_CONFIG=str(folder / "config")),
    ):
        origin = str(folder / "config" / "../plugins")
        greet = (origin, "connect,quit", "Greets each client by name.")
        assert found["greet"] == [greet]
        assert found["queue/discard"] == [
            greet,
            ("bundled", "", "(hidden by the one above of the same name)"),
        ]


def test_what_cannot_be_loaded(folder: Path) -> None:
    """A plugin that cannot be imported, or is none, is listed with the reason."""
    plugins = folder / "plugins"
    (plugins / "broken.py").write_text(GREET + "\n1 / 0\n")
    (plugins / "exits.py").write_text(GREET + "import sys; sys.exit(3)\n")
    (plugins / "open.py").write_text("f(\n")
    (plugins / "helper.py").write_text("import ast\nclass Helper(ast.AST): ...\n")
    (plugins / "not a name.py").write_text(GREET)
    (plugins / "été.py").write_text(GREET)
    found = run("--config", folder / "config")
    for name, reason in (
        ("broken", "cannot be imported: ZeroDivisionError: division by zero"),
        ("exits", "cannot be imported: SystemExit: 3"),
        ("open", "open.py:1: '(' was never closed"),
        ("helper", "one subclass of Plugin expected, found none"),
        ("not a name", "'not a name' has a space in it, and can stand in no config/plugins"),
        ("été", "'été' is no plugin name; write one such as queue/qmqp_forward"),
        ("hangover", "entry point hangover: cannot be imported: ModuleNotFoundError"),
    ):
        ((_, hooks, told),) = found[name]
        assert hooks == ""
        assert told.startswith("(cannot be loaded: ")
        assert reason in told


NO_PLUGIN = {
    "setup.py": "from setuptools import setup\nsetup()\n",
    "tests/conftest.py": "class Broken(Exception): ...\n",
    "tests/test_greet.py": "def test():\n    class Own(Plugin): ...\n",
    ".hidden/x.py": GREET,
    ".x.py": GREET,
    "_private.py": GREET,
    "__pycache__/x.py": GREET,
    "été/x.py": GREET,
    "venv/pyvenv.cfg": "",
    "venv/lib/x.py": GREET,
}


def test_what_is_no_plugin_is_not_run(folder: Path) -> None:
    """What else lies in a folder of plugins is neither listed nor run."""
    own = folder / "plugins"
    (own / "greet.py").write_text(GREET)
    for name, text in NO_PLUGIN.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(f"open({str(folder / 'ran')!r}, 'w')\n{text}")
    found = run("--config", folder / "config")
    assert set(found) - {*bundled_plugins(), "party", "hangover"} == {"greet"}
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "import qpsdk\nclass A(qpsdk.Plugin): ...",
        "from mine import Base\nclass A(Base): ...",
        "try:\n    import x\nexcept ImportError:\n    class A(Plugin): ...",
        "class A(mixin(), Plugin): ...",
    ],
)
def test_what_may_be_a_plugin_is_looked_at(text: str, folder: Path) -> None:
    """A class whose base may be Plugin is enough, wherever the module has it."""
    (folder / "plugins" / "maybe.py").write_text(text)
    assert "maybe" in run("--config", folder / "config")


def shown(*arguments: str | Path) -> str:
    """What the command prints of one plugin."""
    result = CliRunner().invoke(app, ["plugins", *map(str, arguments)])
    if isinstance(result.exception, SetupError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_one_in_full(folder: Path) -> None:
    """With a name: all that the plugin says of itself, its hooks, its line, the host's options."""
    text = shown("queue/qmqp-forward")
    assert text.startswith("Forwards each message to a QMQP server, which queues it.\n\nIn `con")
    assert "    balance=failover      the first server that works; rotate: every server" in text
    assert "\nHooks: queue\n" in text
    assert "\nIts line: queue/qmqp-forward SERVER [PORT] [more ...] [balance=...] [on_de" in text
    assert "\n  on_error=  declined or denysoft; else declined\n" in text


def test_one_of_a_directory(folder: Path) -> None:
    """So for one in plugin_dirs; where the file has nothing to say, the class may have."""
    config = ["--config", str(folder / "config")]
    (folder / "plugins" / "greet.py").write_text(GREET)
    start = (
        "Greets each client by name.\n\nMore about it.\n\nHooks: connect, quit\nIts line: greet\n"
    )
    assert shown("greet", *config).startswith(start)
    (folder / "plugins" / "mute.py").write_text("from qpsdk import Plugin\nclass M(Plugin): ...\n")
    told = "It says nothing of itself.\n\nHooks: none\nIts line: mute\n"
    assert shown("mute", *config).startswith(told)
    assert shown("party").startswith("Makes noise.\n\nHooks: noop, ...\nIts line: party\n")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("greylist", "greylist: no such plugin; did you mean greylisting?"),
        ("./x", "'./x' is no plugin name; name its folder in config/plugin_dirs, and write x"),
    ],
)
def test_no_plugin_of_the_name(name: str, told: str) -> None:
    """A name that is none is told in one line."""
    with pytest.raises(SetupError) as refusal:
        shown(name)
    assert str(refusal.value).startswith(told)
