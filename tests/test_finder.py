"""Finding a plugin's class: every form of a name, and every way to be told that there is none."""

import sys
from pathlib import Path

import pytest

from qpsdk import Plugin, PluginError
from qpsdk.finder import PluginLine, available, bundled_plugins, find
from qpsdk.plugins.queue.discard import Discard
from qpsdk.plugins.queue.qmqp_forward import QMQPForward

pytestmark = pytest.mark.usefixtures("modules_as_before")

GREET = """\
from qpsdk import Plugin

class Greet(Plugin): ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an empty folder `plugins` in it and one called `more`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins" / "queue").mkdir(parents=True)
    (tmp_path / "more").mkdir()
    return tmp_path / "plugins"


def found(name: str) -> type[Plugin]:
    """The class that a name means; files are looked for in `plugins`, then `more`."""
    return find(PluginLine.parse(name), [Path("plugins"), Path("more")])


def refusal(name: str) -> str:
    """What is told of a name that leads to no plugin."""
    with pytest.raises(PluginError) as error:
        found(name)
    return str(error.value)


# Lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a", PluginLine("a", "a")),
        ("queue/a:12", PluginLine("queue/a:12", "queue/a")),
        ("a-b x  y", PluginLine("a-b", "a-b", ("x", "y"))),
        ("a.B x=1 y z=", PluginLine("a.B", "a.B", ("y",), (("x", "1"), ("z", "")))),
        ("a x=y=z", PluginLine("a", "a", (), (("x", "y=z"),))),
        ("a 1x=2 =3 -x=4", PluginLine("a", "a", ("1x=2", "=3", "-x=4"))),
    ],
)
def test_line(text: str, line: PluginLine) -> None:
    """A line is a name, perhaps with :N, then words and options in any order."""
    assert PluginLine.parse(text) == line


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "/etc/x",
        "x/../../y",
        "x/..",
        "x//y",
        "x/",
        "x/.y",
        "./x",
        ".x",
        "-x",
        "a:b",
        "a:",
        ":1",
        "a:1:2",
        "a\\b",
        "é",
        "a;b",
    ],
)
def test_no_name(name: str) -> None:
    """What is no name, or would lead out of the plugins' folders, is refused."""
    with pytest.raises(ValueError) as refusal:
        PluginLine.parse(name)
    remedy = "write one such as queue/qmqp_forward"
    if name in ("../x", "/etc/x", "./x"):
        remedy = "name its folder in config/plugin_dirs, and write x"
    assert str(refusal.value) == f"{name!r} is no plugin name; {remedy}"


def test_option_twice() -> None:
    """An option that is given twice is refused: which one was meant?"""
    with pytest.raises(ValueError, match="a: an option is given twice"):
        PluginLine.parse("a x=1 x=2")


# Where plugins are found


def test_file(folder: Path) -> None:
    """A plugin is a file in one of the folders, which may be relative; the first one counts."""
    (folder / "greet.py").write_text(GREET)
    (folder / "queue" / "greet_me.py").write_text(GREET.replace("Greet(", "Queue("))
    (folder.parent / "more" / "greet.py").write_text(GREET.replace("Greet(", "More("))
    (folder.parent / "more" / "other.py").write_text(GREET.replace("Greet(", "Other("))
    names = ("greet", "queue/greet-me", "other", "queue/greet_me")
    assert [found(name).__name__ for name in names] == ["Greet", "Queue", "Other", "Queue"]


def test_file_with_a_dash(folder: Path) -> None:
    """A file may itself be spelled with a dash."""
    (folder / "greet-me.py").write_text(GREET)
    assert found("greet-me").__name__ == "Greet"


def test_twice(folder: Path) -> None:
    """A file that is loaded twice is two modules, each of which Python can find."""
    (folder / "greet.py").write_text(
        "from __future__ import annotations\n"
        "import dataclasses, pickle, sys\n"
        "from qpsdk import Plugin\n"
        "@dataclasses.dataclass\n"
        "class Note:\n"
        "    text: str = ''\n"
        "class Greet(Plugin):\n"
        "    note = Note\n"
        "    def copy(self, value): return pickle.loads(pickle.dumps(value))\n"
        "assert sys.modules[__name__].Greet is Greet\n"
    )
    zero, one = found("greet:0"), found("greet:1")
    assert zero is not one
    assert zero.__module__ != one.__module__
    for plugin in (zero(), one()):
        note = plugin.note("x")  # type: ignore[attr-defined]
        assert plugin.copy(note) == note  # type: ignore[attr-defined]


def test_names_that_look_alike(folder: Path) -> None:
    """Plugins whose names differ in a sign only have modules of their own."""
    (folder / "queue" / "greet.py").write_text(GREET)
    (folder / "queue_greet.py").write_text(GREET)
    assert found("queue/greet").__module__ != found("queue_greet").__module__


