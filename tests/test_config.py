"""The config directory: what a file says, and what is told when it is wrong."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import ConfigError
from qpsdk import config as config_module
from qpsdk.config import Config, Line, _state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty config directory."""
    path = tmp_path / "config"
    path.mkdir()
    return path


def test_no_text() -> None:
    """A setting in memory is one text; a list is told what to write."""
    wrong: dict[str, str] = {"rcpthosts": ["example.com"]}  # type: ignore[dict-item]
    told = r"config/rcpthosts: \['example.com'\] is no text: write one str, a value a line"
    with pytest.raises(TypeError, match=told):
        Config(wrong)


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


@given(st.lists(st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]))))
def test_any_lines(texts: list[str]) -> None:
    """Whatever stands on a line is its value, without the white space around it."""
    values = [(n, text.strip(), None) for n, text in enumerate(texts, 1)]
    expected = [value for value in values if value[1] != "" and value[1][0] != "#"]
    if not any(value[1].startswith("$include") for value in expected):
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


def test_byte_order_mark(folder: Path) -> None:
    """The mark that some editors begin with is no part of the first value."""
    (folder / "rcpthosts").write_bytes("example.com\nexample.org\n".encode("utf-8-sig"))
    assert Config(folder).get("rcpthosts") == ["example.com", "example.org"]


def test_not_utf8(folder: Path) -> None:
    """A file that is not UTF-8 is refused with the line where it is not."""
    (folder / "me").write_bytes("# ü\n# \n".encode() + b"gr\xfc\xdfe\n")
    with pytest.raises(ConfigError) as refusal:
        Config(folder).get("me")
    assert str(refusal.value) == f"{folder}/me:3: not UTF-8 text"
    assert (refusal.value.path, refusal.value.line) == (folder / "me", 3)


def test_nul(folder: Path) -> None:
    """A NUL is refused with its line: no value can have one, and no path may be made of it."""
    (folder / "qmail_control").write_bytes(b"# x\n/var/qmail\0/control\n")
    with pytest.raises(ConfigError) as refusal:
        Config(folder).value("qmail_control")
    assert str(refusal.value) == f"{folder}/qmail_control:2: a NUL in the text"
    with pytest.raises(ConfigError, match="me:1: a NUL in the text"):
        Config({"me": "\0"}).value("me")


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


# $include


def test_include(folder: Path) -> None:
    """The values of another file stand in the place of $include; each knows its own place."""
    (folder / "rcpthosts").write_text("a\n$include more/hosts\n\nz\n")
    (folder / "more").mkdir()
    (folder / "more" / "hosts").write_text("# of ours\nb\n  $include   last  \n")
    (folder / "last").write_text("c\n")
    hosts = folder / "more" / "hosts"
    assert Config(folder).lines("rcpthosts") == [
        Line(1, "a"),
        Line(2, "b", hosts),
        Line(1, "c", folder / "last"),
        Line(4, "z"),
    ]


def test_include_elsewhere(folder: Path, tmp_path: Path) -> None:
    """An absolute path is taken as it is; a file may be included in two places."""
    (tmp_path / "hosts").write_text("b\n")
    (folder / "x").write_text(f"$include {tmp_path}/hosts\n$include ../hosts\n")
    assert Config(folder).get("x") == ["b", "b"]


def test_include_in_memory() -> None:
    """Settings that are no files include each other by name."""
    config = Config({"x": "a\n$include y", "y": "b\n$include nothing"})
    with pytest.raises(ConfigError, match=r"^config/y:2: \$include nothing: config/nothing: no"):
        config.get("x")
    assert Config({"x": "a\n$include y", "y": "b"}).get("x") == ["a", "b"]


def test_other_dollars() -> None:
    """What only looks like $include is a value."""
    values = ["$includes x", "$include", "x $include y", "$INCLUDE x"]
    assert Config({"x": "\n".join(values)}).get("x") == values


