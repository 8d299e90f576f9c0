"""Netstrings: a length, a colon, that many bytes, a comma.

Source: https://cr.yp.to/proto/netstrings.txt. The length is decimal ASCII without leading
zeros, so every string has exactly one encoding; any other is refused here.

>>> encode(b"hello world!")
b'12:hello world!,'
>>> decode(b"12:hello world!,")
b'hello world!'
>>> decode(b"012:hello world!,")
Traceback (most recent call last):
    ...
qpsdk.errors.NetstringLengthError: leading zero in a netstring length at offset 1
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from qpsdk.errors import (
    NetstringCommaError,
    NetstringError,
    NetstringLengthError,
    NetstringLimitError,
    NetstringTruncatedError,
)

__all__ = [
    "MAX_LENGTH",
    "BinaryReader",
    "Decoder",
    "End",
    "Piece",
    "Scanner",
    "Start",
    "decode",
    "decode_all",
    "encode",
    "encoded_size",
    "first",
    "head",
    "read",
    "verify",
]

_HEAD: Final = re.compile(rb"(0|[1-9][0-9]{0,17}):")

MAX_LENGTH = 10**18
"""Longer strings are refused even without a limit: an exabyte is no string but an attack."""


def encode(data: bytes) -> bytes:
    """The netstring of `data`."""
    return b"%d:%b," % (len(data), data)


def head(length: int) -> bytes:
    """What comes before `length` bytes that are sent in blocks; a comma comes after them.

    >>> head(12)
    b'12:'
    """
    return b"%d:" % length


def encoded_size(length: int) -> int:
    """How many bytes the netstring of `length` bytes has.

    >>> encoded_size(12)
    16
    """
    return len(str(length)) + 2 + length


def decode(data: bytes) -> bytes:
    """The string in `data`, which must be one whole netstring and nothing else.

    Raises:
        NetstringError: With the offset of the first fault.
    """
    decoder = Decoder()
    value = next(decoder.feed(data), None)
    if value is None:
        decoder.finish()
        raise NetstringTruncatedError("the input ends before a netstring", len(data))
    if decoder.offset < len(data):
        raise NetstringError("unexpected bytes after the netstring", decoder.offset)
    return value


def decode_all(data: bytes) -> list[bytes]:
    """The strings of the netstrings that `data` is made of.

    >>> decode_all(b"5:hello,0:,")
    [b'hello', b'']

    Raises:
        NetstringError: With the offset of the first fault.
    """
    decoder = Decoder()
    values = list(decoder.feed(data))
    decoder.finish()
    return values


def first(data: bytes) -> tuple[bytes, int] | None:
    """The string of the netstring that `data` begins with, and where that ends.

    None if there is no whole netstring at the start: more of it may be to come, or it is none. A
    `Scanner` can tell which.

    >>> first(b"5:hello,rest"), first(b"5:hel"), first(b"05:hello,")
    ((b'hello', 8), None, None)
    """
    head = _HEAD.match(data)
    if head is None:
        return None
    end = head.end() + int(head[1])
    if data[end : end + 1] != b",":
        return None
    return data[head.end() : end], end + 1


def verify(data: bytes) -> None:
    """Check that `data` is one whole netstring and nothing else.

    Raises:
        NetstringError: With the offset of the first fault.
    """
    decode(data)


class BinaryReader(Protocol):
    """A blocking binary stream: a file, or a socket's ``makefile("rb")``."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""
        ...


def read(stream: BinaryReader, limit: int) -> bytes:
    """Read one netstring and not a byte beyond its comma.

    >>> import io
    >>> stream = io.BytesIO(b"5:hello,rest")
    >>> read(stream, limit=100), stream.read()
    (b'hello', b'rest')

    Args:
        stream: Read byte by byte up to the colon, then in blocks: let it be buffered.
        limit: The longest string to accept, in bytes.

    Raises:
        NetstringError: With its offset from where reading began.
    """
    scanner = Scanner(limit)
    value = bytearray()
    wanted = 1
    while True:
        data = stream.read(wanted)
        if not data:
            scanner.finish()
            raise NetstringTruncatedError("the input ends before a netstring", scanner.offset)
        for token in scanner.feed(data):
            match token:
                case Piece(piece):
                    value += piece
                case End():
                    return bytes(value)
        wanted = max(1, min(scanner.missing, 65_536))


class Start(NamedTuple):
    """A netstring begins: its length in bytes is known."""

    length: int


class Piece(NamedTuple):
    """The next bytes of the string; never empty."""

    data: bytes


class End(NamedTuple):
    """The comma has been seen; `offset` is where it stands."""

    offset: int