@pytest.mark.parametrize("name", ["queue/discard", "queue/discard:1"])
def test_bundled(name: str, folder: Path) -> None:
    """A bundled plugin is found by its name; a file of the same name goes before it."""
    assert found(name) is Discard
    (folder / "queue" / "discard.py").write_text(GREET)
    assert found(name).__name__ == "Greet"


@pytest.mark.parametrize("name", ["queue/qmqp_forward", "queue/qmqp-forward"])
def test_qpsmtpds_spelling(name: str) -> None:
    """A dash, as qpsmtpd writes it, means an underscore."""
    assert found(name) is QMQPForward


def test_bundled_names() -> None:
    """The bundled plugins are known by name."""
    assert {"rcpt_ok", "queue/discard", "queue/qmqp_forward"} <= set(bundled_plugins())
    assert not any("__init__" in name for name in bundled_plugins())


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that is installed, with entry points."""
    (tmp_path / "greetings.py").write_text(GREET + "\nVALUE = 7\n")
    (tmp_path / "broken.py").write_text("import qpsdk\n\nqpsdk.nothing\n")
    info = tmp_path / "greetings-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[qpsdk.plugins]\n"
        "good-day = greetings:Greet\n"
        "value = greetings:VALUE\n"
        "gone = greetings:Gone\n"
        "missing = no_such_module:Greet\n"
        "broken = broken:Greet\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["good-day", "good_day", "good-day:1"])
def test_entry_point(name: str, installed: Path) -> None:
    """An installed package offers plugins by entry points."""
    assert (found(name).__module__, found(name).__name__) == ("greetings", "Greet")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("value", "entry point value: is 7, not a subclass of Plugin"),
        (
            "gone",
            "entry point gone: cannot be imported: AttributeError:"
            " module 'greetings' has no attribute 'Gone'",
        ),
        (
            "missing",
            "entry point missing: cannot be imported: ModuleNotFoundError:"
            " No module named 'no_such_module'",
        ),
        (
            "broken",
            "entry point broken: cannot be imported: AttributeError:"
            " module 'qpsdk' has no attribute 'nothing' (FOLDER/broken.py:3)",
        ),
    ],
)
def test_wrong_entry_point(name: str, text: str, installed: Path) -> None:
    """An entry point that leads nowhere, or to no plugin, is told by its name."""
    assert refusal(name) == text.replace("FOLDER", str(installed))


def test_dotted(installed: Path) -> None:
    """A dotted name is a class of a module that can be imported; it may be imported there."""
    assert found("greetings.Greet:3").__name__ == "Greet"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("greetings.VALUE", "greetings.VALUE: is 7, not a subclass of Plugin"),
        (
            "greetings.Plugins",
            "greetings.Plugins: cannot be imported: AttributeError:"
            " module 'greetings' has no attribute 'Plugins'",
        ),
        (
            "nothing.Greet",
            "nothing.Greet: cannot be imported: ModuleNotFoundError: No module named 'nothing'",
        ),
        (
            "broken.Greet",
            "broken.Greet: cannot be imported: AttributeError:"
            " module 'qpsdk' has no attribute 'nothing' (FOLDER/broken.py:3)",
        ),
    ],
)
def test_wrong_dotted_name(name: str, text: str, installed: Path) -> None:
    """A dotted name that is no plugin's is told with the reason, and its line in the module."""
    assert refusal(name) == text.replace("FOLDER", str(installed))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("greeet", "greet"),
        ("queue/gret", "queue/greet"),
        ("rcpt_okay", "rcpt_ok"),
        ("queue/qmqp-froward", "queue/qmqp_forward"),
        ("goodday", "good_day"),
    ],
)
def test_not_found(name: str, near: str, folder: Path, installed: Path) -> None:
    """A name that is nobody's is told with the nearest, and where was looked."""
    (folder / "greet.py").write_text(GREET)
    (folder / "queue" / "greet.py").write_text(GREET)
    file = name.replace("-", "_") + ".py"
    assert refusal(name) == (
        f"{name}: no such plugin; did you mean {near}?"
        f" (looked for: plugins/{file}, more/{file}, a bundled plugin, an entry point)"
    )


@pytest.mark.parametrize("directory", ["plugins", "y" * 300])
def test_a_name_that_is_too_long(directory: str, folder: Path) -> None:
    """A name that no file can have, of a plugin or a folder, is nobody's too."""
    with pytest.raises(PluginError, match="no such plugin"):
        find(PluginLine.parse("x" * 300), [Path(directory)])


def test_link_that_leads_nowhere(folder: Path) -> None:
    """A file that is not there is not what was meant in its own place."""
    (folder / "away.py").symlink_to("nowhere.py")
    assert "away: no such plugin (looked for: plugins/away.py, " in refusal("away")


