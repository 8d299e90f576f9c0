"""The fake server on sockets: what only a kernel can do, and Postfix's client against it."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qpsdk import Endpoint
from qpsdk.testing.qmqp_profiles import STRICT, Profile
from qpsdk.testing.qmqp_script import (
    accept,
    close_at,
    defer,
    drip,
    refuse,
    reject,
    rst,
    silence,
    stall,
)
from tests.interop.postfix import ask
from tests.interop.rig import PATIENCE, FakeServer, eventually
from tests.programs import needs

GOOD = b"18:3:hi\n,3:a@b,3:c@d,,"
OK = b"24:Kfake, nothing is queued,"
HUGE = b"20000100:20000000:" + b"x" * 20_000_000


@pytest.fixture(scope="module", autouse=True)
def loop() -> None:
    """There is no host here to run on several loops."""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake server for one test."""
    with FakeServer(keep=1000) as running:
        yield running


def connect(server: FakeServer) -> socket.socket:
    """A connection to it."""
    return socket.create_connection(server.address, PATIENCE)


def test_qmqp_source(server: FakeServer) -> None:
    """Postfix's qmqp-source is content with every answer to 1,000 messages in 20 sessions."""
    host, port = server.address
    done = subprocess.run(
        [
            *(needs("qmqp-source"), "-s", "20", "-m", "1000", "-l", "5000"),
            *("-f", "sender@example.org", "-t", "recipient@example.com", f"inet:{host}:{port}"),
        ],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # It resets its last connections, which may not have been served by then.
    assert eventually(lambda: len(server.messages) == 1000)
    assert server.fake.failures == []
    envelopes = {(m.sender, m.recipients) for m in server.messages}
    assert envelopes == {(b"sender@example.org", (b"recipient@example.com",))}
    assert {m.size - m.message_size for m in server.messages} == {59}


def test_close_at_an_offset_of_a_large_package(server: FakeServer) -> None:
    """The client's writes fail soon, and nothing is accepted."""
    server.script(close_at(4096))
    with connect(server) as client, pytest.raises(ConnectionError):
        client.sendall(HUGE)
    (conversation,) = server.fake.discarded
    assert (conversation.size, conversation.raw) == (4096, HUGE[:1000])
    assert server.messages == []


def test_an_early_answer(server: FakeServer) -> None:
    """The answer is there to be read, though the connection ends with input unread."""
    server.script(reject("too large", at=10))
    with connect(server) as client:
        with pytest.raises(ConnectionError):
            client.sendall(HUGE)
        assert client.recv(100) == b"10:Dtoo large,"


@pytest.mark.parametrize("at", [None, 0, 5])
def test_rst(server: FakeServer, at: int | None) -> None:
    """A reset is one: not the end of a stream."""
    server.script(rst(at))

    def talk() -> None:
        with connect(server) as client:
            client.sendall(GOOD)
            client.recv(100)

    with pytest.raises(ConnectionResetError):
        talk()


def test_rst_after_the_answer(server: FakeServer) -> None:
    """So it is where an answer comes first."""
    server.script(accept("ok", rst=True))
    with connect(server) as client:
        client.sendall(GOOD)
        assert client.recv(100) == b"3:Kok,"
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def test_stall(server: FakeServer) -> None:
    """A server that does not read brings the client's writes to a stop."""
    server.script(stall())
    with connect(server) as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.sendall(HUGE)
        assert eventually(lambda: bool(server.fake.connections))
    assert server.fake.connections[0].size == 0


def test_silence(server: FakeServer) -> None:
    """A silent server takes everything and says nothing."""
    server.script(silence(100))
    with connect(server) as client:
        client.sendall(HUGE)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_drip(server: FakeServer) -> None:
    """The answer comes in packets of one byte."""
    server.script(drip(1, delay=0.01))
    with connect(server) as client:
        client.sendall(GOOD)
        pieces = []
        while piece := client.recv(100):
            pieces.append(piece)
    assert b"".join(pieces) == OK
    assert len(pieces) > 2  # a client that sleeps finds several at once


def test_refuse(server: FakeServer) -> None:
    """After its turn nobody listens, until there is a new script: the port stays the same."""
    server.script(accept("first"), refuse())
    assert ask(server.address, GOOD) == b"6:Kfirst,"
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            connect(server)
    server.script(defer("back"))
    assert ask(server.address, GOOD) == b"5:Zback,"


def test_unix_socket(tmp_path: Path) -> None:
    """It listens at a path, refuses there too, and leaves no file behind."""
    path = tmp_path / "qmqp"
    with FakeServer(endpoint=Endpoint(path=str(path))) as server:

        def ask_there() -> bytes:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(GOOD)
                return client.recv(100)

        assert ask_there() == OK
        server.script(refuse())
        with pytest.raises(ConnectionRefusedError):
            ask_there()
        server.script()
        assert ask_there() == OK
    assert not path.exists()


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        (replace(STRICT, io_timeout=0.1), "no progress for 0.1 s"),
        (replace(STRICT, session_timeout=0.1), "the time for the whole session is over"),
    ],
    ids=["idle", "slow"],
)
def test_time_limits(profile: Profile, problem: str) -> None:
    """An idle client is dropped after the profile's time without a word, as a slow one is."""
    with FakeServer(profile=profile) as server, connect(server) as client:
        client.sendall(GOOD[:5])
        assert client.recv(100) == b""
        assert server.fake.failures == [problem]


def test_close_drops_all() -> None:
    """When it stops, connections that are open end, and the port is free."""
    with FakeServer() as server:
        server.script(silence())
        client = connect(server)
        client.sendall(GOOD)
        assert eventually(lambda: bool(server.fake.connections))
    with client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(server)


def test_the_command(tmp_path: Path) -> None:
    """`qpsdk fake-qmqp` serves a unix socket by its script, and shows what came."""
    path = tmp_path / "qmqp"
    command = [sys.executable, "-m", "qpsdk", "fake-qmqp", "--listen", f"unix:{path}"]
    with subprocess.Popen(
        [*command, "--profile", "qmail", "--script", "defer(busy), close_at(8), accept"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"listening on unix:{path}\n"
        answers = []
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(GOOD)
                try:
                    answers.append(client.recv(100))
                except ConnectionResetError:
                    answers.append(b"")
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        shown, errors = process.communicate(timeout=PATIENCE)
    assert answers[:2] == [b"5:Zbusy,", b""]
    assert answers[2].startswith(b"19:Kok ")
    assert errors == ""
    for line in (
        "     0  5:Zbusy,",
        "QMQP   discarded: the script stopped it at offset 8",
        "     8  │ ^ the input ends where a comma is due, at offset 8",
        "QMQP   no response",
        "     9  │ 3:a@b,  sender",
    ):
        assert line in shown, shown
    assert not path.exists()
