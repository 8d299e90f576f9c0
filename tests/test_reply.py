"""Replies: safe whatever the text, the same status code on every line, and read back exactly."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.errors import ReplyError
from qpsdk.reply import MAX_LINE, MAX_LINES, Reply
from tests.slices import slicings

MADE = [
    # code, text, enhanced, wire
    (250, "OK", "", b"250 OK\r\n"),
    (250, "OK", "2.0.0", b"250 2.0.0 OK\r\n"),
    (250, b"bytes", "2.0.0", b"250 2.0.0 bytes\r\n"),
    (250, "", "", b"250 \r\n"),
    (250, "", "2.0.0", b"250 2.0.0\r\n"),
    (354, "go", "", b"354 go\r\n"),
    (550, "a\nb", "", b"550-a\r\n550 b\r\n"),
    (550, "a\nb", "5.7.1", b"550-5.7.1 a\r\n550 5.7.1 b\r\n"),
    (550, "a\r\nb\n", "5.7.1", b"550-5.7.1 a\r\n550 5.7.1 b\r\n"),
    (550, "a\n\nb\n\n\n", "5.7.1", b"550-5.7.1 a\r\n550-5.7.1\r\n550 5.7.1 b\r\n"),
    (550, "\n\n", "5.7.1", b"550 5.7.1\r\n"),
    # A plugin's own status code is kept if its class fits.
    (550, "5.1.1 no such user", "5.7.1", b"550 5.1.1 no such user\r\n"),
    (550, "5.1.1   no such user", "5.7.1", b"550 5.1.1 no such user\r\n"),
    (550, "5.123.456 x", "5.7.1", b"550 5.123.456 x\r\n"),
    (550, "5.1.1", "5.7.1", b"550 5.1.1\r\n"),
    (550, "4.1.1 later", "5.7.1", b"550 5.7.1 later\r\n"),
    (550, "2.1.5 fine", "5.7.1", b"550 5.7.1 fine\r\n"),
    (250, "2.1.5 fine", "2.1.0", b"250 2.1.5 fine\r\n"),
    (200, "2.1.5 fine", "2.1.0", b"200 2.1.5 fine\r\n"),
    (400, "4.1.5 later", "4.1.0", b"400 4.1.5 later\r\n"),
    (500, "5.5.2 what", "5.5.1", b"500 5.5.2 what\r\n"),
    (599, "5.5.2 what", "5.5.1", b"599 5.5.2 what\r\n"),
    # What only looks like one is text.
    (550, "5.1.1x", "5.7.1", b"550 5.7.1 5.1.1x\r\n"),
    (550, "5.1 x", "5.7.1", b"550 5.7.1 5.1 x\r\n"),
    (550, "5.1.1.1 x", "5.7.1", b"550 5.7.1 5.1.1.1 x\r\n"),
    (550, "5.1234.1 x", "5.7.1", b"550 5.7.1 5.1234.1 x\r\n"),
    (550, "3.1.1 x", "5.7.1", b"550 5.7.1 3.1.1 x\r\n"),
    (550, "no 5.1.1 x", "5.7.1", b"550 5.7.1 no 5.1.1 x\r\n"),
    # All lines have the same (RFC 2034, 4).
    (550, "5.1.1 a\nb", "5.7.1", b"550-5.1.1 a\r\n550 5.1.1 b\r\n"),
    (550, "5.1.1 a\n5.1.1 b", "5.7.1", b"550-5.1.1 a\r\n550 5.1.1 b\r\n"),
    (550, "5.1.1 a\n5.1.2 b", "5.7.1", b"550-5.1.1 a\r\n550 5.1.1 b\r\n"),
    (550, "a\n5.1.2 b", "5.7.1", b"550-5.1.2 a\r\n550 5.1.2 b\r\n"),
    (550, "4.1.1 a\n5.1.2 b", "5.7.1", b"550-5.1.2 a\r\n550 5.1.2 b\r\n"),
    # Where no status code belongs, none is added and none is taken away.
    (250, "5.1.1 odd", "", b"250 5.1.1 odd\r\n"),
    # What cannot be sent.
    (550, "a\tb", "", b"550 a b\r\n"),
    (550, "a\rb", "", b"550 a?b\r\n"),
    (550, "a\r\r\nb", "", b"550-a?\r\n550 b\r\n"),
    (550, "a\0b\x7f\x1b[31m", "", b"550 a?b??[31m\r\n"),
    (550, "\xe4\u20ac", "", b"550 ??\r\n"),
    (550, "\udc80", "", b"550 ?\r\n"),
    (550, "a\x85b\u2028c\x0bd", "", b"550 a?b?c?d\r\n"),
    (550, b"\xc3\xa4", "", b"550 ??\r\n"),
    (550, "x  ", "", b"550 x\r\n"),
    # An attempt to say more than one thing.
    (550, "no\r\n250 OK", "5.7.1", b"550-5.7.1 no\r\n550 5.7.1 250 OK\r\n"),
    (550, "no\n.\r\nQUIT\r\n", "", b"550-no\r\n550-.\r\n550 QUIT\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "enhanced", "wire"), MADE)
def test_make(code: int, text: str | bytes, enhanced: str, wire: bytes) -> None:
    """Text becomes the lines of one reply, with code and status code on each."""
    reply = Reply.make(code, text, enhanced)
    assert bytes(reply) == wire
    assert Reply.parse(wire) == reply


def test_long_lines_are_continued() -> None:
    """A line of more than 512 octets goes on in the next, and no byte of it is lost."""
    x = b"x" * 500
    reply = Reply.make(550, "x" * 1001, "5.7.1")
    assert reply.lines == (b"5.7.1 " + x, b"5.7.1 " + x, b"5.7.1 x")
    assert [len(line) for line in bytes(reply).splitlines(keepends=True)] == [512, 512, 13]
    assert len(bytes(Reply.make(550, "x" * 506))) == 512


def test_many_lines_are_cut() -> None:
    """A reply is a remark: after fifty lines it ends, properly."""
    for text in ("x\n" * 1000, "x" * 100_000, "x\n" * 50, "x\n" * 51):
        lines = bytes(Reply.make(550, text)).splitlines()
        assert len(lines) == 50
        assert lines[48].startswith(b"550-x")
        assert lines[49].startswith(b"550 x")


texts = st.text() | st.binary() | st.text("\r\n .5a-2\t\0\xe4") | st.text("x \n", min_size=500)


@given(st.integers(200, 599), texts, st.booleans())
def test_nothing_can_be_injected(code: int, text: str | bytes, enhanced: bool) -> None:
    """Whatever the text, the client sees exactly one reply, of this code, in lawful lines."""
    status = f"{code // 100}.7.1" if enhanced and code // 100 != 3 else ""
    wire = bytes(Reply.make(code, text, status))
    reply, end = Reply.parse_first(wire + b"250 next\r\n") or pytest.fail("no reply")
    assert (reply.code, end) == (code, len(wire))
    lines = wire.split(b"\r\n")
    assert lines.pop() == b""
    assert len(lines) == len(reply.lines) <= MAX_LINES == 50
    for line in lines:
        assert re.fullmatch(rb"[2-5][0-9]{2}[ -][ -~]*", line)
        assert len(line) + 2 <= MAX_LINE == 512
    if status:
        found = {line[4:].split(b" ")[0] for line in lines}
        assert len(found) == 1
        assert re.fullmatch(rb"%d\.[0-9]{1,3}\.[0-9]{1,3}" % (code // 100), found.pop())


@pytest.mark.parametrize("code", [-1, 0, 99, 100, 199, 600, 1000])
def test_no_such_code(code: int) -> None:
    """Replies have codes from 200 to 599."""
    with pytest.raises(ReplyError, match="200 to 599"):
        Reply.make(code, "two words")
    with pytest.raises(ReplyError, match="200 to 599"):
        Reply(code, (b"x",))


@pytest.mark.parametrize("lines", [(), (b"a\r\n250 b",), (b"a", b"b\n"), (b"a\r", b"b")])
def test_lines_are_lines(lines: tuple[bytes, ...]) -> None:
    """Nor can a reply be made that is no reply from lines with a line end in them, or none."""
    with pytest.raises(ReplyError):
        Reply(250, lines)


@pytest.mark.parametrize(
    ("code", "accepted"), [(200, True), (250, True), (354, True), (399, True), (400, False),
                           (421, False), (450, False), (500, False), (554, False), (599, False)]
)  # fmt: skip
def test_accepted(code: int, accepted: bool) -> None:
    """2xx and 3xx accept, 4xx and 5xx refuse."""
    assert Reply.make(code, "x").accepted is accepted


def test_shown() -> None:
    """A reply can be shown, also one that another server sent with bytes of its own."""
    reply = Reply.parse(b"550-5.7.1 no\r\n550 5.7.1 \xe4h\r\n")
    assert reply.text == "5.7.1 no\n5.7.1 \\xe4h"
    assert str(reply) == "550 5.7.1 no\n5.7.1 \\xe4h"


def test_value() -> None:
    """Two replies of the same code and lines are the same."""
    assert Reply.make(250, "a\nb") == Reply(250, (b"a", b"b"))
    assert Reply.make(250, "a") != Reply.make(251, "a")
    assert len({Reply.make(250, "a"), Reply.make(250, "a")}) == 1


# -- Reading ---------------------------------------------------------------------------------

READ = [
    # wire, code, lines
    (b"250 OK\r\n", 250, (b"OK",)),
    (b"250\r\n", 250, (b"",)),
    (b"250 \r\n", 250, (b"",)),
    (b"250-a\r\n250 b\r\n", 250, (b"a", b"b")),
    (b"250-a\r\n250-\r\n250\r\n", 250, (b"a", b"", b"")),
    (b"250-a\n250 b\n", 250, (b"a", b"b")),
    (b"599  two spaces\r\n", 599, (b" two spaces",)),
    (b"220 \xe4\0\r\n", 220, (b"\xe4\0",)),
]


@pytest.mark.parametrize(("wire", "code", "lines"), READ)
def test_parse(wire: bytes, code: int, lines: tuple[bytes, ...]) -> None:
    """A reply is read into code and lines."""
    reply = Reply.parse(wire)
    assert (reply.code, reply.lines) == (code, lines)


@pytest.mark.parametrize(("wire", "code", "lines"), READ)
def test_parse_first_in_slices(wire: bytes, code: int, lines: tuple[bytes, ...]) -> None:
    """While a reply is incomplete there is none; what follows it is not looked at."""
    for slices in slicings(wire):
        data = b""
        for part in slices:
            assert Reply.parse_first(data) is None or data == wire
            data += part
        for trailing in (b"", b"2", b"250 next\r\n", b"garbage\r\n", b"\n"):
            assert Reply.parse_first(data + trailing) == (Reply(code, lines), len(wire))


@pytest.mark.parametrize("wire", [wire for wire, _, _ in READ])
def test_parse_wants_one_whole_reply(wire: bytes) -> None:
    """A part of a reply is none, nor is more than one."""
    for data in (wire[:-1], wire + b"2", wire + wire, wire + b"\n"):
        with pytest.raises(ReplyError, match="not one whole"):
            Reply.parse(data)


@pytest.mark.parametrize(
    "wire",
    [b"\r\n", b"25\r\n", b"2500 x\r\n", b"150 x\r\n", b"600 x\r\n", b"abc x\r\n", b"250_x\r\n",
     b"250-a\r\n251 b\r\n", b"250-a\r\n550-b\r\n", b"250-a\r\n\r\n", b"250 a\rb\r\n", b" 250 x\r\n",
     b"OK\r\n", b"250\tx\r\n"],
)  # fmt: skip
def test_parse_refuses(wire: bytes) -> None:
    """What is no SMTP reply is an error, as soon as its line has come."""
    with pytest.raises(ReplyError):
        Reply.parse_first(wire)
    for cut in range(len(wire)):
        partly = Reply.parse_first(wire[:cut])
        assert partly is None


@given(st.binary() | st.text("25-0 \r\na").map(str.encode))
def test_parse_any_bytes(data: bytes) -> None:
    """Any bytes are one reply, none yet, or a ReplyError."""
    try:
        found = Reply.parse_first(data)
    except ReplyError:
        return
    if found is not None:
        reply, end = found
        assert Reply.parse(data[:end]) == reply
        assert Reply.parse(bytes(reply)) == reply
