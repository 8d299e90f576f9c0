"""Netstrings: every string has one encoding, and every other input one error, at one offset."""

import io
import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import netstring
from qpsdk.errors import (
    NetstringCommaError,
    NetstringError,
    NetstringLengthError,
    NetstringLimitError,
    NetstringTruncatedError,
)
from qpsdk.netstring import Decoder, End, Piece, Scanner, Start
from tests.slices import sliced, slicings

ENCODED = [
    # string, netstring
    (b"", b"0:,"),
    (b"a", b"1:a,"),
    (b"hello world!", b"12:hello world!,"),
    (b",", b"1:,,"),
    (b"3:abc,", b"6:3:abc,,"),
    (b"\0\r\n\xff", b"4:\0\r\n\xff,"),
    (b"x" * 9, b"9:xxxxxxxxx,"),
    (b"x" * 10, b"10:xxxxxxxxxx,"),
    (b"y" * 100, b"100:" + b"y" * 100 + b","),
]

FAULTS = [
    # input, error, offset, text
    (b":", NetstringLengthError, 0, "':' where a netstring length is due"),
    (b":,", NetstringLengthError, 0, "length is due"),
    (b"a", NetstringLengthError, 0, "'a' where a netstring length is due"),
    (b"-1:x,", NetstringLengthError, 0, "'-' where"),
    (b"+3:abc,", NetstringLengthError, 0, r"'\+' where"),
    (b" 3:abc,", NetstringLengthError, 0, "' ' where"),
    (b"\n3:abc,", NetstringLengthError, 0, r"'\\n' where"),
    (b"\xb2:ab,", NetstringLengthError, 0, r"'\\xb2' where"),
    (b"3 :abc,", NetstringLengthError, 1, "' ' where a digit or a colon is due"),
    (b"1/:abc,", NetstringLengthError, 1, "'/' where a digit or a colon is due"),
    (b"3;abc,", NetstringLengthError, 1, "';' where a digit or a colon is due"),
    (b"3,", NetstringLengthError, 1, "',' where"),
    (b"1_0:0123456789,", NetstringLengthError, 1, "'_' where"),
    (b"0x3:abc,", NetstringLengthError, 1, "'x' where"),
    (b"00:,", NetstringLengthError, 1, "leading zero"),
    (b"03:abc,", NetstringLengthError, 1, "leading zero"),
    (b"3:abc;", NetstringCommaError, 5, "';' where a comma is due"),
    (b"3:abcd,", NetstringCommaError, 5, "'d' where a comma is due"),
    (b"3:abc\n", NetstringCommaError, 5, r"'\\n' where"),
    (b"0:x", NetstringCommaError, 2, "'x' where"),
    (b"0::", NetstringCommaError, 2, "':' where"),
    (b"3", NetstringTruncatedError, 1, "ends inside"),
    (b"3:", NetstringTruncatedError, 2, "ends inside"),
    (b"3:ab", NetstringTruncatedError, 4, "ends inside"),
    (b"3:abc", NetstringTruncatedError, 5, "ends inside"),
    (b"0:", NetstringTruncatedError, 2, "ends inside"),
    (b"1000000000000000000:", NetstringTruncatedError, 20, "ends inside"),
    (b"1000000000000000001:", NetstringLimitError, 18, "over the limit of 1000000000000000000 b"),
    (b"99999999999999999999:", NetstringLimitError, 18, "over the limit"),
]

LIMITS = [
    # limit, input, offset of the error or None
    (0, b"0:,", None),
    (0, b"1", 0),
    (5, b"5:hello,", None),
    (5, b"6", 0),
    (5, b"10", 1),
    (12, b"12:hello world!,", None),
    (12, b"13", 1),
    (12, b"9:xxxxxxxxx,", None),
    (12, b"100", 2),
    (12, b"12345678901234567890", 2),
]


# -- One string ------------------------------------------------------------------------------


@pytest.mark.parametrize(("string", "encoded"), ENCODED)
def test_encode_and_decode(string: bytes, encoded: bytes) -> None:
    """A string and its netstring are made of each other."""
    assert netstring.encode(string) == encoded
    assert netstring.decode(encoded) == string
    netstring.verify(encoded)


@pytest.mark.parametrize(("string", "encoded"), ENCODED)
def test_sizes(string: bytes, encoded: bytes) -> None:
    """Head and size of a netstring are known from the length alone."""
    assert netstring.head(len(string)) + string + b"," == encoded
    assert netstring.encoded_size(len(string)) == len(encoded)


@pytest.mark.parametrize(("data", "error", "offset", "text"), FAULTS)
def test_faults(data: bytes, error: type[NetstringError], offset: int, text: str) -> None:
    """Each fault is an error of its own class, which says what is wrong, and where."""
    for read in (netstring.decode, netstring.verify, netstring.decode_all):
        with pytest.raises(error, match=text) as raised:
            read(data)
        assert type(raised.value) is error
        assert raised.value.offset == offset
        assert str(raised.value).endswith(f" at offset {offset}")


