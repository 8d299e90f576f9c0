"""Forwards each message to another SMTP server, which then answers for it.

In `config/plugins`::

    queue/smtp_forward HOST [PORT] [tls=starttls] [ca=FILE] [helo=NAME]
                       [connect_timeout=SECONDS] [io_timeout=SECONDS]

``tls=implicit`` begins with TLS, at port 465. Either way the server's certificate must be right,
by the system's authorities or by those in `ca`. Needs aiosmtplib, which
``pip install 'qpsdk[smtp-forward]'`` brings.

Our client gets one answer for all its recipients, so the message is sent on only if the server
takes every one. If it refuses some for now, that is DENYSOFT; else, if it refuses some for good,
DENY, and nobody gets the message: its sender is told, and nobody has it twice. So let another
plugin know the recipients, and refuse them one by one at RCPT; and let the server take as many
for a message as we do, 1000.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import cast

from qpsdk import (
    DENY,
    DENYSOFT,
    LOGERROR,
    LOGINFO,
    OK,
    Constant,
    Endpoint,
    Host,
    Plugin,
    PluginError,
    Result,
    Transaction,
)

try:
    from aiosmtplib import SMTP, SMTPException, SMTPHeloError, SMTPResponse
except ImportError as error:
    raise PluginError(
        "queue/smtp_forward needs aiosmtplib: pip install 'qpsdk[smtp-forward]'"
    ) from error

SESSION_TIMEOUT = (
    500.0  # seconds; below what the host gives a queue plugin, and the client the host
)
ANSWERS = {OK: "accepted", DENYSOFT: "deferred", DENY: "rejected"}  # for the metrics
PORTS = {"": 25, "starttls": 25, "implicit": 465}


class SMTPForward(Plugin):
    """Hand the message to an SMTP server; its 2xx is our OK, its 4xx DENYSOFT, its 5xx DENY."""

    def register(
        self,
        qp: Host,
        host: str,
        port: str = "",
        *,
        tls: str = "",
        ca: str = "",
        helo: str = "",
        connect_timeout: str = "30",
        io_timeout: str = "60",
    ) -> None:
        """Check the arguments: a server that cannot be meant stops the host from starting."""
        if tls not in PORTS:
            raise ValueError(f"tls={tls} is not known; write tls=starttls or tls=implicit")
        if ca and not tls:
            raise ValueError(f"ca={ca} is for TLS; write tls=starttls or tls=implicit, too")
        text = f"[{host}]" if host.count(":") > 1 and "[" not in host else host
        text = f"{text}:{port}" if port else text
        try:
            if host.startswith("unix:"):
                raise ValueError("a unix socket")
            self.server = Endpoint.parse(text, default_port=PORTS[tls])
        except ValueError:
            raise ValueError(
                f"{text!r} is no SMTP server; write HOST [PORT], such as 192.0.2.1 25"
            ) from None
        self.tls = tls
        self.tls_context = trust(ca) if tls else None
        self.helo = helo or qp.settings.me
        self.connect_timeout = seconds("connect_timeout", connect_timeout)
        self.io_timeout = seconds("io_timeout", io_timeout)

    async def hook_queue(self, transaction: Transaction) -> Result:
        """Send the message on; anything but a clear answer is DENYSOFT."""
        began = self.qp.clock()
        try:
            async with asyncio.timeout(SESSION_TIMEOUT), self.connection() as (client, writer):
                result = await offer(client, transaction)
                if result is None:
                    result = await self.send(client, writer, transaction)
        except (SMTPException, OSError) as error:  # time-outs are OSErrors
            doubt = ", it may have been accepted" if transaction.handed_over else ""
            self.log(LOGERROR, f"{self.server}: {str(error) or 'took too long'}{doubt}")
            self.qp.forwarded(self.server, "failed", began)
            return DENYSOFT, "Cannot queue the message now, try again later"
        constant, text = result
        self.qp.forwarded(self.server, ANSWERS[constant], began)
        self.log(LOGINFO, f"{self.server}: {constant.name}: {text}")
        return result

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[SMTP, asyncio.StreamWriter]]:
        """A connection on which EHLO was said, and what writes a message on it."""
        client = SMTP(
            hostname=self.server.host,
            port=self.server.port,
            local_hostname=self.helo,
            timeout=self.io_timeout,
            use_tls=self.tls == "implicit",
            start_tls=self.tls == "starttls",
            tls_context=self.tls_context,
        )
        await client.connect(timeout=self.connect_timeout)
        assert client.protocol is not None
        transport = cast(asyncio.WriteTransport, client.transport)
        writer = asyncio.StreamWriter(transport, client.protocol, None, asyncio.get_running_loop())
        try:
            try:
                await client.ehlo()
            except SMTPHeloError:
                await client.helo()
            yield client, writer
            if client.is_connected:
                writer.write(b"QUIT\r\n")  # our client waits: nobody waits for the answer to this
                client.close()
        finally:
            if not transport.is_closing():
                transport.abort()

    async def send(
        self, client: SMTP, writer: asyncio.StreamWriter, transaction: Transaction
    ) -> tuple[Constant, str]:
        """Send the message in blocks; aiosmtplib's own way would need the whole of it at once."""
        reply = await client.execute_command(b"DATA")
        if reply.code != 354:
            return denial(reply)
        assert client.protocol is not None
        if client.protocol._buffer:  # aiosmtplib has no other name for it
            # An answer to what was not sent yet: it would be taken for that to the message.
            writer.transport.abort()
            return DENYSOFT, "The next server has answered too early"
        answer = asyncio.create_task(client.protocol.read_response())
        sending = asyncio.create_task(self.send_blocks(writer, transaction))
        try:
            # The server may refuse in the midst of it: then the rest is not sent.
            await asyncio.wait((answer, sending), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                writer.transport.abort()
                return denial(answer.result())  # a 250 that comes early promises nothing
            sending.result()
            transaction.hand_over()
            writer.write(b".\r\n")
            reply = await answer
            return (OK, reply.message) if accepted(reply) else denial(reply)
        finally:
            answer.cancel()
            sending.cancel()
            await asyncio.gather(answer, sending, return_exceptions=True)

    async def send_blocks(self, writer: asyncio.StreamWriter, transaction: Transaction) -> None:
        """Send all but the final dot, until it has left our buffer."""
        writer.transport.set_write_buffer_limits(1)  # a limit of 0 never ends under TLS
        for block in wire(transaction.message_blocks()):
            writer.write(block)
            async with asyncio.timeout(self.io_timeout):
                await writer.drain()
            await asyncio.sleep(0)  # others have their turn also when the server takes all at once


async def offer(client: SMTP, transaction: Transaction) -> tuple[Constant, str] | None:
    """Name the sender and the recipients; the answer to our client if one is refused."""
    assert transaction.sender is not None
    parameters = [b"BODY=8BITMIME"] if client.supports_extension("8bitmime") else []
    if transaction.smtputf8:
        if not client.supports_extension("smtputf8"):  # RFC 6531, 3.2
            return DENY, "5.6.7 The next server does not take SMTPUTF8"
        parameters.append(b"SMTPUTF8")
    sender = b"FROM:<%b>" % transaction.sender.address
    reply = await client.execute_command(b"MAIL", sender, *parameters)
    if not accepted(reply):
        return denial(reply)
    refused = None
    for recipient in transaction.recipients:
        reply = await client.execute_command(b"RCPT", b"TO:<%b>" % recipient.address)
        if not accepted(reply):
            constant, text = denial(reply)
            refusal = constant, f"{text}\n{recipient} was refused, so nobody gets the message"
            if constant is DENYSOFT:
                return refusal
            refused = refused or refusal
    return refused


def accepted(reply: SMTPResponse) -> bool:
    """Whether the server took it."""
    return 200 <= reply.code < 300


def denial(reply: SMTPResponse) -> tuple[Constant, str]:
    """What our client is told by a reply that did not take it; only 5xx is for good."""
    return DENY if 500 <= reply.code < 600 else DENYSOFT, reply.message


def wire(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""A message as DATA carries it, but for the final dot (RFC 5321, 4.5.2).

    >>> list(wire([b"one\n", b".two\n.", b".three"]))
    [b'one\r\n', b'..two\r\n..', b'.three', b'\r\n']
    """
    at_start = True
    for block in filter(None, blocks):
        dot = b"." if at_start and block.startswith(b".") else b""
        yield dot + block.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
        at_start = block.endswith(b"\n")
    if not at_start:
        yield b"\r\n"


def trust(ca: str) -> ssl.SSLContext:
    """Whose certificates count: the system's authorities, or those in a file."""
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise ValueError(f"ca={ca} is no file of certificates: {error.strerror}") from None


def seconds(name: str, text: str) -> float:
    """Read a number of seconds."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ValueError(f"{name}={text}: write a number of seconds, such as 60")
    return float(text)
