"""The parts of the benchmark: what is made of what was measured. No speed is tested here."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.benchmarks import __main__ as command
from tests.benchmarks import growth, hosts, idle, micro, speed
from tests.benchmarks.clients import percentile
from tests.benchmarks.processes import Meter
from tests.benchmarks.speed import Load, Ratio, Result

KEPT = Load("kept", "4 KB, connections kept", "msg/s", 4096, 20, True, least=25)
LARGE = Load("10mb", "10 MB", "MB/s", 10_000_000, 4, True)


def printed(table: Table) -> list[list[str]]:
    """The words of each line of a table."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    lines = (re.split(r"\s{2,}|\s*[│┃]\s*", line) for line in capture.get().splitlines())
    return [[cell for cell in line if cell] for line in lines]


def results() -> dict[str, Result]:
    """Three rounds of one load."""
    return {
        "qpsdk": Result([400, 600, 500], [0.5, 0.5, 0.5], [40, 41, 42]),
        "aiosmtpd": Result([200, 100, 100], [2, 2, 2], [30, 30, 30]),
        "aiosmtpd-uvloop": Result([160, 200, 200], [1, 1, 1], [30, 30, 30]),
        "bare": Result([800, 800, 1000], [0.1, 0.2, 0.3], [20, 20, 20]),
    }


def test_ratios_are_paired_by_round() -> None:
    """Each rate is held against that of the same round; of two forms the faster is taken."""
    assert speed.ratios(results()) == {
        "aiosmtpd": Ratio("aiosmtpd-uvloop", 2.5, 2.5, 3.0),
        "bare": Ratio("bare", 0.5, 0.5, 0.75),
    }


def test_ratios_without_ours() -> None:
    """Hosts may be measured without ours."""
    assert speed.ratios({"bare": Result([1.0])}) == {}


def test_report_of_speed() -> None:
    """The file has each round's rate, their median, and the ratios."""
    (load,) = json.loads(json.dumps(speed.report({"kept": results()})))
    assert load["title"] == "4 KB, connections kept"
    assert load["hosts"]["qpsdk"] == {
        "rates": [400, 600, 500],
        "rate": 500,
        "cpu_ms": 0.5,
        "peak_mb": 42,
    }
    assert load["ratios"]["bare"] == {"beside": "bare", "median": 0.5, "low": 0.5, "high": 0.75}


def test_tables_of_speed() -> None:
    """The terminal shows rates, costs and ratios."""
    rates, costs, ratios = speed.tables(speed.report({"kept": results()}))
    assert ["qpsdk", "500"] in printed(rates)
    assert ["qpsdk", "0.50, 42"] in printed(costs)
    assert ["aiosmtpd", "2.50 (2.50-3.00)"] in printed(ratios)


@pytest.mark.parametrize(("load", "rate"), [(KEPT, 50.0), (LARGE, 500.0)])
def test_rate_of_a_load(load: Load, rate: float) -> None:
    """Small messages are counted, of large ones the bytes."""
    assert load.rate(100, 2.0) == rate


@pytest.mark.parametrize(
    ("a_second", "load", "messages"),
    [(1000, KEPT, 2000), (1, KEPT, 500), (4, LARGE, 8), (1, LARGE, 4)],
)
def test_messages_for_a_turn(a_second: float, load: Load, messages: int) -> None:
    """A host gets what it does in two seconds, a whole and a decent number for each session."""
    sent = []

    def send(count: int) -> float:
        sent.append(count)
        return count / a_second

    assert speed.messages_for(load, 2.0, send) == messages
    assert sent[0] == load.sessions * load.least


def test_percentile() -> None:
    """Of 200 values one in a hundred is two."""
    assert percentile(range(200), 0.5) == 100
    assert percentile(range(200), 0.99) == 198
    assert percentile([7.0], 0.99) == 7.0


def test_report_and_table_of_idle_connections() -> None:
    """What a connection costs, and how long the others wait."""
    found = {"qpsdk": idle.Idle(7.512, 1.0, 20.04), "bare": idle.Idle(0.5, 0.8, 9.0)}
    (case,) = idle.report({1000: found})
    assert case["connections"] == 1000
    assert case["hosts"]["qpsdk"] == {"kb_each": 7.51, "p50": 1.0, "p99": 20.04}
    assert ["qpsdk", "7.5", "1.0, 20.0"] in printed(idle.table([case]))


def test_open_files_for_idle_connections() -> None:
    """Where a process may not open 10,000 files, fewer connections are measured."""
    assert idle.possible((1_000, 10_000), 1_024) == []
    assert idle.possible((1_000, 10_000), 4_096) == [1_000]
    assert idle.possible((1_000, 10_000), 20_000) == [1_000, 10_000]


