"""The lab's client sends a message as it is, shows what is said, and tells the last reply."""

import pytest

from qpsdk import DENY, DENYSOFT, OK, Plugin
from qpsdk.constants import Constant
from qpsdk.lab.client import Client, sample
from qpsdk.message import Transaction
from qpsdk.stream import Endpoint
from qpsdk.testing.host import host


class Takes(Plugin):
    """Answers all messages alike, and keeps what it got."""

    def __init__(self, answer: Constant = OK) -> None:
        super().__init__()
        self.answer = answer
        self.got: list[tuple[bytes, list[bytes], bytes]] = []

    def hook_rcpt(self, transaction: Transaction, recipient: object, params: object) -> object:
        """Take all, but not dan."""
        return DENY if "dan@" in str(recipient) else OK

    def hook_queue(self, transaction: Transaction) -> object:
        """Keep the message."""
        recipients = [recipient.address for recipient in transaction.recipients]
        body = b"".join(transaction.message_blocks())
        assert transaction.sender is not None
        self.got.append((transaction.sender.address, recipients, body))
        return self.answer, "so it is"


def forward(plugin: Plugin, sender: str, recipients: list[str], message: bytes) -> int:
    """Send it through a real host; the last code."""
    with (
        host(plugin) as at,
        Client(Endpoint(at.host, at.port), helo="client.example.org", timeout=10) as client,
    ):
        return client.forward(sender, recipients, message)


def test_message_arrives() -> None:
    """Each byte arrives, whatever the line ends, and lines that begin with a dot."""
    plugin = Takes()
    message = b"Subject: hi\r\n\n.dot\n..\r\n\xff\n"
    assert forward(plugin, "a@example.org", ["b@example.com", "c@example.com"], message) == 250
    ((sender, recipients, body),) = plugin.got
    assert (sender, recipients) == (b"a@example.org", [b"b@example.com", b"c@example.com"])
    assert body.endswith(b"Subject: hi\n\n.dot\n..\n\xff\n")


def test_dialogue_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Commands and replies are printed as they were sent, one of several lines with its dashes."""
    forward(Takes(), "a@example.org", ["b@example.com"], b"Subject: hi\n\nhello\n")
    shown = capsys.readouterr().out.splitlines()
    assert shown[:3] == [
        "S: 220 mx.example.com ESMTP qpsdk ready",
        "C: ehlo client.example.org",
        "S: 250-mx.example.com",
    ]
    assert "S: 250-PIPELINING" in shown
    assert "S: 250 ENHANCEDSTATUSCODES" in shown
    assert "C: mail FROM:<a@example.org>" in shown
    assert "S: 250 2.0.0 so it is" in shown
    assert shown[-2:] == ["C: QUIT", "S: 221 2.0.0 mx.example.com Closing the connection"]


@pytest.mark.parametrize(("answer", "code"), [(DENY, 552), (DENYSOFT, 452)])
def test_last_reply(answer: Constant, code: int) -> None:
    """What the host says after the message is what is told."""
    assert forward(Takes(answer), "a@example.org", ["b@example.com"], b"\n") == code


def test_refused_recipient() -> None:
    """Nothing is sent unless all recipients are accepted."""
    plugin = Takes()
    recipients = ["b@example.com", "dan@example.com", "c@example.com"]
    assert forward(plugin, "a@example.org", recipients, b"\n") == 550
    assert plugin.got == []


def test_addresses_beyond_ascii() -> None:
    """They are sent as UTF-8 to a host that takes them (RFC 6531)."""
    plugin = Takes()
    assert forward(plugin, "ä@example.org", ["ö@example.com"], b"\n") == 250
    assert plugin.got[0][:2] == ("ä@example.org".encode(), ["ö@example.com".encode()])


def test_nobody_there() -> None:
    """A host that is not there is told as the system tells it."""
    with host(Takes()) as at:
        pass
    with pytest.raises(ConnectionRefusedError):
        Client(Endpoint(at.host, at.port), helo="x", timeout=1)


def test_sample() -> None:
    """The sample is a whole message (RFC 5322, 3.6), and one of its lines begins with a dot."""
    recipients = ["b@example.com", "c@example.com"]
    date = "Thu, 01 Jan 2026 12:00:00 -0000"
    message = sample("a@example.org", recipients, date=date, message_id="<1@example.org>")
    assert message.startswith(
        b"Date: Thu, 01 Jan 2026 12:00:00 -0000\n"
        b"Message-ID: <1@example.org>\n"
        b"From: a@example.org\n"
        b"To: b@example.com, c@example.com\n"
        b"Subject: Hello over QMQP\n"
    )
    assert b"\n.and" in message
