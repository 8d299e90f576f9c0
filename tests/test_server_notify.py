"""What is told to the one who has started us, over real sockets."""

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
