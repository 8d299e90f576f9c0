"""queue/smtp_forward: its arguments, what is sent, and what each answer means to our client."""

import asyncio
import contextlib
import re
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import OK, Endpoint, Plugin, PluginError, Stream, StreamError
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.plugins.queue.smtp_forward import SMTPForward, wire
from qpsdk.smtp.data import DataDecoder
from qpsdk.testing import CapturedMail, FakeSMTPServer, smtp
from qpsdk.testing.smtp import memory_host
from tests.slices import sliced

MESSAGE = "Subject: dots\n\n.\n..\n.leading\nhow are you?\n"
MEGABYTES = "Subject: large\n\n" + ("y" * 70 + "\n") * 100_000
LATER = "452 4.3.0 Cannot queue the message now, try again later"
NOBODY = "so nobody gets the message"
IN_DOUBT = "it may have been accepted"
OURS = re.compile(
    rb"Received: from [^\n]*\n(?:\t[^\n]*\n)+Authentication-Results: [^\n]*\n(?:\t[^\n]*\n)+"
)


class TakesAll(Plugin):
    """Accepts every recipient."""

    def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        return OK


class Next(Plugin):
    """The next queue plugin; shows that it was asked."""

    asked = 0

    def hook_queue(self, transaction: Any) -> Any:
        self.asked += 1
        return OK, "the next plugin took it"


def load(line: str) -> SMTPForward:
    """The plugin of a line in config/plugins."""
    plugin = load_one(PluginLine.parse(line), memory_host({}))
    assert isinstance(plugin, SMTPForward)
    return plugin


async def deliver(server: Endpoint, message: str, *recipients: str, options: str = "") -> str:
    """Send one message through a host that forwards to a server; the reply to its final dot."""
    following = Next()
    line = f"queue/smtp_forward {server.host} {server.port} {options}"
    async with smtp(TakesAll(), line, following) as client:
        reply = await client.send(message, "sender@example.org", recipients or ["one@example.com"])
    assert following.asked == 0
    return str(reply)


def send(
    prepare: Callable[[FakeSMTPServer], None] = lambda _: None,
    *recipients: str,
    message: str = MESSAGE,
) -> tuple[str, FakeSMTPServer]:
    """Send one message by way of a fake server; the reply, and the server."""

    async def main() -> tuple[str, FakeSMTPServer]:
        fake = FakeSMTPServer()
        prepare(fake)
        try:
            return await deliver(await fake.listen(), message, *recipients), fake
        finally:
            await fake.close()

    return asyncio.run(asyncio.wait_for(main(), 20))


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def send_to(
    talk: Talk, message: str = MESSAGE, *, options: str = "", tls: ssl.SSLContext | None = None
) -> str:
    """Send one message to a server that behaves as `talk` does; the reply."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            await talk(reader, writer)
        writer.close()

    async def main() -> str:
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
            endpoint = Endpoint(*server.sockets[0].getsockname()[:2])
            reply = await deliver(endpoint, message, options=options)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks)
            return reply

    tasks: list[Any] = []
    return asyncio.run(asyncio.wait_for(main(), 20))


async def as_far_as_data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a server that takes all up to the message."""
    writer.write(b"220 x\r\n")
    for reply in (b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 x\r\n"):
        await reader.readline()
        writer.write(reply)


# Arguments


@pytest.mark.parametrize(
    ("arguments", "server"),
    [
        ("192.0.2.1", "192.0.2.1:25"),
        ("192.0.2.1 2525", "192.0.2.1:2525"),
        ("mx.example.com:26", "mx.example.com:26"),
        ("2001:db8::1 2525", "[2001:db8::1]:2525"),
        ("[2001:db8::1]", "[2001:db8::1]:25"),
        ("mx.example.com tls=starttls", "mx.example.com:25"),
        ("mx.example.com tls=implicit", "mx.example.com:465"),
    ],
)
def test_server(arguments: str, server: str) -> None:
    """HOST [PORT] names the server; the port is 25, or 465 for implicit TLS."""
    assert str(load(f"queue/smtp_forward {arguments}").server) == server


def test_options() -> None:
    """The times and our name can be set; the name is `me` unless it is given."""
    plugin = load(
        "queue/smtp-forward 192.0.2.1 helo=out.example.com connect_timeout=5 io_timeout=6"
    )
    assert (plugin.helo, plugin.connect_timeout, plugin.io_timeout) == ("out.example.com", 5.0, 6.0)
    plugin = load("queue/smtp_forward 192.0.2.1")
    assert (plugin.helo, plugin.connect_timeout, plugin.io_timeout) == (
        "mx.example.com",
        30.0,
        60.0,
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("", "missing a required argument: 'host'"),
        ("192.0.2.1 smtp", "'192.0.2.1:smtp' is no SMTP server; write HOST [PORT]"),
        ("unix:/run/smtp", "'unix:/run/smtp' is no SMTP server; write HOST [PORT]"),
        ("192.0.2.1 tls=yes", "tls=yes is not known; write tls=starttls or tls=implicit"),
        ("192.0.2.1 ca=/x", "ca=/x is for TLS; write tls=starttls or tls=implicit, too"),
        ("192.0.2.1 tls=starttls ca=/x", "ca=/x is no file of certificates: No such file"),
        ("192.0.2.1 io_timeout=1.5", "io_timeout=1.5: write a number of seconds, such as 60"),
        ("192.0.2.1 connect_timeout=0", "connect_timeout=0: write a number of seconds"),
    ],
)
def test_refuses_to_start(arguments: str, problem: str) -> None:
    """What cannot be meant does not load, and says why."""
    with pytest.raises(PluginError, match=re.escape(problem)):
        load(f"queue/smtp_forward {arguments}")


