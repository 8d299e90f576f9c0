"""A machine at the other end is gone: its packets stop, and no FIN or RST says so."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.network import Machines, NotAllowedError
from tests.interop.rig import (
    PATIENCE,
    Client,
    RunningHost,
    ScriptedServer,
    eventually,
    running_host,
    wire,
)

MACHINES = {
    "client": "192.0.2.1/24",
    "host": "192.0.2.25/24",
    "first": "192.0.2.31/24",
    "second": "192.0.2.32/24",
}
LARGE = b"Subject: large\n\n" + b"x" * 69 + b"\n" + b"y" * 69 + b"\n" + (b"z" * 69 + b"\n") * 60_000
SMALL = b"Subject: small\n\nbody\n"
OK = b"7:Kqueued,"


@pytest.fixture(scope="module", autouse=True)
def loop() -> str:
    """Once is enough: the hosts run on uvloop."""
    return "uvloop"


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """The module's network."""
    with ExitStack() as stack:
        try:
            yield Machines(MACHINES, stack)
        except NotAllowedError as error:
            pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _all_joined(machines: Machines) -> Iterator[None]:
    """Each test begins with a whole network."""
    yield
    for name in MACHINES:
        machines.join(name)


@pytest.fixture
def servers(machines: Machines) -> Iterator[list[ScriptedServer]]:
    """Two QMQP servers, which take everything."""
    with ExitStack() as stack:
        started = []
        for name in ("first", "second"):
            with machines.at(name):
                server = ScriptedServer(MACHINES[name].partition("/")[0])
                server.answer(OK)
                started.append(stack.enter_context(server))
        yield started


@pytest.fixture
def host(
    machines: Machines, servers: list[ScriptedServer], tmp_path: Path
) -> Iterator[RunningHost]:
    """A host that waits for seconds where by default it waits for a minute or more."""
    addresses = ",".join(f"{address}:{port}" for address, port in (s.address for s in servers))
    options = "connect_timeout=1 io_timeout=2"
    with (
        machines.at("host"),
        running_host(
            tmp_path,
            servers[0].address,
            listen="192.0.2.25:25",
            plugins=f"rcpt_ok\nqueue/qmqp_forward {addresses} {options}",
            size_threshold="0",
            timeout="3",
            loglevel="LOGNOTICE",
        ) as running,
    ):
        yield running


@pytest.fixture
def client(machines: Machines, host: RunningHost) -> Iterator[Client]:
    """A client that has said hello."""
    with machines.at("client"), host.connect() as connected:
        connected.hello()
        yield connected


def test_client_in_a_message(machines: Machines, host: RunningHost, client: Client) -> None:
    """It is dropped when its time is over, and so is what it has sent."""
    client.begin()
    client.send(wire(SMALL))
    assert eventually(lambda: len(host.spooled()) == 1)
    began = time.monotonic()
    machines.cut_off("client")
    assert eventually(lambda: host.spooled() == [])
    assert time.monotonic() - began < PATIENCE
    assert "421 4.4.2 mx.example.com You said nothing for too long" in host.log()


def test_client_between_messages(machines: Machines, host: RunningHost, client: Client) -> None:
    """Its connection is closed, though it takes nothing of what it is told."""
    with_it = host.descriptors()
    machines.cut_off("client")
    client.send(b"NOOP\r\n")
    assert eventually(lambda: host.descriptors() < with_it)


def test_server_in_a_message(
    machines: Machines, host: RunningHost, servers: list[ScriptedServer], client: Client
) -> None:
    """The package is not whole, so the next server gets the message."""

    def vanish(connection: socket.socket) -> None:
        connection.recv(1000)
        machines.cut_off("first")  # so the close that follows is not heard, either

    servers[0].script = vanish
    began = time.monotonic()
    assert client.deliver(LARGE).code == 250
    assert time.monotonic() - began < PATIENCE
    assert servers[1].packages == 1
    assert "no progress for 2 s" in host.log()


def test_server_before_its_answer(
    machines: Machines, host: RunningHost, servers: list[ScriptedServer], client: Client
) -> None:
    """It may have the message, so the client is told to come again; the next goes elsewhere."""

    def vanish(connection: socket.socket) -> None:
        servers[0].package(connection)
        machines.cut_off("first")
        connection.sendall(OK)

    servers[0].script = vanish
    began = time.monotonic()
    assert client.deliver(SMALL).code == 452
    assert time.monotonic() - began < PATIENCE
    assert servers[1].packages == 0
    assert "it may have been accepted" in host.log()
    assert client.deliver(SMALL).code == 250
    assert servers[1].packages == 1


def test_all_servers(machines: Machines, host: RunningHost, client: Client) -> None:
    """Connections that come to nothing are given up, and the client keeps its mail."""
    machines.cut_off("first")
    machines.cut_off("second")
    began = time.monotonic()
    assert client.deliver(SMALL).code == 452
    assert 2 <= time.monotonic() - began < PATIENCE
