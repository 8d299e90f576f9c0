"""Many connections of which most say nothing: `python -m tests.benchmarks.clients PORT IDLE ...`.

A process of its own, so that a host is measured alone. It holds a dialogue by lines with whoever
started it: what it has done on its output, "go on" on its input.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterable

from tests.benchmarks.peers import HOST

AT_ONCE = 100  # connections that are being made at the same time
PATIENCE = 120.0  # seconds for one answer
LINES = b"x" * 62 + b"\r\n"
MESSAGE = b"Subject: measured\r\n\r\n" + LINES * 64  # 4 KB


class Client:
    """One connection."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def connect(self, port: int) -> None:
        """Connect and say EHLO."""
        self._reader, self._writer = await asyncio.open_connection(HOST, port)
        await self._reply(b"220")
        await self._ask(b"EHLO client.example.org\r\n", b"250")

    async def _ask(self, data: bytes, code: bytes) -> None:
        self._writer.write(data)
        await self._reply(code)

    async def _reply(self, code: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                line = await self._reader.readline()
                if line[:3] != code:
                    raise ConnectionError(f"{code.decode()} expected, but it said {line!r}")
                if line[3:4] != b"-":
                    return

    async def send(self) -> None:
        """Send one message."""
        await self._ask(b"MAIL FROM:<sender@example.org>\r\n", b"250")
        await self._ask(b"RCPT TO:<friend@example.com>\r\n", b"250")
        await self._ask(b"DATA\r\n", b"354")
        await self._ask(MESSAGE + b".\r\n", b"250")

    def close(self) -> None:
        """End it."""
        self._writer.close()


async def connect(port: int, count: int) -> list[Client]:
    """So many connections."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(client: Client) -> None:
        async with gate:
            await client.connect(port)

    clients = [Client() for _ in range(count)]
    await asyncio.gather(*map(one, clients))
    return clients


async def keep_busy(clients: list[Client], interval: float, messages: int) -> list[float]:
    """Have each client send a message in each interval; the seconds that each message took.

    They count from the moment at which it was due: a client that still waits for the answer to
    the one before has kept it waiting.
    """
    took: list[float] = []
    began = time.perf_counter() + interval

    async def one(client: Client, offset: float) -> None:
        for number in range(messages):
            due = began + offset + number * interval
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await client.send()
            took.append(time.perf_counter() - due)

    shares = (number * interval / len(clients) for number in range(len(clients)))
    await asyncio.gather(*map(one, clients, shares))
    return took


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def main(port: int, idle: int, active: int, interval: float, messages: int) -> None:
    """Connect; when told, have some send messages; when told again, end."""
    clients = await connect(port, idle)
    _say("connected")
    busy = await connect(port, active)
    took = await keep_busy(busy, interval, messages)
    _say(json.dumps([percentile(took, 0.5), percentile(took, 0.99)]))
    for client in (*clients, *busy):
        client.close()


def _say(what: str) -> None:
    print(what, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    import uvloop

    uvloop.run(
        main(
            int(sys.argv[1]),
            int(sys.argv[2]),
            int(sys.argv[3]),
            float(sys.argv[4]),
            int(sys.argv[5]),
        )
    )
