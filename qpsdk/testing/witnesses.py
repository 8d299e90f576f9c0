"""Those who watch a plugin for `PluginContract`: each knows what is wrong in one way."""

import asyncio
import base64
import gc
import logging
import os
import sys
import threading
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, Final, cast

from qpsdk.constants import DONE, OK
from qpsdk.dispatcher import AnswerError, read_answer
from qpsdk.hooks import HOOKS
from qpsdk.host import Connect
from qpsdk.log import Formatter, Scene
from qpsdk.message import Connection, Transaction
from qpsdk.stream import Stream
from qpsdk.testing.client import SMTPClient
from qpsdk.testing.watch import (
    Place,
    Watch,
    defined,
    in_debugger,
    is_authors,
    raised,
    running,
    told,
    waiting,
)
from qpsdk.testing.watched import Witness
from qpsdk.verdicts import UNANSWERED

PATIENCE: Final = 2.0
"""Seconds that a hook has to end when its client has gone."""

PASSWORD: Final = b"correct-horse-7461"

MB: Final = 1024 * 1024

_DEPTH: Final = 4
"""Lines that are kept of the stack that made an object: enough to come to an author's."""


class ContractError(AssertionError):
    """A plugin does not hold the contract; the text names hook, line, and what came."""


class Judge(Witness):
    """Keeps what is wrong.

    Attributes:
        problems: Each with hook and line.
        transcript: Of the session.
        doing: What the session was for, if that is not plain.
    """

    def __init__(self, plugin: str) -> None:
        self.problems: list[str] = []
        self.transcript = ""
        self.doing = ""
        self.name = plugin
        self._about: object = None

    def problem(self, hook: str, text: str, places: Sequence[Place] = ()) -> None:
        """Something is wrong with a hook."""
        doing = f" ({self.doing})" if self.doing else ""
        self.problems.append(f"{self.name}, hook_{hook}: {text}{doing}{told(places)}")

    def verdict(self) -> None:
        """Tell the first that is wrong, and how many more there are."""
        __tracebackhide__ = True
        if not self.problems:
            return
        first, *others = dict.fromkeys(self.problems)
        more = "".join(f"\nand {problem}" for problem in others[:5])
        lines = self.transcript.splitlines()
        if len(lines) > 20:
            lines = [*lines[:4], "...", *lines[-12:]]
        session = "\nin this session:\n  " + "\n  ".join(lines) if lines else ""
        raise ContractError(f"{first}{more}{session}")

    def called(self, _: str, arguments: tuple[Any, ...]) -> None:
        self._about = arguments[0] if arguments else None

    def returned(self, hook: str, method: Callable[..., Any], result: object) -> None:
        row = HOOKS[hook]
        try:
            constant, message = read_answer(row, result)
        except AnswerError as error:
            self.problem(hook, str(error), defined(method))
            return
        about = self._about
        client = about.connection if isinstance(about, Transaction) else about
        if constant is DONE and isinstance(client, Connection) and not client.responses:
            self.problem(hook, UNANSWERED, defined(method))
        if row.value and constant is OK and message is not None and not _fits(row.value, message):
            text = f"answered OK with {message!r:.100}, where {row.value} belongs"
            self.problem(hook, text, defined(method))

    def failed(self, hook: str, method: Callable[..., Any], error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError | GeneratorExit):
            text = f"raised {type(error).__name__}: {error}"
            self.problem(hook, text, raised(error) or defined(method))


def _fits(kind: str, value: object) -> bool:
    """Whether what comes with OK is what the hook table says."""
    if kind.startswith("Callable"):
        return callable(value)
    if kind == "list[str]":
        return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
    return isinstance(value, str | bytes)


