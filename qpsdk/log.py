"""Logging: qpsmtpd's eight levels on the standard library's `logging`.

A line is offered to the host's plugins on the `logging` hook, in their order, until one says OK.
What none of them takes goes to the built-in, the logger ``qpsdk``, if `config/loglevel` lets it.
Context variables know whose line it is: connection, hook and plugin, and the host whose plugins
read the log.
"""

import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from threading import RLock
from typing import Any, Final, NamedTuple

from qpsdk.constants import DECLINED, LOGERROR, LOGWARN, OK, LogLevel
from qpsdk.message import Connection, Transaction

_NUMBERS: Final = {
    LogLevel.LOGEMERG: 70,
    LogLevel.LOGALERT: 60,
    LogLevel.LOGCRIT: logging.CRITICAL,
    LogLevel.LOGERROR: logging.ERROR,
    LogLevel.LOGWARN: logging.WARNING,
    LogLevel.LOGNOTICE: 25,
    LogLevel.LOGINFO: logging.INFO,
    LogLevel.LOGDEBUG: logging.DEBUG,
}

# In our own lines only: `logging.addLevelName` would rename every library's CRITICAL and ERROR.
_NAMES: Final = {number: level.name for level, number in _NUMBERS.items()}
for _number, _name in _NAMES.items():  # but for numbers that have no name, which pytest shows
    if logging.getLevelName(_number) == f"Level {_number}":
        logging.addLevelName(_number, _name)

LEVELS: Final = {number: level for level, number in _NUMBERS.items()}
"""Our level for each number of a record."""

logger: Final = logging.getLogger("qpsdk")


class Scene(NamedTuple):
    """Who is at work: what a log line is about."""

    connection: Connection | None = None
    transaction: Transaction | None = None
    hook: str = ""
    plugin: str = ""


HELD_LOOP: Final = 1.0
"""Seconds after which a method that is a plain ``def`` is reported for holding up all
connections."""

scene: Final[ContextVar[Scene]] = ContextVar("qpsdk_scene", default=Scene())  # noqa: B039 - immutable


@dataclass(slots=True)
class Reader:
    """A plugin on the `logging` hook.

    Attributes:
        plugin: Its name.
        method: What it reads a line with.
        maxlevel: It is offered lines up to this level, whatever `config/loglevel` lets be
            written; None for those that `config/loglevel` does.
        failing: True while it fails: that is reported once, not with each line.
    """

    plugin: str
    method: Callable[..., Any]
    maxlevel: LogLevel | None = None
    failing: bool = False


class LogChain:
    """The plugins of one host that read its log. The host lends it while it runs.

    Attributes:
        readers: Those plugins, in their order.
        maxlevel: The highest level that one of them has asked for; -1 if none has.
    """

    def __init__(self, readers: Iterable[Reader] = ()) -> None:
        self.readers = tuple(readers)
        self._one_at_a_time = RLock()  # a @blocking hook logs from its thread
        asked = (reader.maxlevel for reader in self.readers)
        self.maxlevel = max((level for level in asked if level is not None), default=-1)

    def lend(self) -> None:
        """Let the plugins read what is logged from here on in this context.

        A context is inherited: by the tasks and threads that are begun in it and by the
        connections of listeners that are opened in it. So each of several hosts in one process
        has its own.
        """
        _chain.set(self)

    def take_back(self) -> None:
        """End it, in whatever contexts it has come to be: the built-in writes what follows."""
        self.readers, self.maxlevel = (), -1

    def offer(self, level: LogLevel, at: Scene, text: str, *, switched_on: bool) -> bool:
        """Ask the plugins in order to write a line; True if one of them did.

        Args:
            text: Safe to write as it is.
            switched_on: Whether `config/loglevel` lets the line be written.
        """
        with self._one_at_a_time:
            before = _chain.set(_NOBODY)  # what a reader itself logs is the built-in's
            try:
                for reader in self.readers:
                    wanted = switched_on if reader.maxlevel is None else level <= reader.maxlevel
                    if wanted and _read(reader, level, at, text):
                        return True
                return False
            finally:
                _chain.reset(before)


_NOBODY: Final = LogChain()
_chain: Final[ContextVar[LogChain]] = ContextVar("qpsdk_log_chain", default=_NOBODY)


def _read(reader: Reader, level: LogLevel, at: Scene, text: str) -> bool:
    """Whether a plugin took the line. That it fails is reported when it begins to."""
    problem, error, constant = "", None, DECLINED
    connection, transaction, hook, plugin = at
    started = time.perf_counter()
    try:
        answer = reader.method(connection, transaction, level, hook, plugin, text)
        if answer is OK and time.perf_counter() - started < HELD_LOOP and not reader.failing:
            return True  # as nearly always
        constant = answer[0] if isinstance(answer, tuple) and len(answer) == 2 else answer
        if constant is not OK and constant is not DECLINED:
            problem = f"answered {answer!r:.200}; logging takes OK and DECLINED"
    except (Exception, SystemExit) as caught:
        if not isinstance(caught, OSError):  # such as a full disk: where in the code says nothing
            error = caught
        problem = failure(caught)
    seconds = time.perf_counter() - started
    if not problem and seconds > HELD_LOOP:
        problem = f"held up all connections for {seconds:.1f} s"
    if problem and not reader.failing and logger.isEnabledFor(_NUMBERS[LOGERROR]):
        own = Scene(at.connection, at.transaction, "logging", reader.plugin)
        _write(LOGERROR, f"{problem}; not reported again until it works", own, error)
    reader.failing = bool(problem)
    return constant is OK


def enabled(level: LogLevel) -> bool:
    """Whether anybody reads a line of this level: saves making its text, where that costs."""
    return logger.isEnabledFor(_NUMBERS[level]) or level <= _chain.get().maxlevel