def test_value_in_an_included_file(folder: Path) -> None:
    """An error in an included file names that file and its line."""
    (folder / "listen").write_text("127.0.0.1:25\n$include more\n")
    (folder / "more").write_text("\n\nnowhere\n")
    with pytest.raises(ConfigError) as refusal:
        Config(folder).parse_all("listen", int)
    assert str(refusal.value).startswith(f"{folder}/listen:1: invalid")
    with pytest.raises(ConfigError) as refusal:
        Config(folder).parse_all("listen", _no_place)
    assert str(refusal.value) == f"{folder}/more:3: not nowhere"
    assert (refusal.value.path, refusal.value.line) == (folder / "more", 3)


def _no_place(text: str) -> str:
    if text == "nowhere":
        raise ValueError("not nowhere")
    return text


INCLUDES = [
    # files, what is told of x
    ({"x": "\n$include gone"}, "{f}/x:2: $include gone: {f}/gone: no such file"),
    ({"x": "$include x"}, "{f}/x:1: $include x: the file includes itself"),
    (
        {"x": "$include y", "y": "\n$include z", "z": "$include ./x"},
        "{f}/z:1: $include ./x: the file includes itself",
    ),
    ({"x": "$include y", "y": "$include y"}, "{f}/y:1: $include y: the file includes itself"),
    ({"x": "$include .."}, "{f}/x:1: $include ..: {p}: cannot be read: Is a directory"),
    ({"x": "$include y", "y": "a\n\udcff"}, "{f}/y:2: not UTF-8 text"),
]


@pytest.mark.parametrize(("files", "told"), INCLUDES, ids=range(len(INCLUDES)))
def test_wrong_include(files: dict[str, str], told: str, folder: Path) -> None:
    """A file that cannot be included is told where $include stands; a loop where it closes."""
    for name, text in files.items():
        (folder / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError) as refusal:
        Config(folder).get("x")
    assert str(refusal.value) == told.format(f=folder, p=folder.parent)


def test_includes_without_end(folder: Path) -> None:
    """Files that include each other twice are many soon: that is told, and not waited for."""
    for number in range(40):
        (folder / f"x{number}").write_text(f"$include x{number + 1}\n" * 2)
    (folder / "x40").write_text("")
    config = Config(folder)
    with pytest.raises(ConfigError, match=r"^\S+:\d: \$include x\d+: more than 500 files are incl"):
        config.get("x0")
    assert config.get("x38") == []
    (folder / "y").write_text("$include z\n" * 500)
    (folder / "z").write_text("a value")
    assert len(Config(folder).get("y")) == 500


@pytest.mark.parametrize(("letter", "shown"), [("a", "a"), ("\u200b", "\\u200b")], ids=ascii)
def test_long_value(letter: str, shown: str) -> None:
    """Of a value of megabytes an error shows the beginning, and still what would be right."""
    config = Config({"x": letter * 1_000_000})
    with pytest.raises(ConfigError) as refusal:
        config.parse("x", no_place, "")
    assert str(refusal.value) == f"config/x:1: {shown * 500}... is no place; write another"


def no_place(text: str) -> str:
    """Refuses all values as those of the settings are refused."""
    raise ValueError(f"{text!r} is no place; write another".replace("'", ""))


# Files that are no settings


def test_what_is_no_setting(folder: Path) -> None:
    """What an editor leaves behind is not read; a pipe is told, and nobody waits for it."""
    for name in ("me", ".me.swp", "me~", "#me#"):
        (folder / name).write_text("x")
    os.mkfifo(folder / "pipe")
    (folder / "gone").symlink_to("nowhere")
    config = Config(folder)
    assert config.names() == ["me", "pipe"]
    assert config.get("gone") == []
    assert config.get(".me.swp") == []
    assert config.get("../config/me") == []
    with pytest.raises(ConfigError, match=r"pipe: cannot be read: not a regular file$"):
        config.get("pipe")


def test_large_file(folder: Path) -> None:
    """A file that is much too large for a setting is not held in memory."""
    with (folder / "movie").open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    with pytest.raises(ConfigError, match=r"movie: larger than 16777216 bytes$"):
        Config(folder).get("movie")


# qmail


