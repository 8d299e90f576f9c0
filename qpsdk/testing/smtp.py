"""A client in memory that speaks SMTP to a real session with the plugins you give."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from qpsdk.config import Config
from qpsdk.constants import LOGWARN
from qpsdk.dispatcher import Dispatcher
from qpsdk.doubts import near_misses
from qpsdk.errors import StreamConnectError
from qpsdk.host import Connect, Host, Method
from qpsdk.loader import PluginLine, load_one, register
from qpsdk.log import log
from qpsdk.message import Connection
from qpsdk.plugin import Plugin
from qpsdk.session import Session
from qpsdk.settings import Settings
from qpsdk.spool import SpoolDirectory
from qpsdk.store import MemoryStore
from qpsdk.stream import Endpoint, Stream
from qpsdk.testing.client import SMTPClient, SyncSMTPClient
from qpsdk.testing.loop import TIME_LIMIT, EitherWay
from qpsdk.testing.memory import MemoryStream, pipe
from qpsdk.verdicts import Observer


def smtp(
    *plugins: Plugin | str,
    config: Mapping[str, str] | Path | None = None,
    connect: Connect | None = None,
    connection: Connection | None = None,
    observer: Observer | None = None,
    clock: Callable[[], float] = time.time,
    limit: float | None = TIME_LIMIT,
) -> EitherWay[SMTPClient, SyncSMTPClient]:
    r"""A client that has been greeted: for ``with`` or, where an event loop runs, ``async with``.

    >>> from qpsdk import DENY, Plugin
    >>> class NoThanks(Plugin):
    ...     def hook_rcpt(self, transaction, recipient, params):
    ...         return DENY, "we like it quiet here"
    >>> with smtp(NoThanks()) as client:
    ...     print(client.send("Subject: hello\n\nhow are you?\n"))
    550 5.7.1 we like it quiet here
    >>> async def main():
    ...     async with smtp(NoThanks()) as client:
    ...         print(await client.rcpt())
    >>> asyncio.run(main())
    503 5.5.1 Send MAIL FROM first

    Args:
        plugins: In the order in which they run: instances, or lines as in `config/plugins`. The
            first that `qpsdk.testing.plugin` has loaded brings its host, with all that was lent
            to it; then nothing may be lent here.
        config: The settings by name, or a config directory.
        connect: Reaches other servers; without it there are none.
        connection: What the plugins see of the client; else one from 192.0.2.1.
        observer: Watches the conversation.
        clock: Seconds since the epoch.
        limit: Seconds for each call of a client that was entered by ``with``; None for no limit.

    Raises:
        SetupError: A plugin or a setting is wrong.
    """

    @asynccontextmanager
    async def conversation() -> AsyncIterator[SMTPClient]:
        session = in_memory(
            *plugins,
            config=config,
            connect=connect,
            connection=connection,
            observer=observer,
            clock=clock,
        )
        async with session as (stream, about):
            client = SMTPClient(stream, about)
            client.greeting = await client.read_reply()
            yield client

    return EitherWay(conversation, SyncSMTPClient, limit)


@asynccontextmanager
async def in_memory(
    *plugins: Plugin | str,
    config: Mapping[str, str] | Path | None = None,
    connect: Connect | None = None,
    connection: Connection | None = None,
    observer: Observer | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[tuple[MemoryStream, Connection]]:
    """A session that has just begun: the client's end of its stream, and what plugins see.

    Arguments and errors are those of `smtp`.
    """
    host = next((p.qp for p in plugins if isinstance(p, Plugin) and is_loaded(p)), None)
    if host is None:
        host = memory_host(config, connect, clock)
    elif config is not None or connect is not None:
        raise TypeError("a loaded plugin brings its host: lend it config= or connect= there")
    dispatcher = Dispatcher(load_all(plugins, host), host.run_blocking)
    about = connection or Connection(host.new_id(), "192.0.2.1", 40_000, "192.0.2.2", 25)
    async with hosted(dispatcher, host), begin(dispatcher, host, about, observer) as stream:
        yield stream, about


@asynccontextmanager
async def hosted(dispatcher: Dispatcher, host: Host) -> AsyncIterator[None]:
    """The life of a host with these plugins, from `post_fork` to their shutdown.

    Settings whose names are slips of the pen are logged, as `qpsdk check` tells them.
    """
    log_chain = dispatcher.log_chain()
    log_chain.lend()
    for slip in near_misses(host.configuration, host.asked):
        log(LOGWARN, str(slip))
    try:
        if "post_fork" in dispatcher.hooks:
            await dispatcher.run("post_fork", None, ())
        yield
    finally:
        await dispatcher.shutdown()
        log_chain.take_back()
        host.spool.close()


@asynccontextmanager
async def begin(
    dispatcher: Dispatcher, host: Host, connection: Connection, observer: Observer | None = None
) -> AsyncIterator[MemoryStream]:
    """A session of a host that lives: the client's end of its stream."""
    ours, theirs = pipe()
    session = Session(theirs, connection, dispatcher, host, observer)
    task = asyncio.get_running_loop().create_task(session.run())
    try:
        yield ours
    finally:
        ours.end()
        await task


def memory_host(
    config: Mapping[str, str] | Path | None = None,
    connect: Connect | None = None,
    clock: Callable[[], float] = time.time,
    seed: int = 0,
) -> Host:
    """A host without sockets or threads, for plugins under test.

    Args:
        config: The settings by name, or a config directory.
        connect: Reaches other servers, such as a fake's `connect`; without it there are none.
        clock: Seconds since the epoch, such as a `qpsdk.testing.Clock`.
        seed: Of its `random`, which is the same each time.

    Raises:
        ConfigError: A setting is wrong.
    """
    source = config if isinstance(config, Path) else {"me": "mx.example.com", **(config or {})}
    configuration = Config(source)
    settings = Settings.read(configuration)
    spool = SpoolDirectory(settings.spool_dir, settings.spool_perms)
    if settings.spool_dir is not None:
        _ = spool.path  # a wrong one is told now
    numbers = itertools.count(1)
    host = Host(
        configuration=configuration,
        settings=settings,
        connect=connect or _connect_nowhere,
        run_blocking=_run_inline,
        new_id=lambda: f"c{next(numbers)}",
        spool=spool,
        clock=clock,
        random=Random(seed),
    )
    host.store = MemoryStore(lambda: host.clock())  # noqa: PLW0108 # a test may set another
    return host


def mark_loaded(plugin: Plugin) -> None:
    """Remember that a plugin is registered with its host, and not to be registered again."""
    vars(plugin)["qpsdk_loaded"] = True


def is_loaded(plugin: Plugin) -> bool:
    """Whether `mark_loaded` marked it."""
    return "qpsdk_loaded" in vars(plugin)


def load_all(plugins: Sequence[Plugin | str], host: Host) -> list[Plugin]:
    """Load and register those that are not loaded.

    Raises:
        PluginError: One cannot be found, or does not take its arguments.
    """
    return [_load(plugin, host) for plugin in plugins]


def _load(plugin: Plugin | str, host: Host) -> Plugin:
    if isinstance(plugin, str):
        directories = [host.configuration.resolve(text) for text in host.config("plugin_dirs")]
        return load_one(PluginLine.parse(plugin), host, directories)
    if is_loaded(plugin):
        return plugin
    register(plugin, host, (), {})
    return plugin


async def _connect_nowhere(endpoint: Endpoint, /, **_limits: float | None) -> Stream:
    raise StreamConnectError(f"nothing listens on {endpoint}: pass connect= to reach a fake server")


async def _run_inline(function: Method, /, *arguments: Any) -> Any:
    return function(*arguments)
