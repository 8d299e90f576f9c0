"""Where chapter 8 arrives: a forwarder without its mistakes, and tests that hold it to that."""

from qpsdk import DENY, DENYSOFT, LOGERROR, LOGINFO, OK, Plugin, qmqp
from qpsdk.testing import FakeQMQPServer, capture_log, smtp
from qpsdk.testing.qmqp_script import accept, defer, reject

FORWARD = "__main__.Forward 192.0.2.1"

ANSWERS = {
    qmqp.Verdict.ACCEPTED: OK,
    qmqp.Verdict.DEFERRED: DENYSOFT,
    qmqp.Verdict.REJECTED: DENY,
}


class Forward(Plugin):
    """Hand a message to a QMQP server, and log its subject."""

    def register(self, qp, server):
        self.server = qmqp.parse_server(server)

    async def hook_queue(self, transaction):
        subject = transaction.header.get("Subject", b"").decode(
            "utf-8", "backslashreplace"
        )
        self.log(LOGINFO, f"subject: {subject}")
        response = await self.send(transaction)
        return ANSWERS[response.verdict], response.text.decode()

    async def send(self, transaction):
        package = qmqp.Package.of(
            transaction.message_size(),
            transaction.sender.unquoted,
            [recipient.unquoted for recipient in transaction.recipients],
        )
        stream = await self.qp.connect(self.server, connect_timeout=10, io_timeout=60)
        try:
            return await qmqp.deliver(
                stream, package, transaction.message_blocks(), transaction.hand_over
            )
        finally:
            stream.abort()


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK


def check(act, message, code):
    """Send a message to a server that acts so, and hold the host to its reply."""
    fake = FakeQMQPServer()
    fake.script(act)
    with (
        capture_log() as log,
        smtp(TakeAll(), FORWARD, connect=fake.connect) as client,
    ):
        assert client.send(message).code == code
    assert log.lines(level=LOGERROR) == []
    if code == 250:
        assert fake.only_message().message.endswith(message)
    print(f"{act}: {code}, as it should be, for {message[:20]!r}")


check(accept("ok"), b"Subject: hello\n\nHow are you?\n", 250)
check(defer("busy"), b"Subject: hello\n\nHow are you?\n", 452)
check(reject("no"), b"Subject: hello\n\nHow are you?\n", 552)
check(accept("ok"), b"\nHow are you?\n", 250)
check(accept("ok"), b"Subject: \x80\n\nHow are you?\n", 250)
