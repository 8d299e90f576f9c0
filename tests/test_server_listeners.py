"""Listeners: bound, shared by workers, in place of dead unix sockets, handed over by systemd."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qpsdk.errors import SetupError
from qpsdk.server.listeners import (
    Listener,
    bind,
    bind_for_each,
    cannot_listen,
    inherited,
    parse_endpoints,
)
from qpsdk.stream import Endpoint
from tests.programs import needs_ipv6

TAKEN = "cannot listen on {}: Address already in use; --listen names another"


@pytest.fixture
def opened() -> Iterator[list[Listener]]:
    """Listeners to close in the end."""
    listeners: list[Listener] = []
    yield listeners
    for listener in listeners:
        listener.close()


def test_any_port(opened: list[Listener]) -> None:
    """Port 0 becomes one that is told."""
    opened += bind(Endpoint("127.0.0.1", 0, tls=True))
    (listener,) = opened
    port = listener.socket.getsockname()[1]
    assert port > 0
    assert listener.endpoint == Endpoint("127.0.0.1", port, tls=True)


def test_workers_share_a_port(opened: list[Listener]) -> None:
    """Each worker has a socket of its own on the same port; connections come to both."""
    shares = bind_for_each(Endpoint("127.0.0.1", 0), 2)
    opened += [listener for share in shares for listener in share]
    one, two = opened
    assert one.endpoint == two.endpoint
    for listener in opened:
        listener.socket.listen()
    for _ in range(40):
        socket.create_connection(one.socket.getsockname()).close()
    assert min(len(list(accepted(one.socket))), len(list(accepted(two.socket)))) > 0


def accepted(listening: socket.socket) -> Iterator[None]:
    """Accept what waits in a socket."""
    while True:
        try:
            connection, _ = listening.accept()
        except BlockingIOError:
            return
        connection.close()
        yield


def test_workers_share_a_unix_socket(opened: list[Listener], tmp_path: Path) -> None:
    """They have it in common, and it goes away when it is closed."""
    path = tmp_path / "s"
    shares = bind_for_each(Endpoint(path=str(path)), 2)
    opened += [listener for share in shares for listener in share]
    assert opened[0].socket is opened[1].socket
    assert opened[0].endpoint == Endpoint(path=str(path))
    assert path.is_socket()
    opened[0].close()
    assert not path.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_in_use(opened: list[Listener], workers: int) -> None:
    """A port that somebody listens on is refused, also if that one would share it."""
    shared, other = bind_for_each(Endpoint("127.0.0.1", 0), 2)
    for listeners in (bind(Endpoint("127.0.0.1", 0)), shared, other):
        opened += listeners
    for listener in opened:
        listener.socket.listen()
        at = listener.endpoint
        with pytest.raises(SetupError) as refusal:
            bind_for_each(at, workers)
        assert str(refusal.value) == TAKEN.format(at)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_name_that_stands_twice(
    opened: list[Listener], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """An address that the resolver gives twice, as /etc/hosts may have it, is bound once."""
    (found,) = socket.getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    twice = [(*found[:4], ("127.0.0.1", port))] * 2
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: twice)
    shares = bind_for_each(Endpoint("mx.example.com", port), workers)
    opened += [listener for share in shares for listener in share]
    assert [listener.endpoint for listener in opened] == [Endpoint("127.0.0.1", port)] * workers


def test_a_name_that_is_none() -> None:
    """What no resolver would be asked is told."""
    with pytest.raises(SetupError, match=r"^cannot listen on a\.\.b:25: .*label"):
        bind(Endpoint("a..b", 25))


def test_a_dead_unix_socket_is_taken_over(opened: list[Listener], tmp_path: Path) -> None:
    """What a host that was killed has left behind is in nobody's way."""
    at = Endpoint(path=str(tmp_path / "s"))
    (left,) = bind(at)
    left.socket.listen()
    left.socket.close()
    opened += bind(at)
    opened[0].socket.listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(at.path)


@pytest.mark.parametrize("backlog", [0, 10])
def test_a_live_unix_socket_is_not(opened: list[Listener], tmp_path: Path, backlog: int) -> None:
    """That somebody listens there is told, also if he is too busy to answer; he is left alone."""
    at = Endpoint(path=str(tmp_path / "s"))
    opened += bind(at)
    opened[0].socket.listen(backlog)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(at.path)
        with pytest.raises(SetupError) as refusal:
            bind(at)
    assert str(refusal.value) == TAKEN.format(at)
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        assert client.connect_ex(at.path) in (0, 11)  # EAGAIN: its queue is full


