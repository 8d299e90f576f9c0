"""Conversations in memory, and two plugins that many of them need."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from qpsdk import OK, Constant, Plugin, Reply, StreamError, Transaction
from qpsdk.testing import SMTPClient, smtp

COMMANDS = {
    # hook: the lines that lead to it, the last of them answered by it
    "mail": ["EHLO client", "MAIL FROM:<a@b>"],
    "rcpt": ["EHLO client", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"],
    "data": ["EHLO client", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"],
}


class Says(Plugin):
    """Answers one hook with one thing."""

    def __init__(self, hook: str, *answer: Any) -> None:
        super().__init__()
        self.register_hook(hook, lambda *_: answer[0] if len(answer) == 1 else answer)


class Takes(Plugin):
    """Takes every recipient and every message."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[bytes] = []

    def hook_rcpt(self, transaction: Transaction, recipient: Any, params: Any) -> Constant:
        return OK

    def hook_queue(self, transaction: Transaction) -> tuple[Constant, str]:
        self.taken.append(b"".join(transaction.message_blocks()))
        return OK, "taken"


def talk(
    conversation: Callable[[SMTPClient], Awaitable[None]], *plugins: Any, **options: Any
) -> None:
    """Hold a conversation with the plugins given."""

    async def main() -> None:
        async with smtp(*plugins, **options) as client:
            await conversation(client)

    asyncio.run(asyncio.wait_for(main(), 20))


async def is_open(client: SMTPClient) -> bool:
    """Whether the server still answers."""
    try:
        return bool(await client.command("NOOP"))
    except StreamError:
        return False


async def lead_to(client: SMTPClient, hook: str) -> Reply:
    """Say what leads to a hook; its reply."""
    reply = client.greeting
    for line in COMMANDS[hook]:
        reply = await client.command(line)
    return reply


async def send(client: SMTPClient, *recipients: str) -> None:
    """Send an empty message from a@b."""
    await client.hello()
    await client.send(b"\n", "a@b", recipients)
