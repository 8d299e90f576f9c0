"""A message on its way in: what plugins see of it, what is refused, what the log says."""

import asyncio
from typing import Any

import pytest

from qpsdk import DECLINED, DENY, DENYSOFT, OK, Answer, Constant, Plugin, Transaction
from qpsdk.constants import LOGINFO, LOGNOTICE
from qpsdk.testing import SMTPClient
from qpsdk.testing.logs import capture_log
from tests.conversation import Says, Takes, send, talk


def test_message_as_plugins_see_it() -> None:
    """The header has our Received on top, the rest is as it was sent; each hook runs once."""
    seen: list[tuple[str, Any]] = []

    class Watches(Plugin):
        def hook_data_headers_end(self, transaction: Transaction) -> Constant:
            assert transaction.header is not None
            seen.append(("headers_end", transaction.header.get("Subject")))
            return DECLINED

        def hook_data_post(self, transaction: Transaction) -> Constant:
            assert transaction.header is not None
            seen.append(("data_post", transaction.header.count("Received")))
            return DECLINED

        def hook_queue_post(self, connection: Any, answer: Answer) -> None:
            seen.append(("queue_post", answer.constant))

        def hook_reset_transaction(self, transaction: Transaction) -> None:
            seen.append(("reset", transaction.id))

        def hook_disconnect(self, connection: Any) -> None:
            seen.append(("disconnect", connection.id))

        def hook_post_connection(self, connection: Any) -> None:
            seen.append(("post_connection", connection.id))

    takes = Takes()

    async def conversation(client: SMTPClient) -> None:
        await client.send("Subject: hello\nX: y\n\n.dot\n..\n\n\n")
        await client.command("QUIT")

    talk(conversation, Watches(), takes)
    received, rest = takes.taken[0].split(b"\nSubject:")
    assert received.startswith(b"Received: from client.example.org ([192.0.2.1])\n\tby mx.example")
    assert rest == b" hello\nX: y\n\n.dot\n..\n\n\n"
    assert seen == [
        ("headers_end", b"hello"),
        ("data_post", 1),
        ("queue_post", OK),
        ("reset", "c1.1"),
        ("disconnect", "c1"),
        ("post_connection", "c1"),
    ]


def test_refused_messages_leave_nothing() -> None:
    """Too large, bare LF, a mail loop, a huge header: refused after the dot, then all is well."""
    takes = Takes()

    async def conversation(client: SMTPClient) -> None:
        for message, reply in [
            (b"x" * 300_000, "552 5.3.4 Message is larger than allowed here"),
            (b"Subject: x\r\n\r\na\rb", "554 5.6.0 Bare CR or LF in the message, send CRLF"),
            (b"Received: x\n" * 101 + b"\n", "554 5.4.6 Too many Received fields: a mail loop"),
            (b"X: " + b"y" * 263_000, "552 5.3.4 The header is larger than allowed here"),
            (b"Received: x\n" * 100 + b"\n", "250 2.0.0 taken"),
        ]:
            assert str(await client.send(message)) == reply

    talk(conversation, takes, config={"databytes": "290000"})
    assert len(takes.taken) == 1


def test_nothing_is_taken_from_a_client_that_is_gone() -> None:
    """After a reset no further message is queued, though it has come whole."""
    taken: list[str] = []
    started = asyncio.Event()

    class Slow(Plugin):
        async def hook_queue(self, transaction: Transaction) -> Any:
            transaction.hand_over()
            taken.append(transaction.id)
            started.set()
            await asyncio.sleep(0.05)
            return OK, "safe there"

    message = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nhi\r\n.\r\n"

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        client.write(message * 2)
        await started.wait()
        client.abort()

    talk(conversation, Slow(), Says("rcpt", OK))
    assert taken == ["c1.1"]


def test_whose_mail_was_too_large() -> None:
    """The log names whose message is larger than allowed, announced or not."""
    config = {"databytes": "100"}

    async def announced(client: SMTPClient) -> None:
        await client.hello()
        await client.command("MAIL FROM:<a@b> SIZE=101")

    async def surprise(client: SMTPClient) -> None:
        await client.hello()
        await client.send(b"\n" + b"x" * 101, "a@b", ["c@d", "e@f"])

    reply = "552 5.3.4 Message is larger than allowed here"
    for conversation, said in {
        announced: f"refused 'MAIL FROM:<a@b> SIZE=101': {reply}",
        surprise: f"message refused: {reply} (from <a@b> to <c@d>, <e@f>)",
    }.items():
        with capture_log() as log:
            talk(conversation, Takes(), config=config)
        assert log.lines(level=LOGNOTICE) == [said]


@pytest.mark.parametrize(
    ("count", "named"), [(1, "<0@d>"), (2, "<0@d>, <1@d>"), (52, "<49@d> and 2 more")]
)
def test_whose_mail_was_taken(count: int, named: str) -> None:
    """The log names sender and recipients of what was queued; of very many only the first."""
    recipients = [f"{number}@d" for number in range(count)]
    with capture_log() as log:
        talk(lambda client: send(client, *recipients), Takes())
    (line,) = [line for line in log.lines(level=LOGINFO) if "250" in line]
    assert line.startswith("c1.1 from <a@b> to <0@d>")
    assert line.endswith(f"{named}, 2 bytes: 250 2.0.0 taken")


@pytest.mark.parametrize(
    ("constant", "reply"),
    [(DENY, "552 5.3.0 no"), (DENYSOFT, "452 4.3.0 no"), (DECLINED, "451 4.3.0 No plugin took")],
)
def test_whose_mail_was_not_queued(constant: Constant, reply: str) -> None:
    """What the last hook refuses or puts off has one line at LOGNOTICE, with all about it."""

    class Refuses(Plugin):
        def hook_rcpt(self, *_: object) -> Constant:
            return OK

        def hook_queue(self, transaction: Transaction) -> object:
            return constant if constant is DECLINED else (constant, "no")

    with capture_log() as log:
        talk(lambda client: send(client, "c@d"), Refuses())
    (line,) = (at for at in log.records if at.level <= LOGINFO and "from <" in at.text)
    assert line.level == LOGNOTICE
    assert line.text.startswith(f"c1.1 from <a@b> to <c@d>, 2 bytes: {reply}")
