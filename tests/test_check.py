"""`qpsdk check`: each thing that can be wrong with a config directory, told with its place."""

from importlib.resources import files
from pathlib import Path

import pytest

from qpsdk import ConfigError
from qpsdk.check import check, dry_host
from qpsdk.config import Config

GREEDY = """\
from qpsdk import LOGINFO, LOGWARN, Plugin

class Greedy(Plugin):
    def register(self, qp, *words):
        qp.config("subject_words")
        self.log(LOGINFO, "loaded")
        if "complain" in words:
            self.log(LOGWARN, "complains")

    def hook_rcpt(self, transaction, recipient, params): ...

    def hook_queue(self, transaction): ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config directory with which nothing is wrong."""
    path = tmp_path / "config"
    path.mkdir()
    (path / "me").write_text("mx.example.com\n")
    (path / "listen").write_text("127.0.0.1:2525\n")
    (path / "rcpthosts").write_text("example.com\n")
    (path / "plugins").write_text("rcpt_ok\nqueue/discard\n")
    return path


def told(folder: Path, **texts: str) -> list[str]:
    """What is said of a config directory when some of its files have other texts."""
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [str(finding).replace(str(folder), "C") for finding in check(folder)]


def test_nothing_is_wrong(folder: Path) -> None:
    """Of a directory in order nothing is said."""
    assert told(folder) == []


def test_sample() -> None:
    """Nothing is wrong with the sample that comes with the package."""
    sample = files("qpsdk.scaffold") / "config"
    assert isinstance(sample, Path)
    assert check(sample) == []


def test_all_at_once(folder: Path) -> None:
    """Everything is told at once: each with its place, errors first."""
    (folder / "databyte").write_text("10")
    (folder / "key").write_bytes(b"\x00\xff")
    assert told(
        folder,
        databytes="10M",
        timeout="\n5 min\n",
        listen="127.0.0.1:25\n25\n$include more\n",
        more="x\n",
        rcpthosts="*.example.com",
        plugins="nothing\nqueue/discard x\n../y\nqueue/discard timeout=never\nrcpt_ok\n",
    ) == [
        "error: C/listen:2: '25' is no address; write HOST:PORT, [V6]:PORT or unix:PATH",
        "error: C/more:1: 'x' is no address; write HOST:PORT, [V6]:PORT or unix:PATH",
        "error: C/timeout:2: '5 min' is no number of seconds; write one such as 300",
        "error: C/databytes:1: '10M' is no number of bytes; write one such as 10485760",
        "error: C/plugins:1: nothing: no such plugin"
        " (looked for: a bundled plugin, an entry point;"
        " name the folder of one of your own in config/plugin_dirs)",
        "error: C/plugins:2: queue/discard: too many positional arguments; given: x;"
        " it takes: queue/discard",
        "error: C/plugins:3: '../y' is no plugin name; name its folder in config/plugin_dirs,"
        " and write y",
        "error: C/plugins:4: queue/discard: timeout=never: write a number of seconds, such as 60",
        "error: C/rcpthosts:1: '*.example.com' is no domain; write example.com, or"
        " .example.com for all below it",
        "warning: C/key:1: not UTF-8 text",
    ]


def test_a_key_among_the_settings(folder: Path) -> None:
    """A file that a plugin cannot use is told by the plugin, and not as a setting besides."""
    (folder / "key.pem").write_bytes(b"\xff")
    assert told(folder, plugins="rcpt_ok\nqueue/discard\ntls key.pem") == [
        "error: C/plugins:3: tls: C/key.pem: not PEM, which has a line -----BEGIN ...-----"
    ]


def test_wrong_name_of_the_host(folder: Path) -> None:
    """What the host finds wrong with its name is told once, though rcpt_ok reads it, too."""
    assert told(folder, me="a b") == [
        "error: C/me:1: 'a b' is no host name; write one such as mx.example.com"
    ]


def test_misspelt_file(folder: Path) -> None:
    """A file that is named nearly as a setting is told, unless the setting is there, too."""
    assert told(folder, databyte="10", rcpt_hosts="x", **{"spool-dir": "/x"}, greylist="x") == [
        "warning: C/databyte: no setting of this name is known; did you mean databytes?",
        "warning: C/spool-dir: no setting of this name is known; did you mean spool_dir?",
    ]
    assert told(folder, databytes="10")[0].startswith("warning: C/spool-dir: ")


def test_misspelt_domains(folder: Path) -> None:
    """Without the file that rcpt_ok reads, it says what becomes of mail, and check what is near."""
    (folder / "rcpthosts").rename(folder / "rcpthost")
    assert told(folder) == [
        "warning: C/plugins:1: rcpt_ok: neither rcpthosts nor morercpthosts has a domain, so"
        " whoever may not relay is refused every recipient but those of me",
        "warning: C/rcpthost: no setting of this name is known; did you mean rcpthosts?",
    ]


def test_misspelt_file_of_a_plugin(folder: Path) -> None:
    """So is one that is named nearly as a file that a plugin asks for, if that is not there."""
    (folder / "greedy.py").write_text(GREEDY)
    named = {"plugin_dirs": ".", "plugins": "greedy"}
    assert told(folder, **named, subject_word="x", mine="x") == [
        "warning: C/subject_word: no setting of this name is known; did you mean subject_words?",
    ]
    assert told(folder, subject_words="x") == []


def test_settings_of_plugins_are_known(folder: Path) -> None:
    """A file that a plugin asks for is no slip of the pen, however near to one of the host's."""
    (folder / "greedy.py").write_text(GREEDY.replace("subject_words", "databyte"))
    assert told(folder, plugin_dirs=".", plugins="greedy", databyte="10") == []


