"""What every plugin has to hold, as tests to inherit: for pytest, and for unittest."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain, repeat
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from qpsdk.constants import DENY, OK
from qpsdk.dispatcher import Dispatcher
from qpsdk.errors import StreamError
from qpsdk.hooks import HOOKS
from qpsdk.host import Connect
from qpsdk.log import logger
from qpsdk.message import Transaction
from qpsdk.plugin import Plugin, without_hook
from qpsdk.testing.client import SMTPClient, Step
from qpsdk.testing.logs import handled_by
from qpsdk.testing.loop import run
from qpsdk.testing.make import connection, hook_arguments, plugin_of_words
from qpsdk.testing.smtp import begin, hosted, memory_host
from qpsdk.testing.watch import Watch
from qpsdk.testing.watched import Watched, Witness
from qpsdk.testing.witnesses import (
    MB,
    PASSWORD,
    Eavesdropper,
    Judge,
    Leaver,
    Left,
    Scales,
    Stopwatch,
    Streams,
    no_warnings,
)

MOMENTS: Final = 30
"""Disconnects that are tried, spread over all moments at which a client may go."""

TRIES: Final = 3
"""A hook holds the loop if it does so each time: a busy machine may hold it once."""

_LIMIT: Final = 30.0

MESSAGE: Final = b"From: sender@example.org\nSubject: hello\n\nHow are you?\n.\n"

USUAL: Final = (
    Step(b"EHLO client.example.org"),
    Step(b"MAIL FROM:<sender@example.org>"),
    Step(b"RCPT TO:<recipient@example.com>"),
    Step(b"DATA", MESSAGE),
    Step(b"QUIT"),
)
"""What a client says that sends one message."""


class Fake(Protocol):
    """A server that the plugin reaches through `qp.connect`."""

    connect: Connect

    async def close(self) -> None:
        """Drop all connections."""


class PluginContract:
    r"""Inherit these tests, and name your plugin.

    For pytest::

        class TestGreylist(PluginContract):
            plugin = "greylist", "300"

    For unittest, ``class TestGreylist(PluginContract, unittest.TestCase)``. A check that does not
    fit is switched off by ``test_holds_no_loop = None``. Needs hypothesis.

    >>> from qpsdk import DENY
    >>> class Forgetful(Plugin):
    ...     def hook_rcpt(self, transaction, recipient, params):
    ...         if recipient.host == b"example.net":
    ...             return DENY
    >>> class TestForgetful(PluginContract):
    ...     plugin = Forgetful
    >>> TestForgetful().test_null_sender()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    qpsdk.testing.witnesses.ContractError: Forgetful, hook_rcpt: answered None, which is ...

    Attributes:
        plugin: Its name, class or file; in a tuple with the words of its line.
        config: The settings, by name.
        fake: What makes the server that `qp.connect` leads to, such as ``FakeQMQPServer``.
        secrets: Words that may not be in the log, beside passwords.
        examples: Sessions that are drawn for `test_answers`.
        held_limit: Seconds that a hook may hold the event loop.
        memory_limit: Bytes that a message of 50 MB may take.
    """

    plugin: ClassVar[Any]
    config: ClassVar[Mapping[str, str]] = {}
    fake: ClassVar[Any] = None
    secrets: ClassVar[Sequence[str]] = ()
    examples: ClassVar[int] = 10
    held_limit: ClassVar[float] = 0.2
    memory_limit: ClassVar[int] = 10 * MB

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[Plugin]:
        """The plugin for one check; override this where it needs more beside it."""
        fake = None if self.fake is None else self.fake()
        try:
            yield self.load(connect=None if fake is None else fake.connect)
        finally:
            if fake is not None:
                await fake.close()

    def load(self, *words: object, connect: Connect | None = None) -> Plugin:
        """The plugin of `plugin`, with more words behind its own, ``key=value`` among them."""
        host = memory_host(self.config, connect)
        host.run_blocking = asyncio.to_thread
        which, *own = self.plugin if isinstance(self.plugin, tuple) else (self.plugin,)
        if isinstance(which, Plugin):
            name = type(which).__name__
            raise TypeError(
                f"plugin = {name}: name the class, each check makes a plugin of its own"
            )
        return plugin_of_words(which, [*own, *words], host)

    def test_answers(self) -> None:
        """In sessions of all kinds, each hook answers what the hook table allows."""
        from qpsdk.testing.strategies import for_each, sessions

        self._hold(USUAL)
        for_each(sessions(), self._hold, self.examples)

    def test_each_hook(self) -> None:
        """So it does when each hook is asked by itself; and there is one."""

        async def check() -> None:
            async with self._hosted() as subject:
                judge = Judge(subject.name)
                if told := without_hook(subject):
                    judge.problems.append(f"{subject.name}: {told}")
                await _ask_each(subject, judge)
                judge.verdict()

        _run(check())

    def test_null_sender(self) -> None:
        """A bounce, whose sender is null, is as good as any message."""
        self._hold(_said(b"<>", [b"<recipient@example.com>"], MESSAGE))

    def test_eight_bit(self) -> None:
        """Bytes above 127 come in addresses, in header and body; and they need be no UTF-8."""
        message = b"Subject: gr\xfc\xdfe \xf0\x9f\x98\x80\nX-\xff: no name\n\n\xff\xfe\x80\n"
        steps = _said(
            "<jürg@bücher.example> SMTPUTF8".encode(), ["<用户@例え.example>".encode()], message
        )
        self._hold(steps)

    def test_many_recipients(self) -> None:
        """A message may have 1,000 recipients."""
        recipients = [b"<recipient%d@example.com>" % number for number in range(1_000)]
        self._hold(_said(b"<sender@example.org>", recipients, MESSAGE))

    def test_disconnects(self) -> None:
        """A client that goes, at whatever moment, does no harm: hooks end, and others go on."""

        async def check() -> None:
            async with self._hosted() as subject:
                judge = Judge(subject.name)
                for moment in await self._moments(subject):
                    await _converse(subject, Leaver(judge, moment), USUAL, judge)
                    judge.verdict()
                judge.doing = "after clients had gone"
                await _converse(subject, judge, USUAL, judge)
                judge.verdict()

        _run(check())

    def test_large_message(self) -> None:
        """A message of 50 MB passes in flat memory."""
        line = b"x" * 70 + b"\n"
        block = line * 900
        blocks = chain([b"Subject: large\n\n"], repeat(block, 820))

        async def check() -> None:
            async with self._hosted() as subject:
                judge = Judge(subject.name)
                with Scales(self.memory_limit, judge).weighing():
                    await _converse(subject, judge, [*USUAL[:3], Step(b"DATA", blocks)], judge)
                judge.verdict()

        _run(check())

    def test_holds_no_loop(self) -> None:
        """No hook holds up the other connections."""

        async def check() -> None:
            async with self._hosted() as subject:
                for _ in range(TRIES):
                    judge = Judge(subject.name)
                    stopwatch = Stopwatch(judge, self.held_limit)
                    with Watch(stopwatch.look, self.held_limit / 10):
                        await _converse(subject, stopwatch, USUAL, judge)
                        await _ask_each(subject, stopwatch)
                    if not judge.problems:
                        return
                judge.verdict()

        _run(check())

    def test_leaves_nothing_behind(self) -> None:
        """No task, file, connection or thread is left of a message, whole or cut off.

        What the first message leaves may stay, such as a connection that is kept; the following
        ones may not add to it.
        """

        async def check(folder: Path) -> None:
            async with self._hosted() as subject:
                judge = Judge(subject.name)
                streams = Streams(subject.qp.connect)
                subject.qp.connect = streams.connect
                with no_warnings(judge):
                    moments = await self._moments(subject)
                    before = Left(folder, streams)
                    for moment in [*moments[:: len(moments) // 8 + 1], 0]:
                        await _converse(subject, Leaver(judge, moment), USUAL, judge)
                    await before.settle()
                judge.problems += [f"{subject.name}: left behind {what}" for what in before.more()]
                judge.verdict()

        with tempfile.TemporaryDirectory() as folder:
            before, tempfile.tempdir = tempfile.tempdir, folder
            try:
                _run(check(Path(folder)))
            finally:
                tempfile.tempdir = before

    def test_logs_no_secret(self) -> None:
        """No password is in the log, in whatever form, nor any of `secrets`."""

        async def check() -> None:
            async with self._hosted() as subject:
                judge = Judge(subject.name)
                with handled_by(Eavesdropper(judge, self.secrets)):
                    await _converse(subject, Witness(), USUAL, judge)
                    await _ask_each(subject, Witness())
                judge.verdict()

        _run(check())

    def _hold(self, steps: Sequence[Step]) -> None:
        """Hold one session, and judge what the plugin answered."""

        async def check() -> None:
            async with self._hosted() as subject:
                judge = Judge(subject.name)
                await _converse(subject, judge, steps, judge)
                judge.verdict()

        _run(check())

    @asynccontextmanager
    async def _hosted(self) -> AsyncIterator[Plugin]:
        async with (
            self.loaded() as subject,
            hosted(Dispatcher([subject], subject.qp.run_blocking), subject.qp),
        ):
            yield subject

    async def _moments(self, subject: Plugin) -> list[int]:
        """When a client may go in the usual session: as each hook begins, and where it waits."""
        judge = Judge(subject.name)
        counter = Leaver(judge, 0)
        await _converse(subject, counter, USUAL, judge)
        judge.verdict()
        return list(range(1, counter.count + 1, counter.count // MOMENTS + 1))


def _run(check: Coroutine[Any, Any, None]) -> None:
    before, logger.propagate = logger.propagate, False  # what is wrong we say ourselves
    try:
        run(check, limit=_LIMIT)
    finally:
        logger.propagate = before


def _said(sender: bytes, recipients: Sequence[bytes], message: bytes) -> list[Step]:
    """What a client says that sends this."""
    rcpt = [Step(b"RCPT TO:" + recipient) for recipient in recipients]
    return [USUAL[0], Step(b"MAIL FROM:" + sender), *rcpt, Step(b"DATA", message), USUAL[4]]


class _Rest(Plugin):
    """Behind the plugin under test: takes what it has no opinion on, so that all hooks run."""

    def register_named_hooks(self) -> None:
        for hook in ("rcpt", "queue"):
            self.register_hook(hook, lambda *_: OK)


async def _converse(subject: Plugin, witness: Witness, steps: Sequence[Step], judge: Judge) -> None:
    """Hold one session with the plugin."""
    dispatcher = Dispatcher([Watched(subject, witness), _Rest()], subject.qp.run_blocking)
    about = connection(hello="")
    async with begin(dispatcher, subject.qp, about) as stream:
        client = SMTPClient(stream, about)
        if isinstance(witness, Leaver):
            witness.client = client
        with suppress(StreamError):  # the plugin has ended it, or we have
            await client.read_reply()
            await client.play(steps)
        judge.transcript = client.transcript


async def _ask_each(subject: Plugin, witness: Witness) -> None:
    """Ask each hook that the plugin has, once."""
    dispatcher = Dispatcher([Watched(subject, witness)], subject.qp.run_blocking)
    for name in dispatcher.hooks:
        for given in _GIVEN.get(name, [{}]):
            values = hook_arguments(HOOKS[name], given)
            about = next((v for v in values if isinstance(v, Transaction)), None)
            await dispatcher.run(name, about or connection(), values)
            if about is not None:
                about.close()


_CREDENTIALS: Final[list[dict[str, Any]]] = [
    {"mechanism": "plain", "user": b"ann", "password": PASSWORD},
    {"mechanism": "login", "user": b"nobody", "password": PASSWORD},
    {"mechanism": "cram-md5", "user": b"ann", "hashed": b"0" * 32, "ticket": b"<1@example.com>"},
]
_ANSWERED: Final = [{"hook": "rcpt", "plugin": "other", "constant": DENY}]
_GIVEN: Final[Mapping[str, list[dict[str, Any]]]] = {
    "auth": _CREDENTIALS,
    "auth_plain": _CREDENTIALS[:1],
    "auth_login": _CREDENTIALS[1:2],
    "auth_cram_md5": _CREDENTIALS[2:],
    "deny": _ANSWERED,
    "ok": _ANSWERED,
}
"""What hooks are asked with, where the usual would say little."""