@pytest.mark.parametrize("cut", range(len(b"12:hello world!,")))
def test_truncated_anywhere(cut: int) -> None:
    """A netstring that is cut short anywhere is truncated; the offset is where it ends."""
    with pytest.raises(NetstringTruncatedError) as raised:
        netstring.decode(b"12:hello world!,"[:cut])
    assert raised.value.offset == cut


@pytest.mark.parametrize("trailing", [b"\n", b",", b"x", b"3:abc,", b"3:ab", b"0", b"03"])
def test_trailing_bytes(trailing: bytes) -> None:
    """One netstring is one netstring: whatever follows is the fault, and begins there."""
    for read in (netstring.decode, netstring.verify):
        with pytest.raises(NetstringError, match="unexpected bytes after the netstring") as raised:
            read(b"3:abc," + trailing)
        assert type(raised.value) is NetstringError
        assert raised.value.offset == 6


@given(st.binary())
def test_round_trip(string: bytes) -> None:
    """What was encoded is decoded, whatever it is."""
    assert netstring.decode(netstring.encode(string)) == string


# -- Several ---------------------------------------------------------------------------------


def test_decode_all() -> None:
    """A run of netstrings is a list of strings; of nothing, an empty one."""
    assert netstring.decode_all(b"") == []
    assert netstring.decode_all(b"5:hello,0:,1:,,") == [b"hello", b"", b","]


def test_later_faults_are_counted_from_the_start() -> None:
    """The offset of a fault in the third string is that in the whole input."""
    with pytest.raises(NetstringCommaError) as raised:
        netstring.decode_all(b"3:abc,0:,2:xyz")
    assert raised.value.offset == 13


@given(st.binary() | st.text("0123:,a").map(str.encode))
def test_one_encoding_only(data: bytes) -> None:
    """Any bytes are either the encoding of some strings, and no other is, or a NetstringError."""
    try:
        strings = netstring.decode_all(data)
    except NetstringError:
        return
    assert b"".join(map(netstring.encode, strings)) == data


# -- In slices -------------------------------------------------------------------------------


def decode_slices(slices: list[bytes], limit: int | None = None) -> list[bytes]:
    """Decode what comes in slices, to its end."""
    decoder = Decoder(limit)
    strings = [string for data in slices for string in decoder.feed(data)]
    decoder.finish()
    return strings


RUN = b"5:hello,0:,12:3:abc,,0:,ab,1:,,"


def test_decoder_in_any_slices() -> None:
    """Where the slices are cut makes no difference."""
    for slices in slicings(RUN):
        assert decode_slices(slices) == [b"hello", b"", b"3:abc,,0:,ab", b","]


def test_decoder_gives_a_string_with_its_comma() -> None:
    """A string is given as soon as its last byte is there, and not before."""
    decoder = Decoder()
    given = [list(decoder.feed(RUN[at : at + 1])) for at in range(len(RUN))]
    assert [at for at, strings in enumerate(given) if strings] == [7, 10, 26, 30]
    assert decoder.offset == len(RUN) == 31


@pytest.mark.parametrize(("data", "error", "offset", "text"), FAULTS)
def test_faults_in_any_slices(
    data: bytes, error: type[NetstringError], offset: int, text: str
) -> None:
    """A fault is the same, at the same offset, however the input comes."""
    for before in (b"", b"2:ok,"):
        for slices in slicings(before + data):
            with pytest.raises(error, match=text) as raised:
                decode_slices(slices)
            assert type(raised.value) is error
            assert raised.value.offset == len(before) + offset


@pytest.mark.parametrize(("limit", "data", "offset"), LIMITS)
def test_limit(limit: int, data: bytes, offset: int | None) -> None:
    """A string over the limit is refused at the digit that makes it so, before it comes."""
    for slices in slicings(data):
        if offset is None:
            assert decode_slices(slices, limit) == netstring.decode_all(data)
            continue
        with pytest.raises(NetstringLimitError, match=f"limit of {limit} bytes") as raised:
            decode_slices(slices, limit)
        assert raised.value.offset == offset


@given(st.lists(st.binary()), st.data())
def test_decoder_round_trip(strings: list[bytes], data: st.DataObject) -> None:
    """Any strings, in any slices, are decoded as they were."""
    encoded = b"".join(map(netstring.encode, strings))
    assert decode_slices(data.draw(sliced(encoded))) == strings


@given(st.text("0123:,a").map(str.encode), st.data())
def test_decoder_fails_the_same_in_any_slices(data: bytes, draw: st.DataObject) -> None:
    """Any input gives the same strings or the same error, however it comes."""

    def outcome(slices: list[bytes]) -> object:
        try:
            return decode_slices(slices)
        except NetstringError as error:
            return type(error), str(error)

    assert outcome(draw.draw(sliced(data))) == outcome([data])


def test_decoder_holds_little_more_than_the_string() -> None:
    """A string that drips in takes about its own size, not a Python object for each slice."""
    decoder = Decoder()
    list(decoder.feed(b"300000:"))
    tracemalloc.start()
    try:
        for _ in range(20_000):
            assert list(decoder.feed(b"0123456789")) == []
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