class Scanner:
    """Takes a run of netstrings in any slices and reports what it meets, holding no string.

    Strings of any size pass through in pieces, so that netstrings inside a netstring are
    read by feeding the outer one's pieces to an inner scanner.

    Attributes:
        offset: How many bytes it has taken so far.

    >>> list(Scanner().feed(b"3:abc,"))
    [Start(length=3), Piece(data=b'abc'), End(offset=5)]
    """

    __slots__ = ("_digits", "_left", "_limit", "offset")

    def __init__(self, limit: int | None = None) -> None:
        """`limit` is the longest string to accept, in bytes."""
        self._limit = MAX_LENGTH if limit is None else limit
        self._digits = b""
        self._left = -1  # bytes of the string still to come; -1 while the length is read
        self.offset = 0

    @property
    def between(self) -> bool:
        """True when no netstring is open: here the input may end."""
        return self._left < 0 and not self._digits

    @property
    def missing(self) -> int:
        """How many bytes of the open string are still to come; 0 if that is not known."""
        return max(self._left, 0)

    def feed(self, data: bytes) -> Iterator[Start | Piece | End]:
        """Take the next bytes; iterate to the end before feeding more.

        Raises:
            NetstringLengthError, NetstringCommaError, NetstringLimitError: With the offset
                of the byte at fault. The scanner is of no use afterwards.
        """
        position, end = 0, len(data)
        base = self.offset
        while position < end:
            if self._left < 0:
                colon = self._read_length(data, position, base)
                if colon < 0:
                    break
                position = colon + 1
                self._left, self._digits = int(self._digits), b""
                self.offset = base + position
                yield Start(self._left)
            elif self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                self.offset = base + position
                yield Piece(piece)
            else:
                if data[position] != 0x2C:
                    raise NetstringCommaError(
                        f"{_show(data[position])} where a comma is due", base + position
                    )
                self._left = -1
                position += 1
                self.offset = base + position
                yield End(self.offset - 1)
        self.offset = base + end

    def finish(self) -> None:
        """Say that the input has ended.

        Raises:
            NetstringTruncatedError: If it ended inside a netstring.
        """
        if not self.between:
            raise NetstringTruncatedError("the input ends inside a netstring", self.offset)

    def _read_length(self, data: bytes, position: int, base: int) -> int:
        """Collect digits; the colon's position, or -1 if it is still to come."""
        if not self._digits:
            colon = data.find(b":", position, position + len(str(self._limit)) + 1)
            digits = data[position:colon]
            whole = colon > 0 and digits.isdigit() and (digits[0] != 0x30 or len(digits) == 1)
            if whole and int(digits) <= self._limit:
                self._digits = digits
                return colon
        for at in range(position, len(data)):
            byte = data[at]
            if byte == 0x3A and self._digits:
                return at
            if not 0x30 <= byte <= 0x39:
                wanted = "a digit or a colon" if self._digits else "a netstring length"
                raise NetstringLengthError(f"{_show(byte)} where {wanted} is due", base + at)
            if self._digits == b"0":
                raise NetstringLengthError("leading zero in a netstring length", base + at)
            self._digits += data[at : at + 1]
            if int(self._digits) > self._limit:
                raise NetstringLimitError(
                    f"netstring length over the limit of {self._limit} bytes", base + at
                )
        return -1


class Decoder:
    """Takes a run of netstrings in any slices and gives back the strings.

    >>> decoder = Decoder(limit=100)
    >>> list(decoder.feed(b"5:he")), list(decoder.feed(b"llo,0:,3:a"))
    ([], [b'hello', b''])
    >>> decoder.finish()
    Traceback (most recent call last):
        ...
    qpsdk.errors.NetstringTruncatedError: the input ends inside a netstring at offset 14
    """

    __slots__ = ("_pieces", "_scanner")

    def __init__(self, limit: int | None = None) -> None:
        """`limit` is the longest string to accept, in bytes."""
        self._scanner = Scanner(limit)
        self._pieces: list[bytes] = []  # what there is of the open string

    @property
    def offset(self) -> int:
        """How many bytes it has taken so far."""
        return self._scanner.offset

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes, give each string that they complete.

        Raises:
            NetstringError: As `Scanner.feed`.
        """
        pieces = self._pieces
        for token in self._scanner.feed(data):
            if type(token) is Piece:
                pieces.append(token.data)
            elif type(token) is End:
                value = b"".join(pieces)
                pieces.clear()
                yield value

    def finish(self) -> None:
        """Say that the input has ended.

        Raises:
            NetstringTruncatedError: If it ended inside a netstring.
        """
        self._scanner.finish()


def _show(byte: int) -> str:
    return repr(bytes([byte]))[1:]
