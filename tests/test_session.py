"""The dialogue, where its transcripts (tests/transcripts) do not show it: plugins and clients that
misbehave, what plugins see, and what is told to whom and when.
"""

import asyncio
import gc
import logging
import sys
import warnings
from typing import Any

import pytest

from qpsdk import (
    DECLINED,
    DENY,
    DENYSOFT,
    DONE,
    OK,
    Connection,
    Constant,
    Plugin,
    Transaction,
)
from qpsdk.dispatcher import Dispatcher
from qpsdk.qmqp import Response, Verdict
from qpsdk.session import Session
from qpsdk.testing import FakeQMQPServer, SMTPClient, pipe, smtp
from qpsdk.testing.smtp import memory_host
from tests.conversation import Says, Takes, is_open, lead_to, talk


def test_ehlo_capabilities() -> None:
    """EHLO lists what we can do and what an ehlo hook added; HELO lists nothing."""

    class Adds(Plugin):
        def hook_ehlo(self, connection: Any, host: bytes) -> Constant:
            connection.capabilities += ["XFOO bar", ["not a text"]]
            return OK

    async def conversation(client: SMTPClient) -> None:
        assert (await client.command("EHLO client")).text.split("\n") == [
            "mx.example.com",
            "PIPELINING",
            "SIZE 1000",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "XFOO bar",
            "['not a text']",
        ]
        assert (await client.command("HELO client")).text == "mx.example.com"

    talk(conversation, Adds(), config={"databytes": "1000"})


@pytest.mark.parametrize("failure", ["exception", "None", "DENY_DISCONNECT", "900"])
def test_failed_queue_plugin_is_not_followed(failure: str) -> None:
    """A queue plugin that fails ends the hook with 451: it may have handed the message over."""

    class Fails(Plugin):
        def hook_queue(self, transaction: Transaction) -> Any:
            if failure == "exception":
                raise RuntimeError("half-way")
            return {"None": None, "900": 900}.get(failure, Constant.DENY_DISCONNECT)

    takes = Takes()

    async def conversation(client: SMTPClient) -> None:
        assert (await client.send("hello")).code == 451
        assert await is_open(client)

    talk(conversation, Fails(), takes)
    assert takes.taken == []


def test_client_reset_cancels_the_hook_in_flight() -> None:
    """A reset while a plugin is at work cancels it; the last hooks still run."""
    seen: list[str] = []

    class Slow(Plugin):
        async def hook_data_post(self, transaction: Transaction) -> Constant:
            started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
            return OK

        async def hook_disconnect(self, connection: Any) -> None:
            await asyncio.sleep(0)
            seen.append("disconnect")

    async def conversation(client: SMTPClient) -> None:
        await lead_to(client, "data")
        client.write(b"hello\r\n.\r\n")
        await started.wait()
        client.abort()

    started = asyncio.Event()
    talk(conversation, Slow(), Takes())
    assert seen == ["cancelled", "disconnect"]


def test_client_reset_before_the_hook_begins() -> None:
    """A hook that is called off before its first step does not run, and leaves no warning."""
    clients: list[SMTPClient] = []
    ran: list[bool] = []

    class Late(Plugin):
        def hook_data_post(self, transaction: Transaction) -> Any:
            asyncio.get_running_loop().call_soon(clients[0].abort)
            return self.answer()

        async def answer(self) -> Constant:
            ran.append(True)
            return OK

    async def conversation(client: SMTPClient) -> None:
        clients.append(client)
        await lead_to(client, "data")
        client.write(b"hello\r\n.\r\n")
        await asyncio.sleep(0.01)

    with warnings.catch_warnings(record=True) as caught:
        talk(conversation, Late(), Takes())
        gc.collect()
    assert not ran
    assert not caught


def test_client_reset_as_a_hook_ends(caplog: pytest.LogCaptureFixture) -> None:
    """A client that goes in the moment when a hook has ended has nothing queued: it comes again."""
    clients: list[SMTPClient] = []
    takes = Takes()

    class Ends(Plugin):
        async def hook_data_post(self, transaction: Transaction) -> Constant:
            asyncio.get_running_loop().call_soon(clients[0].abort)
            return DECLINED

    async def conversation(client: SMTPClient) -> None:
        clients.append(client)
        await lead_to(client, "data")
        client.write(b"hello\r\n.\r\n")
        await asyncio.sleep(0.01)

    caplog.set_level(logging.INFO, "qpsdk")
    talk(conversation, Ends(), takes)
    assert not takes.taken
    assert "connection lost: the client went before its message was queued" in caplog.text