def test_qmail_control(folder: Path, tmp_path: Path) -> None:
    """What has no file is looked for in the directory that qmail_control names."""
    control = tmp_path / "control"
    control.mkdir()
    (control / "me").write_text("qmail.example.com\n")
    (control / "rcpthosts").write_text("example.com\n")
    (control / "databytes").write_text("many\n")
    (folder / "rcpthosts").write_text("# none\n")
    assert Config(folder).get("me") == []
    (folder / "qmail_control").write_text("../control\n")
    config = Config(folder)
    assert config.get("me") == ["qmail.example.com"]
    assert config.get("rcpthosts") == []
    assert config.names() == ["qmail_control", "rcpthosts"]
    assert [config.has(name) for name in ("rcpthosts", "me", "timeout")] == [True, True, False]
    with pytest.raises(ConfigError) as refusal:
        config.parse("databytes", int, 0)
    assert refusal.value.path == folder / "../control/databytes"
    assert refusal.value.line == 1


def test_wrong_qmail_control(folder: Path) -> None:
    """A control directory that is none is told when the setting is read."""
    (folder / "qmail_control").write_text("\nnowhere\n")
    with pytest.raises(ConfigError) as refusal:
        Config(folder).get("qmail_control")
    assert str(refusal.value) == (
        f"{folder}/qmail_control:2: {folder}/nowhere is no directory;"
        " write one such as /var/qmail/control"
    )


def test_names_that_no_file_can_have(folder: Path) -> None:
    """A path that is too long for the system is told as one that is not there."""
    (folder / "qmail_control").write_text("x" * 300 + "\n")
    with pytest.raises(ConfigError, match=r"qmail_control:1: .*x is no directory; write one such"):
        Config(folder).get("qmail_control")
    with pytest.raises(ConfigError, match="not a directory"):
        Config(folder / ("x" * 300))


# Over time


def change(path: Path, text: str) -> None:
    """Write a file so that it differs from what it was, however coarse the clock of the disk is."""
    new = path.with_name(".new")
    new.write_text(text)
    new.replace(path)


def test_snapshot(folder: Path) -> None:
    """A config is as it was when it was read, also where nobody has asked yet."""
    (folder / "x").write_text("one")
    config = Config(folder)
    change(folder / "x", "two")
    (folder / "y").write_text("new")
    assert (config.get("x"), config.get("y")) == (["one"], [])
    again = config.reread()
    assert (again.get("x"), again.get("y")) == (["two"], ["new"])
    assert again.changed_since(config) == ["x", "y"]
    assert (config.get("x"), config.get("y")) == (["one"], [])


def test_changes_of_what_holds_no_values(folder: Path) -> None:
    """A folder that is renamed, or a file that is no text, is no setting that has changed."""
    (folder / "log").mkdir()
    config = Config(folder)
    (folder / "log").rename(folder / "old")
    (folder / "key").write_bytes(b"\xff")
    (folder / "x").write_text("")
    assert config.reread().changed_since(config) == ["x"]


def test_nothing_has_changed(folder: Path, tmp_path: Path) -> None:
    """Where no file has changed there is nothing new to hold; what is no setting is no change."""
    (tmp_path / "control").mkdir()
    (folder / "qmail_control").write_text("../control")
    (folder / "x").write_text("$include ../control/y\n$include z")
    config = Config(folder)
    assert config.reread() is config
    (folder / "spool").mkdir()
    config = config.reread()
    (folder / "spool" / "message").write_text("x")
    (folder / ".x.swp").write_text("x")
    assert config.reread() is config
    assert Config({"x": "y"}).reread().get("x") == ["y"]


@pytest.mark.parametrize(
    "act",
    [
        lambda f: change(f / "x", "two"),
        lambda f: (f / "x").write_text("one more"),
        lambda f: (f / "x").unlink(),
        lambda f: (f / "x").rename(f / "y"),
        lambda f: (f / "new").write_text(""),
        lambda f: change(f.parent / "included", "two"),
        lambda f: (f.parent / "included").unlink(),
        lambda f: (f.parent / "missing").write_text("there"),
        lambda f: change(f.parent / "control" / "me", "two"),
        lambda f: (f.parent / "control" / "new").write_text("two"),
        lambda f: os.utime(f / "x", ns=(0, 0)),
    ],
    ids=range(11),
)
def test_changed(act: Callable[[Path], object], folder: Path, tmp_path: Path) -> None:
    """A file that is written, replaced, removed, renamed or new is seen; an included one, too."""
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_text("one")
    (tmp_path / "included").write_text("one")
    (folder / "qmail_control").write_text("../control")
    (folder / "x").write_text("one")
    (folder / "z").write_text("$include ../included\n$include ../missing\n")
    config = Config(folder)
    assert config.reread() is config
    act(folder)
    assert config.reread() is not config


