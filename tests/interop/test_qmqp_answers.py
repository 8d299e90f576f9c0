"""Whatever the QMQP server does, the SMTP client gets one safe reply, and keeps a lost message."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qpsdk.qmqp import Response, Verdict
from tests.interop.rig import (
    Answer,
    Client,
    FakeServer,
    RunningHost,
    ScriptedServer,
    eventually,
    reset,
    running_host,
)

SMALL = b"Subject: small\n\nbody\n"
LARGE = b"Subject: large\n\n" + (b"x" * 76 + b"\n") * 200_000


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    """The module's QMQP server."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture(scope="module")
def forwarding(
    tmp_path_factory: pytest.TempPathFactory, server: ScriptedServer
) -> Iterator[RunningHost]:
    """A host that forwards to that server."""
    with running_host(tmp_path_factory.mktemp("forwarding"), server.address) as running:
        yield running


@pytest.fixture
def client(forwarding: RunningHost) -> Iterator[Client]:
    """A client of that host; whatever was answered, the connection still works afterwards."""
    with forwarding.connect() as it:
        it.hello()
        yield it
        assert it.ask(b"NOOP").code == 250
        assert it.ask(b"QUIT").code == 221
    assert eventually(lambda: not forwarding.spooled())
    assert "LOGCRIT" not in forwarding.log()


def netstring(value: bytes) -> bytes:
    """The value as a netstring."""
    return b"%d:%b," % (len(value), value)


@pytest.mark.parametrize("message", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (b"Kqueued as 7", Answer(250, b"2.0.0 queued as 7")),
        (b"Zbusy", Answer(452, b"4.3.0 busy")),
        (b"Dtoo ugly", Answer(552, b"5.3.0 too ugly")),
        (b"D5.6.1 too ugly", Answer(552, b"5.6.1 too ugly")),
    ],
)
def test_answers(
    client: Client, server: ScriptedServer, response: bytes, answer: Answer, message: bytes
) -> None:
    """K, Z and D become 250, 452 and 552 with the server's text."""
    server.answer(netstring(response))
    assert client.deliver(message) == answer


@pytest.mark.parametrize("verdict", Verdict)
def test_answers_of_the_fake_server(host: RunningHost, fake: FakeServer, verdict: Verdict) -> None:
    """The package's own fake server answers what it is told to, and keeps only what it took."""
    usual = fake.fake.answer
    fake.fake.answer = Response(verdict, b"as told")
    try:
        with host.connect() as client:
            client.hello()
            answer = client.deliver(SMALL)
    finally:
        fake.fake.answer = usual
    code = {Verdict.ACCEPTED: 250, Verdict.DEFERRED: 452, Verdict.REJECTED: 552}[verdict]
    assert answer.code == code
    assert answer.text.endswith(b" as told")
    assert len(fake.messages) == (verdict is Verdict.ACCEPTED)


