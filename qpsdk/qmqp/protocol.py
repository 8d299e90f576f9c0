"""What goes over the wire: one package there, one response back.

A package is a netstring of netstrings: the message, the envelope sender, and each recipient.
The response is a netstring whose first byte is K (the server has taken responsibility for
every recipient), Z (try again later) or D (do not try again).
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple

from qpsdk import netstring
from qpsdk.address import MAX_ADDRESS
from qpsdk.errors import (
    NetstringError,
    QMQPEnvelopeError,
    QMQPPackageError,
    QMQPResponseError,
)

DEFAULT_PORT: Final = 628

MAX_RESPONSE: Final = 10 * 1024
"""Bytes of a response that are read; Postfix's clients stop there too."""

_FORBIDDEN: Final = b"\0\r\n"


class Verdict(Enum):
    """The first byte of a response."""

    ACCEPTED = b"K"
    DEFERRED = b"Z"
    REJECTED = b"D"


_VERDICTS: Final = {verdict.value: verdict for verdict in Verdict}


class Response(NamedTuple):
    """What the server says to a package.

    Attributes:
        excess: Bytes that came with it although they are no part of it.
    """

    verdict: Verdict
    text: bytes
    excess: int = 0

    def encode(self) -> bytes:
        """The response on the wire.

        >>> Response(Verdict.DEFERRED, b"busy").encode()
        b'5:Zbusy,'
        """
        return netstring.encode(self.verdict.value + self.text)


class Package(NamedTuple):
    """A message and its envelope as one netstring, to be sent in three parts.

    All lengths are known before the first byte is sent, so the message itself can be streamed
    between `head` and `tail`.

    Attributes:
        message_size: Bytes of the message, whose lines end in LF.
        head: What comes before the message.
        tail: What comes after it: the last comma is the package's last byte.

    >>> package = Package.of(14, b"a@example.org", [b"b@example.com"])
    >>> package.head + b"Subject: hi\\n\\n\\n" + package.tail
    b'52:14:Subject: hi\\n\\n\\n,13:a@example.org,13:b@example.com,,'
    """

    message_size: int
    head: bytes
    tail: bytes

    @classmethod
    def of(
        cls,
        message_size: int,
        sender: bytes,
        recipients: Sequence[bytes],
        *,
        smtputf8: bool = True,
    ) -> "Package":
        """The package for an envelope.

        Args:
            message_size: Bytes of the message.
            sender: Empty for a bounce.
            recipients: One or more.
            smtputf8: Whether the mail is one whose addresses may have bytes above 127 (RFC 6531).

        Raises:
            QMQPEnvelopeError: There is no recipient, one is empty, or an address is too long
                or has a byte that it must not have.
        """
        if not recipients:
            raise QMQPEnvelopeError("no recipients: some servers would accept it for nobody")
        if not all(recipients):
            raise QMQPEnvelopeError("an empty recipient")
        addresses = [sender, *recipients]
        if (longest := max(map(len, addresses))) > MAX_ADDRESS:
            raise QMQPEnvelopeError(f"an address of {longest} bytes: {MAX_ADDRESS} at most")
        envelope = b"".join(map(netstring.encode, addresses))
        if len(envelope.translate(None, _FORBIDDEN)) != len(envelope):
            bad = next(a for a in addresses if len(a.translate(None, _FORBIDDEN)) != len(a))
            raise QMQPEnvelopeError(f"NUL, CR or LF in the address {bad!r}")
        if not smtputf8 and not envelope.isascii():
            bad = next(address for address in addresses if not address.isascii())
            raise QMQPEnvelopeError(f"the address {bad!r} needs SMTPUTF8")
        length = netstring.encoded_size(message_size) + len(envelope)
        head = netstring.head(length) + netstring.head(message_size)
        return cls(message_size, head, b"," + envelope + b",")

    @property
    def size(self) -> int:
        """Bytes of the whole package."""
        return len(self.head) + self.message_size + len(self.tail)


