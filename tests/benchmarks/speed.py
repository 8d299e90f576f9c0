"""Messages per second, megabytes per second: Postfix's smtp-source sends, the hosts take turns.

A machine's speed drifts, so only ratios within a round count. A result stands only if every
message has arrived.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.benchmarks.hosts import NEIGHBOURS, QPSDK, Running
from tests.benchmarks.peers import HOST
from tests.benchmarks.processes import MB, Meter
from tests.programs import find

PATIENCE = 300  # seconds for one run of smtp-source


class Load(NamedTuple):
    """One kind of load.

    Attributes:
        size: Bytes of one message.
        sessions: Connections at the same time.
        kept: A connection carries one message after another; else it is closed after each.
        least: Messages for each of the connections at least, so that what a connection costs
            counts for what it is.
    """

    name: str
    title: str
    unit: str
    size: int
    sessions: int
    kept: bool
    least: int = 1

    def rate(self, messages: int, seconds: float) -> float:
        """In `unit`."""
        return messages * (self.size / MB if self.unit == "MB/s" else 1) / seconds


LOADS = {
    load.name: load
    for load in (
        Load("one-each", "4 KB, one connection each", "msg/s", 4096, 20, False),
        Load("kept", "4 KB, connections kept", "msg/s", 4096, 20, True, least=25),
        Load("1mb", "1 MB", "MB/s", 1_000_000, 10, True, least=2),
        Load("10mb", "10 MB", "MB/s", 10_000_000, 4, True),
    )
}


@dataclass
class Result:
    """What one host did under one load, a value a round.

    Attributes:
        rates: In the unit of the load.
        cpu: Milliseconds of its processor time for each message.
        peak: Megabytes, of all its processes.
    """

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)


Results = dict[str, dict[str, Result]]
"""By the name of the load, then by the name of the host."""


class Ratio(NamedTuple):
    """Our rate by another's, paired by round.

    Attributes:
        beside: The other: of several the one with the higher median.
    """

    beside: str
    median: float
    low: float
    high: float


def send(host: Running, load: Load, messages: int) -> float:
    """Give a host its messages, and the seconds that took.

    Exits if smtp-source was refused anything, or a message has not arrived.
    """
    before = host.arrived()
    command = [
        *(find("smtp-source") or "smtp-source", "-4", *(["-d"] if load.kept else [])),
        *("-M", "client.example.org", "-f", "sender@example.org", "-t", "friend@example.com"),
        *("-s", str(load.sessions), "-m", str(messages), "-l", str(load.size)),
        f"{HOST}:{host.port}",
    ]
    started = time.perf_counter()
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {host.name}, {load.title}: {error.stderr.strip()}")
    except subprocess.TimeoutExpired:
        sys.exit(f"bench: {host.name}, {load.title}: not done after {PATIENCE} s")
    seconds = time.perf_counter() - started
    for _ in range(40):  # the counter is shown a moment after the answer
        arrived = host.arrived() - before
        if arrived == messages:
            return seconds
        time.sleep(0.05)
    sys.exit(f"bench: {host.name}, {load.title}: {arrived} of {messages} messages arrived")


def messages_for(load: Load, seconds: float, send_them: Callable[[int], float]) -> int:
    """How many messages keep a host busy for about so long; found out by warming it up.

    Args:
        send_them: Sends so many; the seconds that it took.
    """
    messages = least = load.sessions * load.least
    while True:
        took = send_them(messages)
        enough = took >= seconds / 4
        more = seconds / took if enough else min(8.0, seconds / took)
        # A whole number for each session: they all end together.
        messages = max(least, round(messages * more / load.sessions) * load.sessions)
        if enough:
            return messages


def measure(
    hosts: list[Running], loads: Iterable[Load], rounds: int, seconds: float, console: Console
) -> Results:
    """Every load, round by round; in each round all hosts, every time another one first."""
    results: Results = {}
    for load in loads:
        results[load.name] = {host.name: Result() for host in hosts}
        messages = {
            host.name: messages_for(load, seconds, partial(send, host, load)) for host in hosts
        }
        turns = [
            hosts[(number + offset) % len(hosts)]
            for number in range(rounds)
            for offset in range(len(hosts))
        ]
        for host in track(turns, load.title, console=console, transient=True):
            result, count = results[load.name][host.name], messages[host.name]
            with Meter(host.pid) as meter:
                took = send(host, load, count)
            result.rates.append(load.rate(count, took))
            result.cpu.append(meter.cpu / count * 1000)
            result.peak.append(meter.peak)
    return results


def ratios(results: dict[str, Result]) -> dict[str, Ratio]:
    """Ours by each neighbour's that was measured, under one load."""
    found = {}
    for neighbour, names in NEIGHBOURS.items():
        there = [name for name in names if name in results]
        if there and QPSDK in results:
            best = max(there, key=lambda name: median(results[name].rates))
            pairs = zip(results[QPSDK].rates, results[best].rates, strict=True)
            each = [ours / theirs for ours, theirs in pairs]
            found[neighbour] = Ratio(best, median(each), min(each), max(each))
    return found


def report(results: Results) -> list[dict[str, Any]]:
    """What goes into the file."""
    return [
        {
            **LOADS[name]._asdict(),
            "hosts": {
                host: {
                    "rates": [round(value, 1) for value in result.rates],
                    "rate": round(median(result.rates), 1),
                    "cpu_ms": round(median(result.cpu), 3),
                    "peak_mb": round(max(result.peak), 1),
                }
                for host, result in by_host.items()
            },
            "ratios": {
                neighbour: {
                    "beside": ratio.beside,
                    **{key: round(getattr(ratio, key), 3) for key in ("median", "low", "high")},
                }
                for neighbour, ratio in ratios(by_host).items()
            },
        }
        for name, by_host in results.items()
    ]


def tables(loads: list[dict[str, Any]]) -> Iterator[Table]:
    """The same to read in a terminal."""
    hosts, neighbours = loads[0]["hosts"], loads[0]["ratios"]
    yield _table(
        "median rates",
        [f"{load['name']}, {load['unit']}" for load in loads],
        {host: [f"{load['hosts'][host]['rate']:,.0f}" for load in loads] for host in hosts},
    )
    yield _table(
        "processor ms for a message, peak MB of all processes",
        [load["name"] for load in loads],
        {host: [_used(load["hosts"][host]) for load in loads] for host in hosts},
    )
    if neighbours:
        yield _table(
            f"{QPSDK}'s rate by another's, paired by round: median (lowest-highest);"
            " of a host in two forms, the faster",
            [load["name"] for load in loads],
            {name: [_ratio(load["ratios"][name]) for load in loads] for name in neighbours},
        )


def _used(found: dict[str, Any]) -> str:
    return f"{found['cpu_ms']:.2f}, {found['peak_mb']:.0f}"


def _ratio(found: dict[str, Any]) -> str:
    return f"{found['median']:.2f} ({found['low']:.2f}-{found['high']:.2f})"


def _table(title: str, columns: Iterable[str], rows: dict[str, list[str]]) -> Table:
    table = Table("host", title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table
