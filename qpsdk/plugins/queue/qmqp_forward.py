"""Forwards each message to a QMQP server, which queues it.

In `config/plugins`::

    queue/qmqp_forward SERVER [PORT]

QMQP is plain text and knows no password: let it cross loopback or a VPN only.
"""

from qpsdk import (
    DENY,
    DENYSOFT,
    LOGERROR,
    LOGINFO,
    LOGWARN,
    OK,
    Endpoint,
    Host,
    Plugin,
    QMQPError,
    Result,
    StreamError,
    Transaction,
    qmqp,
)

CONNECT_TIMEOUT = 10.0  # seconds; what qmail-qmqpc waits, too
IO_TIMEOUT = 60.0
SESSION_TIMEOUT = 500.0  # below what the host gives a queue plugin, and the client the host

ANSWERS = {
    qmqp.Verdict.ACCEPTED: OK,
    qmqp.Verdict.DEFERRED: DENYSOFT,
    qmqp.Verdict.REJECTED: DENY,
}


class QMQPForward(Plugin):
    """Hand the message to a QMQP server; its K is our OK, its Z DENYSOFT, its D DENY."""

    def register(self, qp: Host, server: str, port: str = "", *more: str) -> None:
        """Check the arguments: a server that cannot be meant refuses to start."""
        host = f"[{server}]" if server.count(":") > 1 and "[" not in server else server
        text = f"{host}:{port}" if port else host
        try:
            if port and server.startswith("unix:"):
                raise ValueError("a unix socket has no port")
            self.server = Endpoint.parse(text, default_port=qmqp.DEFAULT_PORT)
        except ValueError:
            raise ValueError(
                f"{text!r} is no QMQP server; write SERVER [PORT], such as 192.0.2.1 628"
            ) from None
        if more:
            self.log(LOGWARN, "ignoring arguments after the port:", *more)

    async def hook_queue(self, transaction: Transaction) -> Result:
        """Stream the message to the server; anything but a clear answer is DENYSOFT."""
        try:
            response = await self.forward(transaction)
        except (QMQPError, StreamError) as error:
            doubt = ", it may have been accepted" if transaction.handed_over else ""
            self.log(LOGERROR, f"{self.server}: {error}{doubt}")
            return DENYSOFT, "Cannot queue the message now, try again later"
        text = response.text.decode("ascii", "replace")
        self.log(LOGINFO, f"{self.server}: {response.verdict.name.lower()}: {text}")
        return ANSWERS[response.verdict], text

    async def forward(self, transaction: Transaction) -> qmqp.Response:
        """Send the package: the lengths first, then header and body, then the envelope."""
        assert transaction.sender is not None
        package = qmqp.Package.of(
            transaction.message_size(),
            transaction.sender.address,
            [recipient.address for recipient in transaction.recipients],
        )
        stream = await self.qp.connect(
            self.server,
            connect_timeout=CONNECT_TIMEOUT,
            io_timeout=IO_TIMEOUT,
            session_timeout=SESSION_TIMEOUT,
        )
        try:
            return await qmqp.deliver(
                stream, package, transaction.message_blocks(), transaction.hand_over
            )
        finally:
            stream.abort()