class ResponseDecoder:
    """Reads the server's response, fed in any slices.

    >>> decoder = ResponseDecoder()
    >>> decoder.feed(b"4:Kyes"), decoder.feed(b",")
    (None, Response(verdict=<Verdict.ACCEPTED: b'K'>, text=b'yes', excess=0))
    """

    __slots__ = ("_decoder", "_seen")

    def __init__(self) -> None:
        self._decoder: netstring.Decoder | None = None  # until there is a use for it
        self._seen = b""

    def feed(self, data: bytes) -> Response | None:
        """Take the next bytes; the response once it is whole. What follows it is only counted.

        Raises:
            QMQPResponseError: It is no response.
        """
        whole = None if self._seen else netstring.first(data)  # as it comes nearly always
        if whole is not None and len(whole[0]) <= MAX_RESPONSE:
            value: bytes | None = whole[0]
            excess = len(data) - whole[1]
        else:
            self._seen = (self._seen + data)[:40]
            self._decoder = decoder = self._decoder or netstring.Decoder(MAX_RESPONSE)
            excess = decoder.offset + len(data)
            try:
                value = next(decoder.feed(data), None)
                excess -= decoder.offset
            except NetstringError as error:
                raise QMQPResponseError(f"not a response: {error}: {self._seen!r}") from None
        if value is None:
            return None
        verdict = _VERDICTS.get(value[:1])
        if verdict is None:
            raise QMQPResponseError(f"a response begins with K, Z or D, not {value[:40]!r}")
        return Response(verdict, value[1:], excess)

    def finish(self) -> QMQPResponseError:
        """The error to raise when the server closes before a whole response came."""
        return QMQPResponseError(
            f"the server closed in its response: {self._seen!r}"
            if self._seen
            else "the server closed without a response"
        )


class Received(NamedTuple):
    """A package as a server received it."""

    message: bytes
    sender: bytes
    recipients: tuple[bytes, ...]


class PackageDecoder:
    """Reads a package, fed in any slices, as strictly as the specification.

    >>> decoder = PackageDecoder()
    >>> decoder.feed(b"13:3:hi\\n,0:,1:b,,")
    Received(message=b'hi\\n', sender=b'', recipients=(b'b',))
    """

    __slots__ = ("_inner", "_outer", "_start", "_values")

    def __init__(self, limit: int | None = None) -> None:
        """`limit` is the largest package to accept, in bytes."""
        self._outer = netstring.Scanner(limit)
        self._inner = netstring.Decoder(limit)
        self._start = 0  # where the first inner netstring begins
        self._values: list[bytes] = []

    def feed(self, data: bytes) -> Received | None:
        """Take the next bytes; the package once it is whole. What follows it is ignored.

        Raises:
            QMQPPackageError: It is malformed, with the offset of the first fault.
        """
        try:
            for token in self._outer.feed(data):
                match token:
                    case netstring.Start(length):
                        self._start = len(netstring.head(length))
                    case netstring.Piece(piece):
                        self._values += self._take(piece)
                    case netstring.End(offset):
                        return self._finish(offset)
        except NetstringError as error:
            raise QMQPPackageError(error.problem, error.offset) from None
        return None

    def finish(self) -> QMQPPackageError:
        """The error when the client closes before its package is whole: it is discarded."""
        return QMQPPackageError("the client closed inside its package", self._outer.offset)

    def _take(self, piece: bytes) -> Iterator[bytes]:
        try:
            yield from self._inner.feed(piece)
        except NetstringError as error:
            raise QMQPPackageError(error.problem, self._start + error.offset) from None

    def _finish(self, offset: int) -> Received:
        try:
            self._inner.finish()
        except NetstringError as error:
            raise QMQPPackageError(error.problem, offset) from None
        if len(self._values) < 3:
            missing = ("the message", "the sender", "a recipient")[len(self._values)]
            raise QMQPPackageError(f"the package ends without {missing}", offset)
        message, sender, *recipients = self._values
        return Received(message, sender, tuple(recipients))
