"""Sends one message over QMQP from a script."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Final, TypeAlias

from qpsdk.address import Address
from qpsdk.host import Connect
from qpsdk.qmqp.client import (
    CONNECT_TIMEOUT,
    IO_TIMEOUT,
    SESSION_TIMEOUT,
    check_time_limits,
    deliver,
)
from qpsdk.qmqp.line_ends import to_lf
from qpsdk.qmqp.protocol import Package, Response
from qpsdk.qmqp.servers import parse_server
from qpsdk.server.stream import connect as connect_socket
from qpsdk.spool import BLOCK_SIZE
from qpsdk.stream import Endpoint

IN_MEMORY: Final = 1024 * 1024
"""Bytes: more than that of what cannot be read twice, such as a pipe, is kept in a file."""

AnyMessage: TypeAlias = "bytes | os.PathLike[str] | IO[bytes]"
AnyAddress: TypeAlias = Address | bytes | str


async def send(
    server: Endpoint | str,
    message: AnyMessage,
    sender: AnyAddress,
    recipients: AnyAddress | Sequence[AnyAddress],
    *,
    smtputf8: bool = False,
    connect_timeout: float = CONNECT_TIMEOUT,
    io_timeout: float = IO_TIMEOUT,
    session_timeout: float = SESSION_TIMEOUT,
    connect: Connect = connect_socket,
) -> Response:
    r"""Send one message to a QMQP server, and give its answer; `qpsdk.qmqp.send`.

    The message is read twice, first to learn how long it is, and is never in memory as a whole.
    CRLF becomes LF on the way, a CR that stands alone is kept, and a last line without its LF
    gets one. All else goes out as it is.

    >>> import asyncio
    >>> from qpsdk import qmqp
    >>> from qpsdk.testing import FakeQMQPServer
    >>> async def main():
    ...     fake = FakeQMQPServer()
    ...     response = await qmqp.send(
    ...         "192.0.2.1", b"Subject: hi\r\n\r\nhello\r\n", "", "a@example.com",
    ...         connect=fake.connect,
    ...     )
    ...     print(response.verdict.name, fake.messages[0].message)
    >>> asyncio.run(main())
    ACCEPTED b'Subject: hi\n\nhello\n'

    Args:
        server: ``HOST``, ``HOST:PORT``, ``[V6]:PORT`` or ``unix:PATH``; the port is 628.
        message: Bytes, the path of a file, or a file opened for binary reading, which is read
            from where it stands and not closed. Reading blocks the loop.
        sender: With or without its angle brackets; empty for a bounce. Text and bytes go out as
            they are, so without the quotes that SMTP has around some, as in ``"ann lee"@x``; an
            Address goes out unquoted.
        recipients: One or several.
        smtputf8: Whether an address may have characters beyond ASCII (RFC 6531).
        connect_timeout: Seconds until the connection stands.
        io_timeout: Seconds that the server may neither take nor give a byte.
        session_timeout: Seconds for the whole of it, 3600 at most.
        connect: Makes the connection; a fake server has one that needs no sockets.

    Raises:
        ValueError: The server or a time limit is none.
        OSError: The message cannot be read.
        QMQPEnvelopeError: QMQP cannot carry this envelope. Nothing was sent.
        StreamConnectError: There is no connection. Nothing was sent.
        QMQPBodyError: The file has changed while it was read. The server must discard it.
        StreamError: The connection failed before the package was whole; so it was discarded.
        QMQPResponseError: The server closed without an answer, or answered what is no response.
        QMQPUnconfirmedError: There was no usable answer to the whole package: the server may
            have accepted the message.
    """
    check_time_limits(connect_timeout, io_timeout, session_timeout)
    endpoint = server if isinstance(server, Endpoint) else parse_server(server)
    if isinstance(recipients, AnyAddress):
        recipients = [recipients]
    envelope = [_address(address) for address in (sender, *recipients)]
    with _opened(message) as file:
        start = file.tell()
        size = sum(map(len, to_lf(_blocks(file))))
        package = Package.of(size, envelope[0], envelope[1:], smtputf8=smtputf8)
        file.seek(start)
        stream = await connect(
            endpoint,
            connect_timeout=connect_timeout,
            io_timeout=io_timeout,
            session_timeout=session_timeout,
        )
        try:
            return await deliver(stream, package, to_lf(_blocks(file)))
        finally:
            stream.abort()


def _address(address: AnyAddress) -> bytes:
    """The bytes of an address.

    It is not parsed: qmail's VERP senders, such as ``list-@example.org-@[]``, are no addresses
    of SMTP.
    """
    if isinstance(address, Address):
        return address.unquoted
    data = address.encode() if isinstance(address, str) else address
    return data[1:-1] if data.startswith(b"<") and data.endswith(b">") else data


@contextmanager
def _opened(message: AnyMessage) -> Iterator[IO[bytes]]:
    """A file that can be read twice."""
    if not isinstance(message, bytes | os.PathLike) and not hasattr(message, "read"):
        raise TypeError(
            "a message is bytes, a path such as pathlib.Path, or a binary file,"
            f" not {message!r:.50}"
        )
    if isinstance(message, bytes):
        yield io.BytesIO(message)
    elif isinstance(message, os.PathLike):
        # A path may name a pipe: /dev/stdin, or what a shell writes for <(command).
        with open(message, "rb", buffering=0) as file, _opened(file) as opened:
            yield opened
    elif message.seekable():
        yield message
    else:
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as copy:
            shutil.copyfileobj(message, copy)
            copy.seek(0)
            yield copy


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK_SIZE):
        yield block
