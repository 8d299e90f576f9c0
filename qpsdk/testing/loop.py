"""An event loop for plain code, with a limit: what hangs fails, and says where."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from qpsdk.errors import QpsdkError
from qpsdk.testing.watch import (
    Watch,
    in_debugger,
    is_authors,
    running,
    told,
    traced_by_debugger,
    waiting,
)

TIME_LIMIT: Final = 20.0
"""Seconds that a test waits for one thing: shorter than the hooks' own 30, which end in silence."""

_TICK: Final = 0.05
_PATIENCE: Final = 0.5
"""Seconds that a loop has to end by itself, before its thread is interrupted."""

T = TypeVar("T")
Made = TypeVar("Made")
Plain = TypeVar("Plain")


class HangError(TimeoutError):
    """Something took too long; the text says what, and at which line."""


class _InterruptedError(KeyboardInterrupt):
    """What ends a loop that is held up: no plugin's ``except Exception`` stops this."""


def run(work: Coroutine[Any, Any, T], *, limit: float | None = TIME_LIMIT) -> T:
    """Run a coroutine to its end, in an event loop of its own.

    As ``asyncio.run``, but there is a time limit, which stands still while a debugger waits for
    you: ``breakpoint()`` in a hook works.

    >>> async def hang():
    ...     await asyncio.sleep(100)
    >>> run(hang(), limit=0.1)
    Traceback (most recent call last):
    qpsdk.testing.loop.HangError: no end within 0.1 s; waiting at
      <doctest qpsdk.testing.loop.run[0]>:2, in hang: await asyncio.sleep(100)

    Args:
        limit: Seconds; None for no limit.

    Raises:
        HangError: It took too long.
        RuntimeError: An event loop is running already: await there.
    """
    __tracebackhide__ = True
    try:
        with Loop(limit) as loop:
            return loop.run(work)
    finally:
        work.close()  # which has no effect, unless it was not begun


def _from_author(error: Exception) -> TracebackType | None:
    """The traceback without what stands above the lines of a plugin or a test: our own, asyncio's.

    Of an error that we have told in words nothing else is left; of any other all, it is a fault.
    """
    traceback = error.__traceback__
    while traceback is not None and not is_authors(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    return traceback if traceback or isinstance(error, QpsdkError) else error.__traceback__


class Loop:
    """An event loop that is run from outside, for one thing after another.

    Between them it stands still. Its clock stands still while a debugger waits for its user.

    Attributes:
        hung: What was said of the first thing that took too long; empty if none did.
    """

    def __init__(self, limit: float | None = TIME_LIMIT) -> None:
        """`limit` is for each thing, in seconds; None for no limit."""
        self._limit = limit
        self._lock = threading.Lock()
        self._task: asyncio.Task[Any] | None = None  # what is run now
        self._busy = False
        self._spent = 0.0  # seconds of being busy
        self._hanging = ""  # what to say of it when it is over
        self.hung = ""

    def __enter__(self) -> "Loop":
        """Make it.

        Raises:
            RuntimeError: One is running here already.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "an event loop is running here: write `async with` for `with`, and await"
            )
        if traced_by_debugger():
            self._limit = None
        self._loop = _PausableLoop()
        self._runner = asyncio.Runner(loop_factory=lambda: self._loop)
        self._runner.__enter__()
        self._on_main = threading.current_thread() is threading.main_thread()
        self._watch = Watch(self._look, _TICK)
        self._watch.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            with self._interruptible():
                self._runner.close()
        finally:
            self._watch.__exit__()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end.

        Raises:
            HangError: It took too long.
        """

        async def main() -> T:
            with self._lock:
                self._task = task = asyncio.current_task()
                if self._hanging and task is not None:
                    task.cancel()  # the time was up before it began
            return await work

        __tracebackhide__ = True
        try:
            with self._interruptible():
                return self._runner.run(main())
        except Exception as error:
            error.__traceback__ = _from_author(error)
            raise

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Count the time from here, and turn what it ends with when it is up into a HangError."""
        self._hanging = ""
        before = signal.getsignal(signal.SIGINT) if self._on_main else None

        def interrupted(number: int, frame: FrameType | None) -> None:
            if self._hanging:
                raise _InterruptedError
            if callable(before):
                before(number, frame)

        if self._on_main:
            signal.signal(signal.SIGINT, interrupted)
        self._spent, self._busy = 0.0, True
        try:
            yield
        except (asyncio.CancelledError, _InterruptedError) as error:
            self.hung = self.hung or self._hanging
            # A task that was interrupted before may raise that again to whoever waits for it.
            if self._hanging or isinstance(error, _InterruptedError):
                raise HangError(self._hanging or self.hung) from None
            raise
        finally:
            with self._lock:  # from here on nobody interrupts
                self._busy, self._task = False, None
            if self._on_main:
                signal.signal(signal.SIGINT, before)

    def _look(self, innermost: FrameType) -> None:
        """See how it goes: called in the watching thread."""
        if in_debugger(innermost):
            self._loop.paused += _TICK
            return
        self._spent += _TICK
        with self._lock:
            if self._limit is None or not self._busy or self._spent < self._limit:
                return
            if not self._hanging:
                self._hanging = f"no end within {self._limit:g} s{self._reason(innermost)}"
                if self._task is not None:
                    self._loop.call_soon_threadsafe(self._task.cancel)
            elif self._on_main and self._spent > self._limit + _PATIENCE:
                # A signal, since nothing else ends a time.sleep().
                signal.pthread_kill(self._watch.ident, signal.SIGINT)

    def _reason(self, innermost: FrameType) -> str:
        held = running(innermost)
        if held and innermost.f_code.co_name != "select":  # where a loop waits for events
            return f"; held up by{told(held)}"
        places = [waiting(task.get_coro()) for task in asyncio.all_tasks(self._loop)]
        return "".join(f"; waiting at{told(each)}" for each in places if each)


class _PausableLoop(asyncio.SelectorEventLoop):
    """A loop whose clock can be set back: the time in a debugger counts for no limit."""

    paused = 0.0

    def time(self) -> float:
        return super().time() - self.paused


class EitherWay(Generic[Made, Plain]):
    """Entered by ``async with``, or by ``with`` where no event loop runs.

    The second gives something whose methods wait by themselves.
    """

    def __init__(
        self,
        make: Callable[[], AbstractAsyncContextManager[Made]],
        plain: Callable[[Made, Loop], Plain],
        limit: float | None,
    ) -> None:
        self._make = make
        self._plain = plain
        self._limit = limit

    async def __aenter__(self) -> Made:
        __tracebackhide__ = True
        self._made = self._make()
        try:
            return await self._made.__aenter__()
        except Exception as error:
            error.__traceback__ = _from_author(error)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._made.__aexit__(kind, error, traceback)

    if not TYPE_CHECKING:  # which knows what there is

        def __getattr__(self, name: str) -> NoReturn:
            __tracebackhide__ = True
            if name.startswith("_"):
                raise AttributeError(name)
            raise AttributeError(
                f"{name}: there is no client yet; write `with smtp(...) as client`, or take the"
                " fixture smtp of pytest, which needs no with",
                name=name,
                obj=self,
            )

    def __enter__(self) -> Plain:
        __tracebackhide__ = True
        self._loop = Loop(self._limit)
        self._loop.__enter__()
        try:
            return self._plain(self._loop.run(self.__aenter__()), self._loop)
        except BaseException:
            self._loop.__exit__()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        told = self._loop.hung
        try:
            return self._loop.run(self.__aexit__(kind, error, traceback))
        except HangError:
            if not told:
                raise
            return None
        finally:
            self._loop.__exit__()
