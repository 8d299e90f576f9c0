"""What a connection costs that says nothing, and how long the others then wait."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.benchmarks.hosts import AIOSMTPD, BARE, HARAKA, QPSDK, ROOT, running
from tests.benchmarks.processes import memory

HOSTS = (QPSDK, HARAKA, *AIOSMTPD, BARE)
"""Not qpsmtpd, whose every connection is a process."""

IDLE = (1_000, 10_000)
ACTIVE = 200
INTERVAL = 1.0  # seconds between two messages of one active connection
MESSAGES = 8  # of each
SPARE = 100  # connections of the warm-up that a host may not have seen end
SETTLE = 0.5  # seconds for a host to be done with the last connection


class Idle(NamedTuple):
    """One host with so many idle connections.

    Attributes:
        kb_each: Kilobytes of the host for one of them.
        p50: Milliseconds that a message of an active connection takes, half of them at most.
        p99: The same for all but one in a hundred.
    """

    kb_each: float
    p50: float
    p99: float


Results = dict[int, dict[str, Idle]]
"""By the number of idle connections, then by host."""


@contextmanager
def _clients(port: int, *numbers: float) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "tests.benchmarks.clients", str(port), *map(str, numbers)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _hear(name: str, clients: "subprocess.Popen[str]") -> str:
    assert clients.stdout is not None
    line = clients.stdout.readline()
    if not line:
        sys.exit(f"bench: the clients of {name} have failed")
    return line


def _go_on(clients: "subprocess.Popen[str]") -> None:
    assert clients.stdin is not None
    clients.stdin.write("go on\n")
    clients.stdin.flush()


def one(
    name: str,
    idle: int,
    active: int = ACTIVE,
    interval: float = INTERVAL,
    messages: int = MESSAGES,
) -> Idle:
    """Measure a host, started for it."""
    most = str(idle + active + SPARE)
    settings = {"max_connections": most, "max_connections_per_address": most}
    with running([name], settings=settings) as (host,):
        with _clients(host.port, 10, 10, 0.1, 5) as warm_up:
            _hear(name, warm_up)
            _go_on(warm_up)
            _hear(name, warm_up)
        time.sleep(SETTLE)
        before = memory(host.pid)
        with _clients(host.port, idle, active, interval, messages) as clients:
            _hear(name, clients)
            time.sleep(SETTLE)
            each = (memory(host.pid) - before) * 1000 / idle
            _go_on(clients)
            p50, p99 = json.loads(_hear(name, clients))
    return Idle(each, p50 * 1000, p99 * 1000)


def possible(numbers: Iterable[int], open_files: int) -> list[int]:
    """Those numbers of idle connections for which a process may open enough files."""
    return [number for number in numbers if number + ACTIVE + SPARE <= open_files]


def measure(names: Iterable[str], numbers: Iterable[int], console: Console) -> Results:
    """Each host with each number of idle connections."""
    results: Results = {number: {} for number in numbers}
    turns = [(number, name) for number in results for name in names if name in HOSTS]
    for number, name in track(turns, "Idle connections", console=console, transient=True):
        results[number][name] = one(name, number)
    return results


def report(results: Results) -> list[dict[str, Any]]:
    """What goes into the file."""
    return [
        {
            "connections": number,
            "active": ACTIVE,
            "messages_per_second": ACTIVE / INTERVAL,
            "hosts": {
                name: {key: round(value, 2) for key, value in found._asdict().items()}
                for name, found in by_host.items()
            },
        }
        for number, by_host in results.items()
    ]


def table(idle: list[dict[str, Any]]) -> Table:
    """The same to read in a terminal."""
    shown = Table(title="idle connections", title_justify="left")
    shown.add_column("host")
    for case in idle:
        shown.add_column(f"{case['connections']:,}\nKB each", justify="right")
        shown.add_column(f"{case['active']} active\np50, p99 ms", justify="right")
    for host in idle[0]["hosts"]:
        found = [case["hosts"][host] for case in idle]
        pairs = [(f"{r['kb_each']:.1f}", f"{r['p50']:.1f}, {r['p99']:.1f}") for r in found]
        shown.add_row(host, *(cell for pair in pairs for cell in pair))
    return shown
