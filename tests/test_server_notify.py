"""What is told to the one who has started us, over real sockets."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from qpsdk.server.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where systemd listens: a path, or a name in the abstract namespace."""
    return str(tmp_path / "s") if request.param == "path" else f"@qpsdk-{tmp_path}"


@pytest.fixture
def systemd(address: str) -> Iterator[socket.socket]:
    """A socket as systemd has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(address.replace("@", "\0", 1) if address[0] == "@" else address)
        yield listening


def test_what_is_told(systemd: socket.socket, address: str) -> None:
    """Each state is one datagram, in sd_notify(3)'s words; the environment says no more of it."""
    environment = {"NOTIFY_SOCKET": address, "HOME": "/"}
    notifier = Notifier.from_environment(environment)
    assert environment == {"HOME": "/"}
    with closing(notifier):
        tell_all(notifier, systemd)


def tell_all(notifier: Notifier, systemd: socket.socket) -> None:
    """Tell each state, and hear it."""
    notifier.ready()
    assert systemd.recv(4096) == b"STATUS=serving\nREADY=1\n"
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    status, since, word, end = systemd.recv(4096).split(b"\n")
    assert (status, word, end) == (b"STATUS=reloading", b"RELOADING=1", b"")
    assert before <= int(since.removeprefix(b"MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    notifier.kept("config/me:1: x\nREADY=0")
    assert systemd.recv(4096) == (
        b"STATUS=serving as before: config/me:1: x\\nREADY=0\nX_QPSDK_KEPT=1\nREADY=1\n"
    )
    notifier.stopping()
    assert systemd.recv(4096) == b"STATUS=stopping\nSTOPPING=1\n"
    notifier.alive()
    assert systemd.recv(4096) == b"WATCHDOG=1\n"


WATCHED = {
    "by us": ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
    "by whoever": ({"WATCHDOG_USEC": "500000"}, 0.5),
    "by another": ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, 0.0),
    "no number": ({"WATCHDOG_USEC": "-1"}, 0.0),
    "not at all": ({}, 0.0),
}


@pytest.mark.parametrize(("variables", "seconds"), WATCHED.values(), ids=WATCHED.keys())
def test_watchdog(
    systemd: socket.socket, address: str, variables: dict[str, str], seconds: float
) -> None:
    """How long we may be silent is read for this process, and no program that we start has it."""
    environment = {"NOTIFY_SOCKET": address, **variables}
    with closing(Notifier.from_environment(environment)) as notifier:
        assert (notifier.watchdog, environment) == (seconds, {})


def test_keep_alive(systemd: socket.socket, address: str) -> None:
    """It is said at once, and by the loop itself twice in the time in which it has to be."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"}
        with closing(Notifier.from_environment(environment)) as notifier:
            began = loop.time()
            notifier.keep_alive(loop)
            systemd.setblocking(False)
            for since in (0.0, 0.05, 0.1):
                assert await loop.sock_recv(systemd, 4096) == b"WATCHDOG=1\n"
                assert since <= loop.time() - began

    asyncio.run(asyncio.wait_for(main(), 5))


def test_nobody_wants_to_hear_it(systemd: socket.socket, address: str) -> None:
    """Without a watchdog nothing is said, and nothing left for the loop to do."""

    async def main() -> None:
        with closing(Notifier.from_environment({"NOTIFY_SOCKET": address})) as notifier:
            notifier.keep_alive(asyncio.get_running_loop())
            notifier.stopping()
            assert systemd.recv(4096) == b"STATUS=stopping\nSTOPPING=1\n"

    asyncio.run(main())


def test_systemd_that_has_gone(systemd: socket.socket, address: str) -> None:
    """That nobody listens any more is no reason to fail."""
    with closing(Notifier.from_environment({"NOTIFY_SOCKET": address})) as notifier:
        systemd.close()
        notifier.ready()


@pytest.mark.parametrize("address", ["", "vsock:2:1", "nowhere"])
def test_without_systemd(address: str) -> None:
    """Elsewhere nothing is told."""
    Notifier.from_environment({"NOTIFY_SOCKET": address}).ready()
    Notifier.from_environment({}).ready()


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    """Nor does a socket that is not there keep us from serving."""
    environment = {"NOTIFY_SOCKET": str(tmp_path / "s")}
    with closing(Notifier.from_environment(environment)) as notifier:
        notifier.ready()
