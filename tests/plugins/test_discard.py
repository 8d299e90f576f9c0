"""queue/discard: what is marked is dropped, what is not goes on."""

import asyncio
import logging
from typing import Any

import pytest

from qpsdk import OK, Plugin, Transaction
from qpsdk.testing import smtp


class Marks(Plugin):
    """Takes all recipients, and marks messages to `nobody`."""

    def hook_rcpt(self, transaction: Transaction, recipient: Any, params: Any) -> Any:
        if recipient.user == b"nobody":
            transaction.notes["discard_mail"] = True
        return OK


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("nobody@example.com", "250 2.0.0 Queued!"),
        ("somebody@example.com", "451 4.3.0 No plugin took the message, try again later"),
    ],
)
def test_discard(recipient: str, reply: str, caplog: pytest.LogCaptureFixture) -> None:
    """A marked message is said to be queued and the log says who dropped it; others go on."""
    caplog.set_level(logging.INFO, "qpsdk")

    async def main() -> None:
        async with smtp(Marks(), "queue/discard") as client:
            assert str(await client.send("hello", recipients=recipient)) == reply

    asyncio.run(main())
    assert ("discarding c1.1" in caplog.text) == (recipient == "nobody@example.com")
