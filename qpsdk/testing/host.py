"""A real host on a socket of its own, for tests with real clients."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from qpsdk.config import Config
from qpsdk.dispatcher import Dispatcher
from qpsdk.host import Connect, Host
from qpsdk.stream import Endpoint
from qpsdk.testing.smtp import AnyPlugin, load_all

T = TypeVar("T")

ANY_PORT: Final = Endpoint("127.0.0.1", 0)


class RunningHost(NamedTuple):
    """A host that listens.

    Attributes:
        host: The address that it listens on.
        port: The port.
        qp: The host as its plugins see it.
    """

    host: str
    port: int
    qp: Host


class Threaded(Generic[T]):
    """Entered by ``async with``, or by ``with``: then it lives in the loop of another thread."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._make = make
        self._ready = threading.Event()
        self._value: list[T] = []
        self._error: BaseException | None = None

    async def __aenter__(self) -> T:
        self._made = self._make()
        return await self._made.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._made.__aexit__(kind, error, traceback)

    def __enter__(self) -> T:
        self._thread = threading.Thread(target=asyncio.run, args=(self._live(),), daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self._value[0]

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        if self._error is not None:
            raise self._error

    async def _live(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self._make() as value:
                self._value.append(value)
                self._ready.set()
                await self._end.wait()
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()


def host(
    *plugins: AnyPlugin,
    config: Mapping[str, str] | None = None,
    connect: Connect | None = None,
    listen: Endpoint = ANY_PORT,
) -> Threaded[RunningHost]:
    """A host with these plugins on a port of its own: for ``with``, or ``async with``.

    >>> import smtplib
    >>> from qpsdk import DENY, Plugin
    >>> class NoThanks(Plugin):
    ...     def hook_rcpt(self, transaction, recipient, params):
    ...         return DENY, "we like it quiet here"
    >>> with host(NoThanks()) as at, smtplib.SMTP(at.host, at.port) as client:
    ...     client.ehlo_or_helo_if_needed()
    ...     print(client.mail("sender@example.org")[0], client.rcpt("recipient@example.com"))
    250 (550, b'5.7.1 we like it quiet here')

    Entered by ``with``, it lives in a thread: a client that blocks does not hold it up. Plugins
    that are instances are shared with that thread.

    Args:
        plugins: As for `qpsdk.testing.smtp`.
        config: The settings, by name.
        connect: Reaches other servers; without it that is done by sockets.
        listen: Where to listen.

    Raises:
        SetupError: A plugin or a setting is wrong, or the address cannot be listened on.
    """

    @asynccontextmanager
    async def running() -> AsyncIterator[RunningHost]:
        from qpsdk.server.host import Server, new_host  # in a browser there is no server

        qp = new_host(Config({"me": "mx.example.com", **(config or {})}))
        if connect is not None:
            qp.connect = connect
        dispatcher = Dispatcher(load_all(plugins, qp), qp.run_blocking)
        async with Server(qp, [listen], dispatcher=dispatcher) as server:
            at = server.endpoints[0]
            yield RunningHost(at.host, at.port, qp)

    return Threaded(running)


class Listener(Protocol):
    """A fake server."""

    async def listen(self, endpoint: Endpoint = ...) -> Endpoint:
        """Begin to listen; the address."""
        ...

    def close(self) -> Awaitable[None] | None:
        """End."""
        ...


def listening(fake: Listener) -> Threaded[Endpoint]:
    """Have a fake server listen on a port of its own; its address.

    >>> from qpsdk.testing import FakeQMQPServer
    >>> from qpsdk.netstring import encode
    >>> import socket
    >>> fake = FakeQMQPServer()
    >>> with listening(fake) as at, socket.create_connection((at.host, at.port)) as client:
    ...     client.sendall(encode(encode(b"hello\\n") + encode(b"a@x") + encode(b"b@y")))
    ...     print(client.recv(1000))
    b'24:Kfake, nothing is queued,'
    >>> fake.messages[0].recipients
    (b'b@y',)
    """

    @asynccontextmanager
    async def running() -> AsyncIterator[Endpoint]:
        at = await fake.listen()
        try:
            yield at
        finally:
            closing = fake.close()
            if closing is not None:
                await closing

    return Threaded(running)
