"""Short campaigns, and broken forwarders that do not get through one."""

import itertools
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import __main__ as command
from tests.chaos.campaign import LANES, Campaign, Lane
from tests.chaos.plan import IO_TIMEOUT, plan

pytestmark = pytest.mark.timeout(180)  # hosts that are killed and begun again and again

FORWARDS = 40
BROKEN = Path(__file__).parent / "broken"


def short_seed(lane: Lane, forwards: int, start: int, *kills: str) -> int:
    """The next seed whose plan has these kills, and nothing to wait for."""
    for seed in itertools.count(start):
        plans = [
            plan(seed, lane.name, number, len(lane.servers), crowd=lane.sessions > 1)
            for number in range(forwards)
        ]
        acts = [act for one in plans for act in one.acts]
        slow = any(
            str(act).startswith(("silence", "stall")) or act.delay >= IO_TIMEOUT for act in acts
        )
        if not slow and sorted(one.kill.victim for one in plans if one.kill) == [*kills]:
            return seed
    raise AssertionError


@pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.name)
def test_the_books_balance(lane: Lane, tmp_path: Path) -> None:
    """After a short campaign with a kill of each kind; under CI always the same one."""
    start = 1 if os.environ.get("CI") == "true" else random.randrange(1_000_000)
    seed = short_seed(lane, FORWARDS, start, "host", "server")
    books = Campaign(lane, tmp_path / "lane", seed, FORWARDS).run()
    problems = "\n\n".join(map(str, books.balance()))
    assert not problems, f"seed {seed}\n{problems}"
    counts = books.counts()
    assert counts["forwards"] == FORWARDS
    assert counts["  told 250"] > 5
    assert counts["queued"] >= counts["  told 250"] - counts["250 for an early K"]
    if books.one_by_one:  # in a crowd, the one kill may come between the other and its client
        assert (counts["hosts killed"], counts["servers killed"]) == (1, 1)


def broken(how: str, *, maildir: bool = False) -> Lane:
    """A lane whose forwarder is broken."""
    return Lane(
        f"broken {how}",
        forwarder=f"forward {{servers}} how={how}",
        maildir=maildir,
        plugin_dirs=str(BROKEN),
    )


@pytest.mark.parametrize(
    ("how", "rules"),
    [
        ("early", {"1"}),  # says OK before it hears the answer
        ("declines", {"2", "4"}),  # leaves to the maildir what the server may have
        ("doubles", {"2", "3"}),  # tries again what the server may have
        ("deaf", {"6"}),  # takes a K for nothing
        ("mangles", {"7"}),
        ("forgets", {"7"}),  # all recipients but the first
    ],
)
def test_a_broken_forwarder_is_caught(how: str, rules: set[str], tmp_path: Path) -> None:
    """Whatever a forwarder may do wrong, the books say under which rule."""
    lane = broken(how, maildir=how == "declines")
    seed = short_seed(lane, FORWARDS, 1)
    problems = Campaign(lane, tmp_path / "lane", seed, FORWARDS).run().balance()
    found = {problem.rule.partition(".")[0] for problem in problems}
    assert found & rules, problems


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the seed, the table and the verdict; if the books do not balance, a story."""
    lanes = [LANES[0], replace(broken("early"), name="early")]
    seed = short_seed(lanes[1], 20, 1)
    monkeypatch.setattr(command, "LANES", lanes)
    arguments = ["chaos", "--forwards", "40", "--seed", str(seed)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--lane", "one"])
    assert command.main() == 0
    shown = capsys.readouterr().out
    assert f"seed {seed}: 20 forwards in each of 1 lanes" in shown
    assert "The books balance" in shown
    monkeypatch.setattr(sys, "argv", [*arguments, "--lane", "early"])
    assert command.main() == 1
    shown = capsys.readouterr().out
    assert "1. acknowledged, and nobody has queued it\nmessage " in shown
    assert f'to run this lane again: --seed {seed} --forwards 40 --lane "early"' in shown
    assert "The books do not balance" in shown