def test_slope_of_memory() -> None:
    """A host that keeps a twentieth of a message has a slope of 5 MB for 100 MB."""
    peaks = {100: 45.0, 200: 50.0, 300: 55.0, 400: 60.0}
    report = growth.report(growth.Growth(40.0, peaks, [growth.Cost(500, 0.25)], []))
    assert report["slope_mb_for_100_mb"] == 5.0
    assert report["cpu_ms_a_message"] == {"500": 0.25}
    assert ["45.0", "50.0", "55.0", "60.0"] in printed(next(iter(growth.tables(report))))


def test_micro() -> None:
    """Ours and theirs do the same work and have times for it."""
    found = micro.measure(seconds=0.0001)
    assert set(found["hook_us"]) == {"qpsdk", "pluggy"}
    assert all(set(both) == {"qpsdk", "pynetstring"} for both in found["netstring_us"].values())
    assert all(value > 0 for by_count in found["hook_us"].values() for value in by_count.values())
    assert [len(table.rows) for table in micro.tables(found)] == [2, 3]


PARENT = """
import subprocess, sys
child = "block = bytearray(40_000_000); print(flush=True); input()"
pipe = subprocess.PIPE
with subprocess.Popen([sys.executable, "-c", child], stdin=pipe, stdout=pipe) as p:
    p.stdout.readline()
    print(flush=True)
    sys.stdin.readline()
    p.communicate(b"\\n")
"""

ALONE = """
block = bytearray(60_000_000)
del block
print(flush=True)
input()
block = bytearray(30_000_000)
sum(range(2_000_000))
del block
print(flush=True)
input()
"""


class Talk:
    """A Python program that goes on when it is told to."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def hear(self) -> None:
        """Wait until it has come somewhere."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline()

    def go_on(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def __enter__(self) -> "Talk":
        self.process.__enter__()
        self.hear()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(b"\n")


def test_meter_of_one_process() -> None:
    """Its peak is that of the time in which it was metered, not of what was before."""
    with Talk(ALONE) as program:
        with Meter(program.process.pid) as meter:
            program.go_on()
            program.hear()
        assert 35 < meter.peak < 65
        assert 0 < meter.cpu <= meter.seconds + 0.05


def test_meter_of_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the children have is counted."""
    monkeypatch.setattr("tests.benchmarks.processes.SAMPLING", 0.01)
    with Talk(PARENT) as program:
        meter = Meter(program.process.pid)
        with meter:
            while meter.peak == 0:
                pass
        assert meter.peak > 40


@pytest.mark.parametrize(
    "words",
    [
        "--publish --hosts qpsdk",
        "--publish --only speed",
        "--hosts sendmail",
        "--loads 4kb",
        "--only everything",
    ],
)
def test_wrong_arguments(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be measured is said, and what could be."""
    with pytest.raises(SystemExit):
        command.main(words.split())
    assert "error: " in capsys.readouterr().err


def test_commands_of_the_page() -> None:
    """Each command that the page and the help show is one that the benchmark takes."""
    page = (hosts.ROOT / "docs/explanation/benchmarks.md").read_text()
    shown = [shlex.split(line, comments=True) for line in re.findall("^make bench.*", page, re.M)]
    assert len(shown) == 4
    words = [" ".join(line[2:]).removeprefix("ARGS=").split() for line in shown]
    options = [command.parse(each) for each in words]
    assert [o.rounds for o in options] == [5, 1, 9, 5]
    assert options[2].hosts == ["qpsdk", "haraka"]
    assert [o.publish for o in options] == [False, False, False, True]


def test_what_pages_say_of_the_numbers() -> None:
    """The words about large messages hold for the published run."""
    docs = hosts.ROOT / "docs"
    published = json.loads((docs / "assets/benchmarks.json").read_text("utf-8"))
    (large,) = (load for load in published["loads"] if load["name"] == "10mb")
    ours = large["hosts"]["qpsdk"]
    design = " ".join((docs / "explanation/design.md").read_text("utf-8").split())
    assert "10 MB pass more than ten times as fast as through aiosmtpd, and in half of" in design
    assert large["ratios"]["aiosmtpd"]["median"] > 10
    assert large["hosts"]["aiosmtpd-uvloop"]["peak_mb"] > 2 * ours["peak_mb"]
    page = (docs / "explanation/benchmarks.md").read_text("utf-8")
    assert "is slower than a host that streams" in page
    assert "it is slower than our host" in page
    assert all(large["hosts"][name]["rate"] < ours["rate"] for name in ("bare", "smtp-sink"))


def test_what_is_kept(tmp_path: Path) -> None:
    """A run is kept under its time."""
    path = command.keep({"time": "2026-01-02T03:04:05Z", "left_out": {}}, tmp_path / "bench")
    assert path.name == "2026-01-02T030405Z.json"
    assert json.loads(path.read_text())["left_out"] == {}


def test_machine_and_versions() -> None:
    """A run says where it was made and with what, and names no machine."""
    machine, versions = command.machine(), command.versions()
    assert set(machine) == {"processor", "processors", "memory_gb", "system"}
    assert versions["aiosmtpd"] == "1.4.6"
    assert {"qpsdk", "Python", "pluggy", "pynetstring", "uvloop"} <= set(versions)
