"""Put the numbers of one run of `make bench` into the page about it, as tables and pictures.

The page has a comment such as `<!-- benchmarks: rates -->` where one of `PARTS` is to be. All comes
from `docs/assets/benchmarks.json`, so that no two places can say different things.
"""

import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from statistics import median
from typing import Any, Final

from mkdocs.structure.pages import Page

NUMBERS: Final = Path(__file__).parent.parent / "assets" / "benchmarks.json"
PAGE: Final = "explanation/benchmarks.md"

MARK: Final = re.compile(r"<!-- benchmarks: ([a-z]+) -->")

TITLES: Final = {
    "qpsdk": "qpsdk",
    "qpsdk-2-workers": "qpsdk, 2 workers",
    "haraka": "Haraka",
    "aiosmtpd": "aiosmtpd",
    "aiosmtpd-uvloop": "aiosmtpd, uvloop",
    "qpsmtpd-prefork": "qpsmtpd, prefork",
    "qpsmtpd-forkserver": "qpsmtpd, forkserver",
    "bare": "bare protocol",
    "smtp-sink": "smtp-sink alone",
}
"""What a reader is shown for the names of the hosts, in the order of the page."""

# Pictures, in units of an SVG that is as wide as the column of text.
WIDTH: Final = 720
LABEL: Final = 180
BAR: Final = 18
STEP: Final = 26
HEAD: Final = 30
NUMBER: Final = 110  # room for the number behind the longest bar


def machine(report: dict[str, Any]) -> str:
    """Where, when and with what."""
    found = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return (
        f"Measured on {report['time'][:10]} with `{report['made_by']}`, {report['rounds']} rounds"
        f" of about {report['seconds']:g} s for each host and load, on {found['processors']}"
        f" processors ({found['processor']}), {found['memory_gb']} GB of memory,"
        f" {found['system']}. Versions: {versions}."
    )


def rates(report: dict[str, Any]) -> str:
    """A picture for each load, and the table of the same numbers."""
    loads = report["loads"]
    pictures = [
        bars(
            f"{load['title']}, {load['unit']}",
            {TITLES[host]: load["hosts"][host]["rates"] for host in _hosts(load["hosts"])},
        )
        for load in loads
    ]
    rows = [
        (TITLES[host], *(f"{load['hosts'][host]['rate']:,.0f}" for load in loads))
        for host in _hosts(loads[0]["hosts"])
    ]
    head = ("", *(f"{load['title']}, {load['unit']}" for load in loads))
    return "\n\n".join([*pictures, _table(head, rows)])


def ratios(report: dict[str, Any]) -> str:
    """How many times faster ours is, paired by round."""
    loads = report["loads"]
    rows = [
        (
            "bare protocol" if name == "bare" else name,
            *(_ratio(load["ratios"][name]) for load in loads),
        )
        for name in loads[0]["ratios"]
    ]
    return _table(("qpsdk beside", *(load["title"] for load in loads)), rows)


def _ratio(found: dict[str, Any]) -> str:
    return f"**{found['median']:.2f}** ({found['low']:.2f}-{found['high']:.2f})"


def costs(report: dict[str, Any]) -> str:
    """Processor time and memory."""
    loads = report["loads"]
    rows = [
        (
            TITLES[host],
            *(
                f"{load['hosts'][host]['cpu_ms']:,.2f} ms, {load['hosts'][host]['peak_mb']:,.0f} MB"
                for load in loads
            ),
        )
        for host in _hosts(loads[0]["hosts"])
    ]
    return _table(("", *(load["title"] for load in loads)), rows)


def idle(report: dict[str, Any]) -> str:
    """Connections that say nothing."""
    cases = report["idle"]
    head = [""]
    for case in cases:
        head += [f"{case['connections']:,} idle, KB each", "p50, ms", "p99, ms"]
    rows = [
        (TITLES[host], *(cell for case in cases for cell in _idle(case["hosts"][host])))
        for host in _hosts(cases[0]["hosts"])
    ]
    return _table(head, rows)


def _idle(found: dict[str, float]) -> Iterator[str]:
    each = found["kb_each"]  # of two measurements the difference, which may be below nothing
    yield "less than 1" if each < 1 else f"{each:,.1f}"
    for key in ("p50", "p99"):
        yield f"{found[key]:,.1f}"


