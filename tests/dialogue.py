"""Dialogues as they are written in RFCs, held with the plugins under test."""

import asyncio
from collections.abc import Mapping
from textwrap import dedent

import pytest

from qpsdk import Connection, Parameters, Plugin, PluginError, Result, StreamError, Transaction
from qpsdk.constants import OK
from qpsdk.errors import SetupError
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.testing import SMTPClient, smtp
from qpsdk.testing.smtp import memory_host

CLOSED = "(closed)"
HELLO = (
    "S: 220 mx.example.com ESMTP qpsdk ready",
    "C: HELO client.example",
    "S: 250 mx.example.com",
)


class TakesAll(Plugin):
    """Last in the order: takes every recipient and every message."""

    def hook_rcpt(self, transaction: Transaction, recipient: object, params: Parameters) -> Result:
        """OK."""
        return OK

    def hook_queue(self, transaction: Transaction) -> Result:
        """OK."""
        return OK, "taken"


def hold(
    dialogue: str,
    *plugins: Plugin | str,
    config: Mapping[str, str] | None = None,
    remote_ip: str = "192.0.2.1",
) -> Connection:
    """Say the C: lines to a host with these plugins, and expect exactly the S: lines.

    Before one that begins with MAIL the client says HELO. Behind the last line either ``(closed)``
    stands, or the server still has to listen.
    """
    expected = dedent(dialogue).strip().splitlines()
    if expected[0].startswith("C: MAIL"):
        expected = [*HELLO, *expected]
    closed = expected[-1] == CLOSED
    if closed:
        expected.pop()
    connection = Connection("c1", remote_ip)

    async def main() -> None:
        async with smtp(*plugins, TakesAll(), config=config, connection=connection) as client:
            await _say(client, [line[3:] for line in expected if line.startswith("C:")])
            said = client.transcript
            assert said.splitlines() == expected, f"the dialogue was:\n{said}"
            if closed:
                with pytest.raises(StreamError, match="the server closed the connection"):
                    await client.read_reply()
            else:
                assert (await client.command("NOOP")).code == 250

    asyncio.run(asyncio.wait_for(main(), 20))
    return connection


async def _say(client: SMTPClient, lines: list[str]) -> None:
    while lines:
        reply = await client.command(lines.pop(0))
        if reply.code == 354:
            dot = lines.index(".")
            await client.send_data("\n".join(lines[:dot]))
            del lines[: dot + 1]


def refusal(line: str, config: Mapping[str, str] | None = None) -> str:
    """Why a line in `config/plugins` refuses to start."""
    with pytest.raises(SetupError) as caught:
        load_one(PluginLine.parse(line), memory_host(config or {}))
    assert isinstance(caught.value, PluginError) == (not str(caught.value).startswith("config/"))
    return str(caught.value)
