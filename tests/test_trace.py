"""The fields that we put on top: those that a plugin gives in their place."""

from typing import Any

import pytest

from qpsdk import OK
from qpsdk.testing import SMTPClient
from tests.conversation import Says, Takes, talk


@pytest.mark.parametrize("value", [7, b"\xff\n", "a\nb", object()])
def test_received_line_that_cannot_be_used(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A Received text that is none, or no field can hold, is logged; ours stands."""
    takes = Takes()

    async def conversation(client: SMTPClient) -> None:
        assert (await client.send("hi")).code == 250

    talk(conversation, Says("received_line", OK, value), takes)
    assert takes.taken[0].startswith(b"Received: from client.example.org (")
    assert "received_line: not used" in caplog.text
