"""Loading plugins: each line a plugin with its words, and every way to be told what is wrong."""

import logging
import re
from pathlib import Path

import pytest

from qpsdk import ConfigError, Host, LogLevel, Plugin, PluginError
from qpsdk.config import Config
from qpsdk.finder import PluginLine
from qpsdk.loader import load, load_lines, load_one, register
from qpsdk.log import Formatter, log
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
    """A folder `plugins`, in the current one, with one plugin, `greet`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "greet.py").write_text(GREET)
    return tmp_path / "plugins"


def new_host(plugins: str) -> Host:
    """A host whose config/plugins is this; files are looked for in `plugins`."""
    return memory_host({"plugins": plugins, "plugin_dirs": "plugins"})


def load_plugins(plugins: str) -> list[Plugin]:
    """Load what config/plugins says."""
    return list(load(new_host(plugins)).plugins)


def refusal(plugins: str) -> str:
    """What is told of a config/plugins that cannot be loaded."""
    with pytest.raises((PluginError, ConfigError)) as error:
        load_plugins(plugins)
    return str(error.value)


def test_wrong_line_is_told_with_its_place(folder: Path) -> None:
    """A line that cannot be read is told with file and line."""
    assert refusal("# plugins\n\n../x\n") == (
        "config/plugins:3: '../x' is no plugin name; name its folder in config/plugin_dirs,"
        " and write x"
    )


def test_file_in_a_config_directory(folder: Path) -> None:
    """Of a directory, errors name the file that is to be changed."""
    config = folder.parent / "config"
    config.mkdir()
    (config / "plugin_dirs").write_text(str(folder))
    (config / "plugins").write_text("greet\nmissing")
    host = memory_host({})
    host.configuration = Config(config)
    with pytest.raises(PluginError, match=f"^{config}/plugins:2: missing: no such plugin"):
        load(host)


# Plugins


FILES = [
    # source, what is told
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


def test_no_hook(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A plugin without a hook is loaded, and the log says that it is never asked."""
    caplog.set_level(logging.DEBUG, "qpsdk")
    (folder / "x.py").write_text(
        "from qpsdk import Plugin\nclass X(Plugin):\n    def on_rcpt(self, t, r, p): ...\n"
    )
    load_plugins("x\ngreet\nqueue/discard")
    assert [Formatter().format(record)[24:] for record in caplog.records] == [
        "LOGWARN (register) x: has no hook, so it is never asked; rename on_rcpt to hook_rcpt"
    ]


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
        ("raise ValueError", "x: failed in register(): ValueError (FOLDER/x.py:4)"),
        (
            "raise type('Odd', (Exception,), {'__str__': None})",
            "x: failed in register(): Odd: <qpsdk_plugin/x.Odd object at 0x> (FOLDER/x.py:4)",
        ),
        ("self.register_hook('mial', print)", "x: there is no hook 'mial'; did you mean 'mail'?"),
    ],
)
def test_failure_in_register(statement: str, text: str, folder: Path) -> None:
    """A plugin that fails in register, or refuses its arguments there, is told with its line."""
    source = (
        f"import qpsdk\nclass X(qpsdk.Plugin):\n    def register(self, qp):\n        {statement}\n"
    )
    (folder / "x.py").write_text(source)
    told = re.sub(r"at 0x\w+", "at 0x", refusal("x"))
    assert told == f"config/plugins:1: {text.replace('FOLDER', str(folder))}"


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
