"""The host: listens, and holds a session with each client."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from qpsdk.config import Config
from qpsdk.constants import LOGERROR, LOGINFO, LOGNOTICE, LOGWARN
from qpsdk.dispatcher import Dispatcher
from qpsdk.errors import ConfigError, SetupError
from qpsdk.host import Host
from qpsdk.loader import load
from qpsdk.log import log
from qpsdk.message import Connection
from qpsdk.meter import Meter
from qpsdk.server.drive import Drive
from qpsdk.server.store import new_store
from qpsdk.server.stream import SocketStream, connect, reason
from qpsdk.session import Session
from qpsdk.settings import Settings
from qpsdk.spool import SpoolDirectory
from qpsdk.stream import Endpoint
from qpsdk.verdicts import Observer

BACKLOG = 1024
"""Connections that the kernel holds until we accept them."""

FAREWELL = 5.0
"""Seconds that plugins then have for the last hooks of a connection that was cut off."""

GRACE = 30.0
"""Seconds that running transactions have to end when the host is told to stop."""


def new_host(config: Config) -> Host:
    """A host on real sockets and threads.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = Settings.read(config)
    run_blocking = asyncio.to_thread
    return Host(
        configuration=config,
        settings=settings,
        connect=connect,
        run_blocking=run_blocking,
        new_id=_ids(),
        spool=SpoolDirectory(settings.spool_dir, settings.spool_perms),
        store=new_store(config, settings, run_blocking, time.time),
        meter=Meter() if settings.metrics is not None else None,
    )


def _ids() -> Callable[[], str]:
    """Names for connections: those of one process share their first six letters."""
    process = os.urandom(3).hex()
    numbers = itertools.count(1)
    return lambda: f"{process}{next(numbers):x}"


class Server:
    """A host that listens; an async context manager.

    Attributes:
        host: What its plugins are given.
        endpoints: Where it listens, with the ports that port 0 became.
        stopping: It was told to stop, and ends what it has begun.
    """

    def __init__(
        self,
        host: Host,
        listen: Sequence[Endpoint],
        observer: Observer | None = None,
        dispatcher: Dispatcher | None = None,
    ) -> None:
        """Load the plugins of `config/plugins`, or take those of a `dispatcher`.

        Raises:
            SetupError: One cannot be loaded, or the spool cannot be used.
        """
        self.endpoints: list[Endpoint] = []
        self.host = host
        self._listen = listen
        self._observer = observer
        self._dispatcher = dispatcher or load(host)
        self._dispatcher.meter = host.meter
        self._log_chain = self._dispatcher.log_chain()
        self._sessions: dict[Drive, Session] = {}
        self._all_ended = asyncio.Event()
        self.stopping = False
        self._stopped = False
        self._listeners: list[asyncio.Server] = []

    async def __aenter__(self) -> "Server":
        """Begin to accept.

        Raises:
            SetupError: An address cannot be listened on.
        """
        async with AsyncExitStack() as undo:
            # Lent before the listeners are opened: their connections inherit it.
            self._log_chain.lend()
            undo.callback(self._log_chain.take_back)
            undo.callback(self.host.spool.close)
            _ = self.host.spool.path  # made now, so that a wrong one is told at the start
            undo.push_async_callback(self.host.store.close)
            if self.host.settings.store:
                await self.host.store.open()
            undo.push_async_callback(self._dispatcher.shutdown)
            if "post_fork" in self._dispatcher.hooks:
                await self._dispatcher.run("post_fork", None, ())
            undo.push_async_callback(self._close_listeners)
            for endpoint in self._listen:
                await self._open(endpoint)
            undo.pop_all()
        log(LOGINFO, "plugins:", ", ".join(p.name for p in self._dispatcher.plugins) or "none")
        if not self._dispatcher.plugins:
            where = self.host.configuration.path("plugins")
            log(LOGWARN, f"{where}: no plugin is named, so every recipient will be put off")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop(grace=0)

    async def stop(self, grace: float = GRACE) -> None:
        """Accept no more, let the open transactions end, and close.

        Args:
            grace: Seconds they have for it.
        """
        self.stopping = True
        await self._close_listeners()
        await asyncio.sleep(0)  # what was accepted before that begins now, and is stopped too
        for session in list(self._sessions.values()):
            session.stop()
        await self._wait_for_sessions(grace)
        for at_once in (False, True):
            for session in list(self._sessions.values()):
                session.abandon(at_once=at_once)
            await self._wait_for_sessions(FAREWELL)
        if not self._stopped:
            self._stopped = True
            await self._dispatcher.shutdown()
            await self.host.store.close()
        self.host.spool.close()
        self._log_chain.take_back()

    async def _wait_for_sessions(self, seconds: float) -> None:
        self._all_ended.clear()
        if self._sessions:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), seconds)

    async def _open(self, endpoint: Endpoint) -> None:
        if endpoint.tls and self.host.tls is None:
            raise SetupError(
                f"cannot listen on {endpoint}: there is no certificate; name one in"
                f" {self.host.configuration.path('plugins')}: tls CERTIFICATE KEY"
            )
        loop = asyncio.get_running_loop()
        new_stream = partial(self._new_stream, endpoint.tls)
        try:
            if endpoint.path:
                listener = await loop.create_unix_server(new_stream, endpoint.path, backlog=BACKLOG)
            else:
                listener = await loop.create_server(
                    new_stream, endpoint.host, endpoint.port, backlog=BACKLOG
                )
        except (OSError, UnicodeError) as error:
            raise SetupError(f"cannot listen on {endpoint}: {reason(error)}") from None
        self._listeners.append(listener)
        for listening in listener.sockets:
            name = listening.getsockname()
            is_unix = listening.family == socket.AF_UNIX
            at = Endpoint(path=name) if is_unix else Endpoint(name[0], name[1])
            self.endpoints.append(at._replace(tls=endpoint.tls))

    async def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        for endpoint in self.endpoints:
            if endpoint.path:
                with contextlib.suppress(FileNotFoundError):
                    Path(endpoint.path).unlink()
        self._listeners.clear()
        self.endpoints.clear()

    def _new_stream(self, tls: bool) -> SocketStream:
        timeout = self.host.settings.timeout
        on_made = partial(self._begin, tls)
        return SocketStream(asyncio.get_running_loop(), timeout, on_made=on_made)

    def _begin(self, tls: bool, stream: SocketStream) -> None:
        if self.host.meter is not None:
            self.host.meter.connections += 1
        connection = Connection(self.host.new_id())
        remote = stream.transport.get_extra_info("peername")
        local = stream.transport.get_extra_info("sockname")
        if isinstance(remote, tuple):  # a unix socket has no addresses
            connection.remote_ip, connection.remote_port = remote[:2]
            connection.local_ip, connection.local_port = local[:2]
        if tls and self.host.tls is not None:
            connection.tls_to_start = self.host.tls()
        session = Session(stream, connection, self._dispatcher, self.host, self._observer)
        stream.set_timeout(session.settings.timeout)
        drive = Drive(session.run(), self._ended)
        self._sessions[drive] = session
        stream.drive_with(drive.wake)
        if self.stopping:
            session.stop()
        drive.wake()

    def _ended(self, drive: Drive, error: BaseException | None) -> None:
        del self._sessions[drive]
        if self.host.meter is not None:
            self.host.meter.ended += 1
        if not self._sessions:
            self._all_ended.set()
        if error is not None:
            log(LOGERROR, f"a session failed: {type(error).__name__}: {error}", error=error)