def test_what_plugins_warn_of(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What a plugin logs at LOGWARN or graver while it is checked counts, and is told once."""
    (folder / "greedy.py").write_text(GREEDY)
    plugins = "rcpt_ok\nqueue/qmqp_forward 127.0.0.1 628 timeout = 3\ngreedy complain"
    assert told(folder, plugin_dirs=".", plugins=plugins) == [
        "warning: C/plugins:2: queue/qmqp_forward: ignoring arguments after the port: timeout = 3",
        "warning: C/plugins:3: greedy: complains",
    ]
    assert capfd.readouterr() == ("", "")


WARNINGS = [
    ({"listen": "# none"}, "C/listen: no address to listen on; write one such as 127.0.0.1:2525"),
    ({"plugins": ""}, "C/plugins: no plugin is named, so every recipient is put off"),
    (
        {"plugins": "rcpt_ok"},
        "C/plugins: no plugin has the hook queue, so every message is put off;"
        " add one such as queue/qmqp_forward",
    ),
    (
        {"plugins": "queue/discard"},
        "C/plugins: no plugin has the hook rcpt, so every recipient is put off; add rcpt_ok",
    ),
    (
        {"plugins": "rcpt_ok\nqueue/discard\n\nrcpt_ok"},
        "C/plugins:4: rcpt_ok is named twice, first in line 1;"
        " if that is meant, write rcpt_ok:1 and rcpt_ok:2",
    ),
    (
        {"plugin_dirs": "/nowhere\n.\n"},
        "C/plugin_dirs:1: /nowhere is no folder, so no plugin is found there",
    ),
    (
        {"plugins": "greedy loglevel 5", "plugin_dirs": "."},
        "C/plugins:1: greedy: takes any words; qpsmtpd's `loglevel 5` is written loglevel=5 here",
    ),
    (
        {"plugins": "rcpt_ok\nqueue/discard\nsilent", "plugin_dirs": "."},
        "C/plugins:3: silent: has no hook, so it is never asked; rename on_queue to hook_queue",
    ),
    ({"badmailfrom": "$include x"}, "C/badmailfrom:1: $include x: C/x: no such file"),
]


@pytest.mark.parametrize(("texts", "warning"), WARNINGS, ids=[w for _, w in WARNINGS])
def test_warning(texts: dict[str, str], warning: str, folder: Path) -> None:
    """With these the host starts, but hardly as it is meant."""
    (folder / "greedy.py").write_text(GREEDY)
    (folder / "silent.py").write_text(GREEDY.replace("hook_", "on_"))
    assert told(folder, **texts) == [f"warning: {warning}"]


def test_instances(folder: Path) -> None:
    """A plugin that is named twice with different :N is meant so."""
    assert told(folder, plugins="rcpt_ok:1\nrcpt_ok:2\nqueue/discard\n") == []


def test_no_name(folder: Path) -> None:
    """A host without a name of its own is told how it calls itself."""
    (folder / "me").unlink()
    (warning,) = told(folder)
    assert warning.startswith("warning: C/me: not there, so the host calls itself ")


ERRORS = [
    ({"qmail_control": "/nowhere"}, "C/qmail_control:1: /nowhere is no directory; write one such"),
    ({"store": "redis://127.0.0.1:port/0"}, "C/store: Port could not be cast to integer value"),
    ({"store": "memcached:x"}, "C/store:1: this is no store; write sqlite:PATH or redis://"),
    ({"spool_dir": "me"}, "C/me: the spool folder cannot be made: C/me is no folder"),
    ({"spool_dir": "me/x"}, "C/me/x: the spool folder cannot be made: C/me is no folder"),
    ({"spool_dir": "x" * 300}, "xx: the spool folder cannot be made: File name too long"),
    ({"spool_dir": ".."}, "C/..: the spool folder has mode 755, so that others may look into it;"),
    ({"plugins": "x", "plugin_dirs": "."}, "C/x.py:2: '(' was never closed"),
    ({"plugins": "rcpt_ok\n$include more"}, "C/plugins:2: $include more: C/more: no such file"),
]


@pytest.mark.parametrize(("texts", "error"), ERRORS, ids=[e for _, e in ERRORS])
def test_error(texts: dict[str, str], error: str, folder: Path) -> None:
    """With these it does not start."""
    folder.parent.chmod(0o755)
    (folder / "x.py").write_text("import os\nos.getcwd(\n")
    (line,) = told(folder, **texts)
    assert error in line
    assert line.startswith("error: C/")


def test_told_once(folder: Path) -> None:
    """A setting that is wrong is told once, however many plugins read it."""
    (folder / "relayclients").write_text("here")
    (line,) = told(folder, plugins="relay:1\nrelay:2\nrcpt_ok\nqueue/discard")
    assert line.startswith("error: C/relayclients:1: 'here' is no address or network; ")


def test_nothing_is_written(folder: Path) -> None:
    """To check makes no spool folder; one that is there may stay."""
    assert told(folder, spool_dir="spool") == []
    assert not (folder / "spool").exists()
    (folder / "spool").mkdir(mode=0o700)
    assert told(folder) == []


def test_no_directory(tmp_path: Path) -> None:
    """What is no directory is refused."""
    with pytest.raises(ConfigError, match="not a directory"):
        check(tmp_path / "nothing")


def test_plugins_see_the_right_settings(folder: Path) -> None:
    """A plugin that is checked sees the settings that are right, and defaults for the others."""
    (folder / "databytes").write_text("many")
    (folder / "timeout").write_text("7")
    settings = dry_host(Config(folder)).settings
    assert (settings.limits.message, settings.timeout) == (0, 7.0)
