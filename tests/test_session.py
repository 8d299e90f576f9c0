"""The dialogue: each constant in each hook, the order of commands, and clients that misbehave.

The table is written by hand from the hook table of the documentation, and not derived from
`qpsdk.hooks`: a wrong cell there has to fail here.
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
from qpsdk.dispatcher import Dispatcher
from qpsdk.hooks import HOOKS
from qpsdk.qmqp import Response, Verdict
from qpsdk.session import Session
from qpsdk.testing import FakeQMQPServer, SMTPClient, pipe, smtp
from qpsdk.testing.smtp import memory_host
from qpsdk.verdicts import Verdicts

# hook, constant, message, whether the connection stays (or the message is to follow), reply
TABLE = """
pre_connection       DECLINED            -   open  220 mx.example.com ESMTP qpsdk ready
pre_connection       OK                  hey open  220 mx.example.com ESMTP qpsdk ready
pre_connection       DENY                -   close 550 Not accepted here
pre_connection       DENY                hey close 550 hey
pre_connection       DENYSOFT            hey close 451 hey
pre_connection       DENY_DISCONNECT     hey close 550 hey
pre_connection       DENYSOFT_DISCONNECT hey close 451 hey
connect              DECLINED            -   open  220 mx.example.com ESMTP qpsdk ready
connect              OK                  hey open  220 mx.example.com ESMTP qpsdk ready
connect              DENY                hey close 550 hey
connect              DENYSOFT            hey close 450 hey
connect              DENY_DISCONNECT     hey close 550 hey
connect              DENYSOFT_DISCONNECT hey close 450 hey
helo                 DECLINED            -   open  250 mx.example.com
helo                 OK                  hey open  250 mx.example.com
helo                 DENY                hey open  550 hey
helo                 DENYSOFT            hey open  450 hey
helo                 DENY_DISCONNECT     hey close 550 hey
helo                 DENYSOFT_DISCONNECT hey close 450 hey
ehlo                 DENY                -   open  550 Not accepted here
ehlo                 DENY                hey open  550 hey
ehlo                 DENYSOFT            hey open  450 hey
ehlo                 DENY_DISCONNECT     hey close 550 hey
ehlo                 DENYSOFT_DISCONNECT hey close 450 hey
mail                 DECLINED            -   open  250 2.1.0 Sender OK
mail                 OK                  hey open  250 2.1.0 hey
mail                 DENY                hey open  550 5.7.1 hey
mail                 DENYSOFT            hey open  450 4.7.1 hey
mail                 DENYSOFT            -   open  450 4.7.1 Not accepted now, try again later
mail                 DENY_DISCONNECT     hey close 550 5.7.1 hey
mail DENYSOFT_DISCONNECT hey close 421 4.7.1 mx.example.com Closing the connection|4.7.1 hey
rcpt                 OK                  -   open  250 2.1.5 Recipient OK
rcpt                 OK                  hey open  250 2.1.5 hey
rcpt                 DENY                hey open  550 5.7.1 hey
rcpt                 DENYSOFT            hey open  450 4.7.1 hey
rcpt                 DENY_DISCONNECT     hey close 550 5.7.1 hey
rcpt                 DENYSOFT_DISCONNECT -   close 421 4.7.1 mx.example.com Closing the connection
data                 DECLINED            -   data  354 Go ahead, end with a dot on a line of its own
data                 OK                  hey data  354 Go ahead, end with a dot on a line of its own
data                 DENY                hey open  554 5.7.1 hey
data                 DENYSOFT            hey open  451 4.7.1 hey
data                 DENY_DISCONNECT     hey close 554 5.7.1 hey
data                 DENYSOFT_DISCONNECT hey close 451 4.7.1 hey
data_headers_end     OK                  hey open  250 2.0.0 taken
data_headers_end     DENY_DISCONNECT     hey close 554 5.7.1 hey
data_headers_end     DENYSOFT_DISCONNECT -   close 421 4.7.1 mx.example.com Closing the connection
data_post_headers    OK                  hey open  250 2.0.0 taken
data_post_headers    DENY                hey open  552 5.7.1 hey
data_post_headers    DENYSOFT            hey open  452 4.7.1 hey
data_post            OK                  hey open  250 2.0.0 taken
data_post            DENY                hey open  552 5.7.1 hey
data_post            DENYSOFT            hey open  452 4.7.1 hey
data_post            DENY_DISCONNECT     hey close 552 5.7.1 hey
data_post            DENYSOFT_DISCONNECT hey close 452 4.7.1 hey
queue_pre            OK                  hey open  250 2.0.0 taken
queue                OK                  -   open  250 2.0.0 Queued
queue                OK                  hey open  250 2.0.0 hey
queue                DENY                hey open  552 5.3.0 hey
queue                DENYSOFT            hey open  452 4.3.0 hey
vrfy                 DECLINED            -   open  252 2.5.0 Send some mail and see
vrfy                 OK                  hey open  250 2.0.0 hey
vrfy                 DENY                hey open  554 5.7.1 hey
noop                 DECLINED            -   open  250 2.0.0 OK
noop                 DENY                hey open  500 5.5.1 hey
noop                 DENY_DISCONNECT     hey close 500 5.5.1 hey
help                 DECLINED            -   open  214 2.0.0 See RFC 5321
help                 OK                  hey open  214 2.0.0 hey
help                 DENY                hey open  500 5.5.1 hey
unrecognized_command DECLINED            -   open  500 5.5.1 Unrecognized command
unrecognized_command OK                  hey open  500 5.5.1 hey
unrecognized_command DENY                hey open  500 5.5.1 hey
unrecognized_command DENY_DISCONNECT     hey close 521 5.5.1 hey
quit                 DECLINED            -   close 221 2.0.0 mx.example.com Closing the connection
quit                 OK                  hey close 221 2.0.0 mx.example.com Closing the connection
"""

ROWS = [line.split(maxsplit=4) for line in TABLE.strip().splitlines()]

COMMANDS = {
    # hook: the lines that lead to it, the last of them answered by it
    "helo": ["HELO client"],
    "ehlo": ["EHLO client"],
    "mail": ["EHLO client", "MAIL FROM:<a@b>"],
    "rcpt": ["EHLO client", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"],
    "data": ["EHLO client", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"],
    "vrfy": ["VRFY someone"],
    "noop": ["NOOP"],
    "help": ["HELP"],
    "unrecognized_command": ["WIZ now"],
    "quit": ["QUIT"],
}
AFTER_DATA = ("data_headers_end", "data_post_headers", "data_post", "queue_pre", "queue")


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
    for line in COMMANDS.get(hook, COMMANDS["data"] if hook in AFTER_DATA else []):
        reply = await client.command(line)
    if hook in AFTER_DATA:
        reply = await client.send_data("Subject: hello\n\nhow are you?\n")
    return reply


@pytest.mark.parametrize(
    ("hook", "constant", "message", "then", "reply"), ROWS, ids=[" ".join(row[:3]) for row in ROWS]
)
def test_reply(hook: str, constant: str, message: str, then: str, reply: str) -> None:
    """Each constant in each hook has its code, its text, and closes the connection or not."""
    answer = [Constant[constant]] if message == "-" else [Constant[constant], message]

    async def conversation(client: SMTPClient) -> None:
        assert str(await lead_to(client, hook)) == reply.replace("|", "\n")
        if then == "data":
            assert (await client.send_data("hi\n")).code == 250
        assert await is_open(client) == (then != "close")

    talk(conversation, Says(hook, *answer), Takes())


def test_every_answer_is_in_the_table() -> None:
    """The table above has a row for every constant that a hook with a reply takes, but DONE."""
    declared = {
        (hook.name, constant.name)
        for hook in HOOKS.values()
        for constant in hook.effects
        if constant not in (DONE, DECLINED)
        and not (hook.value or hook.sync)
        and not hook.name.startswith("auth")
    }
    missing = declared - {(hook, constant) for hook, constant, *_ in ROWS}
    assert missing == {("ehlo", "OK"), ("noop", "OK")}  # their replies are tested below


@pytest.mark.parametrize("hook", [*COMMANDS, "connect", "data_post", "queue_pre", "queue"])
def test_done(hook: str) -> None:
    """With DONE the client gets what the plugin responded, and nothing else."""

    class Responds(Plugin):
        def register(self, qp: Any) -> None:
            self.register_hook(hook, self.answer)

        def answer(self, about: Any, *_: Any) -> Constant:
            (about.connection if isinstance(about, Transaction) else about).respond(
                450, "not today"
            )
            return DONE

    status = "" if hook in ("connect", "helo", "ehlo") else "4.0.0 "  # RFC 2034, 3

    async def conversation(client: SMTPClient) -> None:
        assert str(await lead_to(client, hook)) == f"450 {status}not today"
        assert await is_open(client) == (hook != "quit")

    talk(conversation, Responds(), Takes())


def test_done_without_a_response() -> None:
    """A plugin that says DONE and nothing to the client is answered for with 451."""

    async def conversation(client: SMTPClient) -> None:
        reply = await lead_to(client, "mail")
        assert str(reply) == "451 4.3.0 A plugin answered nothing"
        assert (await client.command("RCPT TO:<c@d>")).code == 503

    talk(conversation, Says("mail", DONE))


def test_done_decides_the_state() -> None:
    """After DONE the state follows the code that the plugin sent."""

    class Accepts(Plugin):
        def hook_mail(self, transaction: Transaction, sender: Any, params: Any) -> Constant:
            transaction.connection.respond(250, "mine", "2.1.9")
            return DONE

        hook_rcpt = hook_mail

    async def conversation(client: SMTPClient) -> None:
        reply = await client.send("hello")
        assert str(reply) == "250 2.0.0 taken"
        assert "S: 250 2.1.9 mine\nC: RCPT" in client.transcript

    talk(conversation, Accepts(), Takes())


def test_response_without_done_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    """A response of a plugin that then answers something else is logged and not sent."""

    class Chatty(Plugin):
        def hook_noop(self, connection: Any, text: bytes) -> Constant:
            connection.respond(250, "chat")
            return OK

    async def conversation(client: SMTPClient) -> None:
        assert str(await client.command("NOOP")) == "250 2.0.0 OK"

    talk(conversation, Chatty())
    assert "one command has one reply: 250 chat" in caplog.text


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


def test_nobody_takes() -> None:
    """A recipient that no plugin takes, and a message that none takes, are put off."""

    async def without_rcpt(client: SMTPClient) -> None:
        reply = await lead_to(client, "rcpt")
        assert str(reply) == "450 4.7.1 No plugin took this recipient, try again later"
        assert (await client.command("DATA")).code == 503

    async def without_queue(client: SMTPClient) -> None:
        reply = await lead_to(client, "queue")
        assert str(reply) == "451 4.3.0 No plugin took the message, try again later"

    talk(without_rcpt)
    talk(without_queue, Says("rcpt", OK))


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


def test_order_of_commands() -> None:
    """Commands out of order get 503, a second EHLO and a second MAIL start anew."""

    async def conversation(client: SMTPClient) -> None:
        for line, code in [
            ("MAIL FROM:<a@b>", 503),
            ("RCPT TO:<c@d>", 503),
            ("DATA", 503),
            ("RSET", 250),
            ("EHLO client", 250),
            ("RCPT TO:<c@d>", 503),
            ("MAIL FROM:<a@b>", 250),
            ("DATA", 503),
            ("RCPT TO:<c@d>", 250),
            ("MAIL FROM:<a@b>", 250),
            ("DATA", 503),
            ("RCPT TO:<c@d>", 250),
            ("EHLO again", 250),
            ("RCPT TO:<c@d>", 503),
            ("MAIL FROM:<>", 250),
            ("RCPT TO:<c@d>", 250),
            ("RSET", 250),
            ("DATA", 503),
        ]:
            assert (await client.command(line)).code == code, line

    talk(conversation, Takes())


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("RCPT TO:<>", "501 5.1.3"),
        ("RCPT TO:<nobody>", "501 5.1.3"),
        ("RCPT TO:<postmaster>", "250 2.1.5"),
        ("RCPT TO:<@a,@b:user@example.com>", "250 2.1.5"),
        ("RCPT TO:<a@b> NOTIFY=NEVER", "555 5.5.4"),
        ("RCPT TO:<gr\u00fc\u00dfe@b>", "553 5.6.7"),
        ("MAIL FROM:<a@b> SIZE=2000", "552 5.3.4"),
        ("MAIL FROM:<a@b> BODY=9BIT", "501 5.5.4"),
        ("MAIL FROM:<gr\u00fc\u00dfe@b>", "553 5.6.7"),
        ("MAIL FROM:<gr\u00fc\u00dfe@b> SMTPUTF8", "250 2.1.0"),
        ("MAIL FROM:<a b@c>", "501 5.1.7"),
        ("MAIL FROM:", "501 5.5.4"),
    ],
)
def test_addresses_and_parameters(line: str, reply: str) -> None:
    """Addresses and parameters are judged before any hook sees them."""

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        await client.command("MAIL FROM:<a@b>")
        assert str(await client.command(line)).startswith(reply)

    talk(conversation, Takes(), config={"databytes": "1000"})


def test_address_replaced_before_parsing() -> None:
    """mail_pre and rcpt_pre may give another text to parse."""

    class Rewrites(Plugin):
        def hook_rcpt_pre(self, transaction: Transaction, address: bytes, params: Any) -> Any:
            return OK, address.replace(b"+", b"-")

        def hook_queue(self, transaction: Transaction) -> Any:
            return DENY, str(transaction.recipients[0])

    async def conversation(client: SMTPClient) -> None:
        assert str(await client.send("hi", recipients="a+b@c")) == "552 5.3.0 <a-b@c>"

    talk(conversation, Rewrites(), Takes())


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


def test_bare_newlines_normalized() -> None:
    """With bare_newline = normalize a lone CR or LF becomes a line end."""
    takes = Takes()

    async def conversation(client: SMTPClient) -> None:
        await lead_to(client, "data")
        client.write(b"Subject: x\r\n\r\na\rb\n.\nc\r\n.\r\n")
        assert (await client.read_reply()).code == 250

    talk(conversation, takes, config={"bare_newline": "normalize"})
    assert takes.taken[0].endswith(b"\n\na\nb\n.\nc\n")


def test_pipelining() -> None:
    """A whole group sent at once gets its replies in order, also when the client then ends."""

    async def conversation(client: SMTPClient) -> None:
        client.write(
            b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<>\r\nDATA\r\n"
            b"Subject: x\r\n\r\nhi\r\n.\r\nNOOP\r\nQUIT\r\n"
        )
        client.end()
        codes = [(await client.read_reply()).code for _ in range(8)]
        assert codes == [250, 250, 250, 501, 354, 250, 250, 221]

    talk(conversation, Takes())


@pytest.mark.parametrize("count", range(5))
@pytest.mark.parametrize("how", ["end", "abort"])
def test_client_gone(count: int, how: str) -> None:
    """A client that goes at any step leaves nothing behind; the last hooks still run."""
    seen: list[str] = []

    class Watches(Plugin):
        def hook_reset_transaction(self, transaction: Transaction) -> None:
            seen.append("reset")

        def hook_disconnect(self, connection: Any) -> None:
            seen.append("disconnect")

        def hook_post_connection(self, connection: Any) -> None:
            seen.append("post_connection")

    takes = Takes()

    async def conversation(client: SMTPClient) -> None:
        for line in ["EHLO client", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"][:count]:
            await client.command(line)
        client.write(b"Subject: half")
        getattr(client, how)()

    talk(conversation, Watches(), takes)
    assert seen == ["reset"] * (count >= 2) + ["disconnect", "post_connection"]
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


def test_received_line_replaced() -> None:
    """A plugin may give another Received text."""
    takes = Takes()

    async def conversation(client: SMTPClient) -> None:
        assert (await client.send("Subject: x\n\n")).code == 250

    talk(conversation, Says("received_line", OK, "from here; now"), takes)
    assert takes.taken == [b"Received: from here; now\nSubject: x\n\n"]


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
        ("x" * 3000, "refused '': 500 5.5.2 Line too long"),
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


def test_too_many_bad_commands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """So does the one after which the client is sent away."""
    caplog.set_level(logging.DEBUG, "qpsdk")

    async def main() -> None:
        async with smtp() as client:
            while (await client.command("DATA")).code != 421:
                pass

    asyncio.run(main())
    told = [message for message in caplog.messages if message.startswith("refused")]
    assert told[-1] == (
        "refused 'DATA': 421 4.7.0 mx.example.com Too many bad commands, closing the connection"
    )


def test_no_password_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Of a refused AUTH the log has no more than the word."""
    caplog.set_level(logging.DEBUG, "qpsdk")
    verdicts = Verdicts(Connection("c1"), Dispatcher([], asyncio.to_thread), "mx.example.com")
    verdicts.log_refusal(b"auth PLAIN c2VjcmV0", Reply.make(503, "Not now", "5.5.1"))
    assert caplog.messages == ["refused 'AUTH ...': 503 5.5.1 Not now"]
