"""Forwards each message to a QMQP server, all of it in memory: a lesson, not for production.

In `config/plugins`::

    queue/qmqp_forward_naive SERVER [PORT]

It sends what `queue/qmqp_forward` sends, byte for byte, and shows what a package is. But a
message of 100 MB takes three times that in memory while it is copied from one netstring into the
next, and the server gets its first byte only when the last copy is made.
"""

from qpsdk import (
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
