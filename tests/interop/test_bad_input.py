"""Whatever a client sends, it gets a reply or a close, and nobody else notices."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.interop.rig import Client, FakeServer, RunningHost, eventually, without_received

GARBAGE = {
    "nothing": b"",
    "empty lines": b"\r\n" * 50,
    "line feeds": b"\n" * 200_000,
    "carriage returns": b"\r" * 200_000,
    "every byte": bytes(range(256)),
    "every byte, as a line": bytes(range(256)).replace(b"\n", b"") + b"\r\n",
    "NUL": b"\0" * 10_000 + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x8f" * 507,
    "HTTP": b"GET / HTTP/1.1\r\nHost: mx.example.com\r\nAccept: */*\r\n\r\n",
    "PROXY": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "half a command": b"MAI",
    "a command without line end": b"EHLO client.example.org",
    "commands of one letter": b"E\r\nM\r\nR\r\nD\r\n",
    "8-bit": b"\xc3\x28\xff\xfe EHLO \x80\r\n",
    "8-bit in addresses": b"EHLO x\r\nMAIL FROM:<\xff\xfe@example.org>\r\n",
    "8-bit in parameters": b"EHLO x\r\nMAIL FROM:<a@example.org> \xff=\xfe\r\n",
    "a megabyte without line end": b"x" * 1_000_000,
    "a megabyte line": b"x" * 1_000_000 + b"\r\n",
    "megabyte lines": (b"x" * 1_000_000 + b"\r\n") * 3,
    "a megabyte EHLO": b"EHLO " + b"x" * 1_000_000 + b"\r\n",
    "a megabyte address": b"EHLO x\r\nMAIL FROM:<" + b"x" * 1_000_000 + b"@example.org>\r\n",
    "a megabyte of parameters": b"EHLO x\r\nMAIL FROM:<a@example.org>"
    + b" A=B" * 250_000
    + b"\r\n",
    "brackets": b"EHLO x\r\nMAIL FROM:<" + b'"\\' * 900 + b"\r\n",
    "SIZE of many digits": b"EHLO x\r\nMAIL FROM:<a@example.org> SIZE=" + b"9" * 1900 + b"\r\n",
    "format characters": b"%s%n%d{}{0.__class__}\r\nNOOP %s{}\r\nEHLO %s{0}\r\n",
    "a reply in a command": b"250 OK\r\n550 no\r\n",
    "DATA out of order": b"DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n",
    "a line feed dialogue": b"EHLO x\nMAIL FROM:<a@example.org>\nQUIT\n",
}


class Neighbour:
    """A client that keeps sending mail while something else goes on."""

    def __init__(self, host: RunningHost) -> None:
        self._host = host
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failure: BaseException | None = None
        self.sent = 0

    def _run(self) -> None:
        try:
            with self._host.connect() as client:
                client.hello()
                client.socket.settimeout(5.0)
                while not (self._over.is_set() and self.sent):
                    answer = client.deliver(b"Subject: neighbour\n\nundisturbed\n")
                    assert answer.code == 250, answer
                    self.sent += 1
                assert client.ask(b"QUIT").code == 221
        except BaseException as error:
            self.failure = error

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def undisturbed(host: RunningHost, fake: FakeServer) -> Iterator[None]:
    """While a test misbehaves, a neighbour's mail passes; afterwards the host is as before."""
    before = host.descriptors()
    neighbour = Neighbour(host)
    with neighbour:
        yield
    if neighbour.failure is not None:
        raise neighbour.failure
    mail = [m for m in fake.messages if b"neighbour" in m.message]
    assert len(mail) == neighbour.sent
    assert {without_received(m.message) for m in mail} == {b"Subject: neighbour\n\nundisturbed\n"}
    assert eventually(lambda: host.descriptors() <= before), "descriptors leaked"
    assert eventually(lambda: not host.spooled())
    assert host.process.poll() is None
    assert host.log() == "", "a client's mistake is no event for the operator"


