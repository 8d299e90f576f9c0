"""Where chapter 6 arrives: a plugin that forwards a message of any size in little memory."""

import asyncio
import tracemalloc
from itertools import chain

from qpsdk import (
    DECLINED,
    DENY,
    DENYSOFT,
    LOGERROR,
    OK,
    Plugin,
    QMQPError,
    StreamError,
    Transaction,
    qmqp,
)
from qpsdk.qmqp import deliver
from qpsdk.testing import FakeQMQPServer, smtp
from qpsdk.testing.qmqp_script import reject

FORWARD = "__main__.QMQPForward 192.0.2.1"

ANSWERS = {
    qmqp.Verdict.ACCEPTED: OK,
    qmqp.Verdict.DEFERRED: DENYSOFT,
    qmqp.Verdict.REJECTED: DENY,
}


class QMQPForward(Plugin):
    """Hand a message to a QMQP server; its K is our OK, its Z DENYSOFT, its D DENY."""

    def register(self, qp, server, port=""):
        self.server = qmqp.parse_server(server, port)

    async def hook_queue(self, transaction):
        try:
            response = await self.send(self.package(transaction), transaction)
        except (QMQPError, StreamError) as error:
            self.log(LOGERROR, f"{self.server}: {error}")
            return DENYSOFT, "Cannot queue the message now, try again later"
        return ANSWERS[response.verdict], response.text.decode("ascii", "replace")

    async def send(self, package, transaction):
        stream = await self.qp.connect(
            self.server,
            connect_timeout=qmqp.CONNECT_TIMEOUT,
            io_timeout=qmqp.IO_TIMEOUT,
            session_timeout=qmqp.SESSION_TIMEOUT,
        )
        message = chain(transaction.message_blocks(), [last_lf(transaction)])
        try:
            return await deliver(stream, package, message, transaction.hand_over)
        finally:
            stream.abort()

    def package(self, transaction: Transaction) -> qmqp.Package:
        """All that goes before and after the message; its lengths are known by now."""
        assert transaction.sender is not None
        return qmqp.Package.of(
            transaction.message_size() + len(last_lf(transaction)),
            transaction.sender.unquoted,
            [recipient.unquoted for recipient in transaction.recipients],
            smtputf8=transaction.smtputf8,
        )


def last_lf(transaction: Transaction) -> bytes:
    """The LF that a plugin left off the last line; qmail cannot deliver without it."""
    return b"" if transaction.ends_in_lf() else b"\n"


class TakeAll(Plugin):
    """Take every recipient, so that there is something to queue."""

    def hook_rcpt(self, transaction, recipient, params):
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
    for megabytes in 1, 2, 4, 8:
        most = await peak(FORWARD, megabytes * 1_000_000)
        print(f"{megabytes} MB to forward: {most:.0f} MB in use")

    fake = FakeQMQPServer()
    fake.script(reject("5.3.4 too big for us", at=1_000))
    async with smtp(TakeAll(), FORWARD, connect=fake.connect) as client:
        print(await client.send(b"Subject: big\n\n" + b"x" * 1_000_000 + b"\n"))
    print("read by the server:", fake.connections[0].size, "bytes")


asyncio.run(main())
