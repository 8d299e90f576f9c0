"""Finding plugins: every form of a name, and every way to be told what is wrong."""

import logging
import sys
from pathlib import Path

import pytest

from qpsdk import ConfigError, Host, LogLevel, Plugin, PluginError
from qpsdk.config import Config
from qpsdk.loader import (
    PluginLine,
    available,
    bundled_plugins,
    load,
    load_lines,
    load_one,
    register,
)
from qpsdk.log import Formatter, log
from qpsdk.plugins.queue.discard import Discard
from qpsdk.testing.smtp import memory_host

pytestmark = pytest.mark.usefixtures("modules_as_before")

GREET = """\
from qpsdk import Plugin

class Greet(Plugin):
    def register(self, qp, *words, **options):
        self.given = words, options

    def hook_connect(self, connection): ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an empty folder `plugins` in it and one called `more`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins" / "queue").mkdir(parents=True)
    (tmp_path / "more").mkdir()
    return tmp_path / "plugins"


def new_host(plugins: str) -> Host:
    """A host whose config/plugins is this; files are looked for in `plugins`, then `more`."""
    return memory_host({"plugins": plugins, "plugin_dirs": "plugins\nmore"})


def load_plugins(plugins: str) -> list[Plugin]:
    """Load what config/plugins says."""
    return list(load(new_host(plugins)).plugins)


def refusal(plugins: str) -> str:
    """What is told of a config/plugins that cannot be loaded."""
    with pytest.raises((PluginError, ConfigError)) as error:
        load_plugins(plugins)
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


def test_wrong_line_is_told_with_its_place(folder: Path) -> None:
    """A line that cannot be read is told with file and line."""
    assert refusal("# plugins\n\n../x\n") == (
        "config/plugins:3: '../x' is no plugin name; name its folder in config/plugin_dirs,"
        " and write x"
    )


# Where plugins are found


def test_file(folder: Path) -> None:
    """A plugin is a file in one of the folders, which may be relative; the first one counts."""
    (folder / "greet.py").write_text(GREET)
    (folder / "queue" / "greet_me.py").write_text(GREET.replace("Greet(", "Queue("))
    (folder.parent / "more" / "greet.py").write_text(GREET.replace("Greet(", "More("))
    (folder.parent / "more" / "other.py").write_text(GREET.replace("Greet(", "Other("))
    plugins = load_plugins("greet a b=c\nqueue/greet-me\nother\nqueue/greet_me")
    assert [type(plugin).__name__ for plugin in plugins] == ["Greet", "Queue", "Other", "Queue"]
    names = [plugin.name for plugin in plugins]
    assert names == ["greet", "queue/greet-me", "other", "queue/greet_me"]
    assert plugins[0].__dict__["given"] == (("a",), {"b": "c"})


def test_file_in_a_config_directory(folder: Path) -> None:
    """The same from a directory: errors name the file that is to be changed."""
    config = folder.parent / "config"
    config.mkdir()
    (config / "plugin_dirs").write_text(str(folder))
    (config / "plugins").write_text("greet\nmissing")
    (folder / "greet.py").write_text(GREET)
    host = memory_host({})
    host.configuration = Config(config)
    with pytest.raises(PluginError, match=f"^{config}/plugins:2: missing: no such plugin"):
        load(host)


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
    zero, one = load_plugins("greet:0 timeout=5\ngreet:1")
    assert (zero.name, one.name) == ("greet:0", "greet:1")
    assert (zero.options.timeout, one.options.timeout) == (5, None)
    assert type(zero) is not type(one)
    assert type(zero).__module__ != type(one).__module__
    for plugin in (zero, one):
        note = plugin.note("x")  # type: ignore[attr-defined]
        assert plugin.copy(note) == note  # type: ignore[attr-defined]


def test_names_that_look_alike(folder: Path) -> None:
    """Plugins whose names differ in a sign only have modules of their own."""
    (folder / "queue" / "greet.py").write_text(GREET)
    (folder / "queue_greet.py").write_text(GREET)
    one, other = load_plugins("queue/greet\nqueue_greet")
    assert type(one).__module__ != type(other).__module__


@pytest.mark.parametrize("name", ["queue/discard", "queue/discard:1"])
def test_bundled(name: str, folder: Path) -> None:
    """A bundled plugin is found by its name; a file of the same name goes before it."""
    (plugin,) = load_plugins(name)
    assert isinstance(plugin, Discard)
    (folder / "queue" / "discard.py").write_text(GREET)
    assert not isinstance(load_plugins(name)[0], Discard)


@pytest.mark.parametrize("name", ["queue/qmqp_forward", "queue/qmqp-forward"])
def test_qpsmtpds_spelling(name: str) -> None:
    """A dash, as qpsmtpd writes it, means an underscore; the log says what config says."""
    plugin = load_one(PluginLine.parse(f"{name} 192.0.2.1"), memory_host({}))
    assert (type(plugin).__name__, plugin.name) == ("QMQPForward", name)


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
    (plugin,) = load_plugins(f"{name} word")
    assert plugin.__dict__["given"] == (("word",), {})
    assert (type(plugin).__module__, plugin.name) == ("greetings", name)


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
    assert refusal(name) == f"config/plugins:1: {text.replace('FOLDER', str(installed))}"


def test_dotted(installed: Path) -> None:
    """A dotted name is a class of a module that can be imported; it may be imported there."""
    (plugin,) = load_plugins("greetings.Greet:3 x")
    assert plugin.name == "greetings.Greet:3"
    assert plugin.__dict__["given"] == (("x",), {})


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
    assert refusal(name) == f"config/plugins:1: {text.replace('FOLDER', str(installed))}"


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
    assert refusal(f"\n{name} word") == (
        f"config/plugins:2: {name}: no such plugin; did you mean {near}?"
        f" (looked for: plugins/{file}, more/{file}, a bundled plugin, an entry point)"
    )


@pytest.mark.parametrize("directory", ["plugins", "y" * 300])
def test_a_name_that_is_too_long(directory: str, folder: Path) -> None:
    """A name that no file can have, of a plugin or a folder, is nobody's too."""
    host = memory_host({"plugins": "x" * 300, "plugin_dirs": directory})
    with pytest.raises(PluginError, match="no such plugin"):
        load(host)


