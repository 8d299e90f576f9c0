"""Where chapter 7 arrives: the plugin that comes with qpsdk, and all that servers do to it."""

import asyncio

from qpsdk import OK, Plugin
from qpsdk.testing import FakeQMQPServer, smtp
from qpsdk.testing.qmqp_script import (
    accept,
    close_at,
    cut_reply,
    defer,
    drip,
    empty,
    huge_length,
    leading_zeros,
    no_comma,
    no_reply,
    refuse,
    reject,
    rst,
    silence,
    stall,
    trailing,
    unknown,
)

FORWARD = "queue/qmqp_forward 192.0.2.1 io_timeout=0.1"
LARGE = b"Subject: hello\n\n" + (b"x" * 69 + b"\n") * 3_000

ACTS = [
    accept("ok"),
    defer("busy"),
    reject("no"),
    refuse(),
    close_at(1_000),
    rst(1_000),
    accept("a lie", at=1_000),
    reject("too big", at=1_000),
    stall(),
    silence(),
    no_reply(),
    rst(),
    cut_reply(),
    drip(),
    no_comma(),
    empty(),
    unknown(),
    leading_zeros(),
    huge_length(),
    trailing(),
]


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK


class ShowLog(Plugin):
    def hook_logging(self, *line):
        _, _, level, _, _, text = line
        print("   ", level.name, text)
        return OK


class NextQueue(Plugin):
    taken = 0

    def hook_queue(self, transaction):
        self.taken += 1
        return OK, "the next plugin took it"


async def fate(act):
    """Send a message while the server does one of its acts."""
    print(act)
    fake, next_queue = FakeQMQPServer(), NextQueue()
    fake.script(act)
    plugins = ShowLog(), TakeAll(), FORWARD, next_queue
    async with smtp(*plugins, connect=fake.connect) as client:
        reply = await client.send(LARGE)
    await fake.close()
    print("   ", reply)
    print(f"    copies: {len(fake.messages)} server, {next_queue.taken} next plugin")
    # Whatever happened: if our client was told yes, there is just one copy.
    assert not reply.accepted or len(fake.messages) + next_queue.taken == 1


async def main():
    for act in ACTS:
        await fate(act)


asyncio.run(main())
