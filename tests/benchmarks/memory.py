"""Peak memory and time by message size, of the plugin that streams and of the naive one.

Every run has a host of its own, so that its peak is that of one size. Postfix's qmqp-sink takes
the packages. What was measured and its picture are kept in docs/assets, for the tutorial.
"""

import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.interop.rig import Client, QMQPSink, eventually, running_host

ASSETS = Path(__file__).parents[2] / "docs" / "assets"
NUMBERS, PICTURE = ASSETS / "naive-memory.json", ASSETS / "naive-memory.svg"

PLUGINS = {"streaming": "queue/qmqp_forward", "naive": "queue/qmqp_forward_naive"}
KB, MB = 1_000, 1_000_000
SIZES = [KB, 10 * KB, 100 * KB, MB, 3 * MB, 10 * MB, 30 * MB, 100 * MB, 200 * MB]
LINE = b"x" * 76 + b"\r\n"
BLOCK = LINE * 13_000  # about 1 MB
PATIENCE = 300.0  # seconds for one answer

# Both read well on white and on the dark ground of the site, and apart for the colour-blind.
COLOURS = {"streaming": "#2a8fd0", "naive": "#e0702a"}
INK = "#808080"


class Run(NamedTuple):
    """One host: megabytes at the peak, and the best seconds from a first byte to our 250."""

    peak: float
    seconds: float


Results = dict[str, dict[int, list[Run]]]
"""By plugin, then by the size of the message in bytes."""


def _run(plugin: str, size: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="qpsdk-bench-") as name:
        folder = Path(name)
        with QMQPSink(folder) as sink:
            line = f"{PLUGINS[plugin]} {sink.address[0]} {sink.address[1]}"
            with running_host(folder, sink.address, plugins=f"rcpt_ok\n{line}") as host:
                with host.connect() as client:
                    client.socket.settimeout(PATIENCE)
                    client.hello()
                    seconds = [_send(client, size) for _ in range(_messages(size))]
                peak = host.memory("VmHWM") * 1024 / MB
            assert eventually(lambda: sink.count() == len(seconds))
    return Run(peak, min(seconds))


def _messages(size: int) -> int:
    """How many messages a run has: a small one alone would measure the host's start."""
    return max(1, min(20, 20 * MB // size))


def _send(client: Client, size: int) -> float:
    """Send a message of about `size` bytes; the seconds that it took."""
    client.begin()
    blocks, rest = divmod(size // (len(LINE) - 1), len(BLOCK) // len(LINE))
    began = time.perf_counter()
    client.send(b"Subject: measured\r\n\r\n")
    for _ in range(blocks):
        client.send(BLOCK)
    client.send(LINE * rest + b".\r\n")
    answer = client.reply()
    seconds = time.perf_counter() - began
    assert answer.code == 250, answer
    return seconds


def measure(rounds: int, console: Console) -> Results:
    """Every size with every plugin, `rounds` times."""
    results: Results = {plugin: {size: [] for size in SIZES} for plugin in PLUGINS}
    turns = [
        (size, plugin)
        for size in SIZES
        for number in range(rounds)
        for plugin in (list(PLUGINS) if number % 2 else reversed(PLUGINS))
    ]
    for size, plugin in track(turns, "Measuring", console=console, transient=True):
        results[plugin][size].append(_run(plugin, size))
    return results


def _label(size: float, _: object = None) -> str:
    return f"{size / MB:g} MB" if size >= MB else f"{size / KB:g} KB"


def _summary(runs: list[Run]) -> Run:
    """The highest peak and the best time: a busy machine makes runs slower, never quicker."""
    return Run(max(run.peak for run in runs), min(run.seconds for run in runs))


def _table(results: Results) -> Table:
    table = Table(title="highest peak, MB; best time, ms", title_justify="left")
    table.add_column("message", justify="right")
    for plugin in results:
        table.add_column(plugin, justify="right")
    for size in SIZES:
        summaries = [_summary(by_size[size]) for by_size in results.values()]
        cells = [f"{peak:,.0f}, {seconds * 1000:,.1f}" for peak, seconds in summaries]
        table.add_row(_label(size), *cells)
    return table


def _write(results: Results) -> None:
    report = {
        "what": "megabytes resident at the peak, and seconds from the message's first byte to our"
        " 250, by bytes of the message; a host of its own for each run; drawn are the highest peak"
        " and the best time",
        "made_by": "make bench ARGS=naive-memory",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "plugins": {
            PLUGINS[plugin]: {
                str(size): {
                    "peak_mb": [round(run.peak, 1) for run in runs],
                    "seconds": [round(run.seconds, 5) for run in runs],
                }
                for size, runs in by_size.items()
            }
            for plugin, by_size in results.items()
        },
    }
    ASSETS.mkdir(parents=True, exist_ok=True)
    NUMBERS.write_text(json.dumps(report, indent=1) + "\n")


def _draw(results: Results) -> None:
    with pyplot.rc_context(
        {
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": "qpsdk",
            "font.family": "sans-serif",
            "font.size": 11,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
        }
    ):
        figure, (memory, seconds) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
        memory.set_title("Peak memory of the host, MB")
        seconds.set_title("First byte to 250, seconds")
        for plugin, by_size in results.items():
            summaries = [_summary(runs) for runs in by_size.values()]
            _line(memory, plugin, [run.peak for run in summaries])
            _line(seconds, plugin, [run.seconds for run in summaries])
        memory.set_yticks([20, 50, 100, 200, 500, 1000, 2000])
        memory.set_ylim(bottom=20)
        memory.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        seconds.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        memory.legend(frameon=False, loc="upper left")
        figure.savefig(PICTURE, transparent=True, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    PICTURE.write_text("\n".join(map(str.rstrip, PICTURE.read_text().splitlines())) + "\n")


def _line(axes: Axes, plugin: str, values: list[float]) -> None:
    style = "-" if plugin == "streaming" else "--"
    axes.loglog(SIZES, values, style, marker="o", color=COLOURS[plugin], label=plugin)
    axes.set_xticks([KB, 10 * KB, 100 * KB, MB, 10 * MB, 100 * MB])
    axes.xaxis.set_major_formatter(FuncFormatter(_label))
    axes.minorticks_off()
    axes.grid(visible=True, color=INK, alpha=0.25, linewidth=0.6)
    axes.set_xlabel("size of the message")


def main(rounds: int) -> None:
    """Measure, print, keep numbers and picture."""
    console = Console(highlight=False, soft_wrap=True)
    results = measure(rounds, console)
    console.print(_table(results))
    _write(results)
    _draw(results)
    console.print("Kept in " + ", ".join(path.name for path in (NUMBERS, PICTURE)))
