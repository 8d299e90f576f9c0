"""Whole dialogues with the plugin, in memory: what clients are told, what becomes of mail."""

from typing import NamedTuple

from qpsdk import (
    LOGINFO,
    OK,
    Address,
    Connection,
    Constant,
    Parameters,
    Plugin,
    Result,
    Transaction,
)
from qpsdk.testing import PluginContract, capture_log, smtp

PLUGIN = "greylist_by_domain"
"""As in config/plugins."""

HELLO = "EHLO client.example.org"
MAIL = "MAIL FROM:<sender@example.org>"
RCPT = "RCPT TO:<recipient@example.com>"
MESSAGE = "From: sender@example.org\nSubject: hello\n\nHow are you?\n"
SEND = (HELLO, MAIL, RCPT, "DATA", MESSAGE)


class Rest(Plugin):
    """Stands for the plugins behind ours: takes every recipient and, if told so, every message."""

    def __init__(self, queue: Constant = OK) -> None:
        super().__init__()
        self.queue = queue
        self.messages: list[bytes] = []

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        return OK

    def hook_queue(self, transaction: Transaction) -> Result:
        self.messages.append(b"".join(transaction.message_blocks()))
        return self.queue


class Talk(NamedTuple):
    """What came of a dialogue: the replies, what the plugins saw of it, and the log."""

    replies: list[str]
    connection: Connection
    log: list[str]


def talk(
    *lines: str, plugin: str = PLUGIN, rest: Plugin | None = None, client: Connection | None = None
) -> Talk:
    """Say these lines to a host with the plugin; what has several lines is a message.

    Args:
        plugin: Its line in config/plugins.
        rest: The plugin behind it.
        client: What the plugins see of the client.
    """

    with (
        capture_log() as log,
        smtp(plugin, rest or Rest(), connection=client) as host,
    ):
        replies = [str(host.greeting)]
        for line in lines:
            say = host.send_data if "\n" in line else host.command
            replies.append(str(say(line)))
    return Talk(replies, host.connection, log.lines(level=LOGINFO))


def test_a_message_passes() -> None:
    """A message that the plugin has nothing against is taken by the plugins behind it."""
    assert talk(*SEND).replies[-1] == "250 2.0.0 Queued"


def test_rcpt_refuses_nobody() -> None:
    """The one recipient is refused, and the message still goes to the other."""
    replies = talk(HELLO, MAIL, "RCPT TO:<Nobody@example.com>", RCPT, "DATA", MESSAGE).replies
    assert replies[3:5] == ["550 5.7.1 Nobody lives here", "250 2.1.5 Recipient OK"]
    assert replies[-1] == "250 2.0.0 Queued"


class TestContract(PluginContract):
    """What holds for every plugin, whatever it does: see `qpsdk.testing.PluginContract`."""

    plugin = PLUGIN
