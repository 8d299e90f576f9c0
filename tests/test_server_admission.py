"""Who may connect, in memory: the numbers, the replies, and the few lines of the log."""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from qpsdk.config import Config
from qpsdk.constants import LOGERROR, LOGWARN
from qpsdk.reply import Reply
from qpsdk.server.admission import Admission, RareLine
from qpsdk.settings import Settings
from qpsdk.testing import Clock
from qpsdk.testing.logs import Log, capture_log


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged."""
    with capture_log() as found:
        yield found


class Door:
    """An admission with the settings of the moment."""

    def __init__(self, **settings: str) -> None:
        self.set(**settings)
        self.clock = Clock()
        self.admission = Admission(self.settings, self.clock)

    def set(self, **settings: str) -> None:
        """Change the settings."""
        self.settings = Settings.read(Config({"me": "mx.example.com", **settings}))

    def admit(self, ip: str, descriptor: int = 0) -> Reply | None:
        """Let one in."""
        refusal = self.admission.admit(ip, self.settings, descriptor)
        return None if refusal is None else refusal.reply


def admitted(which: Door, *ips: str) -> list[int]:
    """Let each in; 220, or the code that it is sent away with."""

    async def main() -> list[int]:
        replies = [which.admit(ip) for ip in ips]
        return [220 if reply is None else reply.code for reply in replies]

    return asyncio.run(main())


def test_in_all(log: Log) -> None:
    """Beyond max_connections a client is told to come again, until another has gone."""

    async def main() -> None:
        which = Door(max_connections="2")
        assert which.admit("192.0.2.1") is None
        assert which.admit("") is None
        reply = which.admit("192.0.2.3")
        text = b"421 4.3.2 mx.example.com Too many connections, try again later\r\n"
        assert reply is not None
        assert reply.wire == text
        which.admission.release("")
        assert which.admit("192.0.2.3") is None

    asyncio.run(main())
    assert log.lines(level=LOGWARN) == ["192.0.2.3 refused: max_connections is 2"]


def test_a_limit_that_was_lowered(log: Log) -> None:
    """The log names the limit as it is now, also where more had been let in before."""

    async def main() -> None:
        which = Door(max_connections="3")
        for _ in range(3):
            assert which.admit("192.0.2.1") is None
        which.set(max_connections="1")
        assert which.admit("192.0.2.1") is not None

    asyncio.run(main())
    assert log.lines(level=LOGWARN) == ["192.0.2.1 refused: max_connections is 1"]


def test_of_one_address(log: Log) -> None:
    """An IPv4 client is its address, an IPv6 client its /64; a unix socket has no address."""

    async def main() -> None:
        which = Door(max_connections_per_address="2")
        for ip in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "", "", ""):
            assert which.admit(ip) is None
        reply = which.admit("192.0.2.1")
        assert reply is not None
        assert reply.wire == (
            b"421 4.7.0 mx.example.com Too many connections from your address, try again later\r\n"
        )
        assert which.admit("2001:db8::3") is not None
        assert which.admit("2001:db8:0:1::1") is None
        which.admission.release("2001:db8::1")
        assert which.admit("2001:db8::3") is None

    asyncio.run(main())
    assert log.lines(level=LOGWARN) == ["192.0.2.1 refused: max_connections_per_address is 2"]


def test_too_often(log: Log) -> None:
    """Who connects more often within a minute is sent away until it is over, refused ones too."""

    async def main() -> None:
        which = Door(max_connection_rate="2")
        for ip in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "", "", ""):
            assert which.admit(ip) is None
            which.admission.release(ip)
        reply = which.admit("192.0.2.1")
        assert reply is not None
        assert reply.wire == (
            b"421 4.7.0 mx.example.com You connect too often, try again later\r\n"
        )
        assert which.admit("2001:db8::3") is not None
        which.clock.advance(59)
        assert which.admit("192.0.2.1") is not None
        which.clock.advance(1)
        assert which.admit("192.0.2.1") is None

    asyncio.run(main())
    assert log.lines(level=LOGWARN) == ["192.0.2.1 refused: max_connection_rate is 2"]


def test_not_counted() -> None:
    """How often clients come is not even counted where nobody limits it, as is the default."""
    which = Door(max_connections_per_address="0")
    assert admitted(which, *["192.0.2.1"] * 1000) == [220] * 1000
    assert which.admission._latest._clients == {}


def test_unlimited_clients() -> None:
    """This machine itself may have any number, and who is named in its place."""
    often = Door(max_connection_rate="2")
    assert admitted(often, *["127.0.0.1"] * 4, *["192.0.2.9"] * 4) == [220] * 6 + [421] * 2
    local = ["127.0.0.1"] * 4
    assert admitted(Door(max_connections_per_address="2"), *local) == [220] * 4
    named = Door(max_connections_per_address="2", unlimited_clients="192.0.2.")
    assert admitted(named, *local, *["192.0.2.9"] * 4) == [220, 220, 421, 421, *[220] * 4]


def test_no_limits() -> None:
    """0 is no limit."""
    which = Door(max_connections="0", max_connections_per_address="0")
    assert admitted(which, *["192.0.2.1"] * 100) == [220] * 100


def test_the_settings_of_now() -> None:
    """A limit that was changed holds for the next client."""
    which = Door(max_connections="1")
    assert admitted(which, "192.0.2.1", "192.0.2.2") == [220, 421]
    which.set(max_connections="2")
    assert admitted(which, "192.0.2.2") == [220]


def test_nothing_is_kept() -> None:
    """When all have gone, no address is remembered."""
    which = Door()
    ips = [f"2001:db8:0:{number:x}::1" for number in range(1000)]
    assert admitted(which, *ips) == [220] * 1000
    for ip in ips:
        which.admission.release(ip)
    assert (which.admission._all, len(which.admission._by_network)) == (0, 0)


def test_descriptors(log: Log) -> None:
    """A quarter of the descriptors, or 1024, is kept back for spool files and forwards."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = soft - min(1024, soft // 4)

    async def main() -> None:
        which = Door()
        assert which.admit("192.0.2.1", room - 1) is None
        reply = which.admit("192.0.2.1", room)
        text = b"421 4.3.2 mx.example.com Out of file descriptors, try again later\r\n"
        assert reply is not None
        assert reply.wire == text

    asyncio.run(main())
    assert log.lines(level=LOGWARN) == [f"clients are refused: {room} files are open"]


