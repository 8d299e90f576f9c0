"""What docs/how-to/read-the-log.md shows: its commands find what became of a message."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from qpsdk import DENY, OK, Plugin, Result, Transaction
from qpsdk.constants import LOGINFO
from qpsdk.testing import capture_log, smtp

PAGE = Path(__file__).parents[1].joinpath("docs/how-to/read-the-log.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)[^\n]*\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Queue(Plugin):
    """Takes every message but a bad one."""

    def hook_rcpt(self, transaction: Transaction, recipient: object, params: object) -> Result:
        """Take every recipient."""
        return OK

    def hook_queue(self, transaction: Transaction) -> Result:
        """Look for what is bad."""
        return (DENY, "bad") if b"bad\n" in list(transaction.body_lines()) else OK


def test_every_block_is_known() -> None:
    """The page shows two settings, its commands, and what logrotate reads."""
    assert [language for language, _ in BLOCKS] == ["text", "sh", "text", "text"]
    assert BLOCKS[0][1] == "LOGINFO\n"


@pytest.mark.parametrize(
    ("body", "became"),
    [
        ("good", "c1.1 from <ann@example.org> to <x@y>, <bob@example.com>, "),
        ("bad", "c1.1 from <ann@example.org> to <x@y>, <bob@example.com>, "),
        ("large" * 200, "message refused: 552 "),
        ("", "client closed the connection in a message (from <ann@example.org> to <x@y>, "),
    ],
)
def test_commands(body: str, became: str, tmp_path: Path) -> None:
    """The first finds a line that says it, the second also where the client came from."""

    async def main() -> None:
        async with smtp(Queue(), config={"databytes": "500"}) as client:
            await client.hello()
            await client.mail("ann@example.org")
            for recipient in ("x@y", "bob@example.com"):
                await client.rcpt(recipient)
            if body:
                await client.data(f"Subject: hello\n\n{body}\n")
            else:
                await client.command("DATA")

    with capture_log() as log:
        asyncio.run(main())
    path = tmp_path / "qpsdk.log"
    lines = [f"[{at.connection}] {at.text}\n" for at in log.records if at.level <= LOGINFO]
    path.write_text("".join(lines))
    shown = BLOCKS[1][1].replace("/var/log/qpsdk/qpsdk.log", str(path)).replace("42b1085", "c1")
    by_envelope, by_id = (
        subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
        for line in shown.splitlines()
    )
    assert f"] {became}" in by_envelope
    assert by_envelope in by_id
    assert by_id.startswith("[c1] connection from 192.0.2.1\n")
