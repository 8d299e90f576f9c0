"""The soak: `make soak MINUTES=20`."""

import argparse
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.soak.soak import Sample, Soak


def table(samples: list[Sample]) -> Table:
    """What the host held, from rest to rest."""
    made = Table(box=None)
    for title in ("seconds", "memory kB", "descriptors", "tasks", "threads", "objects", "spooled"):
        made.add_column(title, justify="right")
    for sample in samples:
        made.add_row(*(f"{number:,.0f}" for number in sample))
    return made


def main() -> int:
    """Run, print; the exit status."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="how long")
    parser.add_argument("--seed", type=int, help="of another soak")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"seed {seed}, {options.minutes:g} minutes")
    rests = max(12, int(options.minutes * 2))
    with TemporaryDirectory(prefix="qpsdk-soak-") as folder:
        soak = Soak(Path(folder), options.minutes * 60, seed, rests)
        soak.run()
    console.print(table(soak.samples))
    for what, count in sorted(soak.counts.items()):
        console.print(f"{count:>9,} {what.replace('_', ' ')}")
    console.print(f"{soak.accepted:>9,} accepted by the QMQP server")
    if problems := soak.problems():
        console.print("\n".join(problems))
        return 1
    console.print("Flat: nothing has grown, and nothing was acknowledged without a K.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
