"""Streams in memory."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from qpsdk.errors import StreamError, StreamInterruptedError, StreamTimeoutError
from qpsdk.stream import TLS

ROOM = 64 * 1024
"""Bytes that one side may send ahead of the other's reading."""


class MemoryStream:
    """One end of a connection that never leaves the process: a `qpsdk.stream.Stream`."""

    def __init__(self) -> None:
        self._peer: MemoryStream = self
        self._chunks: list[bytes] = []
        self._unread = 0  # bytes in them
        self._ended = False
        self._deaf = False
        self._reading = False
        self._interrupted = False
        self._error: StreamError | None = None
        self._changed = asyncio.Event()
        self._lost_callback: Callable[[], None] | None = None
        self._io_timeout: float | None = None
        self._deadline: float | None = None

    def set_timeouts(self, io_timeout: float | None, session_timeout: float | None) -> None:
        """Have what waits too long raise StreamTimeoutError, as on a socket.

        Args:
            io_timeout: Seconds that the peer may neither take nor give a byte; None for ever.
            session_timeout: Seconds from now on for all; None for ever.
        """
        now = asyncio.get_running_loop().time()
        self._io_timeout = io_timeout
        self._deadline = None if session_timeout is None else now + session_timeout

    @property
    def input_waiting(self) -> bool:
        return bool(self._chunks) or self._ended or self._error is not None

    @property
    def full(self) -> bool:
        return self._peer._unread > ROOM

    async def read(self) -> bytes:
        self._reading = True
        try:
            await self._until(lambda: self.input_waiting or self._interrupted)
        finally:
            self._reading = False
        if self._interrupted:
            self._interrupted = False
            raise StreamInterruptedError("interrupted")
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._unread = 0
        self._peer._changed.set()
        if not data and self._error is not None:
            raise self._error
        return data

    def write(self, data: bytes) -> None:
        self.writelines([data])

    def writelines(self, blocks: Iterable[bytes]) -> None:
        if self._error is None and not self._peer._ended and not self._peer._deaf:
            data = b"".join(blocks)
            if data:
                self._peer._chunks.append(data)
                self._peer._unread += len(data)
                self._peer._changed.set()

    async def drain(self, *, until_input: bool = False) -> None:
        await self._until_sent(ROOM, until_input)

    async def flush(self, *, until_input: bool = False) -> None:
        await self._until_sent(0, until_input)

    async def start_tls(
        self, _context: Any, _time_limit: float, /, *, from_start: bool = False
    ) -> TLS:
        """Play the switch: what waits to be read is dropped, and nothing is encrypted."""
        if not from_start:
            self._chunks.clear()
            self._unread = 0
            self._peer._changed.set()
        return TLS("TLSv1.3", "NULL-IN-MEMORY")

    def end(self) -> None:
        """End our side: the peer reads to the end of what we sent, and may still answer."""
        self._peer._ended = True
        self._peer._changed.set()

    def interrupt(self) -> None:
        self._interrupted = self._reading
        self._changed.set()

    def on_lost(self, callback: Callable[[], None]) -> None:
        self._lost_callback = callback

    async def finish(self) -> None:
        self._lost_callback = None
        self.end()
        # What the peer still sends is dropped; it may not wait for us to take it.
        self._deaf = True
        self._chunks.clear()
        self._unread = 0
        self._peer._changed.set()

    def abort(self) -> None:
        """Reset the connection: the peer's next read or write fails."""
        self._lost_callback = None
        self._error = StreamError("the connection was closed")
        peer = self._peer
        if peer._error is None:
            peer._error = StreamError("connection reset by peer")
            peer._changed.set()
            if peer._lost_callback is not None:
                peer._lost_callback()
        self._changed.set()

    async def _until_sent(self, room: int, until_input: bool) -> None:
        if until_input:
            await asyncio.sleep(0)  # the peer, too, gets to say something
        await self._until(
            lambda: (
                self._peer._unread <= room
                or self._error is not None
                or (until_input and self.input_waiting)
            )
        )
        if self._error is not None and not (until_input and self._chunks):
            raise self._error

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            limit = self._next_limit()
            try:
                async with asyncio.timeout_at(limit):
                    await self._changed.wait()
            except TimeoutError:
                raise self._too_late(limit) from None

    def _next_limit(self) -> float | None:
        if self._io_timeout is None:
            return self._deadline
        idle = asyncio.get_running_loop().time() + self._io_timeout
        return idle if self._deadline is None else min(idle, self._deadline)

    def _too_late(self, limit: float | None) -> StreamTimeoutError:
        # Not by the clock: a timer may fire a little early.
        if limit != self._deadline:
            return StreamTimeoutError(f"no progress for {self._io_timeout:g} s")
        error = StreamTimeoutError("the time for the whole session is over")
        self._error = self._error or error  # over for good
        return error


def pipe() -> tuple[MemoryStream, MemoryStream]:
    """The two ends of a connection."""
    one, other = MemoryStream(), MemoryStream()
    one._peer, other._peer = other, one
    return one, other
