"""What docs/explanation/qmqp.md says of the answers is so: each row of its table is run."""

import re
from pathlib import Path

import pytest

from qpsdk.testing import FakeQMQPServer, run, smtp
from qpsdk.testing.qmqp_script import parse

PAGE = Path(__file__).parent.parent / "docs/explanation/qmqp.md"
ROWS = re.findall(
    r"^\| ([^|]+) \| `([^`]+)` \| `([^`]+)` \| (yes|no) \|$", PAGE.read_text(), re.MULTILINE
)


def test_all_rows_are_found() -> None:
    """The table is read whole: it has eleven kinds of servers."""
    assert len(ROWS) == len({script for _, script, *_ in ROWS}) == 11


@pytest.mark.parametrize(("script", "reply", "has_it"), [row[1:] for row in ROWS])
def test_row(script: str, reply: str, has_it: str) -> None:
    """The client reads what the row says, and the server has the message or has not."""
    fake = FakeQMQPServer()
    fake.script(*parse(script))

    async def dialogue() -> None:
        plugins = ("rcpt_ok", "queue/qmqp_forward 192.0.2.1")
        settings = {"rcpthosts": "example.com"}
        async with smtp(*plugins, config=settings, connect=fake.connect) as client:
            said = await client.send("Subject: hello\n\nhi\n", recipients="ann@example.com")
            assert str(said) == reply

    run(dialogue())
    assert len(fake.messages) == (1 if has_it == "yes" else 0)
