"""The naive QMQP plugin: the same on the wire as the one that streams."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import OK, Address, Connection, Endpoint, Plugin, PluginError, Transaction
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.spool import Spool, SpoolDirectory
from qpsdk.testing import MemoryStream, pipe, smtp
from qpsdk.testing.smtp import memory_host

STREAMING, NAIVE = "queue/qmqp_forward", "queue/qmqp_forward_naive"


class Yes(Plugin):
    """Accepts every recipient."""

    def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        return OK


async def wire(
    plugin_name: str, message: bytes, footer: bytes, sender: str, recipients: list[str]
) -> bytes:
    """What a plugin sends of a message."""
    tasks = []
    taken = bytearray()

    async def connect(endpoint: Endpoint, /, **limits: Any) -> MemoryStream:
        ours, theirs = pipe()
        tasks.append(asyncio.ensure_future(serve(theirs)))
        return ours

    async def serve(stream: MemoryStream) -> None:
        size = -1
        while len(taken) != size:
            taken.extend(await stream.read())
            if size < 0:
                length, _, _ = taken.partition(b":")
                size = len(length) + 1 + int(length) + 1
        stream.write(b"3:Kok,")

    plugin: Any = load_one(PluginLine.parse(f"{plugin_name} a"), memory_host({}, connect))
    with Spool(100_000, SpoolDirectory()) as spool:
        transaction = Transaction(Connection("c1"), "c1.1", spool, 10_000)
        transaction.sender = Address.parse(sender)
        transaction.recipients = [Address.parse(recipient) for recipient in recipients]
        transaction.receive(message)
        transaction.receive_end(len(message))
        transaction.body_write(footer)
        assert await plugin.hook_queue(transaction) == (OK, "ok")
        assert transaction.handed_over
    await asyncio.gather(*tasks)
    return bytes(taken)


LINES = st.lists(st.binary(max_size=80).map(lambda line: line.replace(b"\n", b"")), max_size=20)
ADDRESSES = st.sampled_from(["a@b", "ask@example.org", '"a b"@[192.0.2.1]', "postmaster"])


@given(LINES, st.binary(max_size=9), ADDRESSES | st.just(""), st.lists(ADDRESSES, min_size=1))
def test_equal_on_the_wire(
    lines: list[bytes], footer: bytes, sender: str, recipients: list[str]
) -> None:
    """Both plugins send the same bytes for any message."""
    message = b"Subject: hi\n\n" + b"".join(line + b"\n" for line in lines)

    async def main() -> None:
        streaming, naive = [
            await wire(name, message, footer, sender, recipients) for name in (STREAMING, NAIVE)
        ]
        assert naive == streaming

    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 131_072, 3_000_000])
def test_equal_on_the_wire_when_large(size: int) -> None:
    """So they do for messages that leave in several blocks."""

    async def main() -> None:
        message = b"Subject: hi\n\n" + b"x" * (size - 14) + b"\n"
        streaming, naive = [
            await wire(name, message, b"", "a@b", ["c@d"]) for name in (STREAMING, NAIVE)
        ]
        assert naive == streaming
        assert naive.partition(b":")[2].startswith(b"%d:" % size)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_the_package() -> None:
    """The package is netstrings in a netstring: message, sender, recipients without quotes."""

    async def main() -> bytes:
        return await wire(NAIVE, b"A: b\n\nhi\n", b"", "a@b", ["c@d", '"e f"@g'])

    assert asyncio.run(main()) == b"32:9:A: b\n\nhi\n,3:a@b,3:c@d,5:e f@g,,"


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (b"9:Kthank u!,", "250 2.0.0 thank u!"),
        (b"5:Zbusy,", "452 4.3.0 busy"),
        (b"6:Dnever,", "552 5.3.0 never"),
        (b"2:OK,", "452 4.3.0 Cannot queue the message now, try again later"),
        (b"", "452 4.3.0 Cannot queue the message now, try again later"),
    ],
)
def test_answers(answer: bytes, reply: str) -> None:
    """K, Z and D become 250, 452 and 552; anything else is a temporary failure."""

    async def connect(endpoint: Endpoint, /, **limits: Any) -> MemoryStream:
        ours, theirs = pipe()
        theirs.write(answer)
        theirs.end()
        return ours

    async def main() -> str:
        async with smtp(Yes(), f"{NAIVE} 192.0.2.1", connect=connect) as client:
            return str(await client.send("Subject: hi\n\nhello\n"))

    assert asyncio.run(asyncio.wait_for(main(), 20)) == reply


def test_refuses_to_start() -> None:
    """It takes one server, and no options."""
    for arguments, problem in [
        ("a,b", "'a,b' is no QMQP server"),
        ("a rest=3", "unexpected keyword argument 'rest'"),
    ]:
        with pytest.raises(PluginError, match=problem):
            load_one(PluginLine.parse(f"{NAIVE} {arguments}"), memory_host({}))
