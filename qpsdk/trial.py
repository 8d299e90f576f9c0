"""A dry run: one message in memory through one plugin, or all of a config directory."""

import asyncio
import bdb
import itertools
import pdb
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.text import Text

from qpsdk.constants import DENYSOFT, LOGWARN, OK, LogLevel
from qpsdk.dispatcher import AnswerError, Dispatcher, read_answer
from qpsdk.errors import BusyError, SetupError, StreamError
from qpsdk.hooks import HOOKS
from qpsdk.host import Host, connect_nowhere
from qpsdk.loader import load
from qpsdk.log import escape, logger, text_of
from qpsdk.message import Answer, Connection
from qpsdk.plugin import Plugin, without_hook
from qpsdk.reply import Reply
from qpsdk.stream import TLS
from qpsdk.testing.answers import show
from qpsdk.testing.client import SMTPClient
from qpsdk.testing.logs import LogLine, each_line
from qpsdk.testing.loop import run
from qpsdk.testing.make import plugin, plugin_of_words
from qpsdk.testing.smtp import begin, hosted, memory_host
from qpsdk.testing.watch import is_authors
from qpsdk.testing.watched import Watched, Witness

SAMPLE: Final = """\
From: A sender <sender@example.org>
To: A recipient <recipient@example.com>
Subject: A message to try
Date: Mon, 02 Jan 2023 12:00:00 +0000
Message-ID: <try@client.example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

This is a message to try. It has a line in UTF-8, grüß dich,
.one that begins with a dot, and no attachment.
"""

SHOWN_LINES: Final = 20
"""Lines of a message that are shown; of the rest, only how many there are."""

SHOWN_CHARACTERS: Final = 500

_BLOCK: Final = 64 * 1024


class Envelope(NamedTuple):
    """Who the client is, and what it wants.

    Attributes:
        sender: Empty for the null sender.
        helo: What it calls itself.
        ip: Its address.
        relay: It may send to anyone.
        tls: What is said is encrypted; so plugins are told.
    """

    sender: str
    recipients: list[str]
    helo: str
    ip: str
    relay: bool
    tls: bool


