"""Logs little of mail that was accepted, and much of mail that was denied.

In `config/plugins`, before other logging plugins::

    logging/adaptive [accept=LEVEL] [reject=LEVEL] [prefix=TEXT]

Lines up to the level of ``accept=`` (`config/loglevel` unless given) go their way at once. Those
above it, up to ``reject=`` (LOGDEBUG), are held until their transaction ends. If a plugin has
denied anything in it they are logged then, at the level of ``accept=``, each with ``prefix=``
(a backquote) in front, its own level, and how many seconds ago it was. Else they are forgotten.
A logging plugin behind it needs no ``maxlevel=`` above ``accept=``.
"""

from collections import deque
from typing import Any

from qpsdk import (
    DECLINED,
    OK,
    Connection,
    Constant,
    Host,
    LogLevel,
    Plugin,
    Result,
    Transaction,
    log_line,
)

LINES = 100  # held of one transaction, and of a connection outside any; of more, the latest
LENGTH = 2000  # characters held of one line


class Held:
    """The lines of one transaction, or of a connection outside any.

    Attributes:
        denied: Whether a plugin has denied something there.
    """

    def __init__(self) -> None:
        self.lines: deque[tuple[float, LogLevel, str]] = deque(maxlen=LINES)
        self.denied = False


class Adaptive(Plugin):
    """Hold what is only of interest if the mail is denied.

    A crash of the host loses what is held.
    """

    def register(self, qp: Host, *, accept: str = "", reject: str = "", prefix: str = "`") -> None:
        """Check the levels."""
        self.accept = LogLevel.parse(accept) if accept else qp.settings.loglevel
        self.reject = LogLevel.parse(reject or "LOGDEBUG")
        if self.reject < self.accept:
            raise ValueError(f"reject={reject} is below accept: denied mail is to log more")
        self.prefix = prefix
        self.maxlevel = max(self.reject, qp.settings.loglevel)

    def held(self, of: Connection | Transaction) -> Held:
        """What is held of it, kept in its notes."""
        held = of.notes.setdefault(self.name, Held())
        assert isinstance(held, Held)
        return held

    def hook_logging(  # noqa: PLR0917 - what the table gives
        self,
        connection: Connection | None,
        transaction: Transaction | None,
        level: LogLevel,
        hook: str,
        plugin: str,
        text: str,
    ) -> Result:
        """OK, which keeps it from everybody else, for a line that is held or not wanted."""
        if connection is None or level <= self.accept or plugin == self.name:
            return DECLINED
        if level <= self.reject:
            line = log_line(None, hook, plugin, text)[:LENGTH]
            self.held(transaction or connection).lines.append((self.qp.clock(), level, line))
        return OK

    def hook_deny(  # noqa: PLR0917 - what the table gives
        self,
        connection: Connection,
        transaction: Transaction | None,
        hook: str,
        plugin: str,
        constant: Constant,
        message: Any,
    ) -> None:
        """A plugin has denied something: all lines about it are wanted."""
        self.held(transaction or connection).denied = True

    def hook_reset_transaction(self, transaction: Transaction) -> None:
        """The transaction ends, however it does."""
        if self.held(transaction).denied:
            self.release(transaction.connection)
            self.release(transaction)

    def hook_post_connection(self, connection: Connection) -> None:
        """The connection ends."""
        if self.held(connection).denied:
            self.release(connection)

    def release(self, of: Connection | Transaction) -> None:
        """Log what is held."""
        lines = self.held(of).lines
        now = self.qp.clock()
        while lines:
            then, level, text = lines.popleft()
            for line in text.split("\n"):
                self.log(self.accept, f"{self.prefix}{level.name} -{now - then:.3f}s {line}")
