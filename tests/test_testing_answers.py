"""Assertions on answers: what passes, and what the message says."""

import re
from typing import Any

import pytest

from qpsdk import DECLINED, DENY, OK, Answer
from qpsdk.message import Outcome
from qpsdk.testing import assert_answer


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (DENY, None),
        ((DENY, "no such user"), "no such user"),
        ((DENY, b"no such user"), b"no such user"),
        (Outcome(DENY, "no such user", "rcpt_ok"), "no such user"),
        (Answer("rcpt", "rcpt_ok", DENY, "no such user", 0.1), "no such user"),
    ],
)
def test_passes(result: object, message: object) -> None:
    """Whatever form an answer has, its constant is compared and its message given."""
    assert assert_answer(result, DENY, match="such" if message else "") == message


async def forgotten() -> Any:
    """A hook that nobody awaits."""


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (OK, "DENY expected, but the answer was OK"),
        ((OK, "yes"), "DENY expected, but the answer was OK, 'yes'"),
        (None, "DENY expected, but the answer was None"),
        (901, "DENY expected, but the answer was 901"),
        (Outcome(OK, None, "rcpt_ok"), "DENY expected, but the answer was OK of rcpt_ok"),
        (Outcome(DECLINED), "DENY expected, but the answer was DECLINED: no plugin decided"),
        ((DENY, "no"), "a message like 'x' expected, but the answer was DENY, 'no'"),
        (DENY, "a message like 'x' expected, but the answer was DENY"),
    ],
)
def test_fails(result: object, told: str) -> None:
    """A wrong answer is told as it came."""
    with pytest.raises(AssertionError, match=f"^{re.escape(told)}$"):
        assert_answer(result, DENY, match="x")


def test_not_awaited() -> None:
    """The answer of an async hook that was not awaited says so, and no warning follows."""
    with pytest.raises(AssertionError, match="the hook is async: await it, or use run"):
        assert_answer(forgotten(), DENY)