# -- The scanner -----------------------------------------------------------------------------


def test_scanner_tokens() -> None:
    """The scanner tells of each start, piece and end, as they come."""
    scanner = Scanner()
    slices = [b"", b"1", b"0", b":", b"01234", b"56789", b",", b"0:,1:", b"a,"]
    tokens = [list(scanner.feed(data)) for data in slices]
    assert tokens == [
        [],
        [],
        [],
        [Start(10)],
        [Piece(b"01234")],
        [Piece(b"56789")],
        [End(13)],
        [Start(0), End(16), Start(1)],
        [Piece(b"a"), End(20)],
    ]
    assert scanner.offset == 21


def test_scanner_offset_follows_the_tokens() -> None:
    """With each token, the offset stands behind its last byte."""
    scanner = Scanner()
    offsets = [(type(token), scanner.offset) for token in scanner.feed(b"3:abc,0:,")]
    assert offsets == [(Start, 2), (Piece, 5), (End, 6), (Start, 8), (End, 9)]


def test_scanner_knows_where_it_is() -> None:
    """Between netstrings the input may end; inside a string, what is missing is known."""
    scanner = Scanner()
    states = []
    for byte in b"2:ab,":
        list(scanner.feed(bytes([byte])))
        states.append((scanner.between, scanner.missing))
    assert states == [(False, 0), (False, 2), (False, 1), (False, 0), (True, 0)]


def test_scanner_in_any_slices() -> None:
    """The pieces of each string add up to it, wherever the slices are cut."""
    for slices in slicings(RUN):
        scanner, joined = Scanner(), b""
        for data in slices:
            for token in scanner.feed(data):
                match token:
                    case Start(length):
                        joined += b"<%d " % length
                    case Piece(piece):
                        assert piece
                        joined += piece
                    case End():
                        joined += b">"
        scanner.finish()
        assert joined == b"<5 hello><0 ><12 3:abc,,0:,ab><1 ,>"


def test_netstrings_in_a_netstring() -> None:
    """The pieces of an outer netstring, fed to a decoder, give the inner ones."""
    for slices in slicings(b"12:5:hello,1:a,,"):
        outer, inner = Scanner(), Decoder()
        strings: list[bytes] = []
        for token in itertools.chain.from_iterable(map(outer.feed, slices)):
            if isinstance(token, Piece):
                strings += inner.feed(token.data)
        inner.finish()
        assert strings == [b"hello", b"a"]


# -- From a stream ---------------------------------------------------------------------------


class Dripping(io.RawIOBase):
    """Gives at most one byte at a time, as a slow connection does."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def read(self, size: int = -1, /) -> bytes:
        assert size >= 1
        data, self.left = self.left[:1], self.left[1:]
        return data


@pytest.mark.parametrize(("string", "encoded"), ENCODED)
def test_read(string: bytes, encoded: bytes) -> None:
    """One netstring is read from a stream, and what follows it is left there."""
    stream = io.BytesIO(encoded + b"rest")
    assert netstring.read(stream, limit=1000) == string
    assert stream.read() == b"rest"
    dripping = Dripping(encoded + b"rest")
    assert netstring.read(dripping, limit=1000) == string
    assert dripping.left == b"rest"


def test_read_in_blocks() -> None:
    """A long string is read in blocks of bounded size, not by byte and not at once."""
    sizes = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append(size)
            return super().read(size)

    string = b"x" * 200_000
    assert netstring.read(Counting(netstring.encode(string)), limit=200_000) == string
    assert sizes == [1] * 7 + [65_536, 65_536, 65_536, 3_392, 1]


@pytest.mark.parametrize(("data", "error", "offset", "text"), FAULTS)
def test_read_faults(data: bytes, error: type[NetstringError], offset: int, text: str) -> None:
    """The faults of a stream are those of a decoder."""
    for stream in (io.BytesIO(data), Dripping(data)):
        with pytest.raises(error, match=text) as raised:
            netstring.read(stream, limit=10**18)
        assert raised.value.offset == offset


def test_read_at_the_end() -> None:
    """Where no netstring begins any more, one is missing."""
    with pytest.raises(NetstringTruncatedError, match="ends before a netstring") as raised:
        netstring.read(io.BytesIO(b""), limit=10)
    assert raised.value.offset == 0


@pytest.mark.parametrize(("limit", "data", "offset"), LIMITS)
def test_read_limit(limit: int, data: bytes, offset: int | None) -> None:
    """A string over the limit is not begun to be read."""
    stream = io.BytesIO(data)
    if offset is None:
        netstring.read(stream, limit)
        return
    with pytest.raises(NetstringLimitError):
        netstring.read(stream, limit)
    assert stream.tell() == offset + 1


@given(st.binary(max_size=40), st.integers(0, 40))
def test_read_any_bytes(data: bytes, limit: int) -> None:
    """Any bytes on a stream give a string within the limit, or a NetstringError."""
    try:
        string = netstring.read(io.BytesIO(data), limit)
    except NetstringError:
        return
    assert len(string) <= limit
    assert data.startswith(netstring.encode(string))