def test_nothing_near() -> None:
    """Where nothing is near, nothing is proposed; a folder that is not there is no error."""
    host = memory_host({"plugins": "zzzzzz", "plugin_dirs": "/nowhere"})
    with pytest.raises(PluginError) as error:
        load(host)
    assert str(error.value) == (
        "config/plugins:1: zzzzzz: no such plugin"
        " (looked for: /nowhere/zzzzzz.py, a bundled plugin, an entry point)"
    )


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
        "from qpsdk import Plugin\nclass A(Plugin):\n    def __init__(self, x): ...\n",
        "x: its __init__() takes (x), but is given nothing; take the words of its line in"
        " register(self, qp, x) (FOLDER/x.py:3)",
    ),
    (
        "from qpsdk import Plugin\nclass A(Plugin):\n    def hook_recpt(self, t, r, p): ...\n",
        "x: there is no hook 'recpt'; did you mean 'rcpt'? (FOLDER/x.py:3)",
    ),
    (
        "from qpsdk import Plugin\nclass A(Plugin):\n    def hook_rcpt(self, t): ...\n",
        "x: the hook rcpt gives (transaction, recipient, params), but hook_rcpt takes (t)"
        " (FOLDER/x.py:3)",
    ),
    (
        "from qpsdk import Plugin, blocking\nclass A(Plugin):\n    @blocking\n"
        "    async def hook_quit(self, c): ...\n",
        "plugins/x.py: cannot be imported: TypeError: A.hook_quit is async: it cannot be @blocking,"
        " too; drop one of the two (FOLDER/x.py:3)",
    ),
    (
        "from qpsdk import Plugin\nclass A(Plugin):\n    def hook_rcpt(): ...\n",
        "x: hook_rcpt() takes no self; write def hook_rcpt(self, ...) (FOLDER/x.py:3)",
    ),
    (
        "from qpsdk import Plugin\nclass A(Plugin):\n    def register(): ...\n",
        "x: register() takes no self; write def register(self, ...) (FOLDER/x.py:3)",
    ),
    (
        "from qpsdk import Plugin\nclass A(Plugin):\n    def register(self): ...\n",
        "x: register() takes no host; write def register(self, qp)",
    ),
    (
        "from qpsdk import Plugin\nclass A(Plugin):\n    def __init__(self): ...\n",
        "x: its __init__() has to call super().__init__()",
    ),
]


