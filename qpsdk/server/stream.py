"""Streams on sockets."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable, Generator, Iterable
from types import coroutine
from typing import Final, cast

from qpsdk.errors import (
    StreamConnectError,
    StreamError,
    StreamInterruptedError,
    StreamTimeoutError,
)
from qpsdk.server.drive import PAUSE
from qpsdk.server.tls import TLSLayer
from qpsdk.stream import TLS, Endpoint, require_endpoint

READ_AHEAD: Final = 64 * 1024
"""Bytes that may wait to be read before we stop reading from the socket."""

LINGER_SECONDS: Final = 10.0
LINGER_BYTES: Final = 16 * 1024 * 1024
"""How long, and for how much, a closing connection waits for the client to end its side."""

OVERDUE: Final = 1.0
"""Seconds until a session whose time is over, but which is not waiting, is looked at again."""


class SocketStream(asyncio.Protocol):
    """A `qpsdk.stream.Stream` over an asyncio transport. One coroutine at a time uses it."""

    __slots__ = (
        "_data",
        "_deadline",
        "_dropped",
        "_ended",
        "_error",
        "_failure",
        "_io_timeout",
        "_lingering",
        "_loop",
        "_lost_callback",
        "_made_callback",
        "_paused_reading",
        "_timer",
        "_tls",
        "_unsent",
        "_waiter",
        "_waiting_since",
        "_waits",
        "_wake_driver",
        "full",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        io_timeout: float,
        session_timeout: float | None = None,
        on_made: Callable[["SocketStream"], None] | None = None,
    ) -> None:
        """The limits are in seconds; `on_made` is called once the connection stands."""
        self._loop = loop
        self._io_timeout = io_timeout
        self._deadline = None if session_timeout is None else loop.time() + session_timeout
        self._made_callback = on_made
        self._lost_callback: Callable[[], None] | None = None
        self._data = b""  # not read yet
        self._unsent = 0  # bytes in the transport's buffer when we last looked
        self._ended = False
        self._error: StreamError | None = None
        self._tls: TLSLayer | None = None
        self._lingering = False  # all is said, what still comes is dropped
        self._dropped = 0  # bytes of that
        self._paused_reading = False
        self.full = False
        self._waits = False  # somebody does, for what comes next
        self._waiter: asyncio.Future[None] | None = None
        self._wake_driver: Callable[[], None] | None = None
        self._failure: StreamError | None = None  # to be raised to the one who waits
        self._waiting_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def set_timeout(self, io_timeout: float, session_timeout: float | None = None) -> None:
        """Have other limits, in seconds, than those that the stream was made with.

        Args:
            io_timeout: The peer has to take or give a byte.
            session_timeout: The connection has to end, from now.
        """
        now, timer = self._loop.time(), self._timer
        if session_timeout is not None:
            self._deadline = now + session_timeout
        ends_first = timer is not None and timer.when() > (self._deadline or timer.when())
        if io_timeout != self._io_timeout or ends_first:
            self._io_timeout = io_timeout
            if timer is not None:
                timer.cancel()
            self._set_timer(now + io_timeout)

    # What the transport tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._set_timer(self._loop.time() + self._io_timeout)
        if self._made_callback is not None:
            self._made_callback(self)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self.transport.abort()
            return
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
            if self.full:
                # A peer may have TLS answer without end (KeyUpdate), and take none of it.
                self._pause_reading()
            if not data:
                return
        self._data = self._data + data if self._data else data
        if len(self._data) >= READ_AHEAD:
            self._pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        # The peer has ended its side, and may still read ours: we close when all is said.
        return not self._lingering

    def connection_lost(self, exc: Exception | None) -> None:
        self.disown()
        self.full = False
        if self._error is None:
            text = reason(exc) if isinstance(exc, OSError) else str(exc or "")
            self._error = StreamError(text or "the connection was closed")
        if exc is not None and self._tls is None and not self._lingering:
            self._rescue()
        # Told before it goes on: a session would else take what was rescued for a client's message.
        if exc is not None and self._lost_callback is not None:
            self._lost_callback()
        self._wake()

    def _rescue(self) -> None:
        """Take what had come before a write failed, which the loop does not read any more.

        It may be the peer's last word, such as an early D. The transport closes its socket only
        after it has called us, so the descriptor is still ours.
        """
        fd = self.transport.get_extra_info("socket").fileno()
        with contextlib.suppress(OSError):
            while len(self._data) < READ_AHEAD and (data := os.read(fd, READ_AHEAD)):
                self._data += data

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._read_on()
        # Not at once: asyncio is in the middle of writing, and a session that closes there is told
        # twice that its connection is gone (gh-156512).
        self._loop.call_soon(self._wake)

    # Stream

    @property
    def input_waiting(self) -> bool:
        return bool(self._data) or self._ended or self._error is not None

    @coroutine
    def read(self) -> Generator[object, None, bytes]:
        while not self._data:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            yield from self._wait()
        data, self._data = self._data, b""
        self._read_on()
        return data

    def write(self, data: bytes) -> None:
        if self._error is not None:
            return
        if self._tls is None:
            self.transport.write(data)
        else:
            self._encrypt(self._tls, data)

    def writelines(self, blocks: Iterable[bytes]) -> None:
        if self._error is not None:
            return
        if self._tls is None:
            # Not its writelines: in Python 3.12 and 3.13 asyncio's never counts as full
            # (CVE-2024-12254), and on a lost connection it leaves a writer behind, for which the
            # next one with this descriptor is not read (gh-136234).
            self.transport.write(b"".join(blocks))
        else:
            self._encrypt(self._tls, b"".join(blocks))

    async def drain(self, *, until_input: bool = False) -> None:
        if until_input:
            # As long as the kernel takes all we write, nothing below would suspend, and the loop
            # could not tell us what has come.
            await asyncio.sleep(0)
        while self.full and self._error is None:
            if until_input and self.input_waiting:
                return
            self._unsent = self.transport.get_write_buffer_size()
            await self._wait()
        if self._error is not None and not (until_input and self._data):
            raise self._error

    async def flush(self, *, until_input: bool = False) -> None:
        # With a limit of 0 the transport counts as full until its buffer is empty.
        if self._error is None:
            self.transport.set_write_buffer_limits(0)
        if until_input:
            await asyncio.sleep(0)  # the loop polls after the first, and reads after the second
        await self.drain(until_input=until_input)

    async def start_tls(
        self, context: ssl.SSLContext, time_limit: float, /, *, from_start: bool = False
    ) -> TLS:
        handshake = self._data if from_start else b""
        self._drop_unread()
        self._tls = tls = TLSLayer(context)
        if handshake:
            self.data_received(handshake)
        text = f"no TLS handshake within {time_limit:g} s"
        limit = self._loop.call_later(time_limit, self._fail, StreamTimeoutError(text))
        try:
            while tls.established is None:
                if self._error is not None:
                    raise self._error
                if self._ended:
                    raise StreamError("the connection was closed in the TLS handshake")
                await self._wait()
        finally:
            limit.cancel()
        return tls.established

    def interrupt(self) -> None:
        if self._waits:
            self._fail(StreamInterruptedError("interrupted"))

    def on_lost(self, callback: Callable[[], None]) -> None:
        self._lost_callback = callback

    async def finish(self) -> None:
        self._lost_callback = None
        if self._error is not None:
            self.transport.abort()  # the time may be over of one that still stands
            return
        self._lingering = True
        self._drop_unread()
        if self._tls is not None:
            self.transport.write(self._tls.end())
        if self._ended:
            self.transport.close()
        else:
            try:
                self.transport.write_eof()
            except OSError:  # asyncio's does not catch it: the client is gone already
                self.transport.abort()
        limit = self._loop.call_later(LINGER_SECONDS, self.transport.abort)
        try:
            while self._error is None:
                await self._wait()
        except StreamTimeoutError:
            self.transport.abort()
        finally:
            limit.cancel()

    def refuse(self, reply: bytes) -> None:
        """Say one thing, and close without waiting for anything."""
        self.transport.write(reply)
        self.transport.close()

    def abort(self) -> None:
        self._lost_callback = None
        self.transport.abort()

    def _drop_unread(self) -> None:
        self._data = b""
        self._read_on()

    def _pause_reading(self) -> None:
        if not self._paused_reading:
            self._paused_reading = True
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if not self._paused_reading or len(self._data) >= READ_AHEAD:
            return
        if self._tls is not None and self.full and not self._lingering:
            return
        self._paused_reading = False
        self.transport.resume_reading()

    # TLS, where it was started

    def _decrypt(self, tls: TLSLayer, records: bytes) -> bytes:
        before = tls.established, tls.ended
        try:
            data = tls.receive(records)
        except ssl.SSLError as error:
            self._tls_failed(tls, error)
            return b""
        if answer := tls.data_to_send():
            self.transport.write(answer)
        self._ended = self._ended or tls.ended
        if not data and (tls.established, tls.ended) != before:
            self._wake()  # not for a part of a record: the time of the wait would begin anew
        return data

    def _encrypt(self, tls: TLSLayer, data: bytes) -> None:
        try:
            self.transport.write(tls.send(data))
        except ssl.SSLError as error:
            self._tls_failed(tls, error)

    def _tls_failed(self, tls: TLSLayer, error: ssl.SSLError) -> None:
        what = "TLS" if tls.established else "the TLS handshake"
        self._error = self._error or StreamError(f"{what} failed: {error.reason or error}")
        self.transport.write(tls.data_to_send())  # an alert says why
        self.transport.close()
        self._wake()
        if self._lost_callback is not None:
            self._lost_callback()

    # Waiting: in a task for a future, in a driven session (`qpsdk.server.drive`) for the driver

    def drive_with(self, wake: Callable[[], None]) -> None:
        """Call `wake` where otherwise a future would wake a task."""
        self._wake_driver = wake

    @coroutine
    def _wait(self) -> Generator[object, None, None]:
        """Sleep until anything happens.

        Raises:
            StreamTimeoutError: Nothing did for too long.
            StreamInterruptedError: Somebody called `interrupt`.
        """
        assert not self._waits, "one coroutine at a time uses a stream"
        self._waiting_since = self._loop.time()
        self._waits = True
        try:
            if self._wake_driver is not None:
                yield PAUSE
            else:
                self._waiter = self._loop.create_future()
                yield from self._waiter
        finally:
            self._waits = False
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _wake(self) -> None:
        if not self._waits:
            pass
        elif self._wake_driver is not None:
            self._wake_driver()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: StreamError) -> None:
        self._failure = error
        self._wake()

    def disown(self) -> None:
        """Look no more.

        uvloop does not call `connection_lost` for a connection cancelled just after it was made.
        """
        if self._timer is not None:
            self._timer.cancel()

    # One timer for each connection looks now and then whether something has stalled: setting
    # one for each read would cost more than the read.

    def _set_timer(self, at: float) -> None:
        if self._deadline is not None:
            at = min(at, self._deadline)
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        unsent = self.transport.get_write_buffer_size()
        if unsent < self._unsent:  # more is our own doing
            self._waiting_since = now
        self._unsent = unsent
        waiting = self._waits
        if self._deadline is not None and now >= self._deadline:
            if self._wake_driver is not None and not waiting:
                # A plugin has the session's time: what becomes of the message is still said.
                self._timer = self._loop.call_later(OVERDUE, self._look)
                return
            self._error = self._error or StreamTimeoutError(
                "the time for the whole session is over"
            )
            if waiting:
                self._fail(self._error)
        elif waiting and now >= self._waiting_since + self._io_timeout:
            self._set_timer(now + self._io_timeout)
            self._fail(StreamTimeoutError(f"no progress for {self._io_timeout:g} s"))
        else:
            since = self._waiting_since if waiting else now
            self._set_timer(max(since + self._io_timeout, now + 0.01))


def reason(error: OSError | UnicodeError) -> str:
    """What the system says of a failure; the loops each add something of their own."""
    number = getattr(error, "errno", None)
    if number and number > 0:  # a resolver's are negative
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error)


async def connect(
    endpoint: Endpoint,
    *,
    connect_timeout: float,
    io_timeout: float,
    session_timeout: float | None = None,
) -> SocketStream:
    """A stream to a server: see `qpsdk.host.Connect`."""
    require_endpoint(endpoint)
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    stream = SocketStream(loop, io_timeout, session_timeout)
    before, is_over = task.cancelling(), False

    def time_is_up() -> None:
        nonlocal is_over
        is_over = True
        task.cancel()

    # What asyncio.timeout does, with less: one connection is made for each message.
    limit = loop.call_later(connect_timeout, time_is_up)
    try:
        if endpoint.path:
            await loop.create_unix_connection(lambda: stream, endpoint.path)
        else:
            await loop.create_connection(lambda: stream, endpoint.host, endpoint.port)
    except BaseException as error:
        stream.disown()
        # Taken back also where another limit was over in the same moment: that one counts, too.
        if is_over and task.uncancel() <= before and isinstance(error, asyncio.CancelledError):
            told = f"no connection within {connect_timeout:g} s"
            raise StreamConnectError(told) from None
        if isinstance(error, OSError | UnicodeError):
            raise StreamConnectError(f"cannot connect: {reason(error)}") from error
        raise
    finally:
        limit.cancel()
    return stream