def serve(
    config: Config, listen: Sequence[str] = (), on_ready: Callable[[Endpoint], None] = print
) -> None:
    """Run a host until SIGTERM or SIGINT.

    Args:
        listen: Addresses, in place of those in `config/listen`.
        on_ready: Called with each address once it is listened on.

    Raises:
        SetupError: The host cannot start; the text says what to change.
    """
    host = new_host(config)
    endpoints = _endpoints(config, listen or host.settings.listen)

    async def main() -> None:
        stopped = stop_signal()
        async with Server(host, endpoints) as server, watched(server):
            for endpoint in server.endpoints:
                on_ready(endpoint)
            await stopped.wait()
            log(LOGNOTICE, "stopping")
            await server.stop()

    run_loop(main)


def watched(server: Server, worker: int = 0) -> contextlib.AbstractAsyncContextManager[object]:
    """Serve the metrics of a server while it runs, if `config/metrics` says where.

    Args:
        worker: Which one of several processes this is, from 0 on: each has a port of its own.

    Raises:
        SetupError: A package is missing, or the address cannot be listened on.
    """
    at, meter = server.host.settings.metrics, server.host.meter
    if at is None or meter is None:
        return contextlib.nullcontext()
    from qpsdk.server.metrics import MetricsServer

    at = at._replace(port=at.port + worker if at.port else 0)
    return MetricsServer(at, meter, lambda: server.host.spool.path, lambda: not server.stopping)


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set. Ask for it before you say that you are ready."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


def run_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function on uvloop where it is installed, else on asyncio's loop."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        asyncio.run(main())
    else:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main())


def _endpoints(config: Config, listen: Sequence[str]) -> list[Endpoint]:
    if not listen:
        raise ConfigError(
            "no address to listen on; write one such as 127.0.0.1:2525, or use --listen",
            config.path("listen"),
        )
    try:
        return [Endpoint.parse_listen(text) for text in listen]
    except ValueError as error:
        raise SetupError(f"listen: {error}") from None