def growth(report: dict[str, Any]) -> str:
    """How our own costs grow."""
    found = report["growth"]
    peaks, messages, sizes = found["peak_mb"], found["cpu_ms_a_message"], found["cpu_ms_a_mb"]
    return "\n\n".join(
        [
            f"Peak memory by the size of one message; with nothing to do it is {found['idle_mb']}"
            f" MB, and 100 MB more of a message cost {found['slope_mb_for_100_mb']} MB:",
            _line("message", "peak", {f"{size} MB": f"{mb:.1f} MB" for size, mb in peaks.items()}),
            "Processor time of a 4 KB message, by how many there are:",
            _line("messages", "each", {n: f"{ms:.2f} ms" for n, ms in messages.items()}),
            "Processor time of a megabyte, by how large its message is:",
            _line("message", "each MB", {f"{n} MB": f"{ms:.2f} ms" for n, ms in sizes.items()}),
        ]
    )


def _line(of: str, what: str, values: dict[str, str]) -> str:
    return _table((of, *values), [(what, *values.values())])


def hooks(report: dict[str, Any]) -> str:
    """One hook, beside pluggy's."""
    found = report["micro"]["hook_us"]
    counts = list(found["qpsdk"])
    few, many = counts[0], counts[-1]
    rows = [
        (name, *map(str, by.values()), f"{(by[many] - by[few]) / (int(many) - int(few)):.2f}")
        for name, by in found.items()
    ]
    head = ("one hook, microseconds", *map(_plugins, counts), "each one more")
    return _table(head, rows)


def _plugins(count: str) -> str:
    return "1 plugin" if count == "1" else f"{count} plugins"


def netstrings(report: dict[str, Any]) -> str:
    """Netstrings, beside pynetstring's."""
    found = report["micro"]["netstring_us"]
    rows = [(what, *map(str, both.values())) for what, both in found.items()]
    return _table(("netstrings, microseconds", "qpsdk", "pynetstring"), rows)


def bars(title: str, values: dict[str, list[float]]) -> str:
    """A picture of medians as bars, each with a line from the lowest to the highest value.

    It has no colours but the text's own and the accent of the site, so that it is as readable in
    the dark; whoever does not see it has its values read out.
    """
    scale = (WIDTH - LABEL - NUMBER) / (max(map(max, values.values())) or 1)
    spoken = "; ".join(f"{name} {median(found):,.0f}" for name, found in values.items())
    height = HEAD + STEP * len(values)
    lines = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" font-size="14" fill="currentColor">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(spoken)}</desc>",
        f'<text x="0" y="16" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, found) in enumerate(values.items()):
        lines += _bar(HEAD + STEP * number, name, found, scale)
    return "\n".join(['<div class="drawn" markdown="0">', *lines, "</svg>", "</div>"])


def _bar(top: int, name: str, found: list[float], scale: float) -> Iterator[str]:
    middle = top + BAR / 2
    low, high = LABEL + min(found) * scale, LABEL + max(found) * scale
    ours = 'class="ours"' if name.startswith("qpsdk") else 'opacity="0.4"'
    yield f'<text x="{LABEL - 8}" y="{middle + 5}" text-anchor="end">{escape(name)}</text>'
    yield (
        f'<rect x="{LABEL}" y="{top}" width="{median(found) * scale:.1f}" height="{BAR}" {ours}/>'
    )
    ends = f"M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"
    line = f"M{low:.1f} {middle}H{high:.1f}{ends}"
    yield f'<path d="{line}" stroke="currentColor" fill="none"/>'
    yield f'<text x="{high + 8:.1f}" y="{middle + 5}">{median(found):,.0f}</text>'


def _hosts(measured: Iterable[str]) -> list[str]:
    return [name for name in TITLES if name in measured]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    columns = len(tuple(head))
    return "\n".join([lines[0], "|---" + "|--:" * (columns - 1) + "|", *lines[1:]])


PARTS: Final = {
    part.__name__: part for part in (machine, rates, ratios, costs, idle, growth, hooks, netstrings)
}
"""What a page can ask for."""


def filled(markdown: str, report: dict[str, Any]) -> str:
    """The page with its numbers.

    Raises:
        KeyError: It asks for a part that there is not.
    """
    return MARK.sub(lambda mark: PARTS[mark[1]](report), markdown)


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Fill the page."""
    if page.file.src_uri != PAGE:
        return markdown
    return filled(markdown, json.loads(NUMBERS.read_text()))
