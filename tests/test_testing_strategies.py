"""What the strategies draw is what they say."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpsdk import OK, Address, Plugin
from qpsdk.header import HeaderReader
from qpsdk.testing import Step, smtp
from qpsdk.testing.strategies import (
    addresses,
    envelopes,
    for_each,
    headers,
    messages,
    senders,
    sessions,
)


class Yes(Plugin):
    def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        return OK

    def hook_queue(self, transaction: Any) -> Any:
        return OK


@given(addresses(), addresses(smtputf8=True))
def test_addresses(plain: Address, any_kind: Address) -> None:
    """Addresses can be said, and those for all need no SMTPUTF8."""
    assert Address.parse(plain.format()) == plain
    assert Address.parse(any_kind.format(), smtputf8=True) == any_kind


@given(headers())
def test_headers(raw: bytes) -> None:
    """A header is a header, to its last byte."""
    reader = HeaderReader()
    assert reader.feed(raw) is None
    assert bytes(reader.finish()[0]) == raw


@pytest.mark.parametrize(
    ("strategy", "wanted", "examples"),
    [
        (senders(), lambda sender: sender.is_null, 200),
        (addresses(), lambda address: address.address.startswith(b'"'), 200),
        (addresses(), lambda address: address.host.startswith(b"["), 200),
        (addresses(smtputf8=True), lambda address: not address.address.isascii(), 200),
        (envelopes(), lambda envelope: len(envelope.recipients) > 2, 200),
        (messages(), lambda message: not message.isascii(), 200),
        (messages(), lambda message: b"\n." in message, 200),
        (messages(), lambda message: max(map(len, message.split(b"\n"))) > 998, 200),
        (messages(), lambda message: b"multipart/mixed" in message, 200),
        (messages(), lambda message: not message, 200),
        (messages(), lambda message: message[-1:] not in (b"", b"\n"), 200),
        (sessions(), lambda steps: any(step.message for step in steps), 30),
        (sessions(), lambda steps: any(b"SMTPUTF8" in step.line for step in steps), 30),
        (sessions(), lambda steps: steps[-1].line != b"QUIT", 30),
    ],
)
def test_finds(strategy: st.SearchStrategy[Any], wanted: Any, examples: int) -> None:
    """Each kind of odd value is among what is drawn."""
    found: list[bool] = []
    for_each(strategy, lambda value: found.append(wanted(value)), examples)
    assert any(found)


@settings(max_examples=20)
@given(sessions())
def test_sessions(steps: list[Step]) -> None:
    """Sessions are legal: a server that takes all refuses nothing but what is unknown."""
    with smtp(Yes()) as client:
        replies = client.play(steps)
    assert {reply.code for reply in replies} <= {220, 221, 250, 252, 214, 354, 500}, replies
    assert len(replies) == len(steps) + sum(reply.code == 354 for reply in replies)


def test_for_each() -> None:
    """Each value is checked, and the first failure is raised as it is."""
    seen: list[int] = []
    for_each(st.integers(), seen.append, 7)
    assert len(seen) == 7

    def fail(value: int) -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match=r"^no$") as caught:
        for_each(st.integers(), fail, 7)
    assert not getattr(caught.value, "__notes__", [])
