"""Whether our cost grows as it should: memory not with the size of a message, time with it."""

import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.benchmarks.hosts import QPSDK, Running, running
from tests.benchmarks.processes import MB, Meter, resident
from tests.benchmarks.speed import LOADS, Load, send

LARGE = (100, 200, 300, 400)  # MB of one message
COUNTS = (500, 1000, 2000, 4000)  # messages of 4 KB
SIZES = (1, 3, 10, 30, 100)  # MB of one message
IN_ALL = 200  # MB, in messages of each of these sizes

KEPT = LOADS["kept"]


class Cost(NamedTuple):
    """What so much work cost.

    Attributes:
        amount: Messages, or megabytes of one message.
        cpu_ms: Of processor time, for each message or each megabyte.
    """

    amount: int
    cpu_ms: float


class Growth(NamedTuple):
    """How our costs grow.

    Attributes:
        idle: Megabytes resident when nothing is sent.
        peaks: Megabytes at most, by the megabytes of a message.
        by_messages: Cost of a message, by how many come.
        by_size: Cost of a megabyte, by how large a message is.
    """

    idle: float
    peaks: dict[int, float]
    by_messages: list[Cost]
    by_size: list[Cost]


def measure(
    console: Console,
    large: Iterable[int] = LARGE,
    counts: Iterable[int] = COUNTS,
    sizes: Iterable[int] = SIZES,
    in_all: int = IN_ALL,
) -> Growth:
    """All of it, on one host that is warm."""
    # Messages of such a size may be more than it takes by default.
    with running([QPSDK], settings={"databytes": "0"}) as (host,):
        send(host, KEPT, 400)
        _large(host, 10)
        idle = resident(host.pid)
        turns = track(list(large), "Large messages", console=console, transient=True)
        peaks = {size: _large(host, size).peak for size in turns}
        by_messages = []
        for count in counts:
            with Meter(host.pid) as meter:
                send(host, KEPT, count)
            by_messages.append(Cost(count, meter.cpu * 1000 / count))
        by_size = []
        for size in sizes:
            count = max(1, in_all // size)
            meter = _large(host, size, count)
            by_size.append(Cost(size, meter.cpu * 1000 / (size * count)))
    return Growth(idle, peaks, by_messages, by_size)


def _large(host: Running, size: int, messages: int = 1) -> Meter:
    load = Load("large", f"{size} MB", "MB/s", int(size * MB), 1, True)
    with Meter(host.pid) as meter:
        send(host, load, messages)
    return meter


def report(growth: Growth) -> dict[str, Any]:
    """What goes into the file."""
    slope = 0.0
    if len(growth.peaks) > 1:
        slope = statistics.linear_regression(list(growth.peaks), list(growth.peaks.values())).slope
    return {
        "idle_mb": round(growth.idle, 1),
        "peak_mb": {str(size): round(peak, 1) for size, peak in growth.peaks.items()},
        "slope_mb_for_100_mb": round(slope * 100, 2) + 0.0,  # not -0.0
        "cpu_ms_a_message": {
            str(cost.amount): round(cost.cpu_ms, 3) for cost in growth.by_messages
        },
        "cpu_ms_a_mb": {str(cost.amount): round(cost.cpu_ms, 2) for cost in growth.by_size},
    }


def tables(growth: dict[str, Any]) -> Iterable[Table]:
    """The same to read in a terminal."""
    yield _row(
        f"peak memory, MB, by size of a message; idle: {growth['idle_mb']}, 100 MB more cost"
        f" {growth['slope_mb_for_100_mb']}",
        "MB",
        growth["peak_mb"],
    )
    yield _row("processor ms a message, by their number", "messages", growth["cpu_ms_a_message"])
    yield _row("processor ms a MB, by size of a message", "MB", growth["cpu_ms_a_mb"])


def _row(title: str, unit: str, values: dict[str, float]) -> Table:
    table = Table(title=title, title_justify="left")
    for amount in values:
        table.add_column(f"{amount} {unit}", justify="right")
    table.add_row(*map(str, values.values()))
    return table
