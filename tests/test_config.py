"""The config directory: what a file says, and what is told when it is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import ConfigError
from qpsdk.config import Config, Line


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
