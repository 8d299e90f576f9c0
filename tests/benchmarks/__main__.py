"""Measures the host beside others: `make bench`.

make bench                          all of it, ten minutes
make bench ARGS=--quick             all of it once, to see that it runs
make bench ARGS=--publish           all of it, and the site shows these numbers from now on
make bench ARGS="--only speed --hosts qpsdk,haraka --loads kept,10mb --rounds 9"
make bench ARGS=naive-memory        the picture of the tutorial: see tests/benchmarks/memory.py
"""

import argparse
import json
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from tests.benchmarks import growth, hosts, idle, micro, speed
from tests.benchmarks.processes import MB
from tests.programs import PACKAGES, find

PUBLISHED = hosts.ROOT / "docs" / "assets" / "benchmarks.json"
PARTS = ("speed", "idle", "growth", "micro")
ALL_HOSTS = (*hosts.HOSTS, hosts.LIMIT)


def _among(known: Iterable[str]) -> Callable[[str], list[str]]:
    """A type of argument: names of `known`, with commas between."""
    names = list(known)

    def chosen_of(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",")]
        for name in chosen:
            if name not in names:
                raise argparse.ArgumentTypeError(f"{name!r} is none of: {', '.join(names)}")
        return chosen

    return chosen_of


def parse(words: list[str] | None) -> argparse.Namespace:
    """What a command line asks for."""
    parser = argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        nargs="?",
        default="beside",
        choices=("beside", "naive-memory"),
        help="beside other hosts (default), or peak memory by message size for the tutorial",
    )
    parser.add_argument("--only", type=_among(PARTS), default=PARTS, help=", ".join(PARTS))
    parser.add_argument("--hosts", type=_among(ALL_HOSTS), help=", ".join(ALL_HOSTS))
    parser.add_argument("--loads", type=_among(speed.LOADS), help=", ".join(speed.LOADS))
    parser.add_argument("--rounds", type=int, help="how often each host has its turn (5)")
    parser.add_argument("--seconds", type=float, help="that each turn takes, about (2)")
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument("--publish", action="store_true", help="into docs/assets, for the site")
    options = parser.parse_args(words)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.3 if options.quick else 2.0)
    if options.publish and (options.hosts or options.loads or tuple(options.only) != PARTS):
        parser.error("--publish is for a run of everything: no --only, --hosts or --loads")
    return options


def measure(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """All that is asked for, as it goes into the file."""
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    names = options.hosts or list(ALL_HOSTS)
    if "speed" in options.only:
        loads = [speed.LOADS[name] for name in options.loads or speed.LOADS]
        with hosts.running(names, left_out) as peers:
            results = speed.measure(peers, loads, options.rounds, options.seconds, console)
        found["loads"] = speed.report(results)
    if "idle" in options.only:
        wanted = (100,) if options.quick else idle.IDLE
        open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        numbers = idle.possible(wanted, open_files)
        for number in set(wanted) - set(numbers):
            left_out[f"{number:,} idle connections"] = f"ulimit -n is {open_files}"
        present = [name for name in names if name not in left_out]
        found["idle"] = idle.report(idle.measure(present, numbers, console))
    if "growth" in options.only:
        small = ((10, 20), (200, 400), (1, 3)) if options.quick else ()
        found["growth"] = growth.report(growth.measure(console, *small))
    if "micro" in options.only:
        found["micro"] = micro.measure(0.0005 if options.quick else micro.SECONDS)
    return {
        "made_by": " ".join(["make bench", *_given(sys.argv[1:])]),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "machine": machine(),
        "versions": versions(),
        "left_out": left_out,
        **found,
    }


def _given(words: list[str]) -> list[str]:
    return [f'ARGS="{" ".join(words)}"'] if words else []


def machine() -> dict[str, Any]:
    """What it was measured on."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "processor": model[1] if model else platform.machine(),
        "processors": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / (1000 * MB)),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
    }


def versions() -> dict[str, str]:
    """Of all that takes part and is installed."""
    packages = ("qpsdk", "aiosmtpd", "uvloop", "pluggy", "pynetstring")
    found = {"Python": platform.python_version()} | {name: version(name) for name in packages}
    haraka = hosts.HARAKA_FOLDER / "node_modules" / "Haraka" / "package.json"
    if haraka.is_file():
        found["Haraka"] = json.loads(haraka.read_text())["version"]
    for name, command in (
        ("Node.js", ["node", "--version"]),
        ("qpsmtpd", ["perl", "-MQpsmtpd", "-e", "print Qpsmtpd->version"]),
        ("Perl", ["perl", "-e", "print $^V"]),
        ("Postfix", ["postconf", "-d", "-h", "mail_version"]),
    ):
        program = hosts.find_program(command[0])
        if program is not None:
            # Not here: qpsmtpd asks the git repository around it for its version.
            run = subprocess.run(
                [program, *command[1:]], capture_output=True, text=True, check=False, cwd="/"
            )
            if run.returncode == 0:
                found[name] = run.stdout.strip().removeprefix("v")
    return found


def show(report: dict[str, Any], console: Console) -> None:
    """Print what was measured."""
    if "loads" in report:
        for table in speed.tables(report["loads"]):
            console.print(table)
    if report.get("idle"):
        console.print(idle.table(report["idle"]))
    if "growth" in report:
        for table in growth.tables(report["growth"]):
            console.print(table)
    if "micro" in report:
        for table in micro.tables(report["micro"]):
            console.print(table)
    for name, why in report["left_out"].items():
        console.print(f"Left out: {name}: {why}")


def keep(report: dict[str, Any], folder: Path = hosts.CACHE) -> Path:
    """Write it down; the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report['time']}.json".replace(":", "")
    path.write_text(json.dumps(report, indent=1) + "\n")
    return path


def main(words: list[str] | None = None) -> None:
    """Measure, print, keep."""
    options = parse(words)
    # What was started is ended when make, or a time limit, ends us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for program in ("smtp-source", "qmqp-sink", "smtp-sink"):
        if find(program) is None:
            sys.exit(
                f"bench: {program} is not installed (Debian: {PACKAGES[program]}); "
                "`make bench` as root installs it"
            )
    if options.what == "naive-memory":
        from tests.benchmarks import memory  # matplotlib takes a second to load

        return memory.main(options.rounds)
    hosts.raise_limits()
    console = Console(highlight=False, soft_wrap=True)
    report = measure(options, console)
    show(report, console)
    path = keep(report)
    console.print(f"Kept in {path.relative_to(hosts.ROOT)}")
    if options.publish:
        if report["left_out"]:
            sys.exit("bench: not published, since something was left out")
        PUBLISHED.write_text(path.read_text())
        console.print(f"The site shows it: {PUBLISHED.relative_to(hosts.ROOT)}")
    return None


if __name__ == "__main__":
    main()