def test_without_aiosmtplib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package is missing the plugin does not load, and says what to install."""
    monkeypatch.setitem(sys.modules, "aiosmtplib", None)
    monkeypatch.delitem(sys.modules, "qpsdk.plugins.queue.smtp_forward")
    with pytest.raises(PluginError, match=re.escape("pip install 'qpsdk[smtp-forward]'")):
        load("queue/smtp_forward 192.0.2.1")


# What is sent


@pytest.mark.parametrize("message", [MESSAGE, MEGABYTES], ids=["small", "large"])
def test_forwards(message: str) -> None:
    """The message arrives as it came, under our two fields, with its envelope, once."""
    reply, fake = send(lambda _: None, "One@example.com", '"a b"@example.net', message=message)
    assert reply == "250 2.0.0 Queued"
    (mail,) = fake.messages
    body, found = OURS.subn(b"", mail.message, count=1)
    assert found == 1
    assert body == message.encode()
    assert mail._replace(message=b"") == CapturedMail(
        b"",
        b"sender@example.org",
        (b"One@example.com", b'"a b"@example.net'),
        b"mx.example.com",
        {"body": "8BITMIME"},
    )
    assert fake.commands[-2:] == ["DOT", "QUIT"]


def test_an_old_server() -> None:
    """A server without EHLO is told HELO, and asked for no extension."""
    reply, fake = send(lambda fake: fake.answer("EHLO", 502, "what?"))
    assert reply == "250 2.0.0 Queued"
    assert fake.commands[:4] == [
        "CONNECT",
        "EHLO mx.example.com",
        "HELO mx.example.com",
        "MAIL sender@example.org",
    ]
    assert fake.messages[0].params == {}


@pytest.mark.parametrize(
    ("extensions", "reply", "params"),
    [
        ("x\n8BITMIME\nSMTPUTF8", "250 2.0.0 Queued", [{"body": "8BITMIME", "smtputf8": ""}]),
        ("x\n8BITMIME", "552 5.6.7 The next server does not take SMTPUTF8", []),
    ],
)
def test_smtputf8(extensions: str, reply: str, params: list[dict[str, str]]) -> None:
    """What our client sent with SMTPUTF8 goes only to a server that takes it."""

    async def main() -> None:
        fake = FakeSMTPServer()
        fake.answer("EHLO", 250, extensions)
        server = await fake.listen()
        line = f"queue/smtp_forward {server.host} {server.port}"
        async with smtp(TakesAll(), line) as client:
            await client.command("EHLO me")
            await client.command("MAIL FROM:<anaïs@example.org> SMTPUTF8")
            await client.command("RCPT TO:<jörg@example.com>")
            await client.command("DATA")
            assert str(await client.send_data("Subject: ü\n")) == reply
        await fake.close()
        assert [mail.params for mail in fake.messages] == params
        assert all(mail.recipients == ("jörg@example.com".encode(),) for mail in fake.messages)

    asyncio.run(asyncio.wait_for(main(), 20))


@given(st.data())
def test_wire(data: st.DataObject) -> None:
    """However it is cut into blocks, a message comes out of a decoder as it went in."""
    lines = data.draw(st.lists(st.text(".x\xe9", max_size=3), max_size=6))
    message = "".join(line + "\n" for line in lines).encode()
    blocks = data.draw(sliced(message))
    decoder = DataDecoder()
    text, rest = decoder.feed(b"".join(wire(blocks)) + b".\r\nQUIT\r\n")
    assert (text, rest) == (message, b"QUIT\r\n")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", b""),
        (b".\n", b"..\r\n"),
        (b"a\n.\nb\n", b"a\r\n..\r\nb\r\n"),
        (b"no line end", b"no line end\r\n"),
        (b"\n\n", b"\r\n\r\n"),
        (b"a.\n.b", b"a.\r\n..b\r\n"),
    ],
)
def test_wire_bytes(message: bytes, expected: bytes) -> None:
    """Lines end in CRLF, a dot is doubled where it leads a line, and the last line is ended."""
    assert b"".join(wire([message])) == expected
    assert b"".join(wire([message[at : at + 1] for at in range(len(message))])) == expected


# What the server answers


@pytest.mark.parametrize(
    ("step", "code", "text", "reply"),
    [
        ("DOT", 250, "2.6.0 queued as 1", "250 2.6.0 queued as 1"),
        ("DOT", 452, "4.3.1 disk full", "452 4.3.1 disk full"),
        ("DOT", 554, "5.7.1 spam\n5.7.1 really", "552 5.7.1 spam\n5.7.1 really"),
        ("DATA", 451, "4.7.1 later", "452 4.7.1 later"),
        ("DATA", 554, "5.7.1 no", "552 5.7.1 no"),
        ("DATA", 250, "2.0.0 what?", "452 4.3.0 what?"),
        ("MAIL", 451, "4.1.8 no such domain yet", "452 4.1.8 no such domain yet"),
        ("MAIL", 553, "5.1.8 no such domain", "552 5.1.8 no such domain"),
        ("MAIL", 421, "4.3.2 stopping", "452 4.3.2 stopping"),
        ("CONNECT", 554, "not today", LATER),
        ("EHLO", 421, "not now", LATER),
    ],
)
def test_answers(step: Any, code: int, text: str, reply: str) -> None:
    """4xx is DENYSOFT and 5xx DENY with the server's words, but a server that wants nobody at all
    is no fault of the message."""
    said, fake = send(lambda fake: fake.answer(step, code, text))
    assert said == reply
    assert len(fake.messages) == (step == "DOT" and code == 250)


def test_words_are_made_safe() -> None:
    """The server's words cannot end our reply, nor begin another."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await as_far_as_data(reader, writer)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"550-5.7.1 no\xff\x00\r\n550 250 OK\r\n")
        await reader.read()

    assert send_to(talk) == "552 5.7.1 no??\n5.7.1 250 OK"


