"""A client in memory that speaks SMTP to a real session with the plugins you give."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from qpsdk.config import Config
from qpsdk.dispatcher import Dispatcher
from qpsdk.errors import StreamConnectError, StreamError
from qpsdk.host import Connect, Host, Method
from qpsdk.loader import PluginLine, load_one, register
from qpsdk.message import Connection
from qpsdk.plugin import Plugin
from qpsdk.reply import Reply
from qpsdk.session import Session
from qpsdk.settings import Settings
from qpsdk.spool import BLOCK_SIZE, SpoolDirectory
from qpsdk.stream import Endpoint, Stream
from qpsdk.testing.lines import shown
from qpsdk.testing.memory import MemoryStream, pipe
from qpsdk.verdicts import Observer


class SMTPClient:
    """Speaks SMTP over a stream, and writes down what was said.

    Attributes:
        connection: What the plugins see of this client.
        greeting: The first reply.
    """

    greeting: Reply

    def __init__(self, stream: MemoryStream, connection: Connection) -> None:
        self.connection = connection
        self._stream = stream
        self._input = b""
        self._said: list[str] = []

    @property
    def transcript(self) -> str:
        """The dialogue so far, as `qpsdk.testing.transcripts` reads it."""
        return "\n".join(self._said)

    async def command(self, line: str | bytes) -> Reply:
        """Send one line, wait for its reply."""
        data = line.encode() if isinstance(line, str) else line
        self.write(data + b"\r\n")
        return await self.read_reply()

    async def send(
        self,
        message: str | bytes,
        sender: str = "sender@example.org",
        recipients: str | Sequence[str] = "recipient@example.com",
    ) -> Reply:
        """Send one message; the reply to the final dot, or the first that refuses.

        Args:
            message: Its lines end in LF or CRLF.
            recipients: One or several.
        """
        if not self.connection.hello:
            await self.command("EHLO client.example.org")
        if not (reply := await self.command(f"MAIL FROM:<{sender}>")).accepted:
            return reply
        replies = [
            await self.command(f"RCPT TO:<{recipient}>")
            for recipient in ([recipients] if isinstance(recipients, str) else recipients)
        ]
        if not any(reply.accepted for reply in replies):
            return replies[0]
        if (reply := await self.command("DATA")).code != 354:
            return reply
        return await self.send_data(message)

    async def send_data(self, message: str | bytes) -> Reply:
        """Send what comes after DATA, dots stuffed, and the final dot."""
        data = message.encode() if isinstance(message, str) else message
        if data:
            data = data.removesuffix(b"\n") + b"\n"
        wire = (b"\n" + data.replace(b"\r\n", b"\n")).replace(b"\n.", b"\n..")[1:]
        wire = wire.replace(b"\n", b"\r\n")
        self._say("C:", wire)
        for at in range(0, len(wire), BLOCK_SIZE):
            self._stream.write(wire[at : at + BLOCK_SIZE])
            await self._stream.drain()
        return await self.command(".")

    async def read_reply(self) -> Reply:
        """The next reply.

        Raises:
            StreamError: The server has closed.
        """
        while (found := Reply.parse_first(self._input)) is None:
            data = await self._stream.read()
            if not data:
                self._said.append("S: <closes>")
                raise StreamError("the server closed the connection")
            self._input += data
        reply, end = found
        self._say("S:", self._input[:end])
        self._input = self._input[end:]
        return reply

    def _say(self, who: str, data: bytes) -> None:
        *lines, rest = data.split(b"\r\n")
        self._said += [f"{who} {shown(line)}".rstrip() for line in lines]
        if rest:
            self._said.append(f"{who} {shown(rest)}\\")

    def write(self, data: bytes) -> None:
        """Send bytes as they are, and wait for nothing."""
        self._say("C:", data)
        self._stream.write(data)

    def end(self) -> None:
        """End our side, as a client does that only waits for the last reply."""
        self._said.append("C: <half-closes>")
        self._stream.end()

    def abort(self) -> None:
        """Reset the connection."""
        self._said.append("C: <resets>")
        self._stream.abort()


@asynccontextmanager
async def smtp(
    *plugins: Plugin | str,
    config: Mapping[str, str] | Path | None = None,
    connect: Connect | None = None,
    connection: Connection | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[SMTPClient]:
    r"""A client that has been greeted.

    >>> from qpsdk import DENY, Plugin
    >>> class NoThanks(Plugin):
    ...     def hook_rcpt(self, transaction, recipient, params):
    ...         return DENY, "we like it quiet here"
    >>> async def main():
    ...     async with smtp(NoThanks()) as client:
    ...         print(await client.send("Subject: hello\n\nhow are you?\n"))
    >>> asyncio.run(main())
    550 5.7.1 we like it quiet here

    Args:
        plugins: In the order in which they run: instances, or lines as in `config/plugins`.
        config: The settings by name, or a config directory.
        connect: Reaches other servers; without it there are none.
        connection: What the plugins see of the client; else one from 192.0.2.1.

    Raises:
        SetupError: A plugin or a setting is wrong.
    """
    session = in_memory(
        *plugins, config=config, connect=connect, connection=connection, observer=observer
    )
    async with session as (stream, about):
        client = SMTPClient(stream, about)
        client.greeting = await client.read_reply()
        yield client


@asynccontextmanager
async def in_memory(
    *plugins: Plugin | str,
    config: Mapping[str, str] | Path | None = None,
    connect: Connect | None = None,
    connection: Connection | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[tuple[MemoryStream, Connection]]:
    """A session that has just begun: the client's end of its stream, and what plugins see.

    Arguments and errors are those of `smtp`.
    """
    host = memory_host(config or {}, connect)
    loaded = [_load(plugin, host) for plugin in plugins]
    dispatcher = Dispatcher(loaded, host.run_blocking)
    log_chain = dispatcher.log_chain()
    log_chain.lend()
    connection = connection or Connection(host.new_id(), "192.0.2.1", 40_000, "192.0.2.2", 25)
    if "post_fork" in dispatcher.hooks:
        await dispatcher.run("post_fork", None, ())
    ours, theirs = pipe()
    session = Session(theirs, connection, dispatcher, host, observer)
    task = asyncio.get_running_loop().create_task(session.run())
    try:
        yield ours, connection
    finally:
        ours.end()
        await task
        await dispatcher.shutdown()
        log_chain.take_back()
        host.spool.close()


def memory_host(
    config: Mapping[str, str] | Path,
    connect: Connect | None = None,
    clock: Callable[[], float] = time.time,
) -> Host:
    """A host without sockets or threads.

    Args:
        config: As for `smtp`.
        clock: Seconds since the epoch.

    Raises:
        ConfigError: A setting is wrong.
    """
    source = config if isinstance(config, Path) else {"me": "mx.example.com", **config}
    configuration = Config(source)
    settings = Settings.read(configuration)
    spool = SpoolDirectory(settings.spool_dir, settings.spool_perms)
    if settings.spool_dir is not None:
        _ = spool.path  # a wrong one is told now
    numbers = itertools.count(1)
    return Host(
        configuration=configuration,
        settings=settings,
        connect=connect or _connect_nowhere,
        run_blocking=_run_inline,
        new_id=lambda: f"c{next(numbers)}",
        spool=spool,
        clock=clock,
    )


def _load(plugin: Plugin | str, host: Host) -> Plugin:
    if isinstance(plugin, str):
        directories = [host.configuration.resolve(text) for text in host.config("plugin_dirs")]
        return load_one(PluginLine.parse(plugin), host, directories)
    register(plugin, host, (), {})
    return plugin


async def _connect_nowhere(endpoint: Endpoint, /, **_limits: float | None) -> Stream:
    raise StreamConnectError(f"nothing listens on {endpoint}: pass connect= to reach a fake server")


async def _run_inline(function: Method, /, *arguments: Any) -> Any:
    return function(*arguments)
