"""The settings: what each file may say, and what is told when it is wrong."""

import platform
from pathlib import Path
from typing import Any

import pytest

from qpsdk import ConfigError, LogLevel
from qpsdk.config import Config
from qpsdk.settings import SETTINGS, Settings
from qpsdk.smtp import Limits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty config directory."""
    path = tmp_path / "config"
    path.mkdir()
    return path


def test_defaults() -> None:
    """Without any file: no limit of size, bare newlines refused, warnings logged."""
    assert Settings.read(Config({})) == Settings(
        me=platform.node() or "localhost",
        limits=Limits(message=0),
        bare_newline="reject",
        size_threshold=65536,
        spool_dir=None,
        timeout=300.0,
        loglevel=LogLevel.LOGWARN,
        auth_results=platform.node() or "localhost",
        listen=(),
    )


SETTINGS = [
    # name, text, attribute, value
    ("me", "mx.example.com", "me", "mx.example.com"),
    ("me", "[192.0.2.1]", "me", "[192.0.2.1]"),
    ("me", "[IPv6:2001:db8::1]", "me", "[IPv6:2001:db8::1]"),
    ("databytes", "0", "limits", Limits(message=0)),
    ("databytes", "10485760", "limits", Limits(message=10485760)),
    ("bare_newline", "reject", "bare_newline", "reject"),
    ("bare_newline", "normalize", "bare_newline", "normalize"),
    ("size_threshold", "0", "size_threshold", 0),
    ("spool_dir", "/var/spool/x y", "spool_dir", Path("/var/spool/x y")),
    ("timeout", "20", "timeout", 20.0),
    ("loglevel", "0", "loglevel", LogLevel.LOGEMERG),
    ("loglevel", "7", "loglevel", LogLevel.LOGDEBUG),
    ("loglevel", "LOGINFO", "loglevel", LogLevel.LOGINFO),
    ("loglevel", "notice", "loglevel", LogLevel.LOGNOTICE),
    (
        "listen",
        "127.0.0.1:25\n[::1]:25\nunix:/x",
        "listen",
        ("127.0.0.1:25", "[::1]:25", "unix:/x"),
    ),
]


@pytest.mark.parametrize(("name", "text", "attribute", "value"), SETTINGS)
def test_setting(name: str, text: str, attribute: str, value: Any) -> None:
    """Each setting is read from the file of its name."""
    assert getattr(Settings.read(Config({name: text})), attribute) == value


HOST = "is no host name; write one such as mx.example.com"
BYTES = "is no number of bytes; write one such as 10485760"
SECONDS = "is no number of seconds; write one such as 300"
LEVEL = "is no log level; write 0 to 7, or a name such as LOGINFO"
ADDRESS = "is no address; write HOST:PORT, [V6]:PORT or unix:PATH"

WRONG = [
    ("me", "my host", HOST),
    ("me", "mx;example", HOST),
    ("me", "bücher.example", HOST),
    ("me", "a" * 256, HOST),
    ("databytes", "10M", BYTES),
    ("databytes", "-1", BYTES),
    ("databytes", "\u00b2", BYTES),
    ("size_threshold", "64k", BYTES),
    ("bare_newline", "Reject", "is not known; write reject or normalize"),
    ("timeout", "0", SECONDS),
    ("timeout", "5 min", SECONDS),
    ("timeout", "1.5", SECONDS),
    ("loglevel", "8", LEVEL),
    ("loglevel", "-1", LEVEL),
    ("loglevel", "LOGLOUD", LEVEL),
    ("listen", "127.0.0.1", ADDRESS),
    ("listen", "127.0.0.1:99999", ADDRESS),
]


@pytest.mark.parametrize(("name", "text", "text_of_error"), WRONG)
def test_wrong_setting(name: str, text: str, text_of_error: str, folder: Path) -> None:
    """A wrong value is refused with file, line, and what would be right."""
    (folder / name).write_text(f"# a comment\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refusal:
        Settings.read(Config(folder))
    assert str(refusal.value) == f"{folder}/{name}:2: {text!r} {text_of_error}"


def test_second_listener_wrong() -> None:
    """Of several addresses the wrong one is named with its line."""
    with pytest.raises(ConfigError, match=r"^config/listen:2: 'nowhere'"):
        Settings.read(Config({"listen": "127.0.0.1:25\nnowhere"}))


@pytest.mark.parametrize(
    "name",
    ["me", "databytes", "bare_newline", "size_threshold", "spool_dir", "timeout", "loglevel"],
)
def test_each_has_one_value(name: str) -> None:
    """Each of them but `listen` takes one value."""
    with pytest.raises(ConfigError, match=f"^config/{name}:2: one value expected"):
        Settings.read(Config({name: {"me": "a", "bare_newline": "reject"}.get(name, "1") + "\n1"}))


def test_relative_paths(tmp_path: Path) -> None:
    """A relative path in a setting begins at the config directory, wherever the host is started."""
    (tmp_path / "spool_dir").write_text("spool\n")
    assert Settings.read(Config(tmp_path)).spool_dir == tmp_path / "spool"
    assert Config(tmp_path).resolve("/var/spool/qpsdk") == Path("/var/spool/qpsdk")


def test_place_of_settings_in_memory() -> None:
    """Settings that are no files are told as if they were."""
    with pytest.raises(ConfigError, match=r"^config/databytes:2: 'x' is no number of bytes"):
        Settings.read(Config({"databytes": "\nx"}))