BUSY, UNKNOWN = (450, "4.2.1 busy"), (550, "5.1.1 unknown")


@pytest.mark.parametrize(
    ("one", "two", "reply"),
    [
        (BUSY, BUSY, f"452 4.2.1 busy\n4.2.1 <one@b> was refused, {NOBODY}"),
        (BUSY, None, f"452 4.2.1 busy\n4.2.1 <one@b> was refused, {NOBODY}"),
        (None, BUSY, f"452 4.2.1 busy\n4.2.1 <two@b> was refused, {NOBODY}"),
        (UNKNOWN, UNKNOWN, f"552 5.1.1 unknown\n5.1.1 <one@b> was refused, {NOBODY}"),
        (UNKNOWN, None, f"552 5.1.1 unknown\n5.1.1 <one@b> was refused, {NOBODY}"),
        (None, UNKNOWN, f"552 5.1.1 unknown\n5.1.1 <two@b> was refused, {NOBODY}"),
        (UNKNOWN, BUSY, f"452 4.2.1 busy\n4.2.1 <two@b> was refused, {NOBODY}"),
        (BUSY, UNKNOWN, f"452 4.2.1 busy\n4.2.1 <one@b> was refused, {NOBODY}"),
    ],
)
def test_refused_recipients(
    one: tuple[int, str] | None, two: tuple[int, str] | None, reply: str
) -> None:
    """One refusal, and nobody gets the message: our client comes again or tells the sender."""

    def prepare(fake: FakeSMTPServer) -> None:
        for address, answer in (("one@b", one), ("two@b", two)):
            if answer is not None:
                fake.answer("RCPT", *answer, address=address)

    said, fake = send(prepare, "one@b", "two@b")
    assert said == reply
    assert fake.messages == []
    assert "DATA" not in fake.commands