class Trial:
    """Tries plugins, and shows what happens.

    Attributes:
        failed: Whether a hook has raised an exception, or answered what it may not.
        post_mortem: The debugger is wanted where a hook raises an exception.
    """

    def __init__(self, console: Console, level: LogLevel, *, post_mortem: bool = False) -> None:
        """Log lines are shown up to `level`; `post_mortem` enters the debugger at an exception."""
        self.failed = False
        self._console = console
        self._level = level
        self.post_mortem = post_mortem
        self._lines = 0  # of the client, since the server last spoke

    def load(
        self, which: str | None, words: Iterable[str], config: Path | None, *, may_connect: bool
    ) -> None:
        """Load one plugin, or if `which` is None all those of a config directory.

        Raises:
            SetupError: One cannot be loaded.
        """
        self._host = memory_host(config)
        self._host.run_blocking = asyncio.to_thread
        if may_connect:
            from qpsdk.server import connect

            self._host.connect = connect
        else:
            self._host.connect = connect_nowhere("not connected to {}: --connect allows it")
        self._one = which is not None
        with self._log_shown():
            self._plugins: list[Plugin] = (
                list(load(self._host).plugins)
                if which is None
                else [plugin_of_words(which, words, self._host), plugin(_Rest, qp=self._host)]
            )

    def run(self, envelope: Envelope, message: Path | None) -> bool:
        """Send one message; whether it was accepted, and no hook failed.

        Raises:
            SetupError: The message cannot be read.
        """
        try:
            ip_address(envelope.ip)
        except ValueError:
            raise SetupError(f"--ip: {envelope.ip!r} is no IP address") from None
        connection = Connection(self._host.new_id(), envelope.ip, 40_000, "192.0.2.2", 25)
        connection.relay_client = envelope.relay
        connection.tls = TLS("TLSv1.3", "TLS_AES_256_GCM_SHA384") if envelope.tls else None
        content = _small(_blocks(message))
        with self._log_shown():
            try:
                accepted = run(self._send(connection, envelope, content), limit=None)
            except KeyboardInterrupt:
                self._console.print()
                return False
        return accepted and not self.failed

    async def _send(
        self, connection: Connection, envelope: Envelope, message: bytes | Iterable[bytes]
    ) -> bool:
        host = self._host
        tellers = [_Teller(plugin.name, self) for plugin in self._plugins]
        watched = [Watched(*pair) for pair in zip(self._plugins, tellers, strict=True)]
        dispatcher = Dispatcher(watched, host.run_blocking)
        real = Dispatcher(self._plugins, host.run_blocking)
        verdict = "the server closed the connection"
        accepted = False
        async with hosted(real, host), begin(dispatcher, host, connection, self) as stream:
            client = SMTPClient(stream, connection)
            client.on_line = self._line
            with suppress(StreamError):
                reply, at = await _dialogue(client, envelope, message)
                accepted = reply.code < 300
                verdict = f"{'accepted' if accepted else f'refused at {at}'}: {_one_line(reply)}"
                await client.quit()
        if self.failed:
            verdict += "; a hook failed"
        self._console.print(Text(verdict, _style(accepted and not self.failed)))
        for which, teller in zip(self._plugins, tellers, strict=True):
            if hint := teller.hint(which, tried=self._one and not isinstance(which, _Rest)):
                self._console.print(Text(hint, "yellow"))
        return accepted

    # What is shown

    def _line(self, line: str) -> None:
        """A line of the client, as it is sent; those of the server are shown as they are sent."""
        if line.startswith("C:"):
            self._lines += 1
            if self._lines <= SHOWN_LINES:
                self._print(line, "cyan")

    def client(self, connection: Connection, data: bytes) -> None: ...

    def server(self, _: Connection, data: bytes) -> None:
        if self._lines > SHOWN_LINES:
            self._print(f"C: ... {self._lines - SHOWN_LINES} more lines", "cyan")
        self._lines = 0
        for line in data.removesuffix(b"\r\n").split(b"\r\n"):
            self._print(f"S: {line.decode('ascii', 'backslashreplace')}", "green")

    def hook(self, connection: Connection, answer: Answer) -> None: ...

    def ran(self, plugin: str, hook: str, what: str, style: str, seconds: float) -> None:
        """What a plugin did in a hook."""
        self._print(f"     {hook}: {plugin} {what} ({seconds * 1000:.1f} ms)", style)

    @contextmanager
    def _log_shown(self) -> Iterator[None]:
        before, logger.propagate = logger.propagate, False
        try:
            with each_line(self._log_line):
                yield
        finally:
            logger.propagate = before

    def _log_line(self, line: LogLine) -> None:
        if line.level <= self._level:
            style = "yellow" if line.level <= LOGWARN else "dim"
            self._print(f"     log: {line}", style)
            for part in line.trace.splitlines():
                self._print(f"       {part}", style)

    def _print(self, text: str, style: str) -> None:
        self._console.print(Text(escape(text[:SHOWN_CHARACTERS]), style))


