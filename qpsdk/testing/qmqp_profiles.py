"""How three QMQP servers read a package and what they say of it: see `Profile`."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from qpsdk.stream import Stream

LONGEST_KEPT_ADDRESS: Final = 65_536
"""Bytes of an address that are kept where not everything is: no server takes longer ones."""


class ClosedError(Exception):
    """The client closed before its package was whole: it is discarded."""


class OffsetReachedError(Exception):
    """As many bytes have come as the script wanted."""


class RefusedError(Exception):
    """The server stops reading: the package is discarded.

    Attributes:
        reply: The reply's letter and text; empty if it closes without a word.
    """

    def __init__(self, problem: str, reply: str = "") -> None:
        super().__init__(problem)
        self.reply = reply.encode()


class Input:
    """What one client sends.

    Attributes:
        offset: Bytes taken so far.
        raw: They themselves, up to `keep` bytes; of the message as many.
        message, sender, recipients: What has been read of the package.
        message_size, message_hash: Of the whole message, even if less is kept.
    """

    def __init__(self, stream: Stream, stop: int | None, keep: int | None) -> None:
        """`stop` is when to raise `OffsetReachedError`; `keep` None keeps all of everything."""
        self.offset = 0
        self.raw = bytearray()
        self.message = b""
        self.message_size = 0
        self.message_hash = hashlib.sha256()
        self.sender = b""
        self.recipients: list[bytes] = []
        self._stream = stream
        self._stop = stop
        self._keep = keep
        self._unread = memoryview(b"")

    async def byte(self) -> int:
        """The next byte.

        Raises:
            ClosedError, OffsetReachedError: There is none.
        """
        return (await self._some(1))[0]

    async def string(self, size: int) -> bytes:
        """So many bytes; of an absurd address not all are kept."""
        kept = bytearray()
        room = None if self._keep is None else LONGEST_KEPT_ADDRESS
        while size:
            piece = await self._some(size)
            size -= len(piece)
            _append(kept, piece, room)
        return bytes(kept)

    async def read_message(self, size: int) -> None:
        """So many bytes, which are the message."""
        kept = bytearray()
        try:
            while self.message_size < size:
                piece = await self._some(size - self.message_size)
                self.message_size += len(piece)
                self.message_hash.update(piece)
                _append(kept, piece, self._keep)
        finally:
            self.message = bytes(kept)

    async def _some(self, limit: int) -> memoryview:
        """The next bytes, one to `limit`."""
        if self._stop is not None:
            limit = min(limit, self._stop - self.offset)
            if not limit:
                raise OffsetReachedError
        if not self._unread:
            self._unread = memoryview(await self._stream.read())
            if not self._unread:
                raise ClosedError(f"the client closed inside its package at offset {self.offset}")
        piece, self._unread = self._unread[:limit], self._unread[limit:]
        self.offset += len(piece)
        _append(self.raw, piece, self._keep)
        return piece


def _append(kept: bytearray, piece: memoryview, room: int | None) -> None:
    kept += piece if room is None else piece[: max(0, room - len(kept))]


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of QMQP server.

    What a server does to a message once it has it (a Received field, Postfix's changes to stray CR)
    is no part of this: the fake keeps what came.

    Attributes:
        receive: Reads a package; returns when it is whole.
        accepted: The text of its K for the package of this number at this Unix time.
        io_timeout: Seconds that a socket may be idle before it is closed without a reply.
        session_timeout: Seconds that a connection may last before the same.
        error_delay: Seconds between something wrong and the reply to it.
    """

    name: str
    receive: Callable[[Input], Awaitable[None]]
    accepted: Callable[[int, float], str]
    io_timeout: float = 3600.0
    session_timeout: float = 3600.0
    error_delay: float = 0.0


# strict: the specification, and D with a reason to all else


async def _strict(input: Input) -> None:
    end = 0

    async def length(end: int | None) -> int:
        """A canonical length, of a string that leaves room for its comma before `end`."""
        digits = b""
        while True:
            if end is not None and input.offset == end:
                raise _malformed("the outer netstring ends inside a length", input.offset)
            byte = await input.byte()
            if byte == 0x3A and digits:
                break
            if not 0x30 <= byte <= 0x39:
                raise _malformed(f"{bytes([byte])!r} where a length is due", input.offset - 1)
            if digits == b"0":
                raise _malformed("leading zero in a length", input.offset - 1)
            digits += bytes([byte])
            if len(digits) > 18:
                raise _malformed("a length of 10^18 or more", input.offset - 1)
        if end is not None and input.offset + int(digits) >= end:
            raise _malformed("a string longer than the netstring around it", input.offset)
        return int(digits)

    async def comma() -> None:
        if (byte := await input.byte()) != 0x2C:
            raise _malformed(f"{bytes([byte])!r} where a comma is due", input.offset - 1)

    outer = await length(None)
    end = input.offset + outer
    await input.read_message(await length(end))
    await comma()
    input.sender = await input.string(await length(end))
    await comma()
    while input.offset < end:
        input.recipients.append(await input.string(await length(end)))
        await comma()
    if not input.recipients:
        raise _malformed("the package ends without a recipient", input.offset)
    await comma()


