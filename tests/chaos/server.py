"""A fake QMQP server in a process of its own, which can be killed, and its journal.

`python -m tests.chaos.server NAME PROFILE PORT JOURNAL` prints where it listens. Each line that it
then reads is a script (`qpsdk.testing.qmqp_script`), and is answered by a line once it is in force.

As a real server, it writes a message down before it says K: the journal has the record even if a
kill comes before the last byte of the reply.
"""

import asyncio
import hashlib
import json
import logging
import os
import re
import sys
import time
from contextvars import ContextVar

from qpsdk.stream import Endpoint, Stream
from qpsdk.testing import FakeQMQPServer
from qpsdk.testing.qmqp_capture import Captured, Conversation
from qpsdk.testing.qmqp_script import parse

_BEGAN: ContextVar[float] = ContextVar("began")
"""When the connection began that this task serves."""

_LABEL = re.compile(rb"^Subject: chaos (\S+) try ([0-9]+)$", re.MULTILINE)


def label(data: bytes) -> tuple[str, int] | None:
    """The message's name, and which try this is, if so much of it is there."""
    found = _LABEL.search(data, 0, 4096)
    return (found[1].decode(), int(found[2])) if found else None


def digest(message: bytes) -> str:
    """Of the message as its client sent it: from the Subject on, which is its first field."""
    return hashlib.sha256(message[max(0, message.find(b"Subject: chaos ")) :]).hexdigest()


class Journal:
    """A file that is appended to, a record a line; what was written survives a kill."""

    def __init__(self, path: str, server: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._server = server

    def write(self, data: bytes, record: dict[str, object]) -> None:
        """Add a record of the message that these are the first bytes of."""
        name, tried = label(data) or ("", 0)
        common = {"time": _BEGAN.get(), "server": self._server, "message": name, "tried": tried}
        os.write(self._file, json.dumps(common | record).encode() + b"\n")


class Queue(list[Captured]):
    """Messages that are written down, and not kept."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def append(self, captured: Captured, /) -> None:
        """Write one down."""
        record = {
            "queued": True,
            "digest": digest(captured.message),
            "sender": captured.sender.decode("latin-1"),
            "recipients": [address.decode("latin-1") for address in captured.recipients],
        }
        self._journal.write(captured.raw, record)


class Server(FakeQMQPServer):
    """One that knows when each connection began."""

    async def handle(self, stream: Stream) -> None:
        """Note the time, and go on."""
        _BEGAN.set(time.monotonic())
        await super().handle(stream)


async def serve(name: str, profile: str, port: int, path: str) -> None:
    """Serve until standard input ends."""
    journal = Journal(path, name)

    def ended(conversation: Conversation) -> None:
        record = {
            "queued": False,
            "act": str(conversation.act),
            "whole": conversation.captured is not None,
            "size": conversation.size,
            "reply": conversation.reply.decode("latin-1"),
            "fault": conversation.fault,
        }
        journal.write(conversation.raw, record)
        fake.connections.remove(conversation)

    fake = Server(ended, profile=profile)
    fake.messages = Queue(journal)
    endpoint = await fake.listen(Endpoint("127.0.0.1", port))
    print(endpoint.port, flush=True)
    scripts = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(scripts), sys.stdin
    )
    while line := await scripts.readline():
        fake.script(*parse(line.decode()))
        print("in force", flush=True)
    await fake.close()
    await asyncio.sleep(0)


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # clients that are gone are no news here
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
