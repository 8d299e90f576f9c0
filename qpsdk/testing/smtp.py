"""A client in memory that speaks SMTP to a real session with the plugins you give."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from qpsdk.config import Config
from qpsdk.constants import LOGWARN
from qpsdk.dispatcher import Dispatcher
from qpsdk.doubts import near_misses
from qpsdk.errors import ConfigError, PluginError
from qpsdk.finder import PluginLine, UnknownPluginError, plugin_directories
from qpsdk.host import Connect, Host, Method, connect_nowhere
from qpsdk.loader import WordsError, load_one, new_plugin, register
from qpsdk.log import log
from qpsdk.message import Connection
from qpsdk.plugin import Plugin
from qpsdk.session import Session
from qpsdk.settings import Settings
from qpsdk.spool import SpoolDirectory
from qpsdk.store import MemoryStore
from qpsdk.testing.client import SMTPClient, SyncSMTPClient
from qpsdk.testing.loop import TIME_LIMIT, EitherWay
from qpsdk.testing.memory import MemoryStream, pipe
from qpsdk.verdicts import Observer

AnyPlugin = Plugin | type[Plugin] | str | Path
"""A plugin, loaded or not; its class, its name, its line, or its file with words behind it."""


def smtp(
    *plugins: AnyPlugin,
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
        plugins: In the order in which they run: instances, classes, lines as in `config/plugins`,
            or such lines with the path of a file, ``"./greylist.py 300"``. The first that
            `qpsdk.testing.plugin` has loaded brings its host, with all that was lent to it; then
            nothing may be lent here.
        config: The settings by name, or a config directory. The store is in memory, so `store` is
            refused among the settings, and not used in a directory: another is lent by
            ``qp.store = ...``, with `qp` a `memory_host`.
        connect: Reaches other servers; without it there are none.
        connection: What the plugins see of the client; else one from 192.0.2.1. The dialogue
            is at its beginning: EHLO, if this says so, comes with the first `mail` or `send`.
        observer: Watches the conversation.
        clock: Seconds since the epoch.
        limit: Seconds for each call of a client that was entered by ``with``; None for no limit.

    Raises:
        SetupError: A plugin or a setting is wrong.
    """

    @asynccontextmanager
    async def conversation() -> AsyncIterator[SMTPClient]:
        hello = b""
        if connection is not None and connection.hello:
            hello = connection.hello.upper().encode() + b" " + connection.hello_host
        session = in_memory(
            *plugins,
            config=config,
            connect=connect,
            connection=connection,
            observer=observer,
            clock=clock,
        )
        async with session as (stream, about):
            client = SMTPClient(stream, about, hello) if hello else SMTPClient(stream, about)
            client.greeting = await client.read_reply()
            yield client

    return EitherWay(conversation, SyncSMTPClient, limit)


@asynccontextmanager
async def in_memory(
    *plugins: AnyPlugin,
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
    elif config is not None or connect is not None or clock is not time.time:
        raise TypeError("a loaded plugin brings its host: lend config=, connect= or clock= to that")
    dispatcher = Dispatcher(load_all(plugins, host), host.run_blocking)
    about = connection or Connection(host.new_id(), "192.0.2.1", 40_000, "192.0.2.2", 25)
    about.hello, about.hello_host = "", b""  # nothing was said yet
    async with hosted(dispatcher, host), begin(dispatcher, host, about, observer) as stream:
        yield stream, about


@asynccontextmanager
async def hosted(dispatcher: Dispatcher, host: Host) -> AsyncIterator[None]:
    """The life of a host with these plugins, from `post_fork` to their shutdown.

    Settings whose names are slips of the pen are logged, as `qpsdk check` tells them, and one that
    is not used.
    """
    log_chain = dispatcher.log_chain()
    log_chain.lend()
    if host.settings.store and isinstance(host.store, MemoryStore):
        log(LOGWARN, f"{host.configuration.path('store')}: not used: the store is in memory here")
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
        config: The settings by name, without `store`, or a config directory.
        connect: Reaches other servers, such as a fake's `connect`; without it there are none.
        clock: Seconds since the epoch, such as a `qpsdk.testing.Clock`.
        seed: Of its `random`, which is the same each time.

    Raises:
        ConfigError: A setting is wrong.
    """
    source = config if isinstance(config, Path) else {"me": "mx.example.com", **(config or {})}
    configuration = Config(source)
    settings = Settings.read(configuration)
    if settings.store and not isinstance(config, Path):
        raise ConfigError(
            "a test's store is in memory: leave this setting out; another is lent by"
            " qp = memory_host(...), and then qp.store = ...",
            configuration.path("store"),
        )
    spool = SpoolDirectory(settings.spool_dir, settings.spool_perms)
    if settings.spool_dir is not None:
        _ = spool.path  # a wrong one is reported now
    numbers = itertools.count(1)
    host = Host(
        configuration=configuration,
        settings=settings,
        connect=connect
        or connect_nowhere("nothing listens on {}: pass connect= to reach a fake server"),
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


def load_all(plugins: Sequence[AnyPlugin], host: Host) -> list[Plugin]:
    """Load and register those that are not loaded.

    Raises:
        PluginError: One cannot be found, or does not take its arguments.
    """
    return [load_any(plugin, host) for plugin in plugins]


def load_any(
    which: AnyPlugin,
    host: Host,
    words: tuple[str, ...] = (),
    options: tuple[tuple[str, str], ...] = (),
) -> Plugin:
    """A plugin, registered; one that `mark_loaded` marked as it is.

    Args:
        words: Of its line, beside those that stand in `which`.
        options: As ``key=value`` on its line.

    Raises:
        PluginError: It cannot be found, is no plugin, or does not take its arguments.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    try:
        if isinstance(which, str | Path):
            line, directories = _line(which, host)
            line = replace(line, words=line.words + words, options=line.options + options)
            return load_one(line, host, directories)
        plugin = new_plugin(which, which.__name__) if isinstance(which, type) else which
        if not is_loaded(plugin):
            register(plugin, host, words, dict(options))
        elif words or options:
            raise PluginError(f"{plugin.name}: it is loaded already, and takes no words now")
        return plugin
    except PluginError as error:
        if hint := _hint(which, error, words):
            error.args = (f"{error}{hint}",)
        raise error.with_traceback(None) from error.__cause__


def _line(which: str | Path, host: Host) -> tuple[PluginLine, list[Path]]:
    """What `load_one` takes, where a path may stand for the name."""
    text, directories = str(which), plugin_directories(host.configuration)
    file, *rest = [text] if os.path.isfile(text) else text.split(None, 1) or [""]
    if file.endswith(".py"):
        path = Path(file)
        if not path.is_file():
            raise PluginError(f"{file}: no such file")
        text, directories = " ".join([path.stem, *rest]), [path.parent]
    try:
        return PluginLine.parse(text), directories
    except ValueError as error:
        raise PluginError(str(error)) from None


def _hint(which: AnyPlugin, error: PluginError, words: tuple[str, ...]) -> str:
    """What can be written in a test, and not in `config/plugins`."""
    if isinstance(error, UnknownPluginError) and isinstance(which, str):
        file = f"./{which.split()[0].removesuffix('.py')}.py"
        return f"; {file} is here: write that" if Path(file).is_file() else ""
    if isinstance(error, WordsError) and not isinstance(which, str | Path) and not words:
        name = (which if isinstance(which, type) else type(which)).__name__
        return f"; in a test: plugin({name}, ...), or in a PluginContract plugin = {name}, ..."
    return ""


async def _run_inline(function: Method, /, *arguments: Any) -> Any:
    return function(*arguments)
