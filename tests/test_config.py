"""The config directory: what a file says, and what is told when it is wrong."""

import platform
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import ConfigError, LogLevel
from qpsdk.config import Config, Line, Settings
from qpsdk.smtp import Limits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty config directory."""
    path = tmp_path / "config"
    path.mkdir()
    return path


TEXTS = [
    # text, lines
    ("", []),
    ("\n\n  \n", []),
    ("# nothing\n  # here\n", []),
    ("one", [Line(1, "one")]),
    ("  one  \r\n\ttwo\t\r\n", [Line(1, "one"), Line(2, "two")]),
    ("# first\n\none two # three\n", [Line(3, "one two # three")]),
    ("a#b\n\x0cb\x0b\nü\n", [Line(1, "a#b"), Line(2, "b"), Line(3, "ü")]),
    ("a\x0cb\n", [Line(1, "a\x0cb")]),
]


@pytest.mark.parametrize(("text", "lines"), TEXTS, ids=[repr(text) for text, _ in TEXTS])
def test_lines(text: str, lines: list[Line], folder: Path) -> None:
    """One value a line; comments and blank lines say nothing, but are counted."""
    (folder / "x").write_bytes(text.encode())
    for config in (Config(folder), Config({"x": text})):
        assert config.lines("x") == lines
        assert config.get("x") == [line.text for line in lines]


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))))
def test_any_lines(texts: list[str]) -> None:
    """Whatever stands on a line is its value, without the white space around it."""
    values = [(n, text.strip()) for n, text in enumerate(texts, 1)]
    expected = [value for value in values if value[1] != "" and value[1][0] != "#"]
    assert Config({"x": "\n".join(texts)}).lines("x") == expected


def test_missing_file(folder: Path) -> None:
    """A setting without a file has no value, and its default where one is asked for."""
    config = Config(folder)
    assert config.get("x") == []
    assert config.lines("x") == []
    assert config.value("x") == ""
    assert config.value("x", "default") == "default"
    assert config.parse("x", int, 7) == 7
    assert config.parse_all("x", int) == []


def test_values_are_a_copy() -> None:
    """Whoever changes the list that he was given changes no setting."""
    config = Config({"x": "one"})
    config.get("x").append("two")
    assert config.get("x") == ["one"]


@pytest.mark.parametrize("name", ["nothing", "file"])
def test_not_a_directory(name: str, tmp_path: Path) -> None:
    """A config directory that is none is refused by its name."""
    (tmp_path / "file").write_text("")
    path = tmp_path / name
    with pytest.raises(ConfigError) as refusal:
        Config(path)
    assert str(refusal.value) == (
        f"{path}: not a directory; a config directory holds one file a setting"
    )


def test_not_utf8(folder: Path) -> None:
    """A file that is not UTF-8 is refused with the line where it is not."""
    (folder / "me").write_bytes("# ü\n# \n".encode() + b"gr\xfc\xdfe\n")
    with pytest.raises(ConfigError) as refusal:
        Config(folder).get("me")
    assert str(refusal.value) == f"{folder}/me:3: not UTF-8 text"
    assert (refusal.value.path, refusal.value.line) == (folder / "me", 3)


def test_unreadable(folder: Path) -> None:
    """A setting that is no file is refused, not taken for empty."""
    (folder / "plugins").mkdir()
    with pytest.raises(ConfigError) as refusal:
        Config(folder).get("plugins")
    assert str(refusal.value) == f"{folder}/plugins: cannot be read: Is a directory"
    assert refusal.value.line is None


def test_one_value_expected(folder: Path) -> None:
    """Where one value is expected, the second is refused with its line."""
    (folder / "me").write_text("# me\none\n\ntwo\nthree\n")
    with pytest.raises(ConfigError) as refusal:
        Config(folder).value("me")
    assert str(refusal.value) == f"{folder}/me:4: one value expected, this is another"


def test_parsed(folder: Path) -> None:
    """A value that its parser refuses is refused with file, line, and the parser's words."""
    (folder / "x").write_text("\n7\nseven\n")
    config = Config(folder)
    with pytest.raises(ConfigError) as refusal:
        config.parse_all("x", int)
    assert str(refusal.value) == (f"{folder}/x:3: invalid literal for int() with base 10: 'seven'")
    assert Config({"x": "7\n8"}).parse_all("x", int) == [7, 8]
    assert Config({"x": "7"}).parse("x", int, 0) == 7


def test_place_of_settings_in_memory() -> None:
    """Settings that are no files are told as if they were."""
    with pytest.raises(ConfigError, match=r"^config/databytes:2: 'x' is no number of bytes"):
        Settings.read(Config({"databytes": "\nx"}))


# Settings


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
        listen=(),
        tls_before_auth=False,
        tls_handshake_timeout=30.0,
        authserv_id="",
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
    ("listen", "tls:[::]:465", "listen", ("tls:[::]:465",)),
    ("tls_before_auth", "1", "tls_before_auth", True),
    ("tls_before_auth", "0", "tls_before_auth", False),
    ("tls_handshake_timeout", "7", "tls_handshake_timeout", 7.0),
    ("me-auth-results", "mail.example.com", "authserv_id", "mail.example.com"),
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
    ("tls_before_auth", "yes", "is not known; write 1 for yes or 0 for no"),
    ("tls_handshake_timeout", "0", SECONDS),
    ("me-auth-results", "a b", HOST),
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
