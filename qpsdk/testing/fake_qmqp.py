"""A QMQP server for tests: keeps what it is sent, and answers what it is told to."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from qpsdk.errors import QMQPPackageError, StreamError
from qpsdk.qmqp import PackageDecoder, Response, Verdict
from qpsdk.stream import Endpoint, Stream
from qpsdk.testing.memory import pipe

ANY_PORT: Final = Endpoint("127.0.0.1", 0)


class Captured(NamedTuple):
    """A message as it came."""

    raw: bytes
    message: bytes
    sender: bytes
    recipients: tuple[bytes, ...]


class FakeQMQPServer:
    r"""A server that is strict about what it takes.

    In memory, `connect` is lent to a host; over sockets, `listen` has a port of its own.

    Attributes:
        messages: All that was accepted, in order of arrival.
        failures: What came and was no package, or not a whole one; it was discarded.
        answer: The response to the next packages.

    >>> from qpsdk import Plugin, OK, testing
    >>> class Yes(Plugin):
    ...     def hook_rcpt(self, transaction, recipient, params):
    ...         return OK
    >>> async def main():
    ...     fake = testing.FakeQMQPServer()
    ...     plugins = [Yes(), "queue/qmqp_forward 192.0.2.1"]
    ...     async with testing.smtp(*plugins, connect=fake.connect) as client:
    ...         print(await client.send("Subject: hello\n\nhow are you?\n"))
    ...     print(fake.messages[0].sender, fake.messages[0].recipients)
    >>> asyncio.run(main())
    250 2.0.0 fake, nothing is queued
    b'sender@example.org' (b'recipient@example.com',)
    """

    def __init__(self, on_message: Callable[[Captured, Response], None] | None = None) -> None:
        """`on_message` is called with each message and our response."""
        self.messages: list[Captured] = []
        self.failures: list[str] = []
        self.answer = Response(Verdict.ACCEPTED, b"fake, nothing is queued")
        self._on_message = on_message
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def listen(self, endpoint: Endpoint = ANY_PORT) -> Endpoint:
        """Accept connections on a socket; the address, with the port that port 0 became.

        Raises:
            OSError: The address cannot be listened on.
        """
        from qpsdk.server.stream import SocketStream  # in a browser there is no server

        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: SocketStream(loop, io_timeout=60.0, on_made=self._begin),
            endpoint.host,
            endpoint.port,
            backlog=1024,
        )
        host, port = self._listener.sockets[0].getsockname()[:2]
        return Endpoint(host, port)

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def connect(self, _: Endpoint, /, **_limits: float | None) -> Stream:
        """A connection to this server in memory: a `qpsdk.plugin.Connect` for any endpoint."""
        client, server = pipe()
        self._begin(server)
        return client

    def _begin(self, stream: Stream) -> None:
        task = asyncio.get_running_loop().create_task(self.handle(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def handle(self, stream: Stream) -> None:
        """Hold one conversation: take a package, answer, close."""
        try:
            captured = await self._receive(stream)
        except (QMQPPackageError, StreamError) as error:
            self.failures.append(str(error))
            stream.abort()
            return
        except asyncio.CancelledError:
            stream.abort()
            raise
        response = self.answer
        if response.verdict is Verdict.ACCEPTED:
            self.messages.append(captured)
        if self._on_message is not None:
            self._on_message(captured, response)
        stream.write(response.encode())
        await stream.finish()

    async def _receive(self, stream: Stream) -> Captured:
        decoder = PackageDecoder()
        raw = bytearray()
        while data := await stream.read():
            raw += data
            if (package := decoder.feed(data)) is not None:
                return Captured(bytes(raw), *package)
        raise decoder.finish()
