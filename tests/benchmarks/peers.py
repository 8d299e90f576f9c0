"""Hosts in Python beside ours: `python -m tests.benchmarks.peers NAME QMQP_PORT LOG`.

Each takes mail on a free port of 127.0.0.1, says which one, and answers 250 to a message only
after the QMQP server's K.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"
BACKLOG = 1024  # as our host's


def _netstring(value: bytes) -> bytes:
    return b"%d:%b," % (len(value), value)


def _package(message: bytes, sender: bytes, recipients: Sequence[bytes]) -> bytes:
    values = (message.replace(b"\r\n", b"\n"), sender, *recipients)
    return _netstring(b"".join(map(_netstring, values)))


class NaiveForward:
    """The aiosmtpd handler that one writes first: the whole message in memory, and again."""

    def __init__(self, qmqp_port: int) -> None:
        self._qmqp_port = qmqp_port

    async def handle_RCPT(
        self,
        server: "SMTP",
        session: "Session",
        envelope: "Envelope",
        address: str,
        options: list[str],
    ) -> str:
        """Take mail for one domain only."""
        if not address.lower().endswith("@example.com"):
            return "550 5.7.1 Relaying denied"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: "SMTP", session: "Session", envelope: "Envelope") -> str:
        """Forward one message."""
        received = (
            f"Received: from {session.host_name} ([{session.peer[0]}])\r\n"  # type: ignore[index]
            f"\tby mx.example.com with ESMTP; {formatdate()}\r\n"
        )
        message = received.encode() + cast(bytes, envelope.content)
        sender = cast(str, envelope.mail_from)
        recipients = [recipient.encode() for recipient in envelope.rcpt_tos]
        reader, writer = await asyncio.open_connection(HOST, self._qmqp_port)
        try:
            writer.write(_package(message, sender.encode(), recipients))
            await writer.drain()
            response = await reader.readuntil(b",")
        finally:
            writer.close()
        accepted = response.partition(b":")[2].startswith(b"K")
        logging.info("%s to %s: %s", sender, envelope.rcpt_tos, response)
        return "250 OK" if accepted else "451 Try again later"


def _aiosmtpd(qmqp_port: int) -> asyncio.Protocol:
    from aiosmtpd.smtp import SMTP

    return SMTP(NaiveForward(qmqp_port), hostname="mx.example.com", data_size_limit=2**30)


class Bare(asyncio.Protocol):
    """The ceiling: no plugins, no checks, no limits, no Received, nothing but the forwarding."""

    transport: asyncio.Transport

    def __init__(self, qmqp_port: int) -> None:
        self._qmqp_port = qmqp_port
        self._buffer = bytearray()
        self._in_message = False
        self._sender = b""
        self._recipients: list[bytes] = []
        self._forwarding: asyncio.Task[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(b"220 mx.example.com ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        searched = max(0, len(self._buffer) - 4)
        self._buffer += data
        if not self._in_message:
            while (end := self._buffer.find(b"\r\n")) >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 2]
                self._command(line)
        elif (end := self._buffer.find(b"\r\n.\r\n", searched)) >= 0:
            message = bytes(self._buffer[: end + 2]).replace(b"\r\n.", b"\r\n")
            del self._buffer[: end + 5]
            self._in_message = False
            package = _package(message, self._sender, self._recipients)
            self._recipients = []
            connecting = asyncio.get_running_loop().create_connection(
                lambda: BareForward(package, self.transport), HOST, self._qmqp_port
            )
            self._forwarding = asyncio.ensure_future(connecting)

    def _command(self, line: bytes) -> None:
        verb = line[:4]
        if verb == b"MAIL":
            self._sender = line[11:-1]
        elif verb == b"RCPT":
            self._recipients.append(line[9:-1])
        elif verb == b"DATA":
            self._in_message = True
            return self.transport.write(b"354 Go ahead\r\n")
        elif verb == b"QUIT":
            self.transport.write(b"221 Bye\r\n")
            return self.transport.close()
        return self.transport.write(b"250 OK\r\n")


class BareForward(asyncio.Protocol):
    """Sends one package, and the SMTP client its 250."""

    transport: asyncio.Transport

    def __init__(self, package: bytes, client: asyncio.Transport) -> None:
        self._package = package
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._package)

    def data_received(self, data: bytes) -> None:  # its 20 bytes come in one piece
        accepted = data.partition(b":")[2].startswith(b"K")
        self._client.write(b"250 OK\r\n" if accepted else b"451 Try again later\r\n")
        self.transport.close()


async def _serve(new_session: Callable[[int], asyncio.Protocol], qmqp_port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: new_session(qmqp_port), HOST, 0, backlog=BACKLOG)
    print(f"listening on {HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main(name: str, qmqp_port: str, log: str) -> None:
    """Serve until terminated."""
    import uvloop

    if name != "bare":
        logging.basicConfig(filename=log, level=logging.INFO, format="%(asctime)s %(message)s")
    factory = asyncio.new_event_loop if name == "aiosmtpd" else uvloop.new_event_loop
    session = Bare if name == "bare" else _aiosmtpd
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(session, int(qmqp_port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
