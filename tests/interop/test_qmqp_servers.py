"""A host with several QMQP servers, some of them gone: mail flows as long as one works."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from qpsdk import qmqp
from tests.interop.rig import (
    Answer,
    FakeServer,
    QMQPSink,
    ScriptedServer,
    eventually,
    running_host,
)

MESSAGE = b"Subject: hi\n\nhello\n"
LARGE = b"Subject: large\n\n" + (b"x" * 76 + b"\n") * 100_000


@pytest.fixture
def gone() -> Iterator[str]:
    """The address of a server that is not there."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{nobody.getsockname()[1]}"


def plugins(*servers: str, options: str = "") -> str:
    """A config/plugins that forwards to these."""
    return f"rcpt_ok\nqueue/qmqp_forward {','.join(servers)} {options}"


def at(server: FakeServer | ScriptedServer | QMQPSink) -> str:
    """Its address as a plugin line has it."""
    return f"{server.address[0]}:{server.address[1]}"


def test_failover(tmp_path: Path, gone: str, fake: FakeServer) -> None:
    """The first server is gone: the second one takes the mail, and the first is left alone."""
    with (
        running_host(
            tmp_path, ("", 0), plugins=plugins(gone, at(fake)), loglevel="LOGINFO"
        ) as host,
        host.connect() as client,
    ):
        client.hello()
        for message in (MESSAGE, LARGE, MESSAGE):
            assert client.deliver(message).code == 250
            assert fake.take().message.endswith(message)
        log = host.log()
    assert log.count(f"{gone}: cannot connect: Connection refused") == 1
    assert log.count(f"{at(fake)} accepted ") == 3
    assert log.count(" bytes for 1 recipients in ") == 3


def test_failover_in_the_middle(tmp_path: Path, fake: FakeServer, scripted: ScriptedServer) -> None:
    """A server that breaks while the message is on its way has not got it: the next one does."""

    def script(connection: socket.socket) -> None:
        for _ in range(20):
            connection.recv(65_536)

    scripted.script = script
    with (
        running_host(tmp_path, ("", 0), plugins=plugins(at(scripted), at(fake))) as host,
        host.connect() as client,
    ):
        client.hello()
        assert client.deliver(LARGE).code == 250
        assert fake.take().message.endswith(LARGE)
        assert "may have been accepted" not in host.log()


def test_in_doubt(tmp_path: Path, fake: FakeServer, scripted: ScriptedServer) -> None:
    """A server that had all and said nothing may have it: the client keeps it, nobody gets it."""
    scripted.answer(b"")
    line = plugins(at(scripted), at(fake), options="rest=0")
    with (
        running_host(tmp_path, ("", 0), plugins=line) as host,
        host.connect() as client,
    ):
        client.hello()
        for message in (MESSAGE, LARGE):
            assert client.deliver(message).code == 452
    assert (scripted.packages, fake.messages) == (2, [])


def test_on_defer_next(tmp_path: Path, fake: FakeServer, scripted: ScriptedServer) -> None:
    """With on_defer=next a busy server's mail goes to the other, small or large."""
    scripted.answer(b"5:Zbusy,")
    line = plugins(at(scripted), at(fake), options="on_defer=next")
    with (
        running_host(tmp_path, ("", 0), plugins=line) as host,
        host.connect() as client,
    ):
        client.hello()
        for message in (MESSAGE, LARGE):
            assert client.deliver(message).code == 250
            assert fake.take().message.endswith(message)
    assert scripted.packages == 2


def test_rotate(tmp_path: Path, sink: QMQPSink, fake: FakeServer, gone: str) -> None:
    """In rotation the servers that work share the mail."""
    line = plugins(at(sink), gone, at(fake), options="balance=rotate")
    with (
        running_host(tmp_path, ("", 0), plugins=line) as host,
        host.connect() as client,
    ):
        client.hello()
        for _ in range(12):
            assert client.deliver(MESSAGE).code == 250
    # The one that is gone is tried at first, and its turn goes to the next.
    assert eventually(lambda: len(fake.messages) + sink.count() == 12)
    assert 5 <= sink.count() <= 7


def test_a_unix_socket(tmp_path: Path, gone: str) -> None:
    """A unix socket that is not there is told as such."""
    line = plugins(f"unix:{tmp_path}/none", gone)
    with (
        running_host(tmp_path, ("", 0), plugins=line) as host,
        host.connect() as client,
    ):
        client.hello()
        assert client.deliver(MESSAGE) == Answer(
            452, b"4.3.0 Cannot queue the message now, try again later"
        )
        log = host.log()
    assert f"unix:{tmp_path}/none: cannot connect: No such file or directory" in log
    assert f"{gone}: cannot connect: Connection refused" in log


def test_send(sink: QMQPSink) -> None:
    """A script needs no host: what it sends arrives at a real server."""
    for message in (MESSAGE, LARGE):
        response = asyncio.run(qmqp.send(at(sink), message, "a@example.org", ["b@x", "c@x"]))
        assert response.verdict is qmqp.Verdict.ACCEPTED
    assert eventually(lambda: sink.count() == 2)


def test_it_does_not_fit(tmp_path: Path) -> None:
    """A session that is longer than the host's patience refuses to start."""
    with (
        pytest.raises(AssertionError) as error,
        running_host(tmp_path, ("", 0), plugins=plugins("a", options="session_timeout=600")),
    ):
        pass
    assert "plugins:2: queue/qmqp_forward: session_timeout=600: the host gives" in str(error.value)
