"""The message after DATA: where it ends, and what is left of it, wherever the slices are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.smtp.data import END, DataDecoder
from tests.slices import sliced, slicings

MESSAGES = [
    # after DATA, message, octets of it with CRLF as two, whether a CR or LF stands alone
    (b".\r\n", b"", 0, False),
    (b"\r\n.\r\n", b"\n", 2, False),
    (b"\r\n\r\n\r\n.\r\n", b"\n\n\n", 6, False),
    (b"a\r\n.\r\n", b"a\n", 3, False),
    (b"a\r\nb\r\n.\r\n", b"a\nb\n", 6, False),
    (b"A: b\r\n\r\nc\r\n.\r\n", b"A: b\n\nc\n", 11, False),
    (b"\0\xe4\r\n.\r\n", b"\0\xe4\n", 4, False),
    # dots
    (b"..\r\n.\r\n", b".\n", 3, False),
    (b"..a\r\n.\r\n", b".a\n", 4, False),
    (b"...\r\n.\r\n", b"..\n", 4, False),
    (b".a\r\n.\r\n", b"a\n", 3, False),
    (b"a\r\n..\r\n.\r\n", b"a\n.\n", 6, False),
    (b"a\r\n..\r\n..\r\n.\r\n", b"a\n.\n.\n", 9, False),
    (b"a\r\n.b\r\n.\r\n", b"a\nb\n", 6, False),
    (b"a\r\n. \r\n.\r\n", b"a\n \n", 6, False),
    (b"a.\r\n.\r\n", b"a.\n", 4, False),
    (b"a.b\r\n.\r\n", b"a.b\n", 5, False),
    (b"\r\n..\r\n\r\n.\r\n", b"\n.\n\n", 7, False),
    # CR and LF alone: kept, told, and no line ends for a dot or for the end
    (b"a\nb\r\n.\r\n", b"a\nb\n", 5, True),
    (b"a\rb\r\n.\r\n", b"a\rb\n", 5, True),
    (b"a\r\r\n.\r\n", b"a\r\n", 4, True),
    (b"a\n\r\n.\r\n", b"a\n\n", 4, True),
    (b"a\n\rb\r\n.\r\n", b"a\n\rb\n", 6, True),
    (b"\r\r\n.\r\n", b"\r\n", 3, True),
    (b"\n.\r\n\r\n.\r\n", b"\n.\n\n", 6, True),
    (b"a\n..\r\n.\r\n", b"a\n..\n", 6, True),
    (b"a\r..\r\n.\r\n", b"a\r..\n", 6, True),
    (b"a\n\r..\r\n.\r\n", b"a\n\r..\n", 7, True),
    (b"a\r\n\0..\r\n.\r\n", b"a\n\0..\n", 8, False),
    (b"a\r\n ..\r\n.\r\n", b"a\n ..\n", 8, False),
    (b".\n\r\n.\r\n", b"\n\n", 3, True),
    (b".\r\r\n.\r\n", b"\r\n", 3, True),
    (b"a\r\n.\n.\r\n\r\n.\r\n", b"a\n\n.\n\n", 9, True),
    (b"a\r\n.\rb\r\n.\r\n", b"a\n\rb\n", 7, True),
]

SMUGGLED = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r.\n", b"\n.\r",
    b"\r\r\n.\r\r\n", b"\r\r\n.\n", b"\n\r.\r\n", b"\n\n.\n\n", b"\r\r.\r\r", b"\n\r.\n\r",
    b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\0\n.\r\n", b"\r\n.\r\0\n", b"\r\n\0.\0\r\n", b"\0\r\n.\n",
    b"\r\n .\r\n", b"\r\n. \r\n", b"\r\n\t.\r\n", b"\r\n.\t\r\n", b"\r\n..\r\n", b"\r\n.\r\r\n",
    b"\x0b.\x0b", b"\x0c.\x0c", b"\x85.\x85", b"\xe2\x80\xa8.\xe2\x80\xa8", b"\r\n\xef\xbc\x8e\r\n",
    b"\r\n\xae\r\n", b"\\r\\n.\\r\\n", b"=0D=0A.=0D=0A", b"\x8d\x8a.\x8d\x8a",
]  # fmt: skip
"""Ends of data that some server has taken for one, and that only CRLF.CRLF is."""


def decode(slices: list[bytes]) -> tuple[bytes, bytes | None, DataDecoder]:
    """Feed slices until the end of the message; it, what follows, and the decoder."""
    decoder, message = DataDecoder(), b""
    for at, data in enumerate(slices):
        part, rest = decoder.feed(data)
        message += part
        if rest is not None:
            return message, rest + b"".join(slices[at + 1 :]), decoder
    return message, None, decoder


def test_the_end() -> None:
    """The end of data is CRLF.CRLF."""
    assert END == b"\x0d\x0a\x2e\x0d\x0a"


@pytest.mark.parametrize(("wire", "message", "size", "bare"), MESSAGES)
@pytest.mark.parametrize("trailing", [b"", b"QUIT\r\n", b".\r\n", b"\r\n.\r\n", b"\n"])
def test_decode(wire: bytes, message: bytes, size: int, bare: bool, trailing: bytes) -> None:
    """The message is what was meant, its size is counted, and what follows it is left alone."""
    for slices in slicings(wire + trailing):
        decoded, rest, decoder = decode(slices)
        assert (decoded, rest) == (message, trailing)
        assert (decoder.size, decoder.bare_newline) == (size, bare)


@pytest.mark.parametrize("wire", [message[0] for message in MESSAGES])
def test_not_before_its_last_byte(wire: bytes) -> None:
    """Until the last byte of the end has come, the message goes on."""
    for slices in slicings(wire[:-1]):
        assert decode(slices)[1] is None


@pytest.mark.parametrize("data", [b"a", b".", b"\r", b"\n", b"\r\n", b".\r\n"])
def test_it_begins_with_its_first_byte(data: bytes) -> None:
    """A message has begun once any byte has come, be it one that has to wait for the next."""
    decoder = DataDecoder()
    decoder.feed(b"")
    assert not decoder.has_begun
    decoder.feed(data)
    assert decoder.has_begun


@pytest.mark.parametrize("smuggled", SMUGGLED)
def test_no_message_inside_a_message(smuggled: bytes) -> None:
    """Nothing but CRLF.CRLF ends a message: what a smuggler puts behind it stays in it."""
    inside = b"MAIL FROM:<evil@example>\r\nRCPT TO:<you@example>\r\nDATA\r\nboo"
    wire = b"Subject: x\r\n\r\nhello" + smuggled + inside
    for slices in slicings(wire + b"\r\n.\r\nRSET\r\n"):
        message, rest, decoder = decode(slices)
        assert rest == b"RSET\r\n"
        assert message.endswith(inside.replace(b"\r\n", b"\n") + b"\n")
        alone = smuggled.replace(b"\r\n", b"")
        assert decoder.bare_newline == (b"\r" in alone or b"\n" in alone)


def decode_by_line(wire: bytes) -> tuple[bytes, bytes] | None:
    """The rule once more, as one would write it without hurry: message and rest."""
    lines = wire.split(b"\r\n")
    if b"." not in lines[:-1]:
        return None
    end = lines.index(b".")
    message = [line.removeprefix(b".") + b"\n" for line in lines[:end]]
    return b"".join(message), b"\r\n".join(lines[end + 1 :])


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\0", END])).map(b"".join),
    st.data(),
)
def test_any_bytes_in_any_slices(wire: bytes, data: st.DataObject) -> None:
    """Any bytes, cut anywhere, are decoded as line by line."""
    message, rest, decoder = decode(data.draw(sliced(wire)))
    expected = decode_by_line(wire)
    if expected is None:
        assert rest is None
        return
    assert (message, rest) == expected
    sent = wire[: len(wire) - len(expected[1]) - 3]
    unstuffed = (b"\r\n" + sent).replace(b"\r\n.", b"\r\n")[2:]
    assert decoder.size == len(unstuffed)
    alone = sent.replace(b"\r\n", b"")
    assert decoder.bare_newline == (b"\r" in alone or b"\n" in alone)


@given(st.lists(st.text(".a\0\xe4 ")))
def test_round_trip(lines: list[str]) -> None:
    """What a client stuffs is unstuffed: any lines arrive as they were."""
    texts = [line.encode() for line in lines]
    wire = b"".join((b"." + t if t.startswith(b".") else t) + b"\r\n" for t in texts) + b".\r\n"
    message, rest, decoder = decode([wire])
    assert message == b"".join(text + b"\n" for text in texts)
    assert rest == b""
    assert decoder.size == sum(len(text) + 2 for text in texts)
    assert not decoder.bare_newline


def test_nothing_waits_longer_than_it_must() -> None:
    """At most four bytes wait for what comes after them; the rest is given at once."""
    decoder = DataDecoder()
    given = b""
    wire = (b"line\r\n..dots\r\n.\r\r\n.\r" + b"x" * 10) * 1000
    for at in range(len(wire)):
        message, rest = decoder.feed(wire[at : at + 1])
        given += message
        assert rest is None
        assert len(decoder._held) <= 4
    assert len(given) == 1000 * len("line\n.dots\n\r\n\rxxxxxxxxxx")
