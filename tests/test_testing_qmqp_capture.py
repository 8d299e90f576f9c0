"""Assertions on a captured message: what they say when they fail."""

import hashlib

import pytest

from qpsdk.testing import Captured
from qpsdk.testing.compare import difference


def captured(message: bytes = b"Subject: hi\n\nbody\n", raw: bytes | None = None) -> Captured:
    """A message from a@b to c@d and e@f."""
    if raw is None:
        inner = b"%d:%b,3:a@b,3:c@d,3:e@f," % (len(message), message)
        raw = b"%d:%b," % (len(inner), inner)
    digest = hashlib.sha256(message).hexdigest()
    return Captured(raw, message, b"a@b", (b"c@d", b"e@f"), len(raw), len(message), digest)


def failure(check: object, *arguments: bytes) -> str:
    """What a check says when it fails."""
    assert callable(check)
    with pytest.raises(AssertionError) as error:
        check(*arguments)
    return str(error.value)


def test_what_is_right_passes() -> None:
    """All is as expected, and nothing is said."""
    message = captured()
    message.assert_message(b"Subject: hi\n\nbody\n")
    message.assert_sender(b"a@b")
    message.assert_recipients(b"c@d", b"e@f")
    message.assert_lf_only()
    message.assert_canonical()


def test_assert_message() -> None:
    """A message that differs is shown where it differs, both sides escaped."""
    assert failure(captured().assert_message, b"Subject: hi\n\nBody\n") == "\n".join(
        [
            "the message differs at offset 13 (line 3, byte 1):",
            r"  expected: Subject: hi\n\nBody\n",
            r"  came:     Subject: hi\n\nbody\n",
            "                           ^",
            "  expected 18 bytes, came 18",
        ]
    )


def test_assert_sender_and_recipients() -> None:
    """A recipient that differs, is missing or is one too many is named."""
    message = captured()
    assert failure(message.assert_sender, b"").startswith("the sender differs at offset 0")
    said = failure(message.assert_recipients, b"c@d", b"e@x")
    assert said.startswith("recipient 2 differs at offset 2 (line 1, byte 3):\n")
    said = failure(message.assert_recipients, b"c@d")
    assert said == "recipient e@f came, and was not expected"
    said = failure(message.assert_recipients, b"c@d", b"e@f", b"g\n@h")
    assert said == r"no recipient g\n@h: 2 came"


def test_assert_lf_only() -> None:
    """A CR is shown with its place; so is an end without LF."""
    said = failure(captured(b"a\nb\r\nc\n").assert_lf_only)
    assert said == r"the message has a CR at offset 3 (line 2): a\nb\r\nc\n"
    said = failure(captured(b"a\nb").assert_lf_only)
    assert said == r"the message does not end in LF: a\nb"


def test_assert_canonical() -> None:
    """A package with a wrong length is shown as bytes and as a tree."""
    message = captured(b"m", b"024:1:m,3:a@b,3:c@d,3:e@f,,")
    said = failure(message.assert_canonical).split("\n")
    assert said[0] == "the package differs at offset 0 (line 1, byte 1):"
    assert said[-1] == "         ^ leading zero in a netstring length, at offset 1"


@pytest.mark.parametrize(
    ("expected", "came", "offset"),
    [
        (b"", b"x", 0),
        (b"x", b"", 0),
        (b"ab", b"ac", 1),
        (b"ab", b"abc", 2),
        (b"x" * 1_000_000 + b"y", b"x" * 1_000_000 + b"z", 1_000_000),
        (b"a" + b"x" * 1_000_000, b"b" + b"x" * 1_000_000, 0),
        (b"x" * 500 + b"a" + b"x" * 500, b"x" * 500 + b"b" + b"y" * 500, 500),
    ],
)
def test_difference(expected: bytes, came: bytes, offset: int) -> None:
    """The first byte that differs is found, and only a few around it are shown."""
    said = difference("it", expected, came)
    assert f"it differs at offset {offset} " in said
    assert len(said) < 400
    assert difference("it", came, came) == ""


def test_caret() -> None:
    """The caret is under the byte that differs, also where bytes are escaped and cut off."""
    lines = difference("it", b"\xff" * 100 + b"\nA", b"\xff" * 100 + b"\nB").split("\n")
    column = lines[3].index("^")
    assert (lines[1][column], lines[2][column]) == ("A", "B")
    assert lines[1].startswith(r"  expected: ...\xff")


def test_html() -> None:
    """In a notebook a captured message is its tree."""
    assert "recipient" in captured()._repr_html_()