@pytest.mark.parametrize(("source", "text"), FILES, ids=range(len(FILES)))
def test_wrong_file(source: str, text: str, folder: Path) -> None:
    """What is wrong with a plugin's file is told, with the line of config that names it."""
    (folder / "x.py").write_text(source)
    text = text.replace("FOLDER", str(folder))
    assert refusal("queue/discard\nx") == f"config/plugins:2: {text}"


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
    told = f"config/plugins:1: {name}: a plugin is named without .py; {remedy}"
    assert refusal(name) == told


def test_not_found_without_folders() -> None:
    """Where no folder is named that plugins could be in, it is told how."""
    with pytest.raises(PluginError) as error:
        load(memory_host({"plugins": "zzzzzz"}))
    assert str(error.value) == (
        "config/plugins:1: zzzzzz: no such plugin (looked for: a bundled plugin, an entry point;"
        " name the folder of one of your own in config/plugin_dirs)"
    )


def test_no_hook(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A plugin without a hook is loaded, and the log says that it is never asked."""
    caplog.set_level(logging.DEBUG, "qpsdk")
    (folder / "x.py").write_text(
        "from qpsdk import Plugin\nclass X(Plugin):\n    def on_rcpt(self, t, r, p): ...\n"
    )
    (folder / "greet.py").write_text(GREET)
    load_plugins("x\ngreet\nqueue/discard")
    assert [Formatter().format(record)[24:] for record in caplog.records] == [
        "LOGWARN (register) x: has no hook, so it is never asked; rename on_rcpt to hook_rcpt"
    ]


def test_failed_import_leaves_no_module(folder: Path) -> None:
    """A file that cannot be imported leaves nothing among Python's modules."""
    before = set(sys.modules)
    (folder / "x.py").write_text("1 / 0")
    refusal("x")
    assert set(sys.modules) == before


def test_own_class_among_imported_ones(folder: Path) -> None:
    """A class that is imported into a file is not its own, and another name no second class."""
    (folder / "x.py").write_text(
        "from qpsdk.plugins.queue.discard import Discard\n"
        "class Mine(Discard): ...\n"
        "Default = Mine\n"
    )
    (plugin,) = load_plugins("x")
    assert type(plugin).__name__ == "Mine"


# Arguments


REGISTERS = [
    # parameters of register, words of the line, what is told after "config/plugins:1: x: "
    ("", "word", "too many positional arguments; given: word; it takes: x"),
    ("", "a=1", "got an unexpected keyword argument 'a'; given: a=1; it takes: x"),
    (
        "server",
        "",
        "missing a required argument: 'server'; given: no arguments; it takes: x SERVER",
    ),
    (
        "server, port='25', *more",
        "server=1 2",
        "multiple values for argument 'server'; given: 2 server=1;"
        " it takes: x SERVER [PORT] [more ...]",
    ),
    (
        "a, *, key, other=''",
        "1",
        "missing a required argument: 'key'; given: 1; it takes: x A key=... [other=...]",
    ),
    (
        "*, key, **rest",
        "1",
        "too many positional arguments; given: 1; it takes: x key=... [rest=... ...]",
    ),
]


@pytest.mark.parametrize(("parameters", "words", "text"), REGISTERS)
def test_arguments_not_taken(parameters: str, words: str, text: str, folder: Path) -> None:
    """A word or option that register does not take is told: the plugin, and what it takes."""
    (folder / "x.py").write_text(
        "from qpsdk import Plugin\n"
        f"class X(Plugin):\n    def register(self, qp, {parameters}): ...\n"
    )
    told = refusal(f"x {words}").replace("required keyword-only", "required")  # from Python 3.14 on
    assert told == f"config/plugins:1: x: {text}"


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("raise ValueError('write a number')", "x: write a number"),
        ("raise qpsdk.PluginError('not like this')", "not like this"),
        ("1 / 0", "x: failed in register(): ZeroDivisionError: division by zero (FOLDER/x.py:4)"),
        ("self.register_hook('mial', print)", "x: there is no hook 'mial'; did you mean 'mail'?"),
    ],
)
def test_failure_in_register(statement: str, text: str, folder: Path) -> None:
    """A plugin that fails in register, or refuses its arguments there, is told with its line."""
    source = (
        f"import qpsdk\nclass X(qpsdk.Plugin):\n    def register(self, qp):\n        {statement}\n"
    )
    (folder / "x.py").write_text(source)
    assert refusal("x") == f"config/plugins:1: {text.replace('FOLDER', str(folder))}"


