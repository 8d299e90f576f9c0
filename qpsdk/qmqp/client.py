"""Sends one package over a stream and reads the response."""

from collections.abc import Callable, Iterable
from typing import Final

from qpsdk.errors import (
    QMQPBodyError,
    QMQPResponseError,
    QMQPUnconfirmedError,
    StreamError,
    StreamTimeoutError,
)
from qpsdk.qmqp.protocol import Package, Response, ResponseDecoder, Verdict
from qpsdk.stream import Stream

ONE_PIECE: Final = 64 * 1024
"""Bytes: a message up to this size is written with its envelope at once."""

CONNECT_TIMEOUT: Final = 10.0
"""Seconds until a connection stands; what qmail-qmqpc waits, too."""

IO_TIMEOUT: Final = 60.0
"""Seconds that a server may neither take nor give a byte; qmail-qmqpc's as well."""

SESSION_TIMEOUT: Final = 3600.0
"""Seconds for a whole session: after an hour, both sides have to close."""


async def deliver(
    stream: Stream,
    package: Package,
    message: Iterable[bytes],
    hand_over: Callable[[], None] = lambda: None,
) -> Response:
    """Send a package, and give the server's response.

    The message leaves in blocks, as fast as the server takes them. Meanwhile the server may
    answer early: then the rest is not sent, and what it said counts.

    The package is whole only with its last byte, so until then the server must discard it
    (the specification's words), and another may be tried. The tail is therefore written only
    when all before it has left our buffer, so that no error can arrive late and leave us in
    doubt for longer than the tail takes.

    Args:
        stream: A fresh connection to the server. The caller closes it.
        package: The envelope, and the message's size.
        message: The message in blocks, `package.message_size` bytes in all.
        hand_over: Called just before the bytes are written that make the package whole.

    Raises:
        QMQPBodyError: The message is not as long as the package says; it is not whole, so the
            server discards it.
        QMQPUnconfirmedError: There was no usable response after `hand_over`: the server may
            have the message all the same.
        QMQPResponseError: There was none before.
        StreamError: The connection failed before `hand_over`.
    """
    if package.message_size <= ONE_PIECE:
        pieces = [package.head]
        size = 0
        for block in message:
            pieces.append(block)
            size += len(block)
            if size > package.message_size:
                break
        _check_size(package, size)
        pieces.append(package.tail)
        return await _finish(stream, pieces, hand_over)
    try:
        whole = await _send_message(stream, package, message)
    except StreamTimeoutError:
        raise
    except StreamError as error:
        # The write failed because the server has closed: it may have said why.
        return _early(await _response_or(stream, error))
    if not whole:
        return _early(await _response(stream))
    return await _finish(stream, [package.tail], hand_over)


def check_time_limits(
    connect_timeout: float, io_timeout: float, session_timeout: float = SESSION_TIMEOUT
) -> None:
    """Check the limits that a user has set, all in seconds.

    Raises:
        ValueError: One is no time to wait, or the session would be longer than QMQP allows.
    """
    limits = {
        "connect_timeout": connect_timeout,
        "io_timeout": io_timeout,
        "session_timeout": session_timeout,
    }
    for name, seconds in limits.items():
        if not 0 < seconds < float("inf"):
            raise ValueError(f"{name}={seconds:g}: write a number of seconds above 0")
    if session_timeout > SESSION_TIMEOUT:
        raise ValueError(
            f"session_timeout={session_timeout:g}: a QMQP session ends after"
            f" {SESSION_TIMEOUT:g} seconds"
        )


async def _send_message(stream: Stream, package: Package, message: Iterable[bytes]) -> bool:
    """Send all but the tail; False if the server had something to say before."""
    stream.write(package.head)
    sent = 0
    for block in message:
        sent += len(block)
        if sent > package.message_size:
            break
        stream.write(block)
        await stream.drain(until_input=True)
        if stream.input_waiting:
            return False
    _check_size(package, sent)
    await stream.flush(until_input=True)
    return not stream.input_waiting


def _check_size(package: Package, size: int) -> None:
    if size != package.message_size:
        more = " or more" if size > package.message_size else ""
        announced = f"but {package.message_size} were announced"
        raise QMQPBodyError(f"the message has {size} bytes{more}, {announced}")


async def _response(stream: Stream) -> Response:
    decoder = ResponseDecoder()
    while data := await stream.read():
        if (response := decoder.feed(data)) is not None:
            return response
    raise decoder.finish()


async def _finish(
    stream: Stream, pieces: Iterable[bytes], hand_over: Callable[[], None]
) -> Response:
    """Send what makes the package whole; the response to it."""
    hand_over()
    try:
        stream.writelines(pieces)
        return await _response(stream)
    except (StreamError, QMQPResponseError) as error:
        raise QMQPUnconfirmedError(f"{error}, it may have been accepted") from error


async def _response_or(stream: Stream, error: StreamError) -> Response:
    """The response that came before the connection failed, else that failure."""
    try:
        return await _response(stream)
    except (StreamError, QMQPResponseError):
        raise error from None


def _early(response: Response) -> Response:
    """A response before the end of the package: a K then promises nothing."""
    if response.verdict is Verdict.ACCEPTED:
        raise QMQPResponseError("the server accepted a package that was not whole")
    return response
