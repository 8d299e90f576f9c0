"""A forwarder that is broken in one way of several: the books must notice each.

In `config/plugins`: ``forward SERVER how=early``, or declines, doubles, deaf, mangles, forgets.
"""

from qpsdk import (
    DECLINED,
    DENYSOFT,
    OK,
    Host,
    Plugin,
    QMQPError,
    Result,
    Stream,
    StreamError,
    Transaction,
    qmqp,
)


class Broken(Plugin):
    """Forward the message, but badly."""

    def register(self, qp: Host, server: str, *, how: str) -> None:
        """Check nothing."""
        self.server = qmqp.parse_server(server)
        self.how = how

    async def hook_queue(self, transaction: Transaction) -> Result:
        """Do what a forwarder must not do."""
        assert transaction.sender is not None
        recipients = [recipient.address for recipient in transaction.recipients]
        if self.how == "forgets":
            del recipients[1:]
        size = transaction.message_size()
        package = qmqp.Package.of(size, transaction.sender.address, recipients)
        blocks = list(transaction.message_blocks())
        if self.how == "mangles":
            blocks = [block.replace(b"x\n", b"X\n") for block in blocks]
        if self.how == "early":
            try:
                stream = await self.connect()
                stream.writelines([package.head, *blocks, package.tail])
                await stream.flush()
                await stream.finish()
            except StreamError:
                pass
            return OK, "it will surely be queued"
        for _ in range(2 if self.how == "doubles" else 1):
            try:
                stream = await self.connect()
                try:
                    # It says nothing of the tail, so the host cannot know.
                    response = await qmqp.deliver(stream, package, blocks)
                finally:
                    stream.abort()
            except (QMQPError, StreamError):
                continue
            if response.verdict is qmqp.Verdict.ACCEPTED and self.how != "deaf":
                return OK, response.text.decode("ascii", "replace")
            return DENYSOFT, "not now"
        return (DECLINED if self.how == "declines" else DENYSOFT), "not now"

    async def connect(self) -> Stream:
        """A connection to the server."""
        return await self.qp.connect(
            self.server, connect_timeout=2, io_timeout=1, session_timeout=8
        )
