"""docs/how-to/scale-out.md shows the files that its test runs, and numbers that hold."""

import json
import re
from pathlib import Path

from tests.interop.fleet import FILES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/how-to/scale-out.md").read_text("utf-8")


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