def test_client_reset_does_not_cancel_what_was_handed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once another server may have the message, the plugin's outcome is waited for and logged."""

    class Slow(Plugin):
        async def hook_queue(self, transaction: Transaction) -> Any:
            transaction.hand_over()
            started.set()
            await asyncio.sleep(0.05)
            return OK, "safe there"

    async def conversation(client: SMTPClient) -> None:
        await lead_to(client, "data")
        client.write(b"hello\r\n.\r\n")
        await started.wait()
        client.abort()

    started = asyncio.Event()
    caplog.set_level(logging.DEBUG, "qpsdk")
    talk(conversation, Slow(), Says("rcpt", OK))
    assert "safe there; the client was gone and could not be told" in caplog.text


@pytest.mark.parametrize(
    ("letter", "reply"),
    [("K", "250 2.0.0 well"), ("Z", "452 4.3.0 well"), ("D", "552 5.3.0 well")],
)
def test_forwarded_in_memory(letter: str, reply: str) -> None:
    """Client, host, plugin and QMQP server hold a whole conversation in memory."""

    async def main() -> None:
        fake = FakeQMQPServer()
        fake.answer = Response(Verdict(letter.encode()), b"well")
        async with smtp(
            Says("rcpt", OK), "queue/qmqp_forward q.example", connect=fake.connect
        ) as client:
            assert str(await client.send("hi\n" * 100_000, recipients=["a@b", "c@d"])) == reply
        if letter == "K":
            message = fake.messages[0]
            assert message.recipients == (b"a@b", b"c@d")
            assert message.message.endswith(b"hi\n" * 100_000)

    asyncio.run(main())


def test_denysoft_on_error() -> None:
    """With on_error=denysoft a plugin that crashes fails closed, else it counts as DECLINED."""

    class Crashes(Plugin):
        def hook_mail(self, transaction: Transaction, sender: Any, params: Any) -> Constant:
            raise ValueError("oops")

    open_, closed = Crashes(), Crashes()

    async def accepted(client: SMTPClient) -> None:
        assert (await lead_to(client, "mail")).code == 250

    async def refused(client: SMTPClient) -> None:
        closed.options.on_error = "denysoft"
        assert (await lead_to(client, "mail")).code == 450

    talk(accepted, open_)
    talk(refused, closed)


def test_time_limit() -> None:
    """An async hook over its limit is cancelled and counts as DENYSOFT where the hook has it."""

    async def conversation(client: SMTPClient) -> None:
        assert (await lead_to(client, "mail")).code == 450

    talk(conversation, "tests.test_session.SlowMail timeout=1")


class SlowMail(Plugin):
    """A plugin that never answers MAIL."""

    async def hook_mail(self, transaction: Transaction, sender: Any, params: Any) -> Constant:
        await asyncio.sleep(60)
        return DENYSOFT


def test_text_of_a_plugin_that_is_no_address() -> None:
    """An address that mail_pre gives is judged like the client's."""

    async def conversation(client: SMTPClient) -> None:
        assert str(await lead_to(client, "mail")).startswith("553 5.6.7")

    talk(conversation, Says("mail_pre", OK, "x\udc80@y"))


def test_refused_mail_ends_the_transaction() -> None:
    """A MAIL that is refused for its syntax ends the transaction before it."""
    seen: list[str] = []

    class Watches(Plugin):
        def hook_reset_transaction(self, transaction: Transaction) -> None:
            seen.append(transaction.id)

    async def conversation(client: SMTPClient) -> None:
        await lead_to(client, "rcpt")
        assert (await client.command("MAIL FROM:<a@b> SIZE=x")).code == 501
        await client.command("NOOP")
        assert seen == ["c1.1"]
        assert client.connection.transaction is None

    talk(conversation, Watches(), Takes())


