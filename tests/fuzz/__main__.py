"""Fuzzes with atheris: `make fuzz SECONDS=60`, or `python -m tests.fuzz --seconds 60 [TARGET ...]`.

Each target runs in a process of its own, as many at once as there are processors, and gets an
equal share of the time. It starts from the corpus in `corpus/`; what it finds besides is kept in
`.cache/fuzz/`, and goes into the corpus with --keep, minimised. An input that breaks a target is
saved, printed as a Python literal, and makes the exit status 1; write a test of it with
the fix.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.fuzz import corpus

ROOT = Path(__file__).parents[2]
FOUND = ROOT / ".cache" / "fuzz"
MAX_INPUT = 300  # bytes: every grammar here shows all that it can do in so many
NAMES = corpus.names()


class Outcome(NamedTuple):
    """What came of fuzzing one target."""

    name: str
    runs: int
    inputs: int
    seconds: float
    crash: bytes | None
    log: str


def fuzz(name: str, seconds: int) -> Outcome:
    """Fuzz one target in a process of its own."""
    found, crashes = FOUND / name, FOUND / "crashes"
    for folder in (found, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    corpus.unpack(name, found)
    prefix = f"{crashes}/{name}-"
    before = set(crashes.glob(f"{name}-*"))
    started = time.monotonic()
    log = _libfuzzer(
        name, f"-max_total_time={seconds}", f"-artifact_prefix={prefix}", "-timeout=10", str(found)
    )
    new = sorted(set(crashes.glob(f"{name}-*")) - before)
    runs = re.search(r"^stat::number_of_executed_units: +(\d+)", log, re.MULTILINE)
    return Outcome(
        name,
        int(runs[1]) if runs else 0,
        len(list(found.iterdir())),
        time.monotonic() - started,
        new[0].read_bytes() if new else None,
        log,
    )


def keep(name: str) -> int:
    """Put what was found into the corpus, only what each adds; how many inputs that are now."""
    with TemporaryDirectory() as folder:
        _libfuzzer(name, "-merge=1", folder, str(FOUND / name))
        return corpus.pack(name, Path(folder))


def _libfuzzer(name: str, *options: str) -> str:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.run", name),
            *(f"-max_len={MAX_INPUT}", "-print_final_stats=1", "-verbosity=0", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        cwd=ROOT,
    )
    return done.stdout.decode("utf-8", "replace")


def main() -> int:
    """Fuzz, print, keep; the exit status."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=int, default=60, help="for all of them together")
    parser.add_argument("--keep", action="store_true", help="put what was found into the corpus")
    options = parser.parse_args()
    targets = options.targets or NAMES
    if unknown := set(targets) - set(NAMES):
        parser.error(f"no target {min(unknown)!r}; there are {', '.join(NAMES)}")
    at_once = os.cpu_count() or 1
    share = max(1, options.seconds * at_once // len(targets))
    failed = False
    with ThreadPoolExecutor(at_once) as pool:
        for outcome in pool.map(fuzz, targets, [share] * len(targets)):
            print(
                f"{outcome.name:20} {outcome.runs:9,} runs in {outcome.seconds:4.0f} s,"
                f" {outcome.inputs:5,} inputs",
                flush=True,
            )
            if outcome.crash is not None:
                failed = True
                trace = outcome.log[max(0, outcome.log.find(" === Uncaught")) :]
                print(f"{trace}\n{outcome.name} fails with {outcome.crash!r}", flush=True)
            elif not outcome.runs:
                failed = True
                print(f"{outcome.log}\n{outcome.name} did not run", flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime:.0f} s of processor time")
    if options.keep and not failed:
        for name in targets:
            print(f"{name:20} {keep(name):5,} inputs in the corpus", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