def test_nothing_near() -> None:
    """Where nothing is near, nothing is proposed; a folder that is not there is no error."""
    with pytest.raises(PluginError) as error:
        find(PluginLine.parse("zzzzzz"), [Path("/nowhere")])
    assert str(error.value) == (
        "zzzzzz: no such plugin (looked for: /nowhere/zzzzzz.py, a bundled plugin, an entry point)"
    )


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("greet.py", "write greet"),
        ("nothing.py", "write nothing"),
        ("queue/greet.py", "write queue/greet"),
        ("mail/greet.py", "name its folder in config/plugin_dirs, and write greet"),
        ("x" * 300 + ".py", f"write {'x' * 300}"),
    ],
)
def test_named_with_its_ending(name: str, remedy: str, folder: Path) -> None:
    """A name with .py is no dotted name: it is told what to write."""
    for path in (folder / "greet.py", folder / "queue" / "greet.py"):
        path.write_text(GREET)
    assert refusal(name) == f"{name}: a plugin is named without .py; {remedy}"


def test_not_found_without_folders() -> None:
    """Where no folder is named that plugins could be in, it is told how."""
    with pytest.raises(PluginError) as error:
        find(PluginLine.parse("zzzzzz"), [])
    assert str(error.value) == (
        "zzzzzz: no such plugin (looked for: a bundled plugin, an entry point;"
        " name the folder of one of your own in config/plugin_dirs)"
    )


def test_available(folder: Path, installed: Path) -> None:
    """All that could be loaded, in the order in which it is looked for."""
    (folder / "queue" / "greet.py").write_text(GREET)
    (folder / "queue" / "_helper.py").write_text("")
    (folder.parent / "more" / "discard.py").write_text(GREET)
    found = list(available([folder, folder.parent / "more", folder.parent / "nowhere"]))
    assert found[:2] == [
        ("queue/greet", str(folder)),
        ("discard", str(folder.parent / "more")),
    ]
    assert ("queue/discard", "bundled") in found
    assert [name for name, origin in found if origin == "package greetings"] == [
        "broken",
        "gone",
        "good_day",
        "missing",
        "value",
    ]


# What is wrong with a file

FILES = [
    # source, what is told
    (
        "x = 1\n",
        "plugins/x.py: one subclass of Plugin expected, found none; write class NAME(Plugin)",
    ),
    (
        "from qpsdk.plugins.queue.discard import Discard\n",
        "plugins/x.py: one subclass of Plugin expected, found none; write class NAME(Plugin)",
    ),
    (
        "from qpsdk import Plugin\nclass A(Plugin): ...\nclass B(A): ...\n",
        "plugins/x.py: one subclass of Plugin expected, found A, B; give each a file of its own",
    ),
    ("import os\ndef f(:\n", "FOLDER/x.py:2: invalid syntax"),
    (
        "\nimport no_such_module\n",
        "plugins/x.py: cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"
        " (FOLDER/x.py:2)",
    ),
    (
        "def f():\n    return 1 / 0\n\nf()\n",
        "plugins/x.py: cannot be imported: ZeroDivisionError: division by zero (FOLDER/x.py:2)",
    ),
    (
        "from qpsdk import Plugin, blocking\nclass A(Plugin):\n    @blocking\n"
        "    async def hook_quit(self, c): ...\n",
        "plugins/x.py: cannot be imported: TypeError: A.hook_quit is async: it cannot be @blocking,"
        " too; drop one of the two (FOLDER/x.py:3)",
    ),
    (
        "import sys\nsys.exit(1)\n",
        "plugins/x.py: cannot be imported: SystemExit: 1 (FOLDER/x.py:2)",
    ),
]


@pytest.mark.parametrize(("source", "text"), FILES, ids=range(len(FILES)))
def test_wrong_file(source: str, text: str, folder: Path) -> None:
    """What is wrong with a plugin's file is told, with its line where there is one."""
    (folder / "x.py").write_text(source)
    assert refusal("x") == text.replace("FOLDER", str(folder))


def test_failed_import_leaves_no_module(folder: Path) -> None:
    """A file that cannot be imported leaves nothing among Python's modules."""
    before = set(sys.modules)
    (folder / "x.py").write_text("1 / 0")
    refusal("x")
    assert set(sys.modules) == before


def test_failed_import_leaves_the_module_before(folder: Path) -> None:
    """Nor does it take the one from before away, which a host that cannot reload goes on with."""
    (folder / "greet.py").write_text(GREET)
    greet = found("greet")
    (folder / "greet.py").write_text("1 / 0")
    refusal("greet")
    assert vars(sys.modules[greet.__module__])["Greet"] is greet


def test_own_class_among_imported_ones(folder: Path) -> None:
    """A class that is imported into a file is not its own, and another name no second class."""
    (folder / "x.py").write_text(
        "from qpsdk.plugins.queue.discard import Discard\n"
        "class Mine(Discard): ...\n"
        "Default = Mine\n"
    )
    assert found("x").__name__ == "Mine"