@pytest.mark.parametrize("transaction", [False, True])
def test_stop(transaction: bool) -> None:
    """A host that stops sends idle clients away with 421, others when their message is done."""

    async def main() -> None:
        ours, theirs = pipe()
        host = memory_host({})
        dispatcher = Dispatcher([takes], host.run_blocking)
        session = Session(theirs, Connection("c1"), dispatcher, host)
        task = asyncio.ensure_future(session.run())
        client = SMTPClient(ours, session.connection)
        await client.read_reply()
        if transaction:
            await client.command("EHLO client")
            await client.command("MAIL FROM:<a@b>")
        await asyncio.sleep(0)
        session.stop()
        if transaction:
            await client.command("RCPT TO:<c@d>")
            await client.command("DATA")
            assert (await client.send_data("hi")).code == 250
        reply = await client.read_reply()
        assert str(reply) == "421 4.3.2 mx.example.com Stopping, try again later"
        await task

    takes = Takes()
    asyncio.run(asyncio.wait_for(main(), 20))
    assert len(takes.taken) == transaction


def test_told_before_anything_else() -> None:
    """The reply to the final dot waits for no other hook: who gives up waiting sends it again."""
    released = asyncio.Event()

    class Lingers(Plugin):
        async def hook_queue_post(self, connection: Any, answer: Any) -> None:
            await released.wait()

    async def conversation(client: SMTPClient) -> None:
        assert (await client.send("hi")).code == 250
        assert not released.is_set()
        released.set()

    talk(conversation, Lingers(), Takes())


def test_done_with_3xx_takes_no_step() -> None:
    """After a 3xx of a plugin's own the recipient is not set."""

    class Odd(Plugin):
        def hook_rcpt(self, transaction: Transaction, recipient: Any, params: Any) -> Constant:
            transaction.connection.respond(354, "go on")
            return DONE

    async def conversation(client: SMTPClient) -> None:
        assert (await lead_to(client, "rcpt")).code == 354
        assert (await client.command("DATA")).code == 503

    talk(conversation, Odd(), Takes())


class Mute(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("how", ["exit", "async exit", "mute", "mute message"])
def test_plugin_that_would_end_us(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """sys.exit(), and values that cannot be shown, are failures like others."""

    class Bad(Plugin):
        def hook_noop(self, connection: Any, text: bytes) -> Any:
            if how == "async exit":
                return self.leave()
            if how == "exit":
                sys.exit(3)
            if how == "mute":
                raise Mute
            return DENY, Mute()

        async def leave(self) -> None:
            sys.exit(3)

    async def conversation(client: SMTPClient) -> None:
        assert (await client.command("NOOP")).code == (500 if how == "mute message" else 250)
        assert (await client.command("RSET")).code == 250

    talk(conversation, Bad())
    assert ("failed: " in caplog.text) == (how != "mute message")


def test_others_get_their_turn() -> None:
    """A client that sends a great many commands at once does not hold up the others."""
    answered: list[int] = []

    class Counts(Plugin):
        answers = 0

        def hook_noop(self, connection: Any, text: bytes) -> Constant:
            self.answers += 1
            return OK

    counts = Counts()

    async def looks() -> None:
        while counts.answers < 2000:
            answered.append(counts.answers)
            await asyncio.sleep(0)

    async def conversation(client: SMTPClient) -> None:
        looking = asyncio.ensure_future(looks())
        client.write(b"NOOP\r\n" * 2000)
        for _ in range(2000):
            await client.read_reply()
        await looking

    talk(conversation, counts)
    assert len(set(answered)) >= 15


def test_nothing_is_left_to_collect() -> None:
    """What belongs to a connection goes when it ends: no circle of references keeps it."""

    async def conversation(client: SMTPClient) -> None:
        assert (await client.send(b"Subject: hi\n\nhello\n")).code == 250
        await client.command("QUIT")

    gc.collect()
    gc.disable()
    try:
        talk(conversation, Takes(), connection=Connection("the one that goes"))
        tracked = [one for one in gc.get_objects() if isinstance(one, Connection)]
        assert "the one that goes" not in [connection.id for connection in tracked]
    finally:
        gc.enable()
