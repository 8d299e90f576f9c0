"""The dialogue, where its transcripts (tests/transcripts) do not show it: plugins and clients that
misbehave, what plugins see, and what is told to whom and when.
"""

import asyncio
import gc
import logging
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qpsdk import (
    DECLINED,
    DENY,
    DENYSOFT,
    DONE,
    OK,
    Answer,
    Connection,
    Constant,
    Plugin,
    Reply,
    StreamError,
    Transaction,
)
from qpsdk.constants import LOGINFO, LOGNOTICE
from qpsdk.dispatcher import Dispatcher
from qpsdk.qmqp import Response, Verdict
from qpsdk.session import Session
from qpsdk.testing import FakeQMQPServer, SMTPClient, pipe, smtp
from qpsdk.testing.logs import capture_log
from qpsdk.testing.smtp import memory_host
from qpsdk.verdicts import Verdicts

COMMANDS = {
    # hook: the lines that lead to it, the last of them answered by it
    "mail": ["EHLO client", "MAIL FROM:<a@b>"],
    "rcpt": ["EHLO client", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"],
    "data": ["EHLO client", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"],
}


class Says(Plugin):
    """Answers one hook with one thing."""

    def __init__(self, hook: str, *answer: Any) -> None:
        super().__init__()
        self.register_hook(hook, lambda *_: answer[0] if len(answer) == 1 else answer)


class Takes(Plugin):
    """Takes every recipient and every message."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[bytes] = []

    def hook_rcpt(self, transaction: Transaction, recipient: Any, params: Any) -> Constant:
        return OK

    def hook_queue(self, transaction: Transaction) -> tuple[Constant, str]:
        self.taken.append(b"".join(transaction.message_blocks()))
        return OK, "taken"


def talk(
    conversation: Callable[[SMTPClient], Awaitable[None]], *plugins: Any, **options: Any
) -> None:
    """Hold a conversation with the plugins given."""

    async def main() -> None:
        async with smtp(*plugins, **options) as client:
            await conversation(client)

    asyncio.run(asyncio.wait_for(main(), 20))


async def is_open(client: SMTPClient) -> bool:
    """Whether the server still answers."""
    try:
        return bool(await client.command("NOOP"))
    except StreamError:
        return False


async def lead_to(client: SMTPClient, hook: str) -> Reply:
    """Say what leads to a hook; its reply."""
    reply = client.greeting
    for line in COMMANDS[hook]:
        reply = await client.command(line)
    return reply


def test_response_without_done_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    """A response of a plugin that then answers something else is logged and not sent."""

    class Chatty(Plugin):
        def hook_noop(self, connection: Any, text: bytes) -> Constant:
            connection.respond(250, "chat")
            return OK

    async def conversation(client: SMTPClient) -> None:
        assert str(await client.command("NOOP")) == "250 2.0.0 OK"

    talk(conversation, Chatty())
    assert "one command has one reply: 250 chat; return DONE to have it sent" in caplog.text


def test_done_without_response(caplog: pytest.LogCaptureFixture) -> None:
    """A plugin that says DONE and has not answered is told what is missing."""

    class Silent(Plugin):
        def hook_noop(self, connection: Any, text: bytes) -> Constant:
            return DONE

    async def conversation(client: SMTPClient) -> None:
        assert str(await client.command("NOOP")) == "451 4.3.0 A plugin answered nothing"

    talk(conversation, Silent())
    told = "noop: answered DONE, but the client has no reply: call connection.respond() before"
    assert told in caplog.text


def test_own_enhanced_code_and_lines() -> None:
    """A message may have several lines and an enhanced code of its own."""

    async def conversation(client: SMTPClient) -> None:
        reply = await lead_to(client, "rcpt")
        assert bytes(reply) == b"550-5.1.1 nobody\r\n550 5.1.1 of that name\r\n"

    talk(conversation, Says("rcpt", DENY, "5.1.1 nobody\nof that name"))


def test_ehlo_capabilities() -> None:
    """EHLO lists what we can do and what an ehlo hook added; HELO lists nothing."""

    class Adds(Plugin):
        def hook_ehlo(self, connection: Any, host: bytes) -> Constant:
            connection.capabilities.append("XFOO bar")
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


@pytest.mark.parametrize("value", [7, b"\xff\n", "a\nb", object()])
def test_received_line_that_cannot_be_used(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A Received text that is none, or no field can hold, is logged; ours stands."""
    takes = Takes()

    async def conversation(client: SMTPClient) -> None:
        assert (await client.send("hi")).code == 250

    talk(conversation, Says("received_line", OK, value), takes)
    assert takes.taken[0].startswith(b"Received: from client.example.org (")
    assert "received_line: not used" in caplog.text


def test_text_of_a_plugin_that_is_no_address() -> None:
    """An address that mail_pre gives is judged like the client's."""

    async def conversation(client: SMTPClient) -> None:
        assert str(await lead_to(client, "mail")).startswith("553 5.6.7")

    talk(conversation, Says("mail_pre", OK, "x\udc80@y"))


def test_answers_are_bounded() -> None:
    """A client that goes on for ever does not make us remember it all."""

    async def conversation(client: SMTPClient) -> None:
        for _ in range(1100):
            await client.command("NOOP")
        assert len(client.connection.answers) <= 1001

    talk(conversation, Says("noop", OK))


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


def test_response_where_none_is_due(caplog: pytest.LogCaptureFixture) -> None:
    """What a plugin responds where the client waits for nothing is not kept for later."""

    class Chatty(Plugin):
        def hook_reset_transaction(self, transaction: Transaction) -> None:
            transaction.connection.respond(250, "bye for now")

        def hook_noop(self, connection: Any, text: bytes) -> Constant:
            connection.respond(250, "mine")
            return DONE

    async def conversation(client: SMTPClient) -> None:
        await lead_to(client, "mail")
        assert str(await client.command("RSET")) == "250 2.0.0 Flushed"
        assert str(await client.command("NOOP")) == "250 2.0.0 mine"

    talk(conversation, Chatty(), Takes())
    assert "reset_transaction: not sent, one command has one reply: 250 bye for now" in caplog.text
    assert "return DONE" not in caplog.text  # it is not taken there


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


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("RCPT TO:<a@b>", "refused 'RCPT TO:<a@b>': 503 5.5.1 Send MAIL FROM first"),
        ("MAIL FROM:<a b>", "refused '<a b>': 501 5.1.7 "),
        ("MAIL FROM:<a@b> X=1", "refused 'MAIL FROM:<a@b> X=1': 555 5.5.4 "),
        ("NO\x1b\xff", "refused 'NO\\x1b\\\\xc3\\\\xbf': 500 5.5.2 "),
        ("MAIL FROM:<a@b> SIZE=101", "refused 'MAIL FROM:<a@b> SIZE=101': 552 5.3.4 "),
        ("x" * 3000, "refused a line that is no command: 500 5.5.2 Line too long"),
        ("BDAT 7", "unrecognized command 'bdat'"),
        ("c2VjcmV0IHdvcmQ=", "unrecognized command of 16 bytes"),
    ],
)
def test_refused_commands_in_the_log(
    line: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At LOGDEBUG the log says which command was refused, and how; not what may be secret."""
    caplog.set_level(logging.DEBUG, "qpsdk")

    async def main() -> None:
        async with smtp(config={"databytes": "100"}) as client:
            await client.command("EHLO client")
            await client.command(line)

    asyncio.run(main())
    (found,) = [m for m in caplog.messages if m.startswith(("refused", "unrecognized"))]
    assert found.startswith(told)


async def send(client: SMTPClient, *recipients: str) -> None:
    """Send an empty message from a@b."""
    await client.hello()
    await client.send(b"\n", "a@b", recipients)


def test_whose_mail_was_denied() -> None:
    """The log names sender and recipient, so that a message that was refused can be found."""
    for hook, whose in {
        "ehlo": "",
        "mail": " (from <a@b>)",
        "rcpt": " (from <a@b> to <c@d>)",
        "data": " (from <a@b> to <c@d>)",
        "data_post": " (from <a@b> to <c@d>)",
    }.items():
        with capture_log() as log:
            talk(lambda client: send(client, "c@d"), Says(hook, DENY, "no"), Takes())
        assert set(log.lines(level=LOGNOTICE)) == {f"{hook}: DENY: no{whose}"}


def test_whose_mail_was_too_large() -> None:
    """So does the line of a message that is larger than allowed, announced or not."""
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
    ("reset", "told"),
    [
        (False, "client closed the connection in a message"),
        (True, "connection lost: connection reset by peer"),
    ],
)
def test_whose_mail_was_lost_with_the_connection(reset: bool, told: str) -> None:
    """So does the line that says that the client has gone, if that was in a transaction."""

    async def main() -> None:
        async with smtp(Takes()) as client:
            await client.hello()
            for line in ("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"):
                await client.command(line)
            client.write(b"Subject: half\r\n")
            await asyncio.sleep(0.01)
            (client.abort if reset else client.end)()

    with capture_log() as log:
        asyncio.run(main())
    (line,) = (line for line in log.lines(level=LOGINFO) if "from <" in line)
    assert line == f"{told} (from <a@b> to <c@d>)"


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


def test_too_many_bad_commands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """So does the one after which the client is sent away."""
    caplog.set_level(logging.DEBUG, "qpsdk")

    async def main() -> None:
        async with smtp() as client:
            while (await client.command("DATA")).code != 421:
                pass

    asyncio.run(main())
    told = [message for message in caplog.messages if message.startswith("sent")]
    assert told[-1] == (
        "sent away: 421 4.7.0 mx.example.com Too many bad commands, closing the connection"
    )


def test_no_password_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Of a refused AUTH the log has no more than the word."""
    caplog.set_level(logging.DEBUG, "qpsdk")
    verdicts = Verdicts(Connection("c1"), Dispatcher([], asyncio.to_thread), "mx.example.com")
    verdicts.log_refusal(b"auth PLAIN c2VjcmV0", Reply.make(503, "Not now", "5.5.1"))
    assert caplog.messages == ["refused 'AUTH ...': 503 5.5.1 Not now"]


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