class Leaver(Witness):
    """A client that goes at a certain moment.

    Attributes:
        count: Moments so far.
        client: Set when it is there; before that it has not been greeted.
    """

    def __init__(self, judge: Judge, at: int) -> None:
        """`at` is counted from 1; 0 never."""
        self.count = 0
        self.client: SMTPClient | None = None
        self._judge = judge
        self._at = at
        self._loop = asyncio.get_running_loop()
        self._working: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def called(self, hook: str, arguments: tuple[Any, ...]) -> None:
        self._judge.called(hook, arguments)
        self._moment(hook, "as it began")

    def entered(self, _: str) -> None:
        self._working = asyncio.current_task()

    def waits(self, hook: str) -> None:
        self._moment(hook, "as it waited")

    def _moment(self, hook: str, when: str) -> None:
        self.count += 1
        if self.count == self._at:
            self._judge.doing = f"the client had gone {when}"
            self._loop.call_soon_threadsafe(self._leave, hook)

    def _leave(self, hook: str) -> None:
        if self.client is not None:
            self.client.abort()
            if self._working is not None:
                self._timer = self._loop.call_later(PATIENCE, self._too_late, hook, self._working)

    def _too_late(self, hook: str, task: asyncio.Task[Any]) -> None:
        """It has not ended: say where it is, and end it."""
        text = f"did not end within {PATIENCE:g} s"
        self._judge.problem(hook, text, waiting(task.get_coro()))
        task.cancel()

    def returned(self, hook: str, method: Callable[..., Any], result: object) -> None:
        self._ended()
        self._judge.returned(hook, method, result)

    def failed(self, hook: str, method: Callable[..., Any], error: BaseException) -> None:
        self._ended()
        self._judge.failed(hook, method, error)

    def _ended(self) -> None:
        self._working = None
        if self._timer is not None:
            self._timer.cancel()


class Stopwatch(Witness):
    """Measures how long hooks hold the loop; `look` finds out at which line."""

    def __init__(self, judge: Judge, limit: float) -> None:
        self._judge = judge
        self._limit = limit
        self._since: float | None = None
        self._places: list[Place] = []

    def entered(self, _: str) -> None:
        self._places = []
        self._since = perf_counter()

    def left(self, hook: str) -> None:
        since, self._since = self._since, None
        if since is not None and (held := perf_counter() - since) > self._limit:
            text = f"held up all connections for {held:.2f} s, at"
            self._judge.problem(hook, text, self._places)

    def look(self, innermost: FrameType) -> None:
        """Called now and then by a `Watch`."""
        since = self._since
        if since is None:
            return
        if in_debugger(innermost):
            self._since = None
        elif perf_counter() - since > self._limit / 2 and not self._places:
            self._places = running(innermost)


class Scales:
    """Weighs the memory that is in use, and finds out which line has made it."""

    def __init__(self, limit: int, judge: Judge) -> None:
        self._limit = limit
        self._judge = judge
        self._where = ""

    @contextmanager
    def weighing(self) -> Iterator[None]:
        """Weigh what is in use at most, inside."""
        traced_before = tracemalloc.is_tracing()
        if not traced_before:
            tracemalloc.start(_DEPTH)
        tracemalloc.reset_peak()
        self._base = tracemalloc.get_traced_memory()[0]
        try:
            with Watch(self._look, 0.005):
                yield
            peak = tracemalloc.get_traced_memory()[1] - self._base
        finally:
            if not traced_before:
                tracemalloc.stop()
        if peak > self._limit:
            self._judge.problems.append(
                f"{self._judge.name}: a message of 50 MB took {peak / MB:.0f} MB of memory, where"
                f" {self._limit / MB:.0f} MB are allowed: read it in blocks{self._where}"
            )

    def _look(self, innermost: FrameType) -> None:
        if self._where or tracemalloc.get_traced_memory()[0] - self._base < self._limit:
            return
        sizes: Counter[Place] = Counter()
        for trace in tracemalloc.take_snapshot().traces:
            sizes[_maker(trace.traceback)] += trace.size
        ((place, size),) = sizes.most_common(1)
        self._where = f"\n  {size / MB:.0f} MB of it made at {place}"
        if places := running(innermost):
            self._where += f"\n  while this was at work:{told(places)}"


def _maker(made: tracemalloc.Traceback) -> Place:
    """The author's line that made an object, or if it was none of theirs, the line that did."""
    frames = [frame for frame in made if is_authors(frame.filename)] or made
    return Place(frames[-1].filename, frames[-1].lineno, "")


