"""The campaign of faults: `make chaos`, `make chaos ARGS="--seed 7 --lane failover"`.

Messages go from real SMTP clients through a real host (`qpsdk serve` with rcpt_ok and
queue/qmqp_forward) to QMQP servers that fail in every way of `qpsdk.testing.qmqp_script`, at random
offsets, and are killed, as the host is. The clients, too, go away as they please. Then the books
are balanced: see `tests.chaos.books` for what must hold. The exit status is 1 if they do not.

What happens is planned by the seed. The lanes run side by side; in each but the crowd one try
follows another, so that a lane's tries meet the same faults again, as far as the kernel's timing
goes.
"""

import argparse
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.chaos.books import Books
from tests.chaos.campaign import LANES, Campaign

SHOWN = 5  # problems that are printed in full


def table(all_books: list[Books]) -> Table:
    """What became of all forwards, lane by lane."""
    columns = {books.name: books.counts() for books in all_books}
    made = Table(box=None)
    made.add_column(no_wrap=True)
    for title in (*columns, "all"):
        made.add_column(title, justify="right")
    for what in columns[all_books[0].name]:
        row = [counts[what] for counts in columns.values()]
        made.add_row(what, *(f"{number:,}" for number in (*row, sum(row))))
    return made


def main() -> int:
    """Run, balance, print; the exit status."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--forwards", type=int, default=10_200, help="messages through the host")
    parser.add_argument("--seed", type=int, help="of another campaign, to run it again")
    names = ", ".join(lane.name for lane in LANES)
    parser.add_argument("--lane", action="append", help=f"only this one; there are: {names}")
    options = parser.parse_args()
    if unknown := set(options.lane or ()) - {lane.name for lane in LANES}:
        parser.error(f"no lane {min(unknown)!r}; there are {names}")
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    share = -(-options.forwards // len(LANES))
    lanes = [lane for lane in LANES if lane.name in (options.lane or names)]
    console = Console(highlight=False, soft_wrap=True, width=max(100, Console().width))
    console.print(f"seed {seed}: {share} forwards in each of {len(lanes)} lanes", markup=False)
    started = time.monotonic()
    with (
        TemporaryDirectory(prefix="qpsdk-chaos-") as folder,
        ThreadPoolExecutor(len(lanes)) as pool,
    ):
        running = [
            pool.submit(Campaign(lane, Path(folder, f"lane{number}"), seed, share).run)
            for number, lane in enumerate(lanes)
        ]
        all_books = [campaign.result() for campaign in running]
    problems = [(books, problem) for books in all_books for problem in books.balance()]
    console.print(table(all_books))
    console.print(f"{time.monotonic() - started:.0f} s")
    if not problems:
        console.print("The books balance: none acknowledged without a K, none doubled in one try.")
        return 0
    for books, problem in problems[:SHOWN]:
        again = f'--seed {seed} --forwards {options.forwards} --lane "{books.name}"'
        console.print(f"\n{problem}\nto run this lane again: {again}", markup=False)
    console.print(f"\nThe books do not balance: {len(problems)} problems. Seed {seed}.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
