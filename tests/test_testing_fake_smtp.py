"""The fake SMTP server: what it keeps, what it answers, and where it hangs up."""

import asyncio
import smtplib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qpsdk import Connection, Endpoint, StreamError
from qpsdk.errors import ReplyError
from qpsdk.testing import CapturedMail, FakeSMTPServer, SMTPClient
from qpsdk.testing.memory import MemoryStream

MESSAGE = "Subject: hello\n\n.a dot\n..\nhow are you?\n"


async def client_of(fake: FakeSMTPServer) -> SMTPClient:
    """A client that is connected in memory."""
    stream = await fake.connect(Endpoint("192.0.2.1", 25), connect_timeout=5, io_timeout=5)
    assert isinstance(stream, MemoryStream)
    return SMTPClient(stream, Connection())


def run(main: Callable[[FakeSMTPServer], Awaitable[None]]) -> FakeSMTPServer:
    """Run a conversation with a fake server; the server."""

    async def conversation() -> FakeSMTPServer:
        fake = FakeSMTPServer()
        try:
            await main(fake)
        finally:
            await fake.close()
        return fake

    return asyncio.run(asyncio.wait_for(conversation(), 20))


def test_captures() -> None:
    """Envelope, message and parameters are kept as they came, and nothing is added."""

    async def main(fake: FakeSMTPServer) -> None:
        client = await client_of(fake)
        assert str(await client.read_reply()) == "220 fake.example.com ESMTP qpsdk ready"
        await client.command("EHLO client.example.org")
        await client.command("MAIL FROM:<Sender@example.org> BODY=8BITMIME")
        for recipient in ("One@example.com", '"a b"@example.net'):
            await client.command(f"RCPT TO:<{recipient}>")
        await client.command("DATA")
        assert str(await client.send_data(MESSAGE.encode() + b"\xff\n")) == "250 2.0.0 Queued"
        await client.command("QUIT")

    fake = run(main)
    assert fake.messages == [
        CapturedMail(
            message=MESSAGE.encode() + b"\xff\n",
            sender=b"Sender@example.org",
            recipients=(b"One@example.com", b'"a b"@example.net'),
            hello=b"client.example.org",
            params={"body": "8BITMIME"},
        )
    ]
    assert fake.commands == [
        "CONNECT",
        "EHLO client.example.org",
        "MAIL Sender@example.org",
        "RCPT One@example.com",
        'RCPT "a b"@example.net',
        "DATA",
        "DOT",
        "QUIT",
    ]


def test_two_messages_on_a_connection() -> None:
    """They come in their order."""

    async def main(fake: FakeSMTPServer) -> None:
        client = await client_of(fake)
        await client.read_reply()
        client.connection.hello = "ehlo"  # or `send` would say it
        await client.command("HELO client.example.org")
        for text in ("first\n", "second\n"):
            assert (await client.send(text)).code == 250

    assert [mail.message for mail in run(main).messages] == [b"first\n", b"second\n"]