# What goes wrong


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("message", [MESSAGE, MEGABYTES], ids=["small", "large"])
def test_the_server_vanishes(step: Any, message: str, caplog: pytest.LogCaptureFixture) -> None:
    """The client is told to come again, and only after the final dot the log has a doubt."""
    said, fake = send(lambda fake: fake.hang_up(step), message=message)
    assert said == LATER
    assert fake.messages == []
    assert (IN_DOUBT in caplog.text) == (step == "DOT")


def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    """A server that is not there is a temporary failure."""

    async def main() -> str:
        fake = FakeSMTPServer()
        server = await fake.listen()
        await fake.close()
        return await deliver(server, MESSAGE)

    assert asyncio.run(asyncio.wait_for(main(), 20)) == LATER
    assert "Error connecting to 127.0.0.1" in caplog.text


def test_a_crash_of_the_server_after_its_250() -> None:
    """Its 250 counts, even when it hangs up at once."""
    said, fake = send(lambda fake: fake.hang_up("QUIT"))
    assert said == "250 2.0.0 Queued"
    assert len(fake.messages) == 1


@pytest.mark.parametrize("garbage", [b"hello\r\n", b"25", b"250-x\r\n" * 10_000])
def test_garbage(garbage: bytes) -> None:
    """What is no reply is a temporary failure."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await as_far_as_data(reader, writer)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(garbage)

    assert send_to(talk) == LATER


@pytest.mark.parametrize(
    ("early", "reply"),
    [
        (b"552 5.3.4 too large for us\r\n", "552 5.3.4 too large for us"),
        (b"421 4.3.2 stopping\r\n", "452 4.3.2 stopping"),
        (b"250 2.0.0 thanks\r\n", "452 4.3.0 thanks"),
    ],
)
def test_an_early_answer(early: bytes, reply: str, caplog: pytest.LogCaptureFixture) -> None:
    """An answer in the midst of the message ends it; a 250 then is none."""
    rest = b"?"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal rest
        await as_far_as_data(reader, writer)
        await reader.readline()
        writer.write(early)
        with contextlib.suppress(ConnectionError):
            while rest := await reader.read(1 << 16):
                assert b"\r\n.\r\n" not in rest
                assert b"QUIT" not in rest

    assert send_to(talk, MEGABYTES) == reply
    assert IN_DOUBT not in caplog.text


def test_an_answer_with_the_354() -> None:
    """A 250 that came together with the 354 is no answer to the message, which is refused."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        for reply in (b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 x\r\n250 early\r\n"):
            await reader.readline()
            writer.write(reply)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"554 rejected\r\n")

    assert send_to(talk) == "452 4.3.0 The next server has answered too early"


