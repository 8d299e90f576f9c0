"""A refusal that comes while a large message is on its way is not lost behind the reset.

qmail-qmqpc loses it with 20 MB: it writes all before it reads anything, the server's close makes
that write fail, and what the server said is never looked at.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qpsdk import Endpoint, qmqp
from qpsdk.qmqp import Response, Verdict
from tests.interop.rig import Answer, RunningHost, ScriptedServer, reset, running_host

BIG = b"Subject: big\n\n" + (b"x" * 76 + b"\n") * 260_000  # 20 MB

Fate = Callable[[socket.socket], None]


def refuse_and_close(connection: socket.socket) -> None:
    """Say D after a few bytes, and close with the rest unread: the kernel sends an RST."""
    connection.recv(20)
    connection.sendall(b"17:Dtoo big for here,")


def refuse_and_reset(connection: socket.socket) -> None:
    """The same with an RST that does not depend on what is unread."""
    refuse_and_close(connection)
    reset(connection)


def refuse_unread(connection: socket.socket) -> None:
    """Say D without reading anything, as Postfix does to a client that it does not know."""
    connection.sendall(b"17:Dtoo big for here,")


def refuse_later(connection: socket.socket) -> None:
    """Say D when some of the message has come."""
    for _ in range(50):
        connection.recv(100_000)
    connection.sendall(b"17:Dtoo big for here,")


FATES = {
    fate.__name__: fate
    for fate in (refuse_and_close, refuse_and_reset, refuse_unread, refuse_later)
}
every_fate = pytest.mark.parametrize("fate", FATES.values(), ids=FATES)


@every_fate
def test_send_hears_it(loop: str, scripted: ScriptedServer, fate: Fate) -> None:
    """Fifty times out of fifty the answer is the D, whatever the close did to our writing."""
    scripted.script = fate
    factory = asyncio.new_event_loop
    if loop == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    server = Endpoint(*scripted.address)

    async def main() -> None:
        for _ in range(50):
            response = await qmqp.send(server, BIG, "", "b@example.com", io_timeout=10)
            assert response == Response(Verdict.REJECTED, b"too big for here")

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    """The module's QMQP server."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture(scope="module")
def forwarding(folder: Path, server: ScriptedServer) -> Iterator[RunningHost]:
    """A host that forwards to it."""
    with running_host(folder, server.address) as running:
        yield running


@every_fate
def test_the_host_hears_it(forwarding: RunningHost, server: ScriptedServer, fate: Fate) -> None:
    """A client of the host is refused for good, and does not try for days."""
    server.script = fate
    with forwarding.connect() as client:
        client.hello()
        for _ in range(3):
            assert client.deliver(BIG) == Answer(552, b"5.3.0 too big for here")
