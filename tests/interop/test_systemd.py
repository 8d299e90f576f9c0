"""A host under systemd: its sockets are handed to it, and it tells how it is."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.rig import (
    PATIENCE,
    Client,
    FakeServer,
    command,
    without_received,
    write_config,
)
from tests.programs import needs

BOTH = pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one", "two"])


@contextmanager
def activated(
    folder: Path,
    options: tuple[str, ...],
    name: str = "smtp",
    watchdog: float = 0,
    **settings: str,
) -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    """A host that systemd's own program begins when the first client comes to the socket `s`.

    With it comes a socket on which it tells how it is.
    """
    program = needs("systemd-socket-activate")
    config = write_config(folder / "config", {"me": "mx.example.com", **settings})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(folder / "notify"))
        told.settimeout(PATIENCE)
        variables = [f"--setenv=NOTIFY_SOCKET={folder}/notify"]
        variables += [f"--setenv=WATCHDOG_USEC={watchdog * 1e6:.0f}"] if watchdog else []
        variables += [f"--setenv=PYTHONPATH={os.environ.get('PYTHONPATH', '')}"]
        words = [program, f"--listen={folder}/s", f"--fdname={name}", *variables]
        with subprocess.Popen(
            [*words, *command(config), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            assert "Listening on" in process.stderr.readline()
            try:
                yield process, told
            finally:
                process.kill()


@BOTH
def test_activation(tmp_path: Path, fake: FakeServer, options: tuple[str, ...]) -> None:
    """The client that wakes the host is served by it, and the socket is not ours to take away."""
    plugins = f"rcpt_ok\nqueue/qmqp_forward {fake.address[0]} {fake.address[1]}"
    with activated(tmp_path, options, plugins=plugins, rcpthosts="example.com") as (process, told):
        with Client(str(tmp_path / "s")) as client:
            client.hello()
            assert client.deliver(b"Subject: woken\n\n").code == 250
            assert told.recv(4096) == b"STATUS=serving\nREADY=1\n"
            assert process.stdout is not None
            assert process.stdout.readline() == f"listening on unix:{tmp_path}/s\n"
            process.send_signal(signal.SIGHUP)
            assert b"\nRELOADING=1\n" in told.recv(4096)
            assert told.recv(4096) == b"STATUS=serving\nREADY=1\n"
            (tmp_path / "config" / "databytes").write_text("10M\n")
            process.send_signal(signal.SIGHUP)
            assert b"\nRELOADING=1\n" in told.recv(4096)
            status, *_, ready, end = told.recv(4096).split(b"\n")
            assert status.startswith(b"STATUS=serving as before: ")
            assert (ready, end) == (b"READY=1", b"")
        process.terminate()
        assert told.recv(4096) == b"STATUS=stopping\nSTOPPING=1\n"
        assert process.wait(PATIENCE) == 0
        assert (tmp_path / "s").is_socket()
    assert without_received(fake.take().message) == b"Subject: woken\n\n"


@BOTH
def test_a_socket_for_tls(tmp_path: Path, options: tuple[str, ...]) -> None:
    """A socket that is called tls is one by TLS only, for which there has to be a certificate."""
    with activated(tmp_path, options, name="tls") as (process, _):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))
            assert process.stderr is not None
            lines = process.stderr.read().splitlines()
        assert process.wait(PATIENCE) == 2
    told = f"cannot listen on tls:unix:{tmp_path}/s: there is no certificate"
    assert any(line.startswith(f"qpsdk: {told}") for line in lines), lines


HANGS = """\
import os, signal, time
from qpsdk import OK, Plugin

class Hangs(Plugin):
    def hook_noop(self, connection, text):
        if text == b"sleep":
            time.sleep(100)
        if text == b"stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        return OK, str(os.getpid())
"""


def test_watchdog(tmp_path: Path) -> None:
    """A host says that it is alive until its loop hangs; SIGABRT, as systemd sends, shows where."""
    (tmp_path / "hangs.py").write_text(HANGS)
    with activated(tmp_path, (), watchdog=1, plugins="hangs", plugin_dirs=str(tmp_path)) as (
        process,
        told,
    ):
        with Client(str(tmp_path / "s")) as client:
            assert told.recv(4096) == b"STATUS=serving\nREADY=1\n"
            for _ in range(3):
                assert told.recv(4096) == b"WATCHDOG=1\n"
            client.send(b"NOOP sleep\r\n")
            told.settimeout(2.5)
            with pytest.raises(TimeoutError):
                assert set(iter(lambda: told.recv(4096), b"")) == {b"WATCHDOG=1\n"}
            process.send_signal(signal.SIGABRT)
            assert process.wait(PATIENCE) == -signal.SIGABRT
        assert process.stderr is not None
        log = process.stderr.read()
    assert "Fatal Python error: Aborted" in log
    assert f'File "{tmp_path}/hangs.py", line 7 in hook_noop' in log


@pytest.mark.parametrize(
    ("how", "end"), [(b"sleep", "SIGABRT"), (b"stop", "SIGKILL")], ids=["hangs", "is stopped"]
)
def test_watchdog_of_workers(tmp_path: Path, how: bytes, end: str) -> None:
    """The worker that hangs is replaced, and systemd hears of a host that is alive."""
    (tmp_path / "hangs.py").write_text(HANGS)
    with activated(
        tmp_path, ("--workers", "2"), watchdog=2, plugins="hangs", plugin_dirs=str(tmp_path)
    ) as (process, told):
        with Client(str(tmp_path / "s")) as client:
            pid = client.ask(b"NOOP").text.decode().split()[-1]
            client.send(b"NOOP " + how + b"\r\n")
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any(f"(process {pid}) has hung for 2 s; killed" in line for line in lines)
            assert any(f"was killed by {end}; another starts in 1 s" in line for line in lines)
            assert client.rest() == []
        heard = [told.recv(4096) for _ in range(5)]
        assert heard.count(b"WATCHDOG=1\n") == 4
        assert heard.count(b"STATUS=serving\nREADY=1\n") == 1
        with Client(str(tmp_path / "s")) as client:
            assert client.ask(b"NOOP").text.decode().split()[-1] != pid
        process.terminate()
        assert process.wait(PATIENCE) == 0