def test_more_than_there_are_descriptors_for(log: Log) -> None:
    """A limit that the system does not let us reach is told at the start."""
    Door(max_connections="999999999")
    (line,) = log.lines(level=LOGWARN)
    assert "max_connections is 999999999, but the limit on open files (ulimit -n) leaves" in line


def test_a_flood_in_the_log(log: Log) -> None:
    """The first refusal is told at once, of the others how many there were."""

    async def main() -> None:
        line = RareLine(LOGWARN, 0.05)
        for number in range(1000):
            line.tell(f"refused: {number}")
        assert log.lines() == ["refused: 0"]
        while line._timer is not None:
            await asyncio.sleep(0.01)
        assert log.lines() == ["refused: 0", "refused: 999 (999 times in 0.05 s)"]
        line.tell("again")
        assert log.lines()[2:] == ["again"]

    asyncio.run(asyncio.wait_for(main(), 20))


def test_look(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of descriptors is told as soon as it is seen, until nobody looks any more."""
    monkeypatch.setattr("qpsdk.server.admission.LOOK", 0.01)

    async def main() -> None:
        which = Door()
        which.admission.look()
        assert log.lines() == []
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            while not log.lines():
                await asyncio.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        which.admission.close()
        assert log.lines(level=LOGERROR) == ["no client can be accepted: Too many open files"]

    asyncio.run(asyncio.wait_for(main(), 10))


def test_accept_failed(log: Log) -> None:
    """Out of descriptors in accept is told once; other failures are the loop's to tell."""

    async def main() -> None:
        which = Door()
        loop = asyncio.get_running_loop()
        told: list[object] = []
        loop.default_exception_handler = told.append  # type: ignore[method-assign, assignment]
        with socket.socket() as listening:
            for number in (errno.EMFILE, errno.ENFILE, errno.EMFILE):
                error = OSError(number, os.strerror(number))
                which.admission.accept_failed(loop, {"exception": error, "socket": listening})
        for context in ({"message": "x"}, {"exception": OSError(errno.EMFILE, "no accept")}):
            which.admission.accept_failed(loop, context)
            assert told.pop() == context
        assert told == []

    asyncio.run(main())
    assert log.lines() == ["no client can be accepted: Too many open files"]