def _malformed(problem: str, offset: int) -> RefusedError:
    text = f"{problem} at offset {offset}"
    return RefusedError(text, f"Dnot a QMQP package: {text}")


STRICT: Final = Profile("strict", _strict, lambda *_: "fake, nothing is queued")


# qmail: qmail-qmqpd of notqmail 1.09


async def _qmail(input: Input) -> None:
    left = 100  # of the outer length, then of the outer string

    async def byte() -> int:
        nonlocal left
        if not left:
            raise RefusedError(f"beyond the outer netstring at offset {input.offset}")
        left -= 1
        return await input.byte()

    async def length() -> int:
        value = 0
        while (digit := await byte()) != 0x3A:
            if value > 200_000_000:
                raise RefusedError(f"a length of 2 * 10^9 or more at offset {input.offset - 1}")
            if not 0x30 <= digit <= 0x39:
                raise RefusedError(f"no digit in a length at offset {input.offset - 1}")
            value = 10 * value + digit - 0x30
        return value

    async def comma() -> None:
        if await byte() != 0x2C:
            raise RefusedError(f"no comma where one is due at offset {input.offset - 1}")

    async def string(read: Callable[[int], Awaitable[bytes | None]]) -> bytes:
        nonlocal left
        size = await length()
        taken = min(size, left)
        left -= taken
        value = await read(taken)
        if taken < size:
            raise RefusedError(f"beyond the outer netstring at offset {input.offset}")
        await comma()
        return value or b""

    left = await length()
    await string(input.read_message)
    input.sender = await string(input.string)
    while left:
        input.recipients.append(await string(input.string))
    left = 1
    await comma()
    for address in (input.sender, *input.recipients):
        if len(address) >= 1000 or 0 in address:
            raise RefusedError(
                "an address of 1000 bytes or more, or with a NUL",
                "Dsorry, I can't accept addresses like that (#5.1.3)",
            )


QMAIL: Final = Profile(
    "qmail", _qmail, lambda number, now: f"ok {int(now)} qp {number}", session_timeout=3600.0
)


# postfix: qmqpd of Postfix 3.7 to 3.12

MESSAGE_SIZE_LIMIT: Final = 10_240_000
LINE_LENGTH_LIMIT: Final = 2048
SSIZE_MAX: Final = 2**63 - 1


async def _postfix(input: Input) -> None:
    where = "receiving QMQP packet header"

    def malformed() -> RefusedError:
        problem = f"netstring format error while {where}"
        return RefusedError(f"{problem} at offset {input.offset}", f"D{problem}")

    def too_long() -> RefusedError:
        problem = f"netstring length exceeds storage limit while {where}"
        return RefusedError(f"{problem} at offset {input.offset}", f"D{problem}")

    async def length(first: int | None = None) -> int:
        value = 0
        while (digit := await input.byte() if first is None else first) != 0x3A:
            first = None
            if not 0x30 <= digit <= 0x39:
                raise malformed()
            value = 10 * value + digit - 0x30
            if value > SSIZE_MAX:
                raise too_long()
        return value

    def within(size: int, limit: int) -> int:
        if size > limit:
            raise too_long()
        return size

    async def comma() -> None:
        try:
            if await input.byte() != 0x2C:
                raise malformed()
        except ClosedError:
            raise malformed() from None

    await length()  # and ignore it
    where = "receiving message content"
    await input.read_message(within(await length(), MESSAGE_SIZE_LIMIT))
    await comma()
    where = "receiving sender address"
    input.sender = await input.string(within(await length(), LINE_LENGTH_LIMIT))
    await comma()
    where = "receiving recipient address"
    while (byte := await input.byte()) != 0x2C:
        size = within(await length(byte), LINE_LENGTH_LIMIT)
        input.recipients.append(await input.string(size))
        await comma()
    if delimiters := _bad_verp_delimiters(input.sender):
        problem = f'Invalid VERP delimiters: "{delimiters}". Need two characters from "-=+"'
        raise RefusedError(problem, f"DError: {problem}")
    if not input.recipients:
        raise RefusedError("no recipients specified", "DError: no recipients specified")


def _bad_verp_delimiters(sender: bytes) -> str:
    """The delimiters in a sender like ``prefix-@origin-@[]``, if Postfix minds them."""
    at = sender.find(b"@")
    if not (sender.endswith(b"-@[]") and 1 < at < len(sender) - 5):
        return ""
    delimiter = chr(sender[at - 1])
    return "" if delimiter in "-=+" else f"{delimiter}="


POSTFIX: Final = Profile(
    "postfix",
    _postfix,
    lambda number, _: f"Ok: queued as {number:011X}",
    io_timeout=300.0,
    error_delay=1.0,
)

PROFILES: Final = {profile.name: profile for profile in (STRICT, QMAIL, POSTFIX)}