def _harmless(client: Client) -> list[bytes]:
    """All that the server still says, each line of it legal; nothing of our insides is told."""
    texts = [answer.text for answer in client.rest()]
    for text in texts:
        assert b"Traceback" not in text
        assert b"Error" not in text
        assert b".py" not in text
    return texts


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage(host: RunningHost, garbage: bytes) -> None:
    """Garbage gets replies or a close; then the same again from a client that never reads."""
    with host.connect() as client:
        with contextlib.suppress(ConnectionError):  # it may be sent away before the end
            client.send(garbage)
            client.end()
        _harmless(client)
    for leave in (Client.close, Client.reset):
        client = host.connect(greeted=False)
        with contextlib.suppress(ConnectionError):
            client.send(garbage)
        leave(client)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("seed", range(5))
def test_random_bytes(host: RunningHost, seed: int) -> None:
    """Random bytes and shuffled pieces of commands get replies or a close."""
    source = random.Random(seed)
    pieces = [
        *(b"EHLO ", b"MAIL FROM:", b"RCPT TO:", b"DATA", b"RSET", b"QUIT"),
        *(b"<a@example.org>", b"<b@example.com>", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"),
        *(b".", b"\r\n.\r\n", b" SIZE=1", b" BODY=8BITMIME", b'"', b"\\", b"<", b">", b"\0"),
    ]
    for _ in range(20):
        with host.connect() as client:
            try:
                for _ in range(source.randrange(40)):
                    client.send(
                        source.choice(pieces)
                        if source.random() < 0.9
                        else source.randbytes(source.randrange(50))
                    )
                client.end()
            except ConnectionError:
                pass
            _harmless(client)


def test_too_many_bad_commands(host: RunningHost) -> None:
    """After the limit of bad commands the client is told 421, and sent away."""
    with host.connect() as client:
        client.send(b"nonsense\r\n" * 1000)
        codes = [answer.code for answer in client.rest()]
    assert codes == [500] * 19 + [421]


def test_a_long_line_is_one_mistake(host: RunningHost) -> None:
    """A line of a megabyte gets one 500, and the dialogue goes on behind it."""
    with host.connect() as client:
        client.hello()
        assert client.ask(b"NOOP " + b"x" * 1_000_000).code == 500
        assert client.ask(b"NOOP").code == 250


STEPS = [
    b"",
    b"EHLO client.example.org\r\n",
    b"MAIL FROM:<sender@example.org>\r\n",
    b"RCPT TO:<recipient@example.com>\r\n",
    b"DATA\r\n",
    b"Subject: half\r\n",
    b"\r\n",
    b"body\r\n" * 30_000,
    b".\r\n",
    b"QUIT\r\n",
]
ANSWERED = (b"EHLO", b"MAIL", b"RCPT", b"DATA", b".\r\n", b"QUIT")

LEAVE: dict[str, Callable[[Client], None]] = {"fin": Client.close, "rst": Client.reset}


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("reads", [True, False], ids=["reads replies", "never reads"])
@pytest.mark.parametrize("half", [False, True], ids=["whole lines", "half a line"])
@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE.keys())
@pytest.mark.parametrize("steps", range(len(STEPS)))
def test_disconnects_at_each_step(
    host: RunningHost, steps: int, leave: Callable[[Client], None], half: bool, reads: bool
) -> None:
    """The client leaves after each step of a dialogue, between lines or inside one."""
    client = host.connect(greeted=reads)
    for step in STEPS[: steps + 1]:
        client.send(step)
        if reads and step.startswith(ANSWERED):
            assert client.reply().code in (220, 221, 250, 354)
    if half and steps + 1 < len(STEPS):
        client.send(STEPS[steps + 1][: len(STEPS[steps + 1]) // 2])
    leave(client)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("steps", range(len(STEPS)))
def test_half_closes_at_each_step(host: RunningHost, fake: FakeServer, steps: int) -> None:
    """The client ends its side after each step: all it asked is answered, then we close."""
    said = STEPS[: steps + 1]
    with host.connect() as client:
        for step in said:
            client.send(step)
        client.end()
        replies = _harmless(client)
    assert len(replies) == sum(step.startswith(ANSWERED) for step in said)
    delivered = [m for m in fake.messages if b"Subject: half" in m.message]
    assert len(delivered) == (b".\r\n" in said)