class _Teller(Witness):
    """Tells a trial what the hooks of one plugin do."""

    def __init__(self, plugin: str, trial: Trial) -> None:
        self._plugin = plugin
        self._trial = trial
        self._started = 0.0
        self._asked = self._crashed = False

    def hint(self, plugin: Plugin, *, tried: bool) -> str:
        """What its author might not expect of what has happened; empty if there is nothing.

        Args:
            tried: It is the one that is tried, and not one of many.
        """
        if self._crashed and plugin.options.on_error == "declined":
            told = f"on_error=denysoft on the line of {plugin.name} would have put it off"
            return f"a hook that raises an exception has no opinion; {told}"
        if told := without_hook(plugin):
            return f"{plugin.name} {told}"
        if tried and not self._asked:
            hooks = ", ".join(dict.fromkeys(entry.hook for entry in plugin.registrations))
            return f"no hook of {plugin.name} was asked; it has: {hooks}"
        return ""

    def called(self, _hook: str, _arguments: tuple[Any, ...]) -> None:
        self._asked = True
        self._started = perf_counter()

    def returned(self, hook: str, _: Callable[..., Any], result: object) -> None:
        row = HOOKS[hook]
        try:
            constant, message = read_answer(row, result)
        except AnswerError as error:
            self._trial.failed = True
            self._tell(hook, str(error), "bold red")
            return
        what = "ran" if row.ignored else f"answered {show(constant, message)}"
        self._tell(hook, what, "dim" if row.ignored else _style(not constant.is_denial))

    def failed(self, hook: str, _: Callable[..., Any], error: BaseException) -> None:
        if isinstance(error, bdb.BdbQuit):
            raise KeyboardInterrupt from None  # that they quit the debugger is for us, not the host
        if isinstance(error, asyncio.CancelledError):
            self._tell(hook, "was cancelled", "bold red")
            return
        self._trial.failed = True
        if DENYSOFT in HOOKS[hook].effects and hook != "queue" and type(error) is not BusyError:
            self._crashed = True
        self._tell(hook, f"raised {type(error).__name__}: {text_of(error)}", "bold red")
        if self._trial.post_mortem:
            try:
                pdb.post_mortem(_of_hook(error.__traceback__))
            except bdb.BdbQuit:
                raise KeyboardInterrupt from None

    def _tell(self, hook: str, what: str, style: str) -> None:
        self._trial.ran(self._plugin, hook, what, style, perf_counter() - self._started)


class _Rest(Plugin):
    """Behind the one plugin that is tried: takes what it has no opinion on."""

    def register(self, _: Host) -> None:
        self.name = "(try)"
        for hook in ("rcpt", "queue"):
            self.register_hook(hook, lambda *_: OK)


async def _dialogue(
    client: SMTPClient, envelope: Envelope, message: bytes | Iterable[bytes]
) -> tuple[Reply, str]:
    """Say all that sends a message; the reply that decided, and to what."""
    if not (reply := await client.read_reply()).accepted:
        return reply, "connect"
    if not (reply := await client.hello(envelope.helo)).accepted:
        return reply, "EHLO"
    if not (reply := await client.mail(envelope.sender)).accepted:
        return reply, "MAIL"
    replies = [await client.rcpt(recipient) for recipient in envelope.recipients]
    if not any(reply.accepted for reply in replies):
        return replies[0], "RCPT"
    if (reply := await client.data()).code != 354:
        return reply, "DATA"
    return await client.send_data(message), "the end of the message"


def _small(blocks: Iterable[bytes]) -> bytes | Iterable[bytes]:
    """A message that is one block, so that it is shown; or one that is many."""
    blocks = iter(blocks)
    first, second = next(blocks, b""), next(blocks, None)
    return first if second is None else itertools.chain([first, second], blocks)


def _blocks(message: Path | None) -> Iterator[bytes]:
    """The message in blocks.

    Raises:
        SetupError: It cannot be read.
    """
    if message is None:
        yield SAMPLE.encode()
        return
    try:
        with sys.stdin.buffer if str(message) == "-" else message.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
    except OSError as error:
        raise SetupError(f"{message}: cannot be read: {error.strerror}") from None


def _of_hook(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames above the plugin's."""
    below = traceback
    while below is not None and not is_authors(below.tb_frame.f_code.co_filename):
        below = below.tb_next
    return below or traceback


def _style(good: bool) -> str:
    return "bold green" if good else "bold red"


def _one_line(reply: Reply) -> str:
    return str(reply).replace("\n", " / ")
