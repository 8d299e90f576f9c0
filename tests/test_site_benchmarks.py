"""The page of benchmarks shows one run, as tables and as pictures that all can read."""

import importlib.util
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def site() -> ModuleType:
    """The module that fills the page."""
    spec = importlib.util.spec_from_file_location("benchmarks", DOCS / "hooks" / "benchmarks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one_load() -> dict[str, Any]:
    """What `make bench` writes of two hosts under one load, in three rounds."""
    return {
        "title": "4 KB, connections kept",
        "unit": "msg/s",
        "hosts": {
            "bare": {"rates": [9000, 8000, 8500], "rate": 8500, "cpu_ms": 0.12, "peak_mb": 25},
            "qpsdk": {"rates": [5000, 4000, 6000], "rate": 5000, "cpu_ms": 0.2, "peak_mb": 45.2},
        },
        "ratios": {"bare": {"beside": "bare", "median": 0.556, "low": 0.5, "high": 0.706}},
    }


def test_rates(site: ModuleType) -> None:
    """The table has the medians, ours first."""
    rows = site.rates({"loads": [one_load()]}).splitlines()[-4:]
    assert rows == [
        "|  | 4 KB, connections kept, msg/s |",
        "|---|--:|",
        "| qpsdk | 5,000 |",
        "| bare protocol | 8,500 |",
    ]


def test_ratios(site: ModuleType) -> None:
    """A ratio is shown with the lowest and the highest of its rounds."""
    assert "| bare protocol | **0.56** (0.50-0.71) |" in site.ratios({"loads": [one_load()]})


def test_costs(site: ModuleType) -> None:
    """Processor time and peak memory stand together."""
    assert "| qpsdk | 0.20 ms, 45 MB |" in site.costs({"loads": [one_load()]})


def test_idle(site: ModuleType) -> None:
    """Three columns for each number of idle connections."""
    hosts = {"qpsdk": {"kb_each": 7.51, "p50": 1.0, "p99": 20.04}}
    cases = [{"connections": 1000, "hosts": hosts}, {"connections": 10000, "hosts": hosts}]
    page = site.idle({"idle": cases})
    assert "| 10,000 idle, KB each | p50, ms | p99, ms |" in page
    assert "| qpsdk | 7.5 | 1.0 | 20.0 | 7.5 | 1.0 | 20.0 |" in page


def test_idle_that_cannot_be_measured(site: ModuleType) -> None:
    """A host that came out smaller with its clients is not said to have gained memory."""
    hosts = {"bare": {"kb_each": -0.89, "p50": 0.6, "p99": 2.1}}
    page = site.idle({"idle": [{"connections": 1000, "hosts": hosts}]})
    assert "| bare protocol | less than 1 | 0.6 | 2.1 |" in page


def test_hooks(site: ModuleType) -> None:
    """What a hook costs, and what each plugin adds."""
    found = {"qpsdk": {"1": 2.0, "10": 11.0}, "pluggy": {"1": 1.0, "10": 5.5}}
    assert site.hooks({"micro": {"hook_us": found}}).splitlines() == [
        "| one hook, microseconds | 1 plugin | 10 plugins | each one more |",
        "|---|--:|--:|--:|",
        "| qpsdk | 2.0 | 11.0 | 1.00 |",
        "| pluggy | 1.0 | 5.5 | 0.50 |",
    ]


def test_growth(site: ModuleType) -> None:
    """Memory by size, time by number and by size."""
    found = {
        "idle_mb": 44.1,
        "peak_mb": {"100": 44.7, "200": 44.8},
        "slope_mb_for_100_mb": 0.1,
        "cpu_ms_a_message": {"500": 0.34},
        "cpu_ms_a_mb": {"1": 4.75, "3": 3.38},
    }
    page = site.growth({"growth": found})
    assert "with nothing to do it is 44.1 MB, and 100 MB more of a message cost 0.1 MB" in page
    assert "| message | 100 MB | 200 MB |\n|---|--:|--:|\n| peak | 44.7 MB | 44.8 MB |" in page
    assert "| each MB | 4.75 ms | 3.38 ms |" in page


def test_picture(site: ModuleType) -> None:
    """A bar is as long as its number says, and the picture can be read aloud."""
    picture = site.bars("4 KB <kept>, msg/s", {"qpsdk": [40, 50, 60], "bare": [100, 100, 100]})
    assert picture.startswith('<div class="drawn"')
    assert "\n\n" not in picture  # Markdown would end the block of HTML there
    svg = ET.fromstring(picture)[0]
    assert svg.get("role") == "img"
    assert svg.findtext("title") == "4 KB <kept>, msg/s"
    assert svg.findtext("desc") == "qpsdk 50; bare 100"
    ours, bare = (float(bar.get("width", "")) for bar in svg.findall("rect"))
    assert bare == pytest.approx(2 * ours, abs=0.1)


def test_picture_has_the_colours_of_the_page(site: ModuleType) -> None:
    """No colour is fixed, so that all is as readable on dark ground as on white."""
    picture = site.bars("x", {"qpsdk": [1.0], "bare": [2.0]})
    colours = re.findall(r'(?:fill|stroke)="([^"]+)"', picture)
    assert set(colours) == {"currentColor", "none"}


def test_unknown_part(site: ModuleType) -> None:
    """The page cannot ask for what there is not."""
    with pytest.raises(KeyError, match="speed"):
        site.filled("<!-- benchmarks: speed -->", {})


def test_page_and_published_numbers(site: ModuleType) -> None:
    """The page asks for everything once, and the published run has it all."""
    page = (DOCS / site.PAGE).read_text()
    assert sorted(site.MARK.findall(page)) == sorted(site.PARTS)
    report = json.loads(site.NUMBERS.read_text())
    assert report["left_out"] == {}
    assert "--publish" in report["made_by"]
    shown = site.filled(page, report)
    assert "<!-- benchmarks" not in shown
    assert all(host in site.TITLES for load in report["loads"] for host in load["hosts"])
    assert report["time"][:10] in shown
