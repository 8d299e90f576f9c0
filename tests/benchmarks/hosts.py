"""The hosts that are measured, each a process of its own, and the servers that they forward to.

All forward over QMQP to one Postfix qmqp-sink, take mail for example.com only, add a Received field
and write their usual log to a file. Settings that are not the program's own are here, each with its
reason.
"""

import getpass
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.benchmarks.peers import BACKLOG, HOST
from tests.benchmarks.processes import start, until
from tests.programs import PACKAGES, find

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".cache" / "bench"
HARAKA_FOLDER = CACHE / "haraka"
OPEN_FILES = 30_000
"""Descriptors that a program may have: 10,000 connections need as many, and the usual is 1,024."""


class UnavailableError(Exception):
    """A host cannot run here; the text says what is missing."""


@dataclass(eq=False)
class Running:
    """A running host.

    Attributes:
        pid: The process that has begun all the others.
        arrived: How many messages its sink has taken so far.
    """

    name: str
    pid: int
    port: int
    arrived: Callable[[], int]


class Rig(NamedTuple):
    """What a host is started with.

    Attributes:
        folder: Its own, to write to.
        qmqp_port: Where it forwards to, on 127.0.0.1.
        port: Where it is to listen, if it cannot choose one itself.
        settings: Those of ours that are not at their defaults.
    """

    stack: ExitStack
    folder: Path
    qmqp_port: int
    port: int
    settings: dict[str, str]


Started = tuple[subprocess.Popen[bytes], int]
"""The process that has begun all the others, and the port where it listens."""


def _files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _python(rig: Rig, name: str, *arguments: str) -> Started:
    """A Python program that says "listening on HOST:PORT"."""
    output = rig.folder / "output"
    process = start(rig.stack, [sys.executable, *arguments], output, cwd=ROOT)
    until(name, process, output, lambda: b"\n" in output.read_bytes())
    return process, int(output.read_bytes().partition(b"\n")[0].rpartition(b":")[2])


def _qpsdk(*options: str) -> Callable[[Rig], Started]:
    """Ours: every limit is at its default, but for what a scenario asks for."""

    def start_it(rig: Rig) -> Started:
        _files(
            rig.folder / "config",
            {
                **rig.settings,
                "me": "mx.example.com",
                "rcpthosts": "example.com",
                "loglevel": "LOGINFO",
                "plugins": f"logging/file {rig.folder}/log\nrcpt_ok\n"
                f"queue/qmqp_forward {HOST} {rig.qmqp_port}",
            },
        )
        config = ("--config", str(rig.folder / "config"))
        listen = ("--listen", f"{HOST}:0")
        return _python(rig, QPSDK, "-m", "qpsdk", "serve", *config, *listen, *options)

    return start_it


def _peer(name: str) -> Callable[[Rig], Started]:
    """A host of `tests.benchmarks.peers`."""

    def start_it(rig: Rig) -> Started:
        log = str(rig.folder / "log")
        return _python(rig, name, "-m", "tests.benchmarks.peers", name, str(rig.qmqp_port), log)

    return start_it


def _haraka(rig: Rig) -> Started:
    """One process, as ours: by default Haraka puts its one worker behind a second process."""
    if not (HARAKA_FOLDER / ".made").is_file():
        raise UnavailableError(
            "Haraka is not here (`make bench` and `make test` fetch it from npm)"
        )
    modules = HARAKA_FOLDER / "node_modules"
    shutil.copytree(HERE / "haraka" / "plugins", rig.folder / "plugins")
    shutil.copytree(modules / "Haraka" / "config", rig.folder / "config")  # as `haraka -i` does
    _files(
        rig.folder / "config",
        {
            "me": "mx.example.com",
            "host_list": "example.com",
            "plugins": "rcpt_to.in_host_list\nqueue/qmqp_forward",
            "smtp.ini": f"listen={HOST}:{rig.port}\nnodes=0",
            "log.ini": "[main]\nlevel=info\ntimestamps=true\nformat=default",
            "qmqp_forward.ini": f"host={HOST}\nport={rig.qmqp_port}",
        },
    )
    program = modules / "Haraka" / "bin" / "haraka"
    command = [_program("node"), str(program), "-c", str(rig.folder)]
    process = start(rig.stack, command, rig.folder / "log", cwd=rig.folder)
    until(HARAKA, process, rig.folder / "log", lambda: _listens(rig.port))
    return process, rig.port


