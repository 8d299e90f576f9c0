"""Bytes as lines of text, and back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qpsdk.testing.lines import is_event, meant, shown, wire


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"RCPT TO:<b@example.com>", "RCPT TO:<b@example.com>"),
        ("grüße".encode(), "grüße"),
        (b" two  spaces ", " two  spaces\\x20"),
        (b"\\", "\\\\"),
        (b"\\x20", "\\\\x20"),
        (b"a\rb\nc\td", "a\\rb\\nc\\td"),
        (b"\x00\x7f\xff", "\\x00\\x7f\\xff"),
        ("\u2028\u00a0".encode(), "\\xe2\\x80\\xa8\\xc2\\xa0"),
        (b"<closes>", "\\x3ccloses>"),
        (b"<html>", "\\x3chtml>"),
        (b"<a@example.org>", "<a@example.org>"),
    ],
)
def test_shown(data: bytes, text: str) -> None:
    """Text stands for itself; what would be lost, hidden or taken for an event is escaped."""
    assert shown(data) == text
    assert meant(text) == data


@given(st.binary())
@example(b"<resets>")
@example("\ud7ff\U0010ffff\u0085".encode())
def test_there_and_back(data: bytes) -> None:
    """Any bytes come back, from one line that survives an editor and begins no event."""
    text = shown(data)
    assert meant(text) == data
    assert wire(text) == data + b"\r\n"
    assert wire(text + "\\") == data
    assert len(text.splitlines()) <= 1
    assert text == text.rstrip()
    assert not is_event(text)


@pytest.mark.parametrize("text", ["\\q", "\\x2", "\\xg0", "\\*", "a\\", "\\x"])
def test_no_escape(text: str) -> None:
    """A backslash that begins no escape is an error that says which there are."""
    with pytest.raises(ValueError, match=r"is no escape; write \\\\, \\r, \\n, \\t or \\x and two"):
        meant(text)
