"""A client that has ended its side still gets what it asked for (EOF is not "gone")."""

import socket
import threading
import time
from pathlib import Path

import pytest

from tests.interop.rig import (
    PATIENCE,
    FakeServer,
    RunningHost,
    ScriptedServer,
    eventually,
    running_host,
    wire,
    without_received,
)

MESSAGE = b"Subject: pipelined\n\n.dot\nbody\n"
COMMANDS = (
    b"EHLO client.example.org\r\n"
    b"MAIL FROM:<sender@example.org>\r\nRCPT TO:<recipient@example.com>\r\nDATA\r\n"
)
REST = wire(MESSAGE) + b".\r\nQUIT\r\n"


@pytest.mark.parametrize("waits", [True, False], ids=["waits for 354", "waits for nothing"])
def test_everything_pipelined(host: RunningHost, fake: FakeServer, waits: bool) -> None:
    """A whole session in one piece, then half a close: all replies come, and the mail passes."""
    with host.connect(greeted=False) as client:
        client.send(COMMANDS)
        first = [client.reply().code for _ in range(5)] if waits else []
        client.send(REST)
        client.end()
        codes = first + [answer.code for answer in client.rest()]
    assert codes == [220, 250, 250, 250, 354, 250, 221]
    assert without_received(fake.take().message) == MESSAGE


def test_bytes_behind_quit_lose_no_reply(tmp_path: Path, fake: FakeServer) -> None:
    """A client that reads slowly, and sends a line too many, still gets all replies."""
    with (
        running_host(tmp_path, fake.address, max_commands="0") as host,
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.connect(host.address)
        client.sendall(b"EHLO client.example.org\r\n" * 2000 + COMMANDS + REST)
        assert eventually(lambda: bool(fake.messages))
        time.sleep(0.3)  # the host has said all, and most of it is on its way
        client.sendall(b"\r\n")
        said = b""
        while data := client.recv(4096):
            said += data
    assert [line[:3] for line in said.splitlines()[-2:]] == [b"250", b"221"]


@pytest.mark.parametrize("goodbye", [b"QUIT\r\n", b""], ids=["QUIT", "no QUIT"])
def test_a_slow_queue_outlives_the_half_close(
    tmp_path: Path, scripted: ScriptedServer, goodbye: bytes
) -> None:
    """A queue plugin at work when the client ends its side is not cancelled."""

    def slow(connection: socket.socket) -> None:
        scripted.package(connection)
        time.sleep(0.5)
        connection.sendall(b"5:Kslow,")

    scripted.script = slow
    with running_host(tmp_path, scripted.address) as host:
        with host.connect(greeted=False) as client:
            client.send(COMMANDS + wire(MESSAGE) + b".\r\n" + goodbye)
            client.end()
            answers = client.rest()
        codes = [answer.code for answer in answers]
        assert codes == [220, 250, 250, 250, 354, 250, *([221] if goodbye else [])]
        assert answers[5].text == b"2.0.0 slow"
        assert host.log() == ""
    assert scripted.packages == 1


def test_half_close_before_the_greeting(host: RunningHost) -> None:
    """A client that says nothing at all is greeted, and let go."""
    with host.connect(greeted=False) as client:
        client.end()
        assert [answer.code for answer in client.rest()] == [220]


def test_half_close_inside_the_message(host: RunningHost, fake: FakeServer) -> None:
    """Without its final dot a message is not delivered, and not answered."""
    with host.connect(greeted=False) as client:
        client.send(COMMANDS + wire(MESSAGE))
        client.end()
        assert [answer.code for answer in client.rest()] == [220, 250, 250, 250, 354]
    assert fake.messages == []


def test_a_reset_while_the_queue_plugin_works(tmp_path: Path, scripted: ScriptedServer) -> None:
    """The client vanishes after the package left: its outcome is waited for, and logged."""
    gone = threading.Event()

    def slow(connection: socket.socket) -> None:
        scripted.package(connection)
        assert gone.wait(PATIENCE)
        connection.sendall(b"5:Kslow,")

    scripted.script = slow
    with running_host(tmp_path, scripted.address, loglevel="LOGNOTICE") as host:
        client = host.connect(greeted=False)
        client.send(COMMANDS + wire(MESSAGE) + b".\r\n")
        assert eventually(lambda: scripted.packages == 1)
        with_it = host.descriptors()
        client.reset()
        assert eventually(lambda: host.descriptors() < with_it)
        gone.set()
        told = "250 2.0.0 slow; the client was gone and could not be told"
        assert eventually(lambda: told in host.log()), host.log()
        assert "LOGCRIT" not in host.log()
        assert eventually(lambda: not host.spooled())
