"""logging/syslog: what a syslog daemon receives, on a socket of the test's own."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qpsdk import DECLINED, LOGDEBUG, LOGEMERG, LOGINFO, OK, Connection, LogLevel, PluginError
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.plugins.logging.syslog import Syslog
from qpsdk.testing.smtp import memory_host

C1 = Connection("c1")


@contextmanager
def loaded(line: str) -> Iterator[Syslog]:
    """The plugin of a line in config/plugins."""
    plugin = load_one(PluginLine.parse(line), memory_host({}))
    assert isinstance(plugin, Syslog)
    try:
        yield plugin
    finally:
        plugin.shutdown()


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A daemon's socket at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(path))
        daemon.settimeout(10)
        yield daemon


def write(plugin: Syslog, text: str = "hello", level: LogLevel = LOGINFO) -> object:
    """Have it send a line; its answer."""
    return plugin.hook_logging(C1, None, level, "rcpt", "rcpt_ok", text)


@pytest.mark.parametrize(
    ("options", "level", "priority", "ident"),
    [
        ("", LOGINFO, 22, "qpsdk"),
        ("", LOGEMERG, 16, "qpsdk"),
        ("facility=daemon ident=mx", LOGDEBUG, 31, "mx"),
        ("facility=local7", LOGINFO, 190, "qpsdk"),
    ],
)
def test_packet(options: str, level: LogLevel, priority: int, ident: str, tmp_path: Path) -> None:
    """Priority by facility and level, time, program and process, then the line."""
    with (
        listening(tmp_path / "s") as daemon,
        loaded(f"logging/syslog unix:{tmp_path}/s {options}") as plugin,
    ):
        assert write(plugin, level=level) == OK
        packet = daemon.recv(10_000).decode()
    time = r"[A-Z][a-z]{2} [ 1-3][0-9] \d\d:\d\d:\d\d"
    head = rf"<{priority}>{time} {ident}\[{os.getpid()}\]: "
    assert re.fullmatch(rf"{head}\[c1\] \(rcpt\) rcpt_ok: hello", packet)


def test_udp() -> None:
    """A server elsewhere is told from whom the line comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        with loaded(f"logging/syslog 127.0.0.1:{server.getsockname()[1]}") as plugin:
            write(plugin)
            packet = server.recv(10_000).decode()
    name = re.escape(socket.gethostname())
    assert re.match(rf"<22>\w{{3}} [ \d]\d [\d:]{{8}} {name} qpsdk\[\d+\]: \[c1\]", packet)


@pytest.mark.parametrize(("limit", "over_udp"), [(8192, False), (1024, True)])
def test_long_line(limit: int, over_udp: bool, tmp_path: Path) -> None:
    """A line is cut at what each daemon takes, and ends in dots."""
    kind = socket.AF_INET if over_udp else socket.AF_UNIX
    with socket.socket(kind, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0) if over_udp else f"{tmp_path}/s")
        daemon.settimeout(10)
        at = f"127.0.0.1:{daemon.getsockname()[1]}" if over_udp else f"unix:{tmp_path}/s"
        with loaded(f"logging/syslog {at}") as plugin:
            write(plugin, "x" * 10_000)
            packet = daemon.recv(20_000)
    assert len(packet) == limit
    assert packet.endswith(b"xxx...")


def test_traceback(tmp_path: Path) -> None:
    """Each line of a traceback is a packet of its own, with the same head."""
    with listening(tmp_path / "s") as daemon, loaded(f"logging/syslog unix:{tmp_path}/s") as plugin:
        write(plugin, "failed\n    ValueError: x")
        packets = [daemon.recv(10_000) for _ in range(2)]
    assert packets[0].endswith(b": [c1] (rcpt) rcpt_ok: failed")
    assert packets[1].endswith(b"]:     ValueError: x")


def test_daemon_restarted(tmp_path: Path) -> None:
    """A daemon that was restarted gets the next line at its new socket."""
    with loaded(f"logging/syslog unix:{tmp_path}/s") as plugin:
        for _ in range(2):
            with listening(tmp_path / "s") as daemon:
                write(plugin)
                assert daemon.recv(10_000).endswith(b"hello")
            (tmp_path / "s").unlink()


def test_no_daemon(tmp_path: Path) -> None:
    """Without one the line is left to others, until there is one."""
    with loaded(f"logging/syslog unix:{tmp_path}/s") as plugin:
        with pytest.raises(FileNotFoundError):
            write(plugin)
        with listening(tmp_path / "s") as daemon:
            write(plugin)
            assert daemon.recv(10_000).endswith(b"hello")


def test_busy_daemon(tmp_path: Path) -> None:
    """Nobody waits for a daemon that reads too slowly: its lines are left to others."""

    def flood() -> None:
        for _ in range(100_000):
            write(plugin, "x" * 8000)

    line = f"logging/syslog unix:{tmp_path}/s"
    with listening(tmp_path / "s"), loaded(line) as plugin, pytest.raises(BlockingIOError):
        flood()


def test_options(tmp_path: Path) -> None:
    """maxlevel= and then= are as for logging/file."""
    line = f"logging/syslog unix:{tmp_path}/s maxlevel=7 then=next"
    with listening(tmp_path / "s"), loaded(line) as plugin:
        assert plugin.maxlevel == 7
        assert write(plugin) == DECLINED


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("facility=post", "facility=post: write one of user, mail, daemon, local0, local1"),
        ("log.example.com", "log.example.com: write the server's IP address"),
        ("/dev/log", "'/dev/log' is no address; write HOST:PORT, [V6]:PORT or unix:PATH"),
        ("maxlevel=loud", "'loud' is no log level"),
        ("then=go", "then=go: write stop or next"),
    ],
)
def test_refuses_to_start(arguments: str, problem: str) -> None:
    """Wrong arguments are told at the start, with what would be right."""
    with (
        pytest.raises(PluginError, match=re.escape(problem)),
        loaded(f"logging/syslog {arguments}"),
    ):
        pass


def test_default_address() -> None:
    """Without an address it is the place where syslog and journald listen."""
    with loaded("logging/syslog") as plugin:
        assert plugin.address() == (socket.AF_UNIX, "/dev/log")
