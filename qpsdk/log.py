"""Logging: qpsmtpd's eight levels on the standard library's `logging`.

All goes to the logger ``qpsdk``. A context variable knows which connection, hook and plugin
is at work, so that a line says so without being told.
"""

import logging
import re
from contextvars import ContextVar
from typing import Final, NamedTuple

from qpsdk.constants import LOGWARN, LogLevel
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

logger: Final = logging.getLogger("qpsdk")


class Scene(NamedTuple):
    """Who is at work: what a log line is about."""

    connection: Connection | None = None
    transaction: Transaction | None = None
    hook: str = ""
    plugin: str = ""


scene: Final[ContextVar[Scene]] = ContextVar("qpsdk_scene", default=Scene())  # noqa: B039 - immutable


def enabled(level: LogLevel) -> bool:
    """Whether a line of this level is written: saves making its text, where that costs."""
    return logger.isEnabledFor(_NUMBERS[level])


def log(level: LogLevel, *words: object, error: BaseException | None = None) -> None:
    """Write one line.

    Args:
        level: How grave it is; written if this is at most `config/loglevel`.
        words: Joined by spaces. What a client sent cannot forge a line: control and
            non-ASCII characters are escaped.
        error: An exception whose traceback goes with the line.
    """
    number = _NUMBERS[level]
    if logger.isEnabledFor(number):
        text = " ".join([w if isinstance(w, str) else str(w) for w in words])
        logger.log(number, "%s", text, extra={"scene": scene.get()}, exc_info=error)


_UNSAFE: Final = re.compile(r"[^ -~]")


def escape(text: str) -> str:
    r"""The text on one line of printable ASCII.

    >>> escape("bad\r\nguy")
    'bad\\r\\nguy'
    """
    return _UNSAFE.sub(lambda m: m[0].encode("unicode_escape").decode(), text)


def text_of(value: object) -> str:
    """What `str` says of a value that a plugin gave, which may fail at that."""
    try:
        return str(value)
    except Exception:
        return object.__repr__(value)


class Formatter(logging.Formatter):
    """``TIME LEVEL [connection] (hook) plugin: text``, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows it, each of its lines indented."""
        at: Scene = getattr(record, "scene", Scene())
        parts = [self.formatTime(record), _NAMES.get(record.levelno, record.levelname)]
        if at.connection is not None:
            parts.append(f"[{at.connection.id}]")
        if at.hook:
            parts.append(f"({at.hook})")
        if at.plugin:
            parts.append(f"{at.plugin}:")
        parts.append(record.getMessage())
        line = escape(" ".join(parts))
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "".join(f"\n    {escape(part)}" for part in trace.splitlines())
        return line


def configure(level: LogLevel = LOGWARN) -> None:
    """Write the host's log to standard error, up to `level`."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(_NUMBERS[level])


def set_level(level: LogLevel) -> None:
    """Write lines up to `level` from now on."""
    logger.setLevel(_NUMBERS[level])
