"""Looks at a thread from beside it: what it is doing, and whether a debugger has it."""

import asyncio
import linecache
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

_PACKAGE: Final = str(Path(__file__).parents[1])
_PLUGINS: Final = str(Path(__file__).parents[1] / "plugins")
_OTHERS: Final = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_PACKAGES: Final = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_DEBUGGERS: Final = frozenset({"bdb", "pdb", "pydevd", "_pydevd_bundle", "debugpy"})
"""Modules of debuggers; ipdb, pudb and pytest's are made of bdb."""


_LOOPS: Final = (asyncio.Handle._run.__code__, asyncio.BaseEventLoop.run_forever.__code__)
"""Below them a stack is not the plugin's, but of those who run the event loop."""


class Place(NamedTuple):
    """A line of code that is being run, or waited in."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        text = linecache.getline(self.file, self.line).strip()
        where = f"{_short(self.file)}:{self.line}"
        if self.function:
            where += f", in {self.function}"
        return f"{where}: {text}" if text else where


class Watch:
    """Looks at the thread that enters it, again and again, from another one.

    >>> seen = []
    >>> with Watch(lambda frame: seen.append(frame.f_code.co_name), every=0.001):
    ...     while "<module>" not in seen:
    ...         pass

    Attributes:
        ident: Of the thread that is watched.
    """

    def __init__(self, look: Callable[[FrameType], None], every: float) -> None:
        """`look` is given the thread's innermost frame, `every` so many seconds."""
        self._look = look
        self._every = every
        self._ended = threading.Event()
        self.ident = 0
        self._thread = threading.Thread(target=self._run, name="qpsdk-watch", daemon=True)

    def __enter__(self) -> "Watch":
        self.ident = threading.get_ident()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            frame = sys._current_frames().get(self.ident)
            if frame is not None:
                self._look(frame)


def frames(innermost: FrameType | None) -> Iterator[FrameType]:
    """A stack, innermost frame first."""
    while innermost is not None:
        yield innermost
        innermost = innermost.f_back


def in_debugger(innermost: FrameType) -> bool:
    """Whether a debugger waits there for its user: then no time passes for anybody."""
    return any(_is_debuggers(frame.f_globals.get("__name__")) for frame in frames(innermost))


def traced_by_debugger() -> bool:
    """Whether a debugger follows this thread's every step; a coverage tool does not count."""
    tracer = sys.gettrace()
    return _is_debuggers(getattr(tracer, "__module__", None) or type(tracer).__module__)


def _is_debuggers(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] in _DEBUGGERS


def running(innermost: FrameType) -> list[Place]:
    """Where a plugin's or a test's code is at work on this stack, outermost first.

    These are the lines below the last one of ours: the ones that their author can change.
    """
    places: list[Place] = []
    for frame in frames(innermost):
        file = frame.f_code.co_filename
        if is_authors(file):
            places.append(_place(frame))
        elif (places and _is_ours(file)) or frame.f_code in _LOOPS:
            break
    return places[::-1]


def waiting(coroutine: object) -> list[Place]:
    """Where a plugin's or a test's code waits in a coroutine, outermost first."""
    places: list[Place] = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and is_authors(frame.f_code.co_filename):
            places.append(_place(frame))
        # What `qpsdk.testing.watched` awaits step by step says so itself.
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "watched", None)
    return places


def raised(error: BaseException) -> list[Place]:
    """The lines of a plugin or a test in the traceback of an exception, outermost first."""
    places: list[Place] = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if is_authors(code.co_filename):
            places.append(Place(code.co_filename, traceback.tb_lineno, code.co_qualname))
        traceback = traceback.tb_next
    return places


def defined(method: Callable[..., Any]) -> list[Place]:
    """Where a method is written."""
    code = getattr(method, "__code__", None)
    if not isinstance(code, CodeType):
        return []
    return [Place(code.co_filename, code.co_firstlineno, code.co_qualname)]


def told(places: Iterable[Place]) -> str:
    """Places for a message: a line each, indented."""
    return "".join(f"\n  {place}" for place in places)


def is_authors(file: str) -> bool:
    """Whether code in a file is somebody's own: neither the package's nor Python's."""
    return not _is_ours(file) and not _is_pythons(file)


def _is_ours(file: str) -> bool:
    return file.startswith(_PACKAGE) and not file.startswith(_PLUGINS)


def _is_pythons(file: str) -> bool:
    if file.startswith("<frozen"):
        return True
    return file.startswith(_OTHERS) and not file.startswith(_PACKAGES)


def _place(frame: FrameType) -> Place:
    return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


def _short(file: str) -> str:
    """A path as seen from here, where that is shorter."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file
