"""Measures the host beside aiosmtpd and others: `make bench`, `make bench ARGS="--rounds 7"`.

`make bench ARGS=naive-memory` measures something else: see `tests.benchmarks.memory`.

Postfix's smtp-source sends, every host forwards over QMQP to Postfix's qmqp-sink, each is a
process of its own. A machine's speed drifts, so the hosts take turns and only ratios within a
round count. A result stands only if every message has arrived.
"""

import argparse
import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import IO, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.benchmarks.peers import BACKLOG, HOST
from tests.programs import PACKAGES, find

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / ".cache" / "bench"
WARM_UP = 200  # small messages to each host, before anything counts
PATIENCE = 300  # seconds for one run of smtp-source
OURS, BARE, LIMIT = "qpsdk", "bare", "smtp-sink"
NEIGHBOURS = ("aiosmtpd", "aiosmtpd, uvloop")  # the faster one is what we compare with


class Case(NamedTuple):
    """One kind of load."""

    title: str
    unit: str
    size: int
    sessions: int
    messages: int
    options: tuple[str, ...] = ()

    def rate(self, seconds: float) -> float:
        """In `unit`."""
        each = self.size / 1e6 if self.unit == "MB/s" else 1
        return self.messages * each / seconds


@dataclass(eq=False)
class Peer:
    """A running host.

    Attributes:
        arrived: How many messages its sink has taken so far.
    """

    name: str
    pid: int
    port: int
    arrived: Callable[[], int]

    def peak_memory(self) -> float:
        """Megabytes resident, at most, since it began."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert match is not None
        return int(match[1]) * 1024 / 1e6

    def cpu_seconds(self) -> float:
        """What it has used of the processor, which neighbours disturb less than its rate."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Result:
    """What one host did in one case, a value a round.

    Attributes:
        cpu: Milliseconds of its processor time for each message.
        peak: Megabytes.
    """

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: float = 0


Results = dict[str, dict[str, Result]]
"""By the title of the case, then by the name of the host."""


def _program(name: str) -> str:
    path = find(name)
    if path is None:
        sys.exit(
            f"bench: {name} is not installed (Debian: {PACKAGES[name]}); "
            "`make bench` as root installs it"
        )
    return path


@contextmanager
def _peers() -> Iterator[list[Peer]]:
    """All hosts, running."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qpsdk-bench-")))
        qmqp_port, _, arrived = _sink(stack, folder, "qmqp-sink")
        smtp_port, smtp_sink, dropped = _sink(stack, folder, "smtp-sink")
        config = {
            "me": "mx.example.com",
            "rcpthosts": "example.com",
            "plugins": f"rcpt_ok\nqueue/qmqp_forward {HOST} {qmqp_port}",
        }
        for name, text in config.items():
            (folder / name).write_text(text + "\n")
        ours = ["-m", "qpsdk", "serve", "--config", str(folder), "--listen", f"{HOST}:0"]
        commands = {OURS: ours} | {
            name: ["-m", "tests.benchmarks.peers", name, str(qmqp_port)]
            for name in (*NEIGHBOURS, BARE)
        }
        yield [
            *(_host(stack, name, command, arrived) for name, command in commands.items()),
            Peer(LIMIT, smtp_sink.pid, smtp_port, dropped),
        ]


def _start(
    stack: ExitStack, command: list[str], stdout: IO[bytes] | int, stderr: IO[bytes] | None = None
) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=ROOT)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def _host(stack: ExitStack, name: str, command: list[str], arrived: Callable[[], int]) -> Peer:
    process = _start(stack, [sys.executable, *command], subprocess.PIPE)
    assert process.stdout is not None
    stack.callback(process.stdout.close)
    line = process.stdout.readline()  # "listening on HOST:PORT"
    if not line:
        sys.exit(f"bench: {name} did not start")
    return Peer(name, process.pid, int(line.rpartition(b":")[2]), arrived)


def _sink(
    stack: ExitStack, folder: Path, program: str
) -> tuple[int, "subprocess.Popen[bytes]", Callable[[], int]]:
    """Start one of Postfix's sinks: its port, process and counter."""
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    # Only smtp-sink refuses to stay root.
    user = ["-u", "nobody"] if program == "smtp-sink" and os.geteuid() == 0 else []
    path, errors = folder / f"{program}.count", folder / f"{program}.errors"
    output, log = (stack.enter_context(file.open("wb")) for file in (path, errors))
    command = [_program(program), "-c", *user, f"{HOST}:{port}", str(BACKLOG)]
    process = _start(stack, command, output, log)
    for _ in range(100):
        with socket.socket() as probe:
            if process.poll() is not None or probe.connect_ex((HOST, port)) == 0:
                break
        time.sleep(0.05)
    else:
        sys.exit(f"bench: {program} does not listen")

    def count() -> int:
        if process.poll() is not None:
            sys.exit(f"bench: {program} has ended: {errors.read_text().strip()}")
        with path.open("rb") as file:  # "1\r2\r3\r"; smtp-sink's ends in "mesg=3\r"
            file.seek(max(0, path.stat().st_size - 100))
            match = re.search(rb"(\d+)\r\Z", file.read())
        return int(match[1]) if match else 0

    return port, process, count


