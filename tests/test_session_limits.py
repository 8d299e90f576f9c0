"""The limits in the dialogue, in memory: of time, of room, and of messages in hand at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qpsdk import OK, Constant, Plugin, Reply, Transaction
from qpsdk.gate import Gate
from qpsdk.loader import register
from qpsdk.testing import SMTPClient, smtp
from qpsdk.testing.smtp import mark_loaded, memory_host
from tests.conversation import Takes, talk

LONG = 20.0
"""Seconds that nothing here is to take."""


class Clock:
    """The session's clock, which goes on by so many seconds whenever it is looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
        self.now = 0.0
        self.step = step
        monkeypatch.setattr("qpsdk.session.monotonic", self)

    def __call__(self) -> float:
        self.now += self.step
        return self.now


# Time


def test_a_slow_client(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A command that comes a byte a minute is not waited for; the client is told why."""
    caplog.set_level(logging.INFO + 1, "qpsdk")
    Clock(monkeypatch, 60)
    told = "421 4.4.2 mx.example.com You send too slowly"

    async def conversation(client: SMTPClient) -> None:
        for _ in range(5):
            client.write(b"N")
            await asyncio.sleep(0.01)
        client.write(b"N")
        assert str(await client.read_reply()) == told

    talk(conversation)
    assert f"sent away: {told}" in caplog.messages


def test_our_own_time_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plugin takes between two pieces of a command is not the client's fault."""
    clock = Clock(monkeypatch, 0)

    class Slow(Plugin):
        def hook_mail(self, *_: object) -> Constant:
            clock.now += 100_000
            return OK

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        for piece in (b"MAIL FROM:<a@b>\r\nNO", b"O", b"P\r\n"):
            client.write(piece)
            await asyncio.sleep(0.01)
        assert [(await client.read_reply()).code for _ in range(2)] == [250, 250]

    talk(conversation, Slow(), config={"session_timeout": "0"})


def test_a_connection_that_lasts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After session_timeout a client is sent away, but not out of a transaction that ends."""
    caplog.set_level(logging.INFO + 1, "qpsdk")
    clock = Clock(monkeypatch, 0)
    told = "421 4.3.2 mx.example.com This connection has lasted too long"

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        assert (await client.command("MAIL FROM:<a@b>")).code == 250
        clock.now = 3700
        assert (await client.command("RCPT TO:<c@d>")).code == 250
        assert (await client.command("DATA")).code == 354
        client.write(b"A: b\r\n\r\n.\r\n")
        assert (await client.read_reply()).code == 250
        assert str(await client.command("MAIL FROM:<a@b>")) == told

    talk(conversation, Takes(), config={"min_data_rate": "0"})
    assert f"sent away: {told}" in caplog.messages


# Room


def test_no_room_at_mail(caplog: pytest.LogCaptureFixture) -> None:
    """Who announces more than there is room for is put off before it sends it."""
    caplog.set_level(logging.INFO + 1, "qpsdk")
    config = {"max_spool": "1000", "size_threshold": "100"}

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        reply = await client.command("MAIL FROM:<a@b> SIZE=1001")
        assert str(reply) == "452 4.3.1 Cannot store the message now, try again later"
        assert (await client.command("RCPT TO:<c@d>")).code == 503
        assert (await client.command("MAIL FROM:<a@b> SIZE=1000")).code == 250

    talk(conversation, Takes(), config=config)
    assert caplog.messages == [
        "a message of 1001 bytes was put off: max_spool is 1000, 0 are in use (from <a@b>)"
    ]


def test_no_room_in_the_message(caplog: pytest.LogCaptureFixture) -> None:
    """A message that turns out larger is put off at its end, and its room is free again."""
    caplog.set_level(logging.INFO + 1, "qpsdk")
    config = {"max_spool": "1000", "size_threshold": "100"}
    takes = Takes()

    async def conversation(client: SMTPClient) -> None:
        for size, code in ((2000, 452), (500, 250), (2000, 452), (500, 250)):
            assert (await client.send("A: b\n\n" + "x" * size)).code == code

    talk(conversation, takes, config=config)
    assert len(takes.taken) == 2
    assert caplog.messages[0] == (
        "cannot write to the spool: [Errno 28] max_spool is 1000, 0 are in use"
    )


# Messages in hand


class Slow(Takes):
    """Has messages in hand until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.most = 0
        self.inside = 0
        self.go_on = asyncio.Event()

    async def hook_queue(self, transaction: Transaction) -> tuple[Constant, str]:  # type: ignore[override]
        self.begun += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.go_on.wait()
        self.inside -= 1
        return OK, "taken"


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    while not condition():
        await asyncio.sleep(0.001)


def side_by_side(
    conversation: Callable[[Slow, Callable[[], Awaitable[Reply]]], Awaitable[None]], **config: str
) -> None:
    """Hold a conversation with a slow queue plugin, in which messages can be sent."""

    async def main() -> None:
        host = memory_host(config)
        plugin = Slow()
        register(plugin, host, (), {})
        mark_loaded(plugin)

        async def send() -> Reply:
            async with smtp(plugin) as client:
                return await client.send("hello")

        await conversation(plugin, send)
        assert host.queue_gate.inside == 0

    asyncio.run(asyncio.wait_for(main(), LONG))


def test_max_forwards() -> None:
    """No more messages than that are with a queue plugin at a time; the others wait, and arrive."""

    async def conversation(plugin: Slow, send: Any) -> None:
        sending = [asyncio.create_task(send()) for _ in range(20)]
        await until(lambda: plugin.begun == 3)
        await asyncio.sleep(0.05)
        assert plugin.begun == 3
        plugin.go_on.set()
        assert {(await task).code for task in sending} == {250}
        assert (plugin.begun, plugin.most) == (20, 3)

    side_by_side(conversation, max_forwards="3")


def test_busy(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A message whose turn does not come in time is put off, and nobody else is."""
    caplog.set_level(logging.INFO + 1, "qpsdk")
    real = Gate.wait
    monkeypatch.setattr(Gate, "wait", lambda gate, work: real(gate, work, 0.05))

    async def conversation(plugin: Slow, send: Any) -> None:
        first = asyncio.create_task(send())
        await until(lambda: plugin.begun == 1)
        reply = await send()
        assert str(reply) == "451 4.3.2 Too busy to queue the message now, try again later"
        plugin.go_on.set()
        assert (await first).code == 250
        assert (await send()).code == 250

    side_by_side(conversation, max_forwards="1")
    assert [line.partition(" ")[2] for line in caplog.messages] == [
        "put off: max_forwards is 1, and none ended in 30 s"
        " (from <sender@example.org> to <recipient@example.com>)"
    ]


def test_a_failed_plugin_leaves(caplog: pytest.LogCaptureFixture) -> None:
    """A queue plugin that fails makes room for the next message all the same."""

    class Fails(Plugin):
        def hook_queue(self, transaction: Transaction) -> Constant:
            raise RuntimeError("oops")

    async def conversation(client: SMTPClient) -> None:
        for _ in range(3):
            assert (await client.send("hello")).code == 451

    class Accepts(Plugin):
        def hook_rcpt(self, transaction: Transaction, recipient: Any, params: Any) -> Constant:
            return OK

    talk(conversation, Accepts(), Fails(), config={"max_forwards": "1"})