@pytest.mark.parametrize(
    ("step", "code", "reply", "transcript"),
    [
        ("MAIL", 451, "451 4.3.0 later", ["CONNECT", "EHLO", "MAIL"]),
        ("RCPT", 550, "550 5.3.0 later", ["CONNECT", "EHLO", "MAIL", "RCPT"]),
        ("DATA", 554, "554 5.3.0 later", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"]),
        ("DOT", 452, "452 4.3.0 later", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"]),
    ],
)
def test_answers(step: Any, code: int, reply: str, transcript: list[str]) -> None:
    """A step is answered as the script says; what is not accepted is not kept."""

    async def main(fake: FakeSMTPServer) -> None:
        fake.answer(step, code, f"{code // 100}.3.0 later")
        client = await client_of(fake)
        await client.read_reply()
        assert str(await client.send(MESSAGE)) == reply

    fake = run(main)
    assert fake.messages == []
    assert [command.split()[0] for command in fake.commands] == transcript


def test_answers_of_the_greeting_and_the_farewell() -> None:
    """The greeting, EHLO with the extensions, HELO and QUIT can be answered too."""

    async def main(fake: FakeSMTPServer) -> None:
        fake.answer("CONNECT", 554, "go away")
        fake.answer("EHLO", 250, "old.example.com\nSIZE 1000")
        fake.answer("HELO", 500, "what?")
        fake.answer("QUIT", 221, "2.0.0 bye")
        client = await client_of(fake)
        assert str(await client.read_reply()) == "554 go away"
        assert str(await client.command("EHLO me")) == "250 old.example.com\nSIZE 1000"
        assert str(await client.command("HELO me")) == "500 what?"
        assert str(await client.command("QUIT")) == "221 2.0.0 bye"
        with pytest.raises(StreamError):
            await client.read_reply()

    run(main)


def test_answers_for_an_address() -> None:
    """An answer may be for one address only, before the one for all."""

    async def main(fake: FakeSMTPServer) -> None:
        fake.answer("RCPT", 550, "5.1.1 nobody")
        fake.answer("RCPT", 450, "4.2.1 busy", address="two@example.com")
        fake.answer("RCPT", 250, "2.1.5 come in", address="one@example.com")
        client = await client_of(fake)
        await client.read_reply()
        await client.command("HELO me")
        await client.command("MAIL FROM:<>")
        replies = [
            str(await client.command(f"RCPT TO:<{name}@example.com>"))
            for name in ("one", "two", "three")
        ]
        assert replies == ["250 2.1.5 come in", "450 4.2.1 busy", "550 5.1.1 nobody"]
        await client.command("DATA")
        await client.send_data(MESSAGE)

    (mail,) = run(main).messages
    assert (mail.sender, mail.recipients) == (b"", (b"one@example.com",))


def test_accepting_words() -> None:
    """A message that is accepted in the script's words is kept."""

    async def main(fake: FakeSMTPServer) -> None:
        fake.answer("DOT", 250, "2.6.0 queued as 1")
        client = await client_of(fake)
        await client.read_reply()
        assert str(await client.send(MESSAGE)) == "250 2.6.0 queued as 1"

    assert len(run(main).messages) == 1


def test_a_code_that_is_none() -> None:
    """An answer that cannot be one is told at once."""

    async def main(fake: FakeSMTPServer) -> None:
        with pytest.raises(ReplyError, match="99 is no SMTP reply code"):
            fake.answer("MAIL", 99, "what?")

    run(main)


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "QUIT"])
def test_hangs_up(step: Any) -> None:
    """The connection is gone at that step, without an answer, and nothing more is taken."""

    async def say_all(client: SMTPClient) -> None:
        await client.read_reply()
        await client.send(MESSAGE)
        await client.command("QUIT")

    async def main(fake: FakeSMTPServer) -> None:
        fake.hang_up(step)
        client = await client_of(fake)
        with pytest.raises(StreamError):
            await say_all(client)

    fake = run(main)
    assert len(fake.messages) == (step == "QUIT")
    assert fake.commands[-1].split()[0] == step


def test_hangs_up_on_a_pipelining_client() -> None:
    """What was sent ahead is not looked at any more."""

    async def main(fake: FakeSMTPServer) -> None:
        fake.hang_up("MAIL")
        client = await client_of(fake)
        await client.read_reply()
        client.write(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\n")
        with pytest.raises(StreamError):
            await client.read_reply()

    assert run(main).commands == ["CONNECT", "HELO me", "MAIL"]


def test_on_a_socket() -> None:
    """Over a socket it serves any client: here Python's own."""

    async def main(fake: FakeSMTPServer) -> None:
        endpoint = await fake.listen()
        fake.answer("RCPT", 450, "4.2.1 busy", address="two@example.com")

        def send() -> dict[str, tuple[int, bytes]]:
            with smtplib.SMTP(endpoint.host, endpoint.port, "me", timeout=10) as client:
                return client.sendmail("a@b", ["one@example.com", "two@example.com"], MESSAGE)

        refused = await asyncio.to_thread(send)
        assert refused == {"two@example.com": (450, b"4.2.1 busy")}

    (mail,) = run(main).messages
    assert (mail.message, mail.hello) == (MESSAGE.encode(), b"me")
    assert mail.recipients == (b"one@example.com",)


def test_hangs_up_on_a_socket() -> None:
    """Over a socket, too, the connection is gone."""

    async def main(fake: FakeSMTPServer) -> None:
        fake.hang_up("DATA")
        endpoint = await fake.listen()

        def send() -> None:
            with smtplib.SMTP(endpoint.host, endpoint.port, "me", timeout=10) as client:
                client.sendmail("a@b", ["c@d"], MESSAGE)

        with pytest.raises(smtplib.SMTPServerDisconnected):
            await asyncio.to_thread(send)

    run(main)


def test_a_large_message() -> None:
    """One that goes through a file is kept whole."""
    large = b"Subject: large\n\n" + (b"x" * 70 + b"\n") * 3_000

    async def main(fake: FakeSMTPServer) -> None:
        client = await client_of(fake)
        await client.read_reply()
        await client.send(large)

    (mail,) = run(main).messages
    assert mail.message == large
