"""The host: listens, and holds a session with each client."""

import asyncio
import contextlib
import itertools
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from qpsdk.config import Config
from qpsdk.constants import LOGERROR, LOGWARN
from qpsdk.dispatcher import Dispatcher
from qpsdk.errors import SetupError
from qpsdk.host import Host
from qpsdk.log import log, set_level
from qpsdk.message import Connection
from qpsdk.meter import Meter
from qpsdk.server.admission import Admission
from qpsdk.server.drive import Drive
from qpsdk.server.imported import Imported
from qpsdk.server.listeners import BACKLOG, Listener, bind
from qpsdk.server.loaded import Loaded
from qpsdk.server.names import host_of
from qpsdk.server.proxy import Addresses, AwaitHeader, socket_addresses
from qpsdk.server.store import new_store
from qpsdk.server.stream import SocketStream, connect, reason
from qpsdk.server.threads import Threads
from qpsdk.session import Session
from qpsdk.settings import Settings
from qpsdk.spool import SpoolDirectory
from qpsdk.stream import Endpoint
from qpsdk.verdicts import Observer

ACCEPT_AT_A_TURN = 1
"""How many connections asyncio accepts before it serves the others. It also tries that often when
descriptors have run out, and each failure is retried a second later."""

FAREWELL = 5.0
"""Seconds that plugins then have for the last hooks of a connection that was cut off."""

GRACE = 30.0
"""Seconds that running transactions have to end when the host is told to stop."""


