"""A short soak is flat, and a host that leaks is found out."""

from pathlib import Path

import pytest

from tests.soak.soak import Sample, Soak

SECONDS = 55.0


@pytest.mark.timeout(180)
def test_soak(tmp_path: Path) -> None:
    """A minute of mixed load with faults leaves nothing behind, and loses nothing."""
    soak = Soak(tmp_path, SECONDS, seed=1)
    soak.run()
    assert soak.problems() == [], soak.samples
    assert soak.counts["acknowledged"] > 20
    assert len(soak.samples) == 12


def test_growth_is_a_problem(tmp_path: Path) -> None:
    """What grows from rest to rest is named, and so is mail that nobody accepted."""
    soak = Soak(tmp_path, SECONDS, seed=1)
    soak.samples += [
        Sample(n, 40_000 + 1_000 * n, 14, 1, 1, 42_000 + 100 * n, 0) for n in range(12)
    ]
    soak.counts["acknowledged"] = 2
    soak.accepted = 1
    assert soak.problems() == [
        "memory grew from 44,000 to 49,000",
        "objects grew from 42,400 to 42,900",
        "2 acknowledged, 1 accepted",
    ]
    soak.samples[-1] = soak.samples[-1]._replace(spooled=1)
    assert "1 spool files at 11 s" in soak.problems()