@pytest.mark.parametrize("where", ["in the midst", "after the dot"])
def test_a_server_that_stalls(
    where: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that neither takes nor says anything costs the time that the options give it."""
    after = where == "after the dot"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await as_far_as_data(reader, writer)
        if after:
            await reader.readuntil(b"\r\n.\r\n")
        await asyncio.Event().wait()

    if after:
        monkeypatch.setattr("qpsdk.plugins.queue.smtp_forward.SESSION_TIMEOUT", 1.5)
    assert send_to(talk, MESSAGE if after else MEGABYTES, options="io_timeout=1") == LATER
    assert "took too long" in caplog.text
    assert (IN_DOUBT in caplog.text) == after


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server takes nothing, no more than a block waits in our buffer."""
    waiting: list[int] = []
    write = asyncio.StreamWriter.write

    def watched(self: asyncio.StreamWriter, data: bytes) -> None:
        write(self, data)
        waiting.append(self.transport.get_write_buffer_size())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await as_far_as_data(reader, writer)
        for _ in range(500):  # turns of the loop, in which the whole message would be written
            await asyncio.sleep(0)
        end = b""
        while not end.endswith(b"\r\n.\r\n"):
            piece = await reader.read(1 << 14)
            assert piece
            end = end[-4:] + piece
        writer.write(b"250 2.0.0 thanks\r\n")
        await reader.read()

    monkeypatch.setattr(asyncio.StreamWriter, "write", watched)
    assert send_to(talk, MEGABYTES) == "250 2.0.0 thanks"
    assert len(waiting) > 100
    assert max(waiting) <= 2 * (1 << 16)


# TLS: a certificate of 127.0.0.1, made for this test

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBaDCCAQ2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCsOnMa89YjQeuKA
fbGVV85DwRI/rK0JtJuLwxOnRTkpQNuC6U4KPVGfJBa6LEYYj3zlcs7DnOy7nz76
YgncsXOjTjBMMBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAPBgNVHRMBAf8E
BTADAQH/MB0GA1UdDgQWBBT+AdSKO3tpAghgtbbhHaze9zD5ijAKBggqhkjOPQQD
AgNJADBGAiEA8JmMTJTKtzV71qna5AQ2y18edou5/T6SI+AWfo+SpwsCIQChhjKt
0ddhHUdBvPHv/8e/sOS8S4bpCIIr0KHx2FVQbw==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgW/lAcGwppLw9Q+qA
pWpAPZ30KByNN2l5hNL+pIhHJWyhRANCAAQrDpzGvPWI0HrigH2xlVfOQ8ESP6yt
CbSbi8MTp0U5KUDbgulOCj1RnyQWuixGGI985XLOw5zsu58++mIJ3LFz
-----END PRIVATE KEY-----
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """The file of the server's certificate and key."""
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE + KEY)
    return path


async def pump(stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join a socket to a stream in memory."""

    async def inwards() -> None:
        while data := await reader.read(1 << 16):
            stream.write(data)
        stream.abort()

    task = asyncio.create_task(inwards())
    with contextlib.suppress(StreamError):
        while data := await stream.read():
            writer.write(data)
    task.cancel()


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("trusted", [True, False])
def test_tls(tls: str, trusted: bool, certificate: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Under TLS the message goes to a server whose certificate is right, and to no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    fake = FakeSMTPServer()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if tls == "starttls":
            writer.write(b"220 x\r\n")
            await reader.readline()
            writer.write(b"250-x\r\n250 STARTTLS\r\n")
            assert await reader.readline() == b"STARTTLS\r\n"
            writer.write(b"220 go ahead\r\n")
            await writer.start_tls(context)
        stream = await fake.connect(Endpoint(), connect_timeout=5, io_timeout=50)
        if tls == "starttls":
            await stream.read()  # there is no second greeting
        await pump(stream, reader, writer)

    options = f"tls={tls} ca={certificate}" if trusted else f"tls={tls}"
    reply = send_to(talk, MEGABYTES, options=options, tls=context if tls == "implicit" else None)
    assert reply == ("250 2.0.0 Queued" if trusted else LATER)
    assert len(fake.messages) == trusted
    assert ("certificate verify failed" in caplog.text) == (not trusted)


def test_a_server_without_starttls() -> None:
    """Where TLS is wanted and not offered, nothing is sent in the clear."""

    def prepare(fake: FakeSMTPServer) -> None:
        fake.answer("EHLO", 250, "x")

    async def main() -> FakeSMTPServer:
        fake = FakeSMTPServer()
        prepare(fake)
        reply = await deliver(await fake.listen(), MESSAGE, options="tls=starttls")
        await fake.close()
        assert reply == LATER
        return fake

    fake = asyncio.run(asyncio.wait_for(main(), 20))
    assert fake.commands == ["CONNECT", "EHLO mx.example.com"]
