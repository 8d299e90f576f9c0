"""Scripts: how acts print, and how they are read from text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.testing.qmqp_script import (
    WORDS,
    Act,
    End,
    accept,
    answer,
    close_at,
    defer,
    drip,
    late,
    parse,
    refuse,
    reject,
    rst,
    stall,
    unauthorized,
)


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("accept", [accept()]),
        ("accept, defer(busy), close_at(4096)", [accept(), defer("busy"), close_at(4096)]),
        (" accept ( ) ,refuse,\n", [accept(), refuse()]),
        ("defer(try again)", [defer("try again")]),
        ('defer("a, b (c)=d")', [defer("a, b (c)=d")]),
        (r"answer('0:,\xff\n')", [answer(b"0:,\xff\n")]),
        ("reject(no, at=10, delay=1.5)", [reject("no", at=10, delay=1.5)]),
        ("accept(rst=true, cut=3)", [accept(rst=True, cut=3)]),
        ("drip(2)", [drip(2)]),
        ("defer(421)", [defer("421")]),
        ("rst, rst(5), stall(5)", [rst(), rst(5), stall(5)]),
        ("unauthorized('me')", [unauthorized("me")]),
    ],
)
def test_parse(text: str, acts: list[Act]) -> None:
    """Text is read as the calls that it looks like."""
    assert list(parse(text)) == acts


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' at character 1 is no act; write some such as: accept, defer(busy), close_at(4"),
        ("accept,,defer", "',defer' at character 8 is no act"),
        ("accept defer", "'accept defer' at character 1 is no act"),
        ("accept, defer(busy", "'defer(busy' at character 8 is no act"),
        ("accept, acept", "acept at character 9: no such act; did you mean accept?"),
        ("zzz", "zzz at character 1: no such act; there are accept, defer, reject, "),
        ("close_at(abc)", "close_at at character 1: at is a number of bytes, not 'abc'"),
        ("close_at(-1)", "close_at at character 1: at is a number of bytes, not '-1'"),
        ("close_at(1, 2)", "positional arguments but 2 were given; write close_at(offset)"),
        ("late", "missing 1 required positional argument: 'seconds'; write late(seconds)"),
        (
            "late(soon)",
            "late at character 1: delay is a number of seconds, a day at most, not 'soon'",
        ),
        (
            "defer(x, when=5)",
            "there is no when=; write defer(text, at=, delay=, drip=, cut=, rst=)",
        ),
        ("defer(at=5, x)", "cannot read 'x'; write defer(text, at=, "),
        ("defer(rst=1)", "defer at character 1: rst is true or false, not 1"),
        ("defer('é')", r"'é' has more than ASCII; write bytes as \xNN"),
    ],
)
def test_wrong_text(text: str, problem: str) -> None:
    """Wrong text is told with what, where, and what would be right."""
    with pytest.raises(ValueError) as error:
        parse(text)
    assert problem in str(error.value)


@given(st.text(alphabet="aceptdfr(),='\"\\ 0159.x", max_size=40))
def test_any_text(text: str) -> None:
    """Any text is acts or a ValueError, and acts print as text that gives them again."""
    try:
        acts = parse(text)
    except ValueError:
        return
    assert parse(", ".join(map(str, acts))) == acts


def test_text_beyond_ascii() -> None:
    """Text is sent as UTF-8, and prints as those bytes."""
    assert str(defer("é")) == r"defer('\xc3\xa9')"
    assert parse(r"defer('\xc3\xa9'), defer(é)") == (defer("é"), defer("é"))


def test_numbers() -> None:
    """A number prints without an exponent, as it is read."""
    assert str(late(0.00001)) == "late(0.00001)"
    assert parse("late(0.00001)") == (late(0.00001),)
    acts = parse("defer(11111111111111110.5)")
    assert parse(str(acts[0])) == acts


def test_wrong_numbers() -> None:
    """A number that makes no sense is refused where the act is made."""
    for wrong in (-1, 1.5, "5", True):
        with pytest.raises(ValueError, match="at is a number of bytes"):
            close_at(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="delay is a number of seconds, a day at most, not -1"):
        accept(delay=-1)
    with pytest.raises(ValueError, match="a day at most, not inf"):
        accept(delay=float("inf"))


def test_acts_are_values() -> None:
    """Acts that do the same are equal, have a hash, and cannot be changed."""
    assert {close_at(5), close_at(5), close_at(6)} == {close_at(5), close_at(6)}
    assert accept("ok") == answer("3:Kok,")
    assert repr(defer(b"busy", at=3)) == "defer('busy', at=3)"
    assert repr(answer(b"\xff")) == r"answer('\xff')"
    with pytest.raises(AttributeError):
        accept().at = 5  # type: ignore[misc]


def test_every_word_prints_as_itself() -> None:
    """Each act prints as its word."""
    needed: dict[str, list[object]] = {"late": [1], "answer": ["x"]}
    for name, word in WORDS.items():
        act = word(*needed.get(name, []))
        assert str(act).startswith(f"{name}(")
        assert act.end in End