def test_wrong_setting_in_register(folder: Path) -> None:
    """A setting that a plugin finds wrong in register is told with its own file and line."""

    class Reads(Plugin):
        def register(self, qp: Host) -> None:
            qp.configuration.parse("greeting", int, 0)

    with pytest.raises(ConfigError, match=r"^config/greeting:2: invalid literal"):
        register(Reads(), memory_host({"greeting": "\nx"}), (), {})


def test_async_register() -> None:
    """An async register is refused: it would never run."""

    class Waits(Plugin):
        async def register(self, qp: Host) -> None: ...  # type: ignore[override]

    with pytest.raises(PluginError, match=r"Waits: register\(\) is async"):
        register(Waits(), memory_host({}), (), {})


def test_log_in_register(caplog: pytest.LogCaptureFixture) -> None:
    """What a plugin logs names it, in register and outside any hook; the host's lines do not."""
    caplog.set_level(logging.DEBUG, "qpsdk")
    host = memory_host({})
    plugin = load_one(PluginLine.parse("queue/qmqp_forward:7 192.0.2.1 628 more words"), host)
    plugin.log(LogLevel.LOGINFO, "later")
    log(LogLevel.LOGINFO, "the host")
    assert [Formatter().format(record)[24:] for record in caplog.records] == [
        "LOGWARN (register) queue/qmqp_forward:7: ignoring arguments after the port: more words",
        "LOGINFO queue/qmqp_forward:7: later",
        "LOGINFO the host",
    ]


# The host's own options


def test_host_options(folder: Path) -> None:
    """timeout, on_error and loglevel are the host's, and no plugin's."""
    (folder / "greet.py").write_text(GREET)
    (plugin,) = load_plugins("greet a timeout=60 on_error=denysoft loglevel=+1 b=c")
    assert plugin.__dict__["given"] == (("a",), {"b": "c"})
    assert (plugin.options.timeout, plugin.options.on_error) == (60, "denysoft")
    assert plugin.options.level(LogLevel.LOGINFO) is LogLevel.LOGDEBUG