def _send(peer: Peer, case: Case) -> float:
    """Give a host its messages, and the seconds that took.

    Exits if smtp-source was refused anything, or a message has not arrived.
    """
    before = peer.arrived()
    command = [
        *(_program("smtp-source"), "-4", *case.options),
        *("-M", "client.example.org", "-f", "sender@example.org", "-t", "friend@example.com"),
        *("-s", str(case.sessions), "-m", str(case.messages), "-l", str(case.size)),
        f"{HOST}:{peer.port}",
    ]
    started = time.perf_counter()
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {peer.name}, {case.title}: {error.stderr.strip()}")
    except subprocess.TimeoutExpired:
        sys.exit(f"bench: {peer.name}, {case.title}: not done after {PATIENCE} s")
    seconds = time.perf_counter() - started
    for _ in range(40):  # the counter is shown a moment after the answer
        arrived = peer.arrived() - before
        if arrived == case.messages:
            return seconds
        time.sleep(0.05)
    sys.exit(f"bench: {peer.name}, {case.title}: {arrived} of {case.messages} messages arrived")


def _measure(peers: list[Peer], cases: list[Case], rounds: int, console: Console) -> Results:
    """Every case, round by round; in each round all hosts, every time another one first."""
    results = {case.title: {peer.name: Result() for peer in peers} for case in cases}
    for peer in peers:
        _send(peer, cases[0]._replace(messages=WARM_UP))
    turns = [
        (case, peers[(number + offset) % len(peers)])
        for case in cases
        for number in range(rounds)
        for offset in range(len(peers))
    ]
    for case, peer in track(turns, "Measuring", console=console, transient=True):
        result = results[case.title][peer.name]
        before = peer.cpu_seconds()
        result.rates.append(case.rate(_send(peer, case)))
        result.cpu.append((peer.cpu_seconds() - before) / case.messages * 1000)
        result.peak = peer.peak_memory()
    return results


def _ratios(results: dict[str, Result]) -> tuple[str, list[float], list[float]]:
    """The faster neighbour, and for each round our rate by its, and by the ceiling's."""
    best = max(NEIGHBOURS, key=lambda name: median(results[name].rates))
    ours = results[OURS].rates
    return (
        best,
        [a / b for a, b in zip(ours, results[best].rates, strict=True)],
        [a / b for a, b in zip(ours, results[BARE].rates, strict=True)],
    )


def _table(cases: list[Case], results: Results) -> Table:
    table = Table(
        title="rate (processor ms a message, peak MB); medians",
        caption=f"{OURS} / aiosmtpd: the faster of the two, paired by round (lowest-highest)",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("host")
    for case in cases:
        table.add_column(f"{case.title}\n{case.unit}", justify="right")
    for name in results[cases[0].title]:
        row = [results[case.title][name] for case in cases]
        cells = [f"{median(r.rates):,.0f} ({median(r.cpu):.2f}, {r.peak:.0f})" for r in row]
        table.add_row(name, *cells)
    table.add_section()
    ratios = [_ratios(results[case.title]) for case in cases]
    beside = [f"{median(r):.2f} ({min(r):.2f}-{max(r):.2f})" for _, r, _ in ratios]
    table.add_row(f"{OURS} / aiosmtpd", *beside)
    table.add_row(f"{OURS} / {BARE}", *(f"{median(r):.0%}" for _, _, r in ratios))
    return table


def _write(cases: list[Case], results: Results) -> Path:
    """Keep what was measured; the file."""
    report = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("qpsdk", "aiosmtpd", "uvloop")},
        "cases": {},
    }
    described = {}
    for case in cases:
        best, beside, of_bare = _ratios(results[case.title])
        described[case.title] = {
            **case._asdict(),
            "hosts": {name: asdict(result) for name, result in results[case.title].items()},
            "faster_aiosmtpd": best,
            "ratio_to_aiosmtpd": median(beside),
            "share_of_bare": median(of_bare),
        }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{report['time']}.json".replace(":", "")
    path.write_text(json.dumps(report | {"cases": described}, indent=1) + "\n")
    return path


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        default="speed",
        choices=("speed", "naive-memory"),
        help="beside other hosts (default), or peak memory by message size, into docs/assets",
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each host has its turn")
    parser.add_argument("--messages", type=int, default=1600, help="of 4 KB, in each run")
    parser.add_argument("--large-messages", type=int, default=8, help="of 10 MB, in each run")
    options = parser.parse_args()
    if options.what == "naive-memory":
        from tests.benchmarks import memory  # matplotlib takes a second to load

        _program("qmqp-sink")
        return memory.main(options.rounds)
    for program in ("smtp-source", "qmqp-sink", "smtp-sink"):
        _program(program)
    cases = [
        Case("4 KB, one each", "msg/s", 4096, 20, options.messages),
        Case("4 KB, kept", "msg/s", 4096, 20, options.messages, ("-d",)),
        Case("10 MB", "MB/s", 10_000_000, 4, options.large_messages),
    ]
    console = Console(highlight=False, soft_wrap=True)
    with _peers() as peers:
        results = _measure(peers, cases, options.rounds, console)
    console.print(_table(cases, results))
    console.print(f"All messages arrived. Kept in {_write(cases, results).relative_to(ROOT)}")
    return None


if __name__ == "__main__":
    main()
