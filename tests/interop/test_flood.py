"""A host under a flood: it says no, serves the others, keeps its memory, and recovers."""

import contextlib
import itertools
import re
import socket
import statistics
import time
from pathlib import Path

from tests.interop.rig import FakeServer, RunningHost, eventually, running_host

PLUGIN = '''
import os
from qpsdk import DECLINED, OK, Plugin

class Eats(Plugin):
    """Opens files until there are no more descriptors, and closes them again."""

    held = ()

    def hook_unrecognized_command(self, connection, command, arguments):
        if command == b"xeat":
            self.held = []
            try:
                while True:
                    self.held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                return OK
        if command == b"xfree":
            for descriptor in self.held:
                os.close(descriptor)
            return OK
        return DECLINED
'''


def knock(host: RunningHost, source: str) -> socket.socket:
    """Connect from another loopback address, and wait for nothing."""
    client = socket.socket()
    client.bind((source, 0))
    client.connect(host.address)
    return client


def said(client: socket.socket) -> bytes:
    """All that the host says until it closes."""
    client.settimeout(15)
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := client.recv(65536):
            data += more
    return data


def greets(host: RunningHost) -> bool:
    """Whether a new client is welcome."""
    with host.connect(greeted=False) as client:
        try:
            return client.reply().code == 220
        except (EOFError, ConnectionError):
            return False


def test_flood(tmp_path: Path, fake: FakeServer) -> None:
    """Idle clients, slow ones, garbage, and one address with hundreds: mail passes meanwhile.

    All are told why they are sent away, and when they are gone the host is as it was.
    """
    with running_host(tmp_path, fake.address, timeout="4", max_connections_per_address="5") as host:
        with host.connect() as client:
            client.hello()
            assert client.deliver(b"Subject: before\n\n").code == 250
        time.sleep(0.2)
        before = host.descriptors(), host.memory("VmRSS")

        addresses = (f"127.0.{n >> 8}.{n & 255}" for n in itertools.count(256))
        idle = [knock(host, next(addresses)) for _ in range(100)]
        garbage = [knock(host, next(addresses)) for _ in range(100)]
        greedy = [knock(host, "127.0.0.9") for _ in range(200)]
        for loud in garbage:
            loud.sendall(b"\0\xff GET / HTTP/1.1\r\n" * 100)
        # Last, so that they begin to drip before they are taken for idle ones.
        slow = [knock(host, next(addresses)) for _ in range(100)]

        delays = []
        with host.connect() as client:
            client.hello()
            began_to_drip = time.monotonic()
            while time.monotonic() < began_to_drip + 6:  # longer than the timeout
                for drip in slow:
                    with contextlib.suppress(ConnectionError):
                        drip.sendall(b"N")
                began = time.monotonic()
                assert client.deliver(b"Subject: meanwhile\n\n").code == 250
                delays.append(time.monotonic() - began)
                time.sleep(0.1)
        assert statistics.median(delays) < 1
        assert len(fake.messages) == 1 + len(delays)

        assert {said(one).count(b"\r\n421 4.4.2 ") for one in idle} == {1}
        too_slow = b"\r\n421 4.4.2 mx.example.com You send too slowly"
        assert [text for one in slow if too_slow not in (text := said(one))] == []
        assert {said(one).count(b"\r\n421 4.7.0 ") for one in garbage} == {1}
        told = [said(one) for one in greedy]
        assert sum(text.startswith(b"220 ") for text in told) == 5
        too_many = b"421 4.7.0 mx.example.com Too many connections from your address"
        assert sum(text.startswith(too_many) for text in told) == 195
        for one in (*idle, *slow, *garbage, *greedy):
            one.close()

        assert eventually(lambda: host.descriptors() <= before[0])
        assert host.memory("VmRSS") - before[1] < 20_000
        lines = host.log().splitlines()
        assert lines[0].endswith("127.0.0.9 refused: max_connections_per_address is 5")
        assert len(lines) <= 2
        with host.connect(source="127.0.0.9") as client:
            client.hello()
            assert client.deliver(b"Subject: after\n\n").code == 250


def test_few_descriptors(tmp_path: Path, fake: FakeServer) -> None:
    """Before they run out clients are refused, so that those who are there can be served."""
    wrapper = ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"]
    with running_host(tmp_path, fake.address, wrapper=wrapper, size_threshold="0") as host:
        with host.connect() as client:
            client.hello()
            flood = [knock(host, "127.0.0.1") for _ in range(100)]
            greetings = [one.recv(1000) for one in flood]
            told = b"421 4.3.2 mx.example.com Out of file descriptors, try again later\r\n"
            assert told in greetings
            assert all(text == told or text.startswith(b"220 ") for text in greetings)
            assert client.deliver(b"Subject: meanwhile\n\n").code == 250
            used = host.cpu()
            time.sleep(1)
            assert host.cpu() - used < 0.3
            for one in flood:
                one.close()
        assert eventually(lambda: greets(host))
        few, refused = host.log().splitlines()
        assert few.endswith("but the limit on open files (ulimit -n) leaves room for 48")
        assert re.search(r"LOGERROR clients are refused: 4[0-9] files are open$", refused)


def test_no_descriptors(tmp_path: Path, fake: FakeServer, loop: str) -> None:
    """Where somebody else has taken them all the host waits, and goes on when it can."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "eats.py").write_text(PLUGIN)
    wrapper = ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh"]
    with (
        running_host(
            tmp_path, fake.address, wrapper=wrapper, plugin_dirs=str(plugins), plugins="eats"
        ) as host,
        host.connect() as client,
    ):
        client.ask(b"XEAT")
        waiting = [knock(host, "127.0.0.1") for _ in range(50)]
        used = host.cpu()
        time.sleep(2.2)
        assert host.cpu() - used < 0.5
        assert client.ask(b"NOOP").code == 250
        client.ask(b"XFREE")
        assert eventually(lambda: greets(host))
        if loop == "asyncio":  # uvloop closes what it cannot accept
            assert {one.recv(4) for one in waiting} == {b"220 "}
        line = host.log().splitlines()[-1]
        assert line.endswith("LOGERROR no client can be accepted: Too many open files")
        for one in waiting:
            one.close()
