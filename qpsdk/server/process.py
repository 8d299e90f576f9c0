"""Runs a host as a process, or as several: from its start to the signal that ends it."""

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from qpsdk.config import Config
from qpsdk.constants import LOGCRIT, LOGERROR, LOGNOTICE, LOGWARN
from qpsdk.errors import ConfigError, SetupError
from qpsdk.log import log
from qpsdk.server.admission import raise_descriptor_limit
from qpsdk.server.host import Server, new_host
from qpsdk.server.listeners import Listener, bind_for_each, inherited, parse_endpoints
from qpsdk.server.memory import keep_freed_memory
from qpsdk.server.notify import Notifier
from qpsdk.server.workers import supervise
from qpsdk.settings import Settings
from qpsdk.stream import Endpoint

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

LAST_PORT: Final = 65535

ROOT: Final = "runs as root, and so does each plugin: start it as a user of its own"

TASKS_END: Final = 5.0
"""Seconds in which the tasks that plugins have left behind must end, once they are cancelled."""


def serve(
    config: Config,
    listen: Sequence[str] = (),
    on_ready: Callable[[Endpoint], None] = print,
    workers: int = 1,
) -> None:
    """Run a host until SIGTERM or SIGINT. SIGHUP has it take up what is new in the config.

    Args:
        listen: Addresses, in place of those in `config/listen`.
        on_ready: Called with each address once it is listened on.
        workers: Processes that share the addresses, where there are several.

    Raises:
        SetupError: The host cannot start; the text says what to change.
        SystemExit: A worker did not end well.
    """
    logging.captureWarnings(True)  # of a plugin that forgets to await, say
    raise_descriptor_limit()
    keep_freed_memory()
    notifier = Notifier.from_environment(os.environ)
    handed = inherited(os.environ)
    if not handed:
        listen = listen or Settings.read(config).listen
        if not listen:
            raise ConfigError(
                "no address to listen on; write one such as 127.0.0.1:2525, or use --listen",
                config.path("listen"),
            )
    endpoints = parse_endpoints(listen)
    listeners: Sequence[Endpoint | Listener] = [*handed, *endpoints]
    supervisor: socket.socket | None = None
    index = 0
    if workers > 1:
        worker = supervise(_shares(handed, endpoints, workers), on_ready, notifier)
        if worker is None:
            return
        index, listeners, supervisor = worker
        notifier = Notifier(supervisor, notifier.watchdog)
        on_ready, config = _tell_nobody, config.reread()
    if notifier.watchdog:
        faulthandler.enable()  # so that SIGABRT, by which it kills, shows where we hung
    run_loop(lambda: _run(config, listeners, on_ready, notifier, supervisor, worker=index))


def _shares(
    handed: Sequence[Listener], endpoints: Sequence[Endpoint], workers: int
) -> list[list[Listener]]:
    """What each worker listens on: all of them on what was handed to us, and on each address."""
    shares = [list(handed) for _ in range(workers)]
    try:
        for endpoint in endpoints:
            for number, own in enumerate(bind_for_each(endpoint, workers)):
                shares[number] += own
    except SetupError:
        for share in shares:
            for listener in share:
                listener.close()
        raise
    return shares


async def _run(
    config: Config,
    listeners: Sequence[Endpoint | Listener],
    on_ready: Callable[[Endpoint], None],
    notifier: Notifier,
    supervisor: socket.socket | None,
    *,
    worker: int,
) -> None:
    orders = _Orders(asyncio.get_running_loop(), supervisor)
    server = Server(new_host(config), listeners, warns=not worker)
    orders.on_at_once = server.end_grace
    try:
        if not await orders.obeyed(server.__aenter__()):
            return
        server.lend_log()
        if os.geteuid() == 0 and not worker:
            log(LOGWARN, ROOT)
        async with watched(server, worker):
            for endpoint in server.endpoints:
                on_ready(endpoint)
            notifier.ready()
            notifier.keep_alive(asyncio.get_running_loop())
            while await orders.to_reload() and await orders.obeyed(_reload(server, notifier)):
                server.lend_log()
            log(LOGNOTICE, "stopping; a second SIGINT stops at once")
            notifier.stopping()
            await server.stop()
    finally:
        await server.__aexit__()


