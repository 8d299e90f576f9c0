"""What a client is told for the answers of plugins, and what the log says of refusals."""

import asyncio
import contextlib
import logging
from typing import Any

import pytest

from qpsdk import DENY, DONE, OK, Connection, Constant, Plugin, Reply, Transaction
from qpsdk.constants import LOGINFO, LOGNOTICE
from qpsdk.dispatcher import Dispatcher
from qpsdk.testing import SMTPClient, smtp
from qpsdk.testing.logs import capture_log
from qpsdk.verdicts import Verdicts
from tests.conversation import Says, Takes, lead_to, send, talk


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


def test_own_enhanced_code_and_lines() -> None:
    """A message may have several lines and an enhanced code of its own."""

    async def conversation(client: SMTPClient) -> None:
        reply = await lead_to(client, "rcpt")
        assert bytes(reply) == b"550-5.1.1 nobody\r\n550 5.1.1 of that name\r\n"

    talk(conversation, Says("rcpt", DENY, "5.1.1 nobody\nof that name"))


def test_answers_are_bounded() -> None:
    """A client that goes on for ever does not make us remember it all."""

    async def conversation(client: SMTPClient) -> None:
        for _ in range(1100):
            await client.command("NOOP")
        assert len(client.connection.answers) <= 1001

    talk(conversation, Says("noop", OK))


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


def test_lost_while_nobody_reads() -> None:
    """So does it where the session had other things to do than to wait for the client."""
    clients: list[SMTPClient] = []
    gone = asyncio.Event()

    class Goes(Plugin):
        async def hook_rcpt(self, *_: object) -> Constant:
            clients[0].abort()
            gone.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(15)
            return OK

    async def conversation(client: SMTPClient) -> None:
        clients.append(client)
        await client.hello()
        await client.command("MAIL FROM:<a@b>")
        client.write(b"RCPT TO:<c@d>\r\n")
        await gone.wait()

    with capture_log() as log:
        talk(conversation, Goes())
    told = "connection lost: connection reset by peer (from <a@b> to <c@d>)"
    assert log.lines(level=LOGINFO)[-1:] == [told]
