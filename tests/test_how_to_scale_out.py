"""docs/how-to/scale-out.md shows the files that its test runs, and numbers that hold."""

import json
import re
from pathlib import Path

from tests.interop.fleet import FILES

ROOT = Path(__file__).parent.parent
PAGE = (
    (ROOT / "docs/how-to/scale-out.md").read_text("utf-8").replace("\N{MULTIPLICATION SIGN}", "x")
)


def test_files() -> None:
    """Each file of the tested fleet is on the page, those of one line in its table."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", PAGE, re.MULTILINE))
    config = {path.name: path.read_text("utf-8") for path in (FILES / "config").iterdir()}
    del config["plugins"]
    assert {name: f"{value}\n" for name, value in rows.items()} == config
    shown = set(re.findall(r"^tests/interop/scale_out/(\S+)$", PAGE, re.MULTILINE))
    assert shown == {"haproxy.cfg", "redis.conf", "main.cf", "master.cf", "config/plugins"}


def test_numbers_of_the_benchmarks() -> None:
    """What the page says of the published benchmarks is so."""
    published = json.loads((ROOT / "docs/assets/benchmarks.json").read_text("utf-8"))
    (small,) = (load for load in published["loads"] if load["name"] == "one-each")
    assert "4 KB, the benchmarks have less than 1 |" in PAGE
    assert small["hosts"]["qpsdk"]["cpu_ms"] < 1
    assert "less than 10 KB each when idle" in PAGE
    assert all(idle["hosts"]["qpsdk"]["kb_each"] < 10 for idle in published["idle"])


def test_forwards_with_one_postfix_away() -> None:
    """Neither the small fleet nor the large one brings more than the other Postfix take."""
    most = int((FILES / "config/max_forwards").read_text("utf-8"))
    match = re.search(r" - (\d+) qmqpd$", (FILES / "master.cf").read_text("utf-8"), re.MULTILINE)
    assert match is not None
    takes = int(match[1])
    assert f"it is 2 x 1 x {most}; with" in PAGE
    assert 2 * 1 * most <= takes * (2 - 1)
    assert f"three hosts, 8 workers each, `max_forwards` {most}: {3 * 8 * most:,} at a" in PAGE
    assert f"{takes} x 15 = {takes * 15:,} that Postfix takes with one away" in PAGE
    assert 3 * 8 * most <= takes * 15


def test_postfix_of_the_large_fleet() -> None:
    """With one of sixteen away each has half of what one has taken."""
    assert f"sixteen machines: {5800 / 16:.0f} messages and {5800 / 16 * 0.075:.0f} MB/s" in PAGE
    assert f"with one away {5800 / 15:.0f} and {5800 / 15 * 0.075:.0f} MB/s" in PAGE
    assert 5800 / 15 < 750 * 0.52