TEXTS = {
    "a forged reply": b"no\r\n250 OK",
    "a forged reply with LF": b"no\n250 2.0.0 OK\n",
    "a forged reply with CR": b"no\r250 OK\r",
    "forged replies": b"no\r\n221 bye\r\n220 hello\r\n",
    "control characters": bytes(range(32)) + b"\x7f",
    "8-bit": bytes(range(128, 256)),
    "a long text": b"x" * 9000,
    "many lines": b"\n" * 9000,
    "nothing": b"",
    "an enhanced code of another class": b"2.0.0 fine",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize(("letter", "code"), [(b"K", 250), (b"Z", 452), (b"D", 552)])
def test_texts_are_made_safe(
    client: Client, server: ScriptedServer, letter: bytes, code: int, text: bytes
) -> None:
    """The server's text forges nothing: one reply, each line of it with our code and class."""
    server.answer(netstring(letter + text))
    answer = client.deliver(SMALL)
    assert answer.code == code
    for line in answer.text.split(b"\n"):
        assert line.startswith(str(code // 100).encode() + b".")
        assert len(line) + 6 <= 512
    assert client.ask(b"NOOP") == Answer(250, b"2.0.0 OK")


GARBAGE = {
    "nothing": b"",
    "half": b"10:Kso",
    "no comma": b"3:Kokx",
    "no netstring": b"Kok",
    "SMTP": b"220 mx.example.net ESMTP\r\n",
    "an empty netstring": b"0:,",
    "another letter": netstring(b"Xok"),
    "a small letter": netstring(b"kok"),
    "a leading zero": b"03:Kok,",
    "a negative length": b"-3:Kok,",
    "a huge length": b"99999999999999999999:K",
    "over the limit": netstring(b"K" + b"x" * 20_000),
    "a space first": b" 3:Kok,",
    "NUL": b"\0" * 100,
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("message", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_a_temporary_failure(
    client: Client,
    forwarding: RunningHost,
    server: ScriptedServer,
    garbage: bytes,
    message: bytes,
) -> None:
    """No clear answer: 452, and the log says that the server may have the message."""
    before = len(forwarding.log())
    server.answer(garbage)
    assert client.deliver(message).code == 452
    news = forwarding.log()[before:]
    assert news.count("\n") == 1
    assert "LOGERROR" in news
    assert "(queue) queue/qmqp_forward: " in news
    assert "it may have been accepted" in news


def test_an_answer_byte_by_byte(client: Client, server: ScriptedServer) -> None:
    """An answer in single bytes is read like any other; what follows it is ignored."""

    def slowly(connection: socket.socket) -> None:
        server.package(connection)
        for byte in b"6:Kslow!,":
            connection.sendall(bytes([byte]))
            time.sleep(0.01)
        connection.sendall(b"3:Dno,")

    server.script = slowly
    assert client.deliver(SMALL) == Answer(250, b"2.0.0 slow!")


def test_closed_at_once(client: Client, server: ScriptedServer) -> None:
    """A server that takes the connection and closes it: a temporary failure."""
    server.script = lambda _: None
    assert client.deliver(SMALL).code == 452
    assert client.deliver(LARGE).code == 452


def test_reset_at_once(client: Client, server: ScriptedServer) -> None:
    """A server that resets the connection: a temporary failure."""
    server.script = reset
    assert client.deliver(SMALL).code == 452
    assert client.deliver(LARGE).code == 452


@pytest.mark.parametrize("message", [SMALL, LARGE], ids=["small", "large"])
def test_reset_after_the_package(client: Client, server: ScriptedServer, message: bytes) -> None:
    """The server takes all, then resets: a temporary failure, for nothing was promised."""

    def script(connection: socket.socket) -> None:
        server.package(connection)
        reset(connection)

    server.script = script
    assert client.deliver(message).code == 452


@pytest.mark.parametrize(
    ("response", "code"), [(b"Dtoo large", 552), (b"Zno room", 452), (b"Kthanks", 452)]
)
def test_an_early_answer(
    client: Client, server: ScriptedServer, response: bytes, code: int
) -> None:
    """An answer before the package is whole ends it: D and Z count, K promises nothing."""
    received: list[int] = []

    def script(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(netstring(response))
        time.sleep(0.3)  # the host cannot send all while nobody reads, so it sees the answer
        rest = 0
        try:
            while data := connection.recv(1 << 16):
                rest += len(data)
        finally:
            received.append(rest)

    server.script = script
    assert client.deliver(LARGE).code == code
    assert eventually(lambda: bool(received))
    assert received[0] < len(LARGE) - 1_000_000, "the rest was sent all the same"


def test_a_server_that_is_down(tmp_path: Path) -> None:
    """Nobody listens: 452, a line in the log, and the client may try again."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = nobody.getsockname()
        with running_host(tmp_path, address) as host:
            with host.connect() as client:
                client.hello()
                for message in (SMALL, LARGE):
                    assert client.deliver(message).code == 452
                assert client.ask(b"NOOP").code == 250
            lines = host.log().splitlines()
            assert len(lines) == 2
            for line in lines:
                assert "LOGERROR" in line
                assert f"127.0.0.1:{address[1]}: cannot connect: Connection refused" in line
                assert "may have been accepted" not in line
            assert eventually(lambda: not host.spooled())


def test_a_server_that_comes_back(client: Client, server: ScriptedServer) -> None:
    """After a failure the next message on the same connection is queued."""
    server.answer(b"")
    assert client.deliver(SMALL).code == 452
    server.answer(b"3:Kok,")
    assert client.deliver(SMALL).code == 250


def test_nobody_gets_a_message_twice(tmp_path: Path, server: ScriptedServer) -> None:
    """After an unclear answer no other queue plugin is tried: it might be a duplicate."""
    with ScriptedServer() as other:
        other.answer(b"3:Kok,")
        server.answer(b"")
        plugins = "rcpt_ok\n" + "\n".join(
            f"queue/qmqp_forward{name} {at[0]} {at[1]}"
            for name, at in (("", server.address), (":1", other.address))
        )
        with (
            running_host(tmp_path, server.address, plugins=plugins) as host,
            host.connect() as client,
        ):
            client.hello()
            assert client.deliver(SMALL).code == 452
        assert other.packages == 0