def _qpsmtpd(kind: str, *options: str) -> Callable[[Rig], Started]:
    def start_it(rig: Rig) -> Started:
        program = _program(f"qpsmtpd-{kind}")
        user = "qpsmtpd" if os.geteuid() == 0 else getpass.getuser()
        spool, plugins = rig.folder / "spool", rig.folder / "plugins"
        shutil.copytree(HERE / "qpsmtpd", plugins)  # the clone may be nobody else's to read
        _files(
            rig.folder / "config",
            {
                "me": "mx.example.com",
                "rcpthosts": "example.com",
                "plugin_dirs": f"/usr/share/qpsmtpd/plugins\n{plugins}",
                "plugins": f"rcpt_ok\nqueue/qmqp-forward {HOST} {rig.qmqp_port}",
                "loglevel": "6",
                "logging": f"logging/file loglevel LOGINFO {rig.folder}/log",
                "spool_dir": str(spool),
                "size_threshold": "10000",  # of its sample config; without it all is spooled
            },
        )
        spool.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(spool, user)
            shutil.chown(rig.folder, user)
        listen = ["--listen-address", HOST, "--port", str(rig.port), "--user", user]
        output = rig.folder / "output"
        process = start(
            rig.stack,
            [program, *listen, *options],
            output,
            cwd=rig.folder,
            env={**os.environ, "QPSMTPD_CONFIG": str(rig.folder / "config")},
        )
        until(f"qpsmtpd-{kind}", process, output, lambda: _listens(rig.port))
        return process, rig.port

    return start_it


QPSDK, BARE, HARAKA, LIMIT = "qpsdk", "bare", "haraka", "smtp-sink"
WORKERS = "qpsdk-2-workers"
AIOSMTPD = ("aiosmtpd", "aiosmtpd-uvloop")
QPSMTPD = ("qpsmtpd-prefork", "qpsmtpd-forkserver")

HOSTS: dict[str, Callable[[Rig], Started]] = {
    QPSDK: _qpsdk(),
    WORKERS: _qpsdk("--workers", "2"),  # beside ours only: the ratios are of one process
    HARAKA: _haraka,
    **{name: _peer(name) for name in AIOSMTPD},
    # Both take 5 or 10 connections from one address and 15 in all, unless they are told to take
    # more: smtp-source is one address with 20.
    QPSMTPD[0]: _qpsmtpd("prefork", "--max-from-ip", "0", "--children", "40"),
    QPSMTPD[1]: _qpsmtpd(
        "forkserver", "--max-from-ip", "100", "--limit-connections", "100", "--no-rdns"
    ),
    BARE: _peer(BARE),
}
"""How each is started; `smtp-sink` comes besides, which takes mail itself and forwards nothing."""

NEIGHBOURS = {
    "Haraka": (HARAKA,),
    "aiosmtpd": AIOSMTPD,
    "qpsmtpd": QPSMTPD,
    BARE: (BARE,),
}
"""What ours is compared with; of several the one that was faster."""


def find_program(name: str) -> str | None:
    """The path of a program; Node.js's are from PyPI where they are installed beside Python."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or find(name)


def _program(name: str) -> str:
    path = find_program(name)
    if path is None:
        package = f" (Debian: {PACKAGES[name]})" if name in PACKAGES else ""
        raise UnavailableError(f"{name} is not installed{package}")
    return path


def raise_limits() -> None:
    """Let all programs that are started from now on have `OPEN_FILES`, as far as we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@contextmanager
def running(
    names: Iterable[str],
    left_out: dict[str, str] | None = None,
    settings: dict[str, str] | None = None,
) -> Iterator[list[Running]]:
    """Hosts, running.

    Args:
        left_out: Is given the hosts that cannot run here, and why.
        settings: Those of ours that are not to be at their defaults.

    Raises:
        UnavailableError: One cannot run here, and there is no `left_out`.
    """
    with ExitStack() as stack:
        top = Path(stack.enter_context(TemporaryDirectory(prefix="qpsdk-bench-")))
        top.chmod(0o755)  # qpsmtpd is another user
        qmqp_port, _, arrived = _sink(stack, top, "qmqp-sink")
        hosts = []
        for name in names:
            folder = top / name
            folder.mkdir()
            try:
                if name == LIMIT:
                    port, process, dropped = _sink(stack, folder, LIMIT)
                    hosts.append(Running(name, process.pid, port, dropped))
                    continue
                process, port = HOSTS[name](
                    Rig(stack, folder, qmqp_port, _free_port(), settings or {})
                )
            except UnavailableError as error:
                if left_out is None:
                    raise
                left_out[name] = str(error)
            else:
                hosts.append(Running(name, process.pid, port, arrived))
        yield hosts


def _sink(
    stack: ExitStack, folder: Path, program: str
) -> tuple[int, subprocess.Popen[bytes], Callable[[], int]]:
    """Start one of Postfix's sinks: its port, process and counter."""
    port = _free_port()
    # Only smtp-sink refuses to stay root.
    user = ["-u", "nobody"] if program == LIMIT and os.geteuid() == 0 else []
    output = folder / f"{program}.count"
    command = [_program(program), "-c", *user, f"{HOST}:{port}", str(BACKLOG)]
    process = start(stack, command, output)
    until(program, process, output, lambda: _listens(port))

    def count() -> int:
        if process.poll() is not None:
            sys.exit(f"bench: {program} has ended: {output.read_text()[-200:]}")
        with output.open("rb") as file:  # "1\r2\r3\r"; smtp-sink's ends in "mesg=3\r"
            file.seek(max(0, output.stat().st_size - 100))
            match = re.search(rb"(\d+)\r\Z", file.read())
        return int(match[1]) if match else 0

    return port, process, count
