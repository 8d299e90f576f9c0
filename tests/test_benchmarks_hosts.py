"""Each host of the benchmark takes mail and forwards it, so that `make bench` can measure it."""

import re

import pytest
from rich.console import Console

from tests.benchmarks import growth, hosts, idle, speed
from tests.programs import missing, needs

SMALL = speed.Load("small", "small", "msg/s", 4096, 2, True)
LARGE = speed.Load("large", "large", "MB/s", 300_000, 1, False)


@pytest.mark.parametrize("name", [*hosts.HOSTS, hosts.LIMIT])
def test_host(name: str) -> None:
    """It forwards small messages and large ones; all arrive, or `send` exits."""
    needs("smtp-source")
    try:
        with hosts.running([name]) as (host,):
            assert speed.send(host, SMALL, 6) > 0
            assert speed.send(host, LARGE, 2) > 0
            assert host.arrived() == 8
    except hosts.UnavailableError as error:
        missing(str(error))


def test_host_that_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out, with the reason; the others are measured."""
    needs("qmqp-sink")

    def unavailable(rig: hosts.Rig) -> hosts.Started:
        raise hosts.UnavailableError("npm is not installed")

    monkeypatch.setitem(hosts.HOSTS, "haraka", unavailable)
    left_out: dict[str, str] = {}
    with hosts.running(["haraka", "bare"], left_out) as running:
        assert [host.name for host in running] == ["bare"]
    assert left_out == {"haraka": "npm is not installed"}


def test_idle_connections() -> None:
    """One of ours costs less than 12 KB, and those that send have their answers meanwhile."""
    needs("qmqp-sink")
    found = idle.one("qpsdk", idle=400, active=2, interval=0.05, messages=2)
    assert 1 < found.kb_each < 12
    assert 0 < found.p50 <= found.p99


def test_growth() -> None:
    """A message of 20 MB needs hardly more memory than there is when nothing is sent."""
    needs("smtp-source")
    found = growth.measure(Console(quiet=True), large=[2, 20], counts=[20], sizes=[1], in_all=1)
    assert all(found.idle - 1 < peak < found.idle + 4 for peak in found.peaks.values())
    assert [cost.amount for cost in found.by_messages + found.by_size] == [20, 1]


def test_refused_message_ends_the_run() -> None:
    """A host that refuses a message is not measured."""
    needs("smtp-source")
    refused = pytest.raises(SystemExit, match=re.escape("bench: qpsdk, small: "))
    with hosts.running(["qpsdk"], settings={"databytes": "1000"}) as (host,), refused:
        speed.send(host, SMALL, 2)
