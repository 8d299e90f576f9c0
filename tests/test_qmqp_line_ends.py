"""From CRLF to LF, wherever blocks are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.qmqp import to_lf
from tests.slices import sliced, slicings


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", b""),
        (b"\n", b"\n"),
        (b"\r\n", b"\n"),
        (b"a", b"a\n"),
        (b"a\n", b"a\n"),
        (b"a\r\n", b"a\n"),
        (b"a\r\nb\nc\r\n\r\n", b"a\nb\nc\n\n"),
        (b"a\rb\n", b"a\rb\n"),
        (b"\ra\n", b"\ra\n"),
        (b"a\r\r\nb\n", b"a\r\nb\n"),
        (b"a\n\rb\n", b"a\n\rb\n"),
        (b"a\r", b"a\r\n"),
        (b"a\n\r", b"a\n\r\n"),
        (b"\0\xff\x80\r\n", b"\0\xff\x80\n"),
    ],
)
def test_to_lf(message: bytes, expected: bytes) -> None:
    """CRLF becomes LF, a lone CR stays, the last line ends in LF; the same in any blocks."""
    for slices in slicings(message):
        assert b"".join(to_lf(slices)) == expected


@given(st.text("a\r\n").map(str.encode), st.data())
def test_any_message(message: bytes, data: st.DataObject) -> None:
    """Any message comes out the same however it is cut, and no block is empty."""
    expected = message.replace(b"\r\n", b"\n")
    if expected and not expected.endswith(b"\n"):
        expected += b"\n"
    blocks = list(to_lf(data.draw(sliced(message))))
    assert b"".join(blocks) == expected
    assert all(blocks)