def test_who_may_connect(opened: list[Listener]) -> None:
    """A socket is for all where it and its folders let them, or has no file; TCP has no mode."""
    # Not in pytest's own folders, which are private.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "s")
        opened += bind(Endpoint(path=str(path)))
        for of_folder, of_socket, is_for_all in (
            (0o755, 0o600, False),
            (0o755, 0o660, False),
            (0o755, 0o666, True),
            (0o711, 0o666, True),
            (0o750, 0o666, False),
        ):
            Path(folder).chmod(of_folder)
            path.chmod(of_socket)
            assert opened[0].is_for_all is is_for_all
        path.unlink()
        assert not opened[0].is_for_all
    abstract = Listener(socket.socket(socket.AF_UNIX))
    opened.append(abstract)
    abstract.socket.bind(f"\0qpsdk-test-{os.getpid()}")
    assert abstract.is_for_all
    opened += bind(Endpoint("127.0.0.1", 0))
    assert not opened[-1].is_for_all


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    """A file that is no socket is not deleted for one."""
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(SetupError, match=r"it is there, and no socket$"):
        bind(Endpoint(path=str(path)))
    assert path.read_text() == "precious"


def test_no_folder(tmp_path: Path) -> None:
    """A unix socket in a folder that is not there is refused."""
    with pytest.raises(SetupError, match=r"/no/s: No such file or directory$"):
        bind(Endpoint(path=str(tmp_path / "no" / "s")))


def test_a_low_port() -> None:
    """A port that this user may not open is told with who may."""
    denied = OSError(errno.EACCES, "Permission denied")
    assert str(cannot_listen(Endpoint("127.0.0.1", 25), denied, "--listen")) == (
        "cannot listen on 127.0.0.1:25: Permission denied;"
        " a port below 1024 is for root, or for systemd to open"
    )


def test_addresses() -> None:
    """Addresses are read; one that is none is told."""
    assert parse_endpoints(["tls:127.0.0.1:465"]) == [Endpoint("127.0.0.1", 465, tls=True)]
    with pytest.raises(SetupError, match=r"^listen: 'x' is no address"):
        parse_endpoints(["127.0.0.1:25", "x"])


HANDED = """\
import os, sys
from qpsdk.errors import SetupError
from qpsdk.server.listeners import inherited

pid, names, *descriptors = sys.argv[1:]
for at, descriptor in enumerate(map(int, descriptors), 3):
    os.dup2(descriptor, at)
os.environ |= {
    "LISTEN_PID": pid or str(os.getpid()),
    "LISTEN_FDS": str(len(descriptors)),
    "LISTEN_FDNAMES": names,
}
try:
    for listener in inherited(os.environ):
        print(listener.endpoint, listener.path, os.get_inheritable(listener.socket.fileno()))
except SetupError as error:
    print(error)
print(*(name for name in os.environ if name.startswith("LISTEN_")))
"""


def hand_over(*given: socket.socket, names: str = "", pid: str = "") -> list[str]:
    """What a process sees that is begun with these sockets, as systemd begins one."""
    # Far from 3, so that none is overwritten before it is in its place.
    descriptors = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD, 50) for each in given]
    try:
        done = subprocess.run(
            [sys.executable, "-c", HANDED, pid, names, *map(str, descriptors)],
            pass_fds=descriptors,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return done.stdout.splitlines()


def test_inherited(opened: list[Listener], tmp_path: Path) -> None:
    """Sockets are taken in their order, by their names with TLS; no program of ours gets them."""
    needs_ipv6()
    opened += bind(Endpoint("127.0.0.1", 0))
    opened += bind(Endpoint("::1", 0))
    opened += bind(Endpoint(path=str(tmp_path / "s")))
    for listener in opened:
        listener.socket.listen()
    one, two, three = [listener.endpoint for listener in opened]
    sockets = [listener.socket for listener in opened]
    assert hand_over(*sockets, names="smtp:tls:x") == [
        f"{one}  False",
        f"tls:{two}  False",
        f"{three}  False",  # no path: it is not ours to take away
        "",
    ]
    assert hand_over(*sockets) == [f"{one}  False", f"{two}  False", f"{three}  False", ""]


def test_inherited_by_another(opened: list[Listener]) -> None:
    """What is said to another process is none of our business."""
    opened += bind(Endpoint("127.0.0.1", 0))
    opened[0].socket.listen()
    assert hand_over(opened[0].socket, pid="1") == [""]
    assert inherited({}) == []


def test_inherited_what_does_not_listen() -> None:
    """A connection (Accept=yes), or a datagram socket, is refused with what would be right."""
    told = "LISTEN_FDS: descriptor 3 is no listening stream socket; write ListenStream= and"
    one, other = socket.socketpair()
    with one, other, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for wrong in (one, datagrams):
            assert hand_over(wrong) == [f"{told} Accept=no in the socket unit", ""]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_address_is_taken_at_once(workers: int) -> None:
    """Another host cannot have an address while the first one still loads its plugins."""
    rows = bind_for_each(Endpoint("127.0.0.1", 0), workers)
    try:
        with pytest.raises(SetupError, match="Address already in use"):
            bind_for_each(rows[0][0].endpoint, workers)
    finally:
        for (listener,) in rows:
            listener.close()


def test_another_socket_at_our_path(tmp_path: Path) -> None:
    """A unix socket is taken at once, and whoever closes leaves what another has put there."""
    path = tmp_path / "s"
    (listener,) = bind(Endpoint(path=str(path)))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    path.rename(tmp_path / "away")
    (other,) = bind(Endpoint(path=str(path)))
    listener.close()
    assert path.exists()
    other.close()
    assert not path.exists()