def new_host(config: Config, meter: Meter | None = None) -> Host:
    """A host on real sockets and threads.

    Args:
        meter: What counts already; else one is made if `config/metrics` is there.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = Settings.read(config)
    run_blocking = Threads(settings.max_threads).run
    if meter is None and settings.metrics is not None:
        meter = Meter()
    return Host(
        configuration=config,
        settings=settings,
        connect=connect,
        run_blocking=run_blocking,
        new_id=_ids(),
        spool=SpoolDirectory(settings.spool_dir, settings.spool_perms),
        store=new_store(config, settings, run_blocking, time.time),
        host_of=host_of,
        meter=meter,
    )


def _ids() -> Callable[[], str]:
    """Names for connections: those of one process share their first six letters."""
    process = os.urandom(3).hex()
    numbers = itertools.count(1)
    return lambda: f"{process}{next(numbers):x}"


class Server:
    """A host that listens; an async context manager.

    Attributes:
        endpoints: Where it listens, with the ports that port 0 became.
        stopping: It was told to stop, and ends what it has begun.
    """

    def __init__(
        self,
        host: Host,
        listen: Sequence[Endpoint | Listener],
        observer: Observer | None = None,
        dispatcher: Dispatcher | None = None,
        *,
        warns: bool = True,
    ) -> None:
        """Load the plugins of `config/plugins`, or take those of a `dispatcher`.

        Args:
            warns: Log what `qpsdk check` would warn of, and what else is wrong with the settings:
                one of several workers does.

        Raises:
            SetupError: One cannot be loaded, or the spool cannot be used.
        """
        self.endpoints: list[Endpoint] = []
        self._loaded = Loaded(host, dispatcher)
        self._imported = Imported()
        self._retired: set[Loaded] = set()  # of before a reload, until their last client has gone
        self._endings: set[asyncio.Task[None]] = set()
        self._listen = listen
        self._observer = observer
        self._admission = Admission(host.settings, warns=warns)
        self._sessions: dict[Drive, Session] = {}
        self._headers: set[AwaitHeader] = set()
        self._all_ended = asyncio.Event()
        self._warns = warns
        self.stopping = False
        self._grace_is_over = False
        self._servers: list[asyncio.Server] = []
        self._listeners: list[Listener] = []

    @property
    def host(self) -> Host:
        """What the plugins are given to whom the next client comes."""
        return self._loaded.host

    async def __aenter__(self) -> "Server":
        """Begin to accept.

        Raises:
            SetupError: An address cannot be listened on, or the spool cannot be used.
        """
        async with AsyncExitStack() as undo:
            await self._loaded.start()
            undo.push_async_callback(self._loaded.end)
            self._handle_failures(self._accept_failed)
            undo.callback(self._handle_failures, None)
            undo.push_async_callback(self._close_listeners)
            undo.callback(self._admission.close)
            self._admission.look()
            for at in self._listen:
                await self._open(at)
            undo.pop_all()
        self._loaded.tell(warns=self._warns)
        self._imported.changed()  # nothing yet: it looks at them for the first time
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop(grace=0)

    async def stop(self, grace: float = GRACE) -> None:
        """Accept no more, let the open transactions end, and close.

        Args:
            grace: Seconds they have for it.
        """
        self.stopping = True
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener.socket)
        await asyncio.sleep(0)  # asyncio begins nothing that it has accepted for a closed server
        await self._close_listeners()
        await asyncio.sleep(0)  # what was accepted before that begins now, and is stopped too
        for header in list(self._headers):
            header.transport.abort()
        for session in list(self._sessions.values()):
            session.stop()
        await self._wait_for_sessions(0 if self._grace_is_over else grace)
        self._grace_is_over = True
        for at_once in (False, True):
            for session in list(self._sessions.values()):
                session.abandon(at_once=at_once)
            await self._wait_for_sessions(FAREWELL)
        for loaded in [*self._retired, self._loaded]:
            await loaded.end()
        await asyncio.gather(*self._endings)
        self._admission.close()
        self._handle_failures(None)

    def end_grace(self) -> None:
        """Have `stop`, which is under way or comes yet, wait no longer for open transactions."""
        if not self._grace_is_over:
            self._grace_is_over = True
            self._all_ended.set()

    def lend_log(self) -> None:
        """Let the plugins read what is logged from here on in this context."""
        self._loaded.lend_log()

    def _handle_failures(self, handler: Callable[..., None] | None) -> None:
        asyncio.get_running_loop().set_exception_handler(handler)

    async def reload(self) -> None:
        """Take up the config and the plugins as they are now, for the clients to come.

        Those that are here keep the plugins that they came to, and these end with their last one.

        Raises:
            SetupError: Something is wrong with what is new; all goes on as it was.
        """
        before = self._loaded
        host = new_host(before.host.configuration.reread(), before.host.meter)
        loaded = await Loaded.beside_others(host)
        async with AsyncExitStack() as undo:
            undo.callback(before.lend_log)
            undo.push_async_callback(loaded.end)
            for listener in self._listeners:
                _check_tls(loaded.host, listener.endpoint)
            await loaded.start()
            undo.pop_all()
        loaded.host.follow(before.host)
        set_level(loaded.host.settings.loglevel)
        self._loaded = loaded
        self._admission.close()
        self._admission.look()  # from here on in the context of what is new: it logs
        self._loaded.tell(warns=self._warns)
        changed = self._imported.changed()
        if self._warns and changed:
            log(LOGWARN, f"changed on disk, and not taken up before a restart: {changed}")
        self._retired.add(before)
        self._end_unused(before)

    def _end_unused(self, loaded: Loaded) -> None:
        """End the plugins of before a reload when their last client has gone."""
        if loaded in self._retired and not loaded.clients:
            self._retired.remove(loaded)
            task = asyncio.get_running_loop().create_task(loaded.end())
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    async def _wait_for_sessions(self, seconds: float) -> None:
        self._all_ended.clear()
        if self._sessions:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), seconds)

    async def _open(self, at: Endpoint | Listener) -> None:
        _check_tls(self._loaded.host, at.endpoint if isinstance(at, Listener) else at)
        loop = asyncio.get_running_loop()
        for listener in [at] if isinstance(at, Listener) else bind(at):
            self._listeners.append(listener)
            begin: Callable[..., Awaitable[asyncio.Server]] = loop.create_server
            if listener.socket.family == socket.AF_UNIX:
                begin = loop.create_unix_server
                if sys.version_info >= (3, 13):
                    begin = partial(begin, cleanup_socket=False)  # that is for its owner
            new_stream = partial(self._new_stream, listener.tls)
            endpoint = listener.endpoint
            try:
                listener.socket.listen(BACKLOG)  # uvloop does not tell that it cannot
                server = await begin(new_stream, sock=listener.socket, backlog=ACCEPT_AT_A_TURN)
                listener.socket.listen(BACKLOG)  # in place of what `begin` has asked for
            except OSError as error:
                told = f"cannot listen on {endpoint}: {reason(error)}"
                raise SetupError(told) from None
            self._servers.append(server)
            settings = self._loaded.host.settings
            if self._warns and settings.proxy_unix and listener.is_for_all:
                told = "every user of this machine may connect there and say who the client is"
                log(LOGWARN, f"{endpoint}: {told}; give it a mode such as 0660")
            self.endpoints.append(endpoint)

    async def _close_listeners(self) -> None:
        for server in self._servers:
            server.close()
        for listener in self._listeners:
            listener.close()
        self._servers.clear()
        self._listeners.clear()
        self.endpoints.clear()

    def _accept_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._loaded.lend_log()
        self._admission.accept_failed(loop, context)

    def _new_stream(self, tls: bool) -> SocketStream:
        timeout = self._loaded.host.settings.timeout
        on_made = partial(self._accept, tls)
        return SocketStream(asyncio.get_running_loop(), timeout, on_made=on_made)

    def _accept(self, tls: bool, stream: SocketStream) -> None:
        self._loaded.lend_log()  # in the context of the start there are those of then
        addresses = socket_addresses(stream.transport)
        family = stream.transport.get_extra_info("socket").family
        if not addresses.remote_ip and family != socket.AF_UNIX:
            # It has gone already, and uvloop cannot say any more who it was. All that it has sent
            # can still be read, and would pass whatever looks at addresses.
            stream.abort()
            return
        host = self._loaded.host
        host.refresh()
        settings = host.settings
        if not _is_proxy(addresses.remote_ip, settings):
            self._begin(tls, stream, addresses)
            return

        def end(told: Addresses | None, problem: str) -> None:
            self._headers.discard(header)
            if told is not None:
                self._begin(tls, stream, told)
            elif problem:
                place = host.configuration.path("proxy_networks")
                proxy = addresses.remote_ip or "unix:"
                log(LOGWARN, f"{proxy} is refused: {problem}; it is in {place}")

        header = AwaitHeader(stream, addresses, settings.proxy_timeout, end)
        self._headers.add(header)

    def _begin(self, tls: bool, stream: SocketStream, addresses: Addresses) -> None:
        loaded = self._loaded
        loaded.lend_log()  # others than in `_accept`, where a PROXY header has come after a reload
        host = loaded.host
        ip, descriptor = addresses.remote_ip, stream.transport.get_extra_info("socket").fileno()
        refusal = self._admission.admit(ip, host.settings, descriptor)
        if refusal is not None:
            if host.meter is not None:
                host.meter.refuse(refusal.limit)
            stream.refuse(b"" if tls else refusal.reply.wire)
            return
        if host.meter is not None:
            host.meter.connections += 1
        connection = Connection(host.new_id())
        connection.remote_ip, connection.remote_port = addresses.remote_ip, addresses.remote_port
        connection.local_ip, connection.local_port = addresses.local_ip, addresses.local_port
        try:
            if tls and host.tls is not None:
                connection.tls_to_start = host.tls()
            session = Session(stream, connection, loaded.dispatcher, host, self._observer)
        except BaseException:
            self._admission.release(ip)
            stream.abort()
            raise
        settings = session.settings
        # The session is polite about it, at the next byte; this is for who takes our replies a
        # byte at a time.
        end = 2 * settings.session_timeout + settings.timeout if settings.session_timeout else None
        stream.set_timeout(settings.timeout, end)
        drive = Drive(session.run(), partial(self._ended, loaded, ip, stream))
        self._sessions[drive] = session
        loaded.clients += 1
        stream.drive_with(drive.wake)
        if self.stopping:
            session.stop()
        drive.wake()

    def _ended(
        self,
        loaded: Loaded,
        ip: str,
        stream: SocketStream,
        drive: Drive,
        error: BaseException | None,
    ) -> None:
        self._admission.release(ip)
        del self._sessions[drive]
        loaded.clients -= 1
        if loaded.host.meter is not None:
            loaded.host.meter.ended += 1
        self._end_unused(loaded)
        if not self._sessions:
            self._all_ended.set()
        if error is not None:
            stream.abort()  # it may have failed before it came to that
            log(LOGERROR, f"a session failed: {type(error).__name__}: {error}", error=error)


def _is_proxy(ip: str, settings: Settings) -> bool:
    """Whether a peer, who has no address on a unix socket, has to say for whom it speaks."""
    if ip:
        return bool(settings.proxy_networks) and ip in settings.proxy_networks
    return settings.proxy_unix


def _check_tls(host: Host, endpoint: Endpoint) -> None:
    if endpoint.tls and host.tls is None:
        raise SetupError(
            f"cannot listen on {endpoint}: there is no certificate; name one in"
            f" {host.configuration.path('plugins')}: tls CERTIFICATE KEY"
        )
