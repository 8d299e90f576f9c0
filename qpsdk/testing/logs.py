"""Captures the log, to be looked at by level, plugin and hook."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from qpsdk.constants import LOGDEBUG, LogLevel
from qpsdk.log import LEVELS, Formatter, Scene, logger


class LogLine(NamedTuple):
    """A line of the log.

    Attributes:
        connection: The id of the connection that it is about; empty if there is none.
        trace: The traceback that goes with it, if one does.
    """

    level: LogLevel
    text: str
    plugin: str
    hook: str
    connection: str
    trace: str

    def __str__(self) -> str:
        about = "".join(
            (f"({self.hook}) " if self.hook else "", self.plugin and f"{self.plugin}: ")
        )
        return f"{self.level.name} {about}{self.text}"


class Log:
    """What was logged, from the most grave to LOGDEBUG, whatever `config/loglevel` says.

    Attributes:
        records: Every line, in order.
    """

    def __init__(self) -> None:
        self.records: list[LogLine] = []

    def lines(
        self, *, level: LogLevel = LOGDEBUG, plugin: str | None = None, hook: str | None = None
    ) -> list[str]:
        """The texts of some lines.

        Args:
            level: Lines of this level and graver ones.
            plugin: The name of the plugin at work, or that decided.
            hook: The name of the hook at work.
        """
        return [
            line.text
            for line in self.records
            if line.level <= level and plugin in (None, line.plugin) and hook in (None, line.hook)
        ]

    def clear(self) -> None:
        """Forget what came so far."""
        self.records.clear()

    def __contains__(self, text: str) -> bool:
        return any(text in line.text for line in self.records)

    def __str__(self) -> str:
        return "\n".join(str(line) for line in self.records)

    def __repr__(self) -> str:
        return f"<the log:\n{self}>" if self.records else "<the log: empty>"


class _Handler(logging.Handler):
    def __init__(self, take: Callable[[LogLine], object]) -> None:
        super().__init__(logging.NOTSET)
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        at: Scene = getattr(record, "scene", Scene())
        self._take(
            LogLine(
                LEVELS.get(record.levelno, LOGDEBUG),
                record.getMessage(),
                at.plugin,
                at.hook,
                at.connection.id if at.connection is not None else "",
                Formatter().formatException(record.exc_info) if record.exc_info else "",
            )
        )


@contextmanager
def each_line(take: Callable[[LogLine], object]) -> Iterator[None]:
    """Have a function called with each line that is logged inside, LOGDEBUG included."""
    with handled_by(_Handler(take)):
        yield


@contextmanager
def handled_by(handler: logging.Handler) -> Iterator[None]:
    """Have a handler of the standard library take what is logged inside, LOGDEBUG included."""
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def capture_log() -> Iterator[Log]:
    """All that is logged inside.

    >>> from qpsdk import DECLINED, LOGWARN, Plugin
    >>> from qpsdk.testing import smtp
    >>> class Loud(Plugin):
    ...     def hook_connect(self, connection):
    ...         self.log(LOGWARN, "hello from", connection.remote_ip)
    ...         return DECLINED
    >>> with capture_log() as log, smtp(Loud()):
    ...     pass
    >>> log.lines(level=LOGWARN, plugin="Loud")
    ['hello from 192.0.2.1']
    >>> "connection closed" in log
    True
    """
    captured = Log()
    with each_line(captured.records.append):
        yield captured