def log(level: LogLevel, *words: object, error: BaseException | None = None) -> None:
    """Write one line.

    Args:
        level: How grave it is; written if this is at most `config/loglevel`, or a plugin on
            the `logging` hook wants it.
        words: Joined by spaces. What a client sent cannot forge a line: control and
            non-ASCII characters are escaped.
        error: An exception whose traceback goes with the line.
    """
    switched_on = logger.isEnabledFor(_NUMBERS[level])
    chain = _chain.get()
    if not switched_on and level > chain.maxlevel:
        return
    text = words[0] if len(words) == 1 else " ".join(map(text_of, words))
    if not isinstance(text, str):
        text = text_of(text)
    at = scene.get()
    if chain.readers:
        safe = escape(text)
        if error is not None:
            safe += _indented("".join(traceback.format_exception(error)))
        if chain.offer(level, at, safe, switched_on=switched_on):
            return
    if switched_on:
        _write(level, text, at, error)


def _write(level: LogLevel, text: str, at: Scene, error: BaseException | None) -> None:
    """Have the built-in write a line."""
    trace = None if error is None else (type(error), error, error.__traceback__)
    number, extra = _NUMBERS[level], {"scene": at}
    # Not by way of Logger.log, which first looks for the line of code that called it. Where others
    # show a file, as pytest does, there is the plugin.
    record = logger.makeRecord(logger.name, number, at.plugin, 0, text, (), trace, extra=extra)
    logger.handle(record)


_UNSAFE: Final = re.compile(r"[^ -~]")


def escape(text: str) -> str:
    r"""The text on one line of printable ASCII.

    >>> escape("bad\r\nguy")
    'bad\\r\\nguy'
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda m: ascii(m[0])[1:-1], text)


def text_of(value: object) -> str:
    """What `str` says of a value that a plugin gave, which may fail at that."""
    try:
        return str(value)
    except Exception:
        return object.__repr__(value)


def failure(error: BaseException) -> str:
    """What is logged of an exception that a plugin raised."""
    return f"failed: {type(error).__name__}: {text_of(error)}"


def log_line(connection: Connection | None, hook: str, plugin: str, text: str) -> str:
    """A line as the built-in writes it, but for time and level; what is not known is left out.

    >>> log_line(Connection("c1"), "rcpt", "rcpt_ok", "hello")
    '[c1] (rcpt) rcpt_ok: hello'
    >>> log_line(None, "", "", "hello")
    'hello'
    """
    who = f"[{connection.id}] " if connection is not None else ""
    if hook:
        who += f"({hook}) "
    if plugin:
        who += f"{plugin}: "
    return who + text


def _indented(trace: str) -> str:
    """Lines to go below a line of the log: no line of the log begins with a space."""
    return "".join(f"\n    {escape(part)}" for part in trace.splitlines())


class Formatter(logging.Formatter):
    """``TIME LEVEL [connection] (hook) plugin: text``, on one line."""

    _second = 0
    _time = ""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows it, each of its lines indented."""
        at: Scene = getattr(record, "scene", Scene())
        level = _NAMES.get(record.levelno, record.levelname)
        plugin = at.plugin if record.name == logger.name else record.name
        text = log_line(at.connection, at.hook, plugin, record.getMessage())
        line = f"{self._local_time(record)} {level} {escape(text)}"
        if record.exc_info:
            line += _indented(self.formatException(record.exc_info))
        return line

    def _local_time(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second:
            self._time = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second = second
        return f"{self._time},{int(record.msecs):03d}"


class JSONFormatter(logging.Formatter):
    """One JSON object a line: what is not known is left out, and text is as it was, unescaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Time in UTC (RFC 3339), and a traceback as one field."""
        at: Scene = getattr(record, "scene", Scene())
        utc = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        fields = {
            "time": f"{utc.isoformat(timespec='milliseconds')}Z",
            "level": _NAMES.get(record.levelno, record.levelname),
            "logger": record.name if record.name != logger.name else "",
            "connection": at.connection.id if at.connection is not None else "",
            "transaction": at.transaction.id if at.transaction is not None else "",
            "remote_ip": at.connection.remote_ip if at.connection is not None else "",
            "hook": at.hook,
            "plugin": at.plugin,
            "text": record.getMessage(),
            "exception": self.formatException(record.exc_info) if record.exc_info else "",
        }
        # Half a surrogate pair is no text for a strict reader of JSON.
        known = {
            key: value.encode("utf-8", "backslashreplace").decode()
            for key, value in fields.items()
            if value or key == "text"
        }
        return json.dumps(known).replace("\x7f", r"\u007f")


class LogFormat(StrEnum):
    """What the built-in writes: lines for people, or for programs."""

    PLAIN = "plain"
    JSON = "json"


def configure(
    level: LogLevel = LOGWARN,
    log_format: LogFormat = LogFormat.PLAIN,
    handler: logging.Handler | None = None,
) -> None:
    """Write this process's log up to `level`: to standard error, unless a `handler` writes it.

    What libraries log goes there too, from WARNING on, in the same form: no client forges a line
    by way of them.
    """
    handler = handler or logging.StreamHandler()
    handler.setFormatter(JSONFormatter() if log_format is LogFormat.JSON else Formatter())
    root = logging.getLogger()
    for other in root.handlers[:]:
        if isinstance(other.formatter, Formatter | JSONFormatter):
            root.removeHandler(other)
    root.addHandler(handler)
    logger.setLevel(_NUMBERS[level])


def set_level(level: LogLevel) -> None:
    """Write lines up to `level` from now on."""
    logger.setLevel(_NUMBERS[level])