class Streams:
    """Lends connections, and knows which were not closed."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self.open: dict[_Lent, str] = {}

    async def connect(self, *arguments: Any, **limits: Any) -> Stream:
        """As the host's."""
        where = running(sys._getframe())
        lent = _Lent(await self._connect(*arguments, **limits), self.open)
        self.open[lent] = f"a connection to {arguments[0]}, made at{told(where)}"
        return cast(Stream, lent)


class _Lent:
    """A stream that takes itself off a list when it is closed."""

    def __init__(self, stream: Stream, listed: "dict[_Lent, str]") -> None:
        self._stream = stream
        self._listed = listed

    def __getattr__(self, name: str) -> Any:
        if name in ("abort", "finish"):
            self._listed.pop(self, None)
        return getattr(self._stream, name)


class Left:
    """What there is at one time of all that a plugin may leave behind."""

    def __init__(self, folder: Path, streams: Streams) -> None:
        self._folder = folder
        self._streams = streams
        self._before = self._now()

    async def settle(self) -> None:
        """Wait for what ends by itself."""
        gc.collect()
        for _ in range(50):
            await asyncio.sleep(0.01)
            if not self.more():
                return
        gc.collect()

    def more(self) -> list[str]:
        """What has come since."""
        now = self._now()
        return [text for key, text in now.items() if key not in self._before]

    def _now(self) -> dict[object, str]:
        found: dict[object, str] = {}
        for task in asyncio.all_tasks():
            places = waiting(task.get_coro())
            found[task] = f"a task, waiting at{told(places)}" if places else f"{task!r:.200}"
        for thread in threading.enumerate():
            if not thread.name.startswith("asyncio_"):
                found[thread] = f"a thread, {thread.name}"
        for path in self._folder.rglob("*"):
            found[path] = f"a file in the temporary folder, {path.name}"
        for stream, made in self._streams.open.items():
            found[stream] = made
        for name, count in Counter(_open_files()).items():
            for number in range(count):
                found[name, number] = f"an open file, {name}"
        return found


def _open_files() -> Iterator[str]:
    """What the process has open, where the system tells."""
    folder = Path("/proc/self/fd")
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):
            yield os.readlink(path)


@contextmanager
def no_warnings(judge: Judge) -> Iterator[None]:
    """Count as wrong what Python warns of: what is not closed, and what is not awaited."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what others have left
    caught: list[str] = []

    def catch(warning: warnings.WarningMessage) -> None:
        if issubclass(warning.category, ResourceWarning | RuntimeWarning):
            caught.append(f"{judge.name}: {warning.message}, made at{told([_origin(warning)])}")

    tracemalloc.start(_DEPTH)
    try:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            # A list of records, read at the end, would keep what the warnings are about. To keep an
            # object that is just dying revives it, and tracemalloc then says that it was made where
            # that happened. So each is asked at once where it was made, and only text is kept.
            warnings._showwarnmsg_impl = catch  # type: ignore[attr-defined]
            yield
            gc.collect()
    finally:
        tracemalloc.stop()
    judge.problems += caught


def _origin(warning: warnings.WarningMessage) -> Place:
    made = tracemalloc.get_object_traceback(warning.source) if warning.source else None
    return _maker(made) if made else Place(warning.filename, warning.lineno, "")


class Eavesdropper(logging.Handler):
    """Reads the log for what must not be there."""

    def __init__(self, judge: Judge, secrets: Sequence[str]) -> None:
        super().__init__(logging.NOTSET)
        self._judge = judge
        self._forms = dict.fromkeys(_forms(PASSWORD), "the password")
        self._forms.update((form, repr(s)) for s in secrets for form in _forms(s.encode()))

    def emit(self, record: logging.LogRecord) -> None:
        line = Formatter().format(record)
        at: Scene = getattr(record, "scene", Scene())
        for form, name in self._forms.items():
            if form in line:
                text = f"{name} is in the log, as {form!r}: {record.getMessage():.200}"
                self._judge.problem(at.hook, text, running(sys._getframe()))
                return


def _forms(secret: bytes) -> list[str]:
    """How a secret may stand in a line."""
    plain = base64.b64encode(secret).decode().rstrip("=")
    response = base64.b64encode(b"\0ann\0" + secret).decode().rstrip("=")
    return [secret.decode(), secret.hex(), plain, response]