def test_control_directory_appears(folder: Path, tmp_path: Path) -> None:
    """A control directory that was missing is taken up when it is there."""
    (folder / "qmail_control").write_text("../control")
    config = Config(folder)
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_text("mx.example.com")
    assert config.reread().get("me") == ["mx.example.com"]


def test_unchanged_files_are_not_read_again(folder: Path) -> None:
    """A new look reads only what has changed."""
    (folder / "x").write_text("one")
    (folder / "y").write_text("one")
    config = Config(folder)
    change(folder / "y", "two")
    again = config.reread()
    assert again.lines("x")[0] is config.lines("x")[0]
    assert again.get("y") == ["two"]


def test_directory_is_gone(folder: Path) -> None:
    """A directory that is gone is told; what was read stays."""
    (folder / "x").write_text("one")
    config = Config(folder)
    folder.rename(folder.with_name("other"))
    with pytest.raises(ConfigError, match="not a directory"):
        config.reread()
    assert config.get("x") == ["one"]


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_directory_cannot_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """A directory that cannot be read is not an empty one: it is told, what was read stays."""
    (folder / "x").write_text("one")
    config = Config(folder)

    def refuse(path: Path) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        for attempt in (config.reread, lambda: Config(folder)):
            with pytest.raises(ConfigError) as problem:
                attempt()
            assert str(problem.value) == f"{folder}: cannot be read: {os.strerror(error)}"
    assert config.reread() is config


def test_control_directory_cannot_be_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is qmail's: its settings are broken for the while, and not gone."""
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "rcpthosts").write_text("example.com")
    (folder / "qmail_control").write_text("../control")
    config = Config(folder)
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if path != folder:
            raise OSError(errno.EMFILE, "Too many open files")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert config.reread() is config
        (folder / "x").write_text("one")
        found = config.reread()
        broken = found.broken_since(config)
    assert broken is not None
    assert str(broken).endswith("/control: cannot be read: Too many open files")
    assert found.reread().get("rcpthosts") == ["example.com"]


@pytest.mark.parametrize("where", ["stat", "open"])
def test_file_cannot_be_read_for_a_moment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A file that could not be read is read again, although it has not changed since."""
    (folder / "x").write_text("one")
    config = Config(folder)
    change(folder / "x", "two")

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, where, refuse)
        patch.setattr(config_module, "_scan", lambda _: {folder / "x": _state(folder / "x")})
        found = config.reread()
        again = found.reread()
    assert str(found.broken_since(config)) == f"{folder}/x: cannot be read: Input/output error"
    assert again.changed_since(found) == []
    assert found.reread().get("x") == ["two"]


def test_broken_since(folder: Path) -> None:
    """A setting that could be read and cannot any more is told; what never could is not."""
    (folder / "x").write_text("one")
    (folder / "never").write_bytes(b"\xff")
    config = Config(folder)
    (folder / "new").write_bytes(b"\xff")
    assert config.reread().broken_since(config) is None
    (folder / "x").write_text("$include gone")
    assert str(config.reread().broken_since(config)) == (
        f"{folder}/x:1: $include gone: {folder}/gone: no such file"
    )


def test_replaced() -> None:
    """Other values take the place of some; an error in them says who gave them."""
    config = Config({"x": "one", "y": "two"})
    other = config.replaced({"x": ["1", "a"]}, "hook_config")
    assert (other.get("x"), other.get("y")) == (["1", "a"], ["two"])
    assert config.get("x") == ["one"]
    with pytest.raises(ConfigError, match=r"^hook_config\(x\):2: invalid literal"):
        other.parse_all("x", int)
