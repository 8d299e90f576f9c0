"""A large message grows the host by next to nothing, and leaves nothing behind."""

import stat
from pathlib import Path

import pytest

from tests.interop.rig import FakeServer, QMQPSink, RunningHost, eventually, running_host

GROWTH = 4096  # kB
SIZE = 100_000_000

LINE = b"x" * 76 + b"\r\n"
BLOCK = LINE * 1000


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_hundred_megabytes_pass_in_four(tmp_path: Path, sink: QMQPSink) -> None:
    """100 MB pass while resident memory stays within 4 MB of what it was when idle."""
    with running_host(tmp_path, sink.address) as host, host.connect() as client:
        client.hello()
        assert client.deliver(b"Subject: warm-up\n\n" + b"x\n" * 100_000).code == 250
        idle = host.memory("VmRSS")
        host.reset_peak()
        client.begin()
        client.send(b"Subject: large\r\n\r\n")
        for n in range(SIZE // len(BLOCK) + 1):
            client.send(BLOCK)
            if n == 500:
                (spooled,) = host.spooled()
                assert (_mode(host.spool), _mode(spooled)) == (0o700, 0o600)
        assert client.ask(b".").code == 250
        assert host.memory("VmHWM") - idle <= GROWTH
        assert eventually(lambda: not host.spooled())
        assert eventually(lambda: sink.count() == 2)


def test_a_small_message_never_touches_the_disk(tmp_path: Path, sink: QMQPSink) -> None:
    """Up to size_threshold there is no file, one byte above it there is."""
    with (
        running_host(tmp_path, sink.address, size_threshold="1000") as host,
        host.connect() as client,
    ):
        client.hello()
        client.begin()
        client.send(b"Subject: x\r\n\r\n" + b"x" * 500 + b"\r\n")
        assert not eventually(lambda: bool(host.spooled()), 0.3)
        client.send(b"x" * 500 + b"\r\n")
        assert eventually(lambda: len(host.spooled()) == 1)
        assert client.ask(b".").code == 250
        assert eventually(lambda: not host.spooled())


@pytest.mark.parametrize("end", ["fin", "rst"])
def test_a_client_that_vanishes_in_the_body(host: RunningHost, fake: FakeServer, end: str) -> None:
    """The client vanishes half-way: nothing is delivered, the spool is emptied at once."""
    client = host.connect()
    client.hello()
    client.begin()
    client.send(b"Subject: large\r\n\r\n" + BLOCK * 10)
    assert eventually(lambda: len(host.spooled()) == 1)
    if end == "fin":
        client.close()
    else:
        client.reset()
    assert eventually(lambda: not host.spooled())
    assert fake.messages == []
    assert host.log() == ""


def test_hundred_clients_vanish_together(host: RunningHost) -> None:
    """Many half messages at once leave neither files nor descriptors."""
    before = host.descriptors()
    clients = [host.connect() for _ in range(100)]
    for client in clients:
        client.hello()
        client.begin()
        client.send(b"Subject: large\r\n\r\n" + BLOCK)
    assert eventually(lambda: len(host.spooled()) == 100)
    for number, client in enumerate(clients):
        if number % 2:
            client.reset()
        else:
            client.close()
    assert eventually(lambda: not host.spooled())
    assert eventually(lambda: host.descriptors() <= before)


def test_a_client_that_never_reads_its_replies(tmp_path: Path, sink: QMQPSink) -> None:
    """A client that never reads its replies cannot make the host hold them without bound."""
    with running_host(tmp_path, sink.address, max_commands="0") as host:
        with host.connect() as client:
            client.hello()
            assert client.deliver(b"Subject: warm-up\n\n").code == 250
        idle = host.memory("VmRSS")
        host.reset_peak()
        with host.connect() as client:
            client.socket.settimeout(1)
            try:
                for _ in range(2000):
                    client.send(b"NOOP\r\n" * 10_000)
            except TimeoutError:
                pass  # as it should: the host does not read on
            else:
                pytest.fail("the host has read 120 MB of commands whose replies nobody took")
        assert host.memory("VmHWM") - idle <= GROWTH