class _Orders:
    """What this process is told by signals, and as a worker by its supervisor.

    Attributes:
        on_at_once: Called when it has to stop without a grace for what is under way.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, supervisor: socket.socket | None = None
    ) -> None:
        """Hear them from now on: those that come before one looks are obeyed then."""
        self.on_at_once: Callable[[], None] = lambda: None
        self._loop = loop
        self._supervisor = supervisor
        self._reloads = asyncio.Queue[None]()
        self._stop = asyncio.Event()
        self._interrupts = 0
        loop.add_signal_handler(signal.SIGHUP, self._reloads.put_nowait, None)
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        if supervisor is not None:
            loop.add_reader(supervisor, self._told)

    async def to_reload(self) -> bool:
        """Wait until there is something new to take up; False when it is to stop."""
        return await self.obeyed(self._reloads.get())

    async def obeyed(self, work: Coroutine[Any, Any, object]) -> bool:
        """Do something, or give it up when it is to stop; whether it was done.

        Raises:
            Exception: As `work` does.
        """
        task, stop = self._loop.create_task(work), self._loop.create_task(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.cancel():
            task.add_done_callback(lambda task: task.cancelled() or task.exception())  # to nobody
            task.cancel()
            await asyncio.wait({task}, timeout=TASKS_END)
            return False
        await task
        return True

    def _interrupted(self) -> None:
        self._interrupts += 1
        # A worker gets the terminal's Control-C beside what its supervisor says of that.
        if self._interrupts > 1 and self._supervisor is None:
            self.on_at_once()
        self._stop.set()

    def _told(self) -> None:
        assert self._supervisor is not None
        order = b""
        with contextlib.suppress(ConnectionError):  # it was killed before it had read all
            order = self._supervisor.recv(100)
        if order:
            self.on_at_once()
        else:
            self._loop.remove_reader(self._supervisor)
            log(LOGERROR, "the supervisor has gone")
        self._stop.set()


async def _reload(server: Server, notifier: Notifier) -> None:
    notifier.reloading()
    try:
        await server.reload()
    except SetupError as error:
        log(LOGERROR, f"not reloaded, all goes on as before: {error}")
        notifier.kept(str(error))
    except Exception as error:  # whatever it is, those who are here have nothing to do with it
        log(LOGCRIT, f"not reloaded: {type(error).__name__}: {error}", error=error)
        notifier.kept(f"{type(error).__name__}: {error}")
    else:
        log(LOGNOTICE, "reloaded the config and the plugins")
        notifier.ready()


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
    if at.port > LAST_PORT:
        told = f"the port of worker {worker + 1} would be {at.port}, and {LAST_PORT} is the last"
        raise SetupError(f"config/metrics: {told}; name a lower one")
    return MetricsServer(at, meter, lambda: server.host.spool.path, lambda: not server.stopping)


def _tell_nobody(endpoint: Endpoint) -> None:
    """The supervisor says where we listen, once for all workers."""


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set. Ask for it before you say that you are ready."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    return stopped


def run_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function on uvloop where it is installed, else on asyncio's loop.

    Tasks that it leaves are cancelled; they have `TASKS_END` seconds to heed that.
    """
    new_event_loop: Callable[[], asyncio.AbstractEventLoop]
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(main())
        finally:
            _end_tasks(runner.get_loop())


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """End what still runs; asyncio's Runner would wait without end for a task that goes on."""
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    import ctypes  # of no use to most processes

    for task in tasks:
        task.cancel()
    _, left = loop.run_until_complete(asyncio.wait(tasks, timeout=TASKS_END))
    for task in left:
        told = "was cancelled and does not end; the process ends all the same"
        log(LOGERROR, f"the task {getattr(task.get_coro(), '__qualname__', task)} {told}")
        asyncio._unregister_task(task)
        # Never to be freed: Python would throw GeneratorExit into it, to be ignored, too.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))
