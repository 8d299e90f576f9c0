"""Where chapter 5 arrives: a plugin that forwards a message, and three times its memory."""

import asyncio
import tracemalloc

from qpsdk import (
    DECLINED,
    DENY,
    DENYSOFT,
    LOGERROR,
    OK,
    Host,
    Plugin,
    QMQPError,
    Result,
    StreamError,
    Transaction,
    netstring,
    qmqp,
)
from qpsdk.testing import FakeQMQPServer, smtp
from qpsdk.testing.qmqp_script import accept, defer, refuse, reject

NAIVE = "__main__.NaiveQMQPForward 192.0.2.1"
MESSAGE = "Subject: hello\n\nHow are you?\n"

ANSWERS = {
    qmqp.Verdict.ACCEPTED: OK,
    qmqp.Verdict.DEFERRED: DENYSOFT,
    qmqp.Verdict.REJECTED: DENY,
}


class NaiveQMQPForward(Plugin):
    """Join the message, wrap it in netstrings, write it at once."""

    def register(self, qp: Host, server: str, port: str = "") -> None:
        """Take the one server that there is."""
        self.server = qmqp.parse_server(server, port)

    def package(self, transaction: Transaction) -> bytes:
        """The message, the sender and each recipient as netstrings, all in one more."""
        assert transaction.sender is not None
        message = b"".join(transaction.message_blocks())
        if message and not message.endswith(b"\n"):
            message += b"\n"
        sender = transaction.sender.unquoted
        recipients = [recipient.unquoted for recipient in transaction.recipients]
        parts = [message, sender, *recipients]
        return netstring.encode(b"".join(map(netstring.encode, parts)))

    async def send(self, transaction: Transaction) -> qmqp.Response:
        """One connection: write, then read until there is an answer."""
        package = self.package(transaction)
        stream = await self.qp.connect(
            self.server,
            connect_timeout=qmqp.CONNECT_TIMEOUT,
            io_timeout=qmqp.IO_TIMEOUT,
            session_timeout=qmqp.SESSION_TIMEOUT,
        )
        try:
            transaction.hand_over()
            stream.write(package)
            decoder = qmqp.ResponseDecoder()
            while data := await stream.read():
                if (response := decoder.feed(data)) is not None:
                    return response
            raise decoder.finish()
        finally:
            stream.abort()

    async def hook_queue(self, transaction: Transaction) -> Result:
        """Tell our client what the server said; without an answer, to come again."""
        try:
            response = await self.send(transaction)
        except (QMQPError, StreamError) as error:
            self.log(LOGERROR, f"{self.server}: {error}")
            return DENYSOFT, "Cannot queue the message now, try again later"
        return ANSWERS[response.verdict], response.text.decode("ascii", "replace")


class TakeAll(Plugin):
    """Take every recipient, so that there is something to queue."""

    def hook_rcpt(self, transaction, recipient, params):
        return OK


class ShowLog(Plugin):
    def hook_logging(self, *line):
        _, _, level, _, _, text = line
        print(level.name, text)
        return OK


class StartCounting(Plugin):
    def hook_queue(self, transaction):
        tracemalloc.start()
        return DECLINED


async def peak(plugin, size):
    """Megabytes in use at most while a plugin forwards a message of `size` bytes."""
    fake = FakeQMQPServer(keep=0)  # it checks what it gets, and keeps nothing of it
    message = b"Subject: big\n\n" + b"x" * (size - 15) + b"\n"
    plugins = TakeAll(), StartCounting(), plugin
    async with smtp(*plugins, connect=fake.connect) as client:
        reply = await client.send(message)
        assert reply.accepted, reply
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most / 1_000_000


async def main():
    fake = FakeQMQPServer()
    fake.script(accept("queued as 1"), defer("disk full"), reject("no"), refuse())
    async with smtp(ShowLog(), TakeAll(), NAIVE, connect=fake.connect) as client:
        for _ in range(4):
            print(await client.send(MESSAGE))
    print(fake.only_message().message_size, "bytes arrived")

    for megabytes in 1, 2, 4, 8:
        most = await peak(NAIVE, megabytes * 1_000_000)
        print(f"{megabytes} MB to forward: {most / megabytes:.0f} times as much in use")


asyncio.run(main())