@pytest.mark.parametrize(
    ("option", "level"),
    [("", 4), ("loglevel=0", 0), ("loglevel=7", 7), ("loglevel=+2", 6), ("loglevel=-3", 1)],
)
def test_loglevel(option: str, level: int, folder: Path) -> None:
    """loglevel=N is the level of every line, +N and -N shift the plugin's own choice."""
    (folder / "greet.py").write_text(GREET)
    (plugin,) = load_plugins(f"greet {option}")
    assert plugin.options.level(LogLevel.LOGWARN) == level


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("timeout=0", "timeout=0: write a number of seconds, such as 60"),
        ("timeout=1m", "timeout=1m: write a number of seconds, such as 60"),
        ("timeout=\u00b2", "timeout=\u00b2: write a number of seconds, such as 60"),
        ("timeout=", "timeout=: write a number of seconds, such as 60"),
        ("on_error=deny", "on_error=deny: write declined or denysoft"),
        ("loglevel=8", "loglevel=8: write 0 to 7, or +1 or -1 to shift"),
        ("loglevel=LOGINFO", "loglevel=LOGINFO: write 0 to 7, or +1 or -1 to shift"),
        ("loglevel=", "loglevel=: write 0 to 7, or +1 or -1 to shift"),
    ],
)
def test_wrong_host_option(option: str, text: str) -> None:
    """A wrong option of the host is told with what would be right."""
    assert refusal(f"queue/discard {option}") == f"config/plugins:1: queue/discard: {text}"


def test_loaded_plugins_run(folder: Path) -> None:
    """What load gives is a dispatcher that knows their hooks, in the order of config/plugins."""
    (folder / "greet.py").write_text(GREET)
    dispatcher = load(new_host("greet:0\nqueue/discard\ngreet:1"))
    assert [step.plugin for step in dispatcher.steps("connect")] == ["greet:0", "greet:1"]
    assert [step.plugin for step in dispatcher.steps("queue")] == ["queue/discard"]


def test_loglevel_as_qpsmtpd_writes_it(folder: Path) -> None:
    """qpsmtpd's own spelling of a plugin's log level is explained."""
    assert refusal("queue/discard loglevel +1") == (
        "config/plugins:1: queue/discard: too many positional arguments; given: loglevel +1;"
        " it takes: queue/discard; qpsmtpd's `loglevel +1` is written loglevel=+1 here"
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import sys\nsys.exit(1)\n", "plugins/x.py: cannot be imported: SystemExit: 1"),
        (
            "import sys\nfrom qpsdk import Plugin\nclass A(Plugin):\n"
            "    def __init__(self): sys.exit(1)\n",
            "x: failed in __init__(): SystemExit: 1",
        ),
        (
            "import sys\nfrom qpsdk import Plugin\nclass A(Plugin):\n"
            "    def register(self, qp): sys.exit(1)\n",
            "x: failed in register(): SystemExit: 1",
        ),
    ],
)
def test_exit(source: str, text: str, folder: Path) -> None:
    """A plugin that calls sys.exit() is told as any that fails."""
    (folder / "x.py").write_text(source)
    assert refusal("x").startswith(f"config/plugins:1: {text} ({folder}/x.py:")


def test_file_with_a_dash(folder: Path) -> None:
    """A file may itself be spelled with a dash."""
    (folder / "greet-me.py").write_text(GREET)
    assert [plugin.name for plugin in load_plugins("greet-me")] == ["greet-me"]


def test_each_line() -> None:
    """Each line is told with its plugin or its error: the first that is wrong hides no other."""
    host = memory_host({"plugins": "nothing\n\nqueue/discard\n../x\n$include more", "more": "x"})
    told = [
        (line.number, loaded.name if isinstance(loaded, Plugin) else str(loaded).partition(";")[0])
        for line, loaded in load_lines(host)
    ]
    assert told == [
        (
            1,
            "config/plugins:1: nothing: no such plugin (looked for: a bundled plugin,"
            " an entry point",
        ),
        (3, "queue/discard"),
        (4, "config/plugins:4: '../x' is no plugin name"),
        (
            1,
            "config/more:1: x: no such plugin (looked for: a bundled plugin, an entry point",
        ),
    ]


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
