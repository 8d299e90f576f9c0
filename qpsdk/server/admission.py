"""Who may connect: so many in all, so many of one address, and as long as there are descriptors."""

import asyncio
import errno
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from qpsdk.attempts import Attempts
from qpsdk.constants import LOGERROR, LOGWARN, LogLevel
from qpsdk.lists import network_of
from qpsdk.log import log
from qpsdk.reply import Reply
from qpsdk.settings import Settings

QUIET: Final = 10.0
"""Seconds between two log lines that tell the same: a flood must not fill a disk."""

RESERVE: Final = 1024
"""Descriptors that clients leave to spool files and forwards, or a quarter where there are few."""

LOOK: Final = 1.0
"""Seconds between two looks whether there is a descriptor left, of some microseconds each."""

MINUTE: Final = 60.0
"""Seconds within which the connections of one address are counted that may be too many."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Refusal(NamedTuple):
    """Why a client is sent away.

    Attributes:
        limit: Which limit is reached, for who counts.
        reply: What the client is told.
    """

    limit: str
    reply: Reply


class Admission:
    """Counts the clients that are connected.

    The numbers are those of this process: each of several workers has its own.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        *,
        warns: bool = True,
    ) -> None:
        """`settings` are those of the start; if it `warns`, what they cannot keep is told."""
        self._all = 0
        self._by_network: Counter[str] = Counter()
        self._latest = Attempts(clock, MINUTE)
        self._descriptors = _descriptors()
        self._full = RareLine(LOGWARN)
        self._too_many = RareLine(LOGWARN)
        self._too_often = RareLine(LOGWARN)
        self._exhausted = RareLine(LOGERROR)
        self._next_look: asyncio.TimerHandle | None = None
        most = settings.max_connections
        if warns and most > self._descriptors:
            room = f"the limit on open files (ulimit -n) leaves room for {self._descriptors}"
            log(LOGWARN, f"max_connections is {most}, but {room}")

    def admit(self, ip: str, settings: Settings, descriptor: int = 0) -> Refusal | None:
        """Let a client in, until it is released; else the 421 that it is sent away with.

        Args:
            ip: Its own address; empty on a unix socket, which has none.
            settings: Those of now.
            descriptor: The number of its socket. The system gives the lowest that is free, so that
                it says how many are open.
        """
        enhanced = "4.3.2"
        if descriptor >= self._descriptors:
            limit = "descriptors"
            text = "Out of file descriptors, try again later"
            self._exhausted.tell(f"clients are refused: {descriptor} files are open")
        elif 0 < settings.max_connections <= self._all:
            limit = "max_connections"
            text = "Too many connections, try again later"
            most = settings.max_connections
            self._full.tell(f"{ip or 'a client'} refused: max_connections is {most}")
        elif self._is_over(ip, settings):
            limit, enhanced = "max_connections_per_address", "4.7.0"
            text = "Too many connections from your address, try again later"
            most = settings.max_connections_per_address
            self._too_many.tell(f"{ip} refused: max_connections_per_address is {most}")
        elif settings.max_connection_rate and self._is_too_often(ip, settings):
            limit, enhanced = "max_connection_rate", "4.7.0"
            text = "You connect too often, try again later"
            self._too_often.tell(f"{ip} refused: {limit} is {settings.max_connection_rate}")
        else:
            self._all += 1
            if ip:
                self._by_network[network_of(ip)] += 1
            return None
        return Refusal(limit, Reply.make(421, f"{settings.me} {text}", enhanced))

    def release(self, ip: str) -> None:
        """One that was admitted has gone."""
        self._all -= 1
        if ip:
            network = network_of(ip)
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]

    def accept_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle what the event loop could not: that `accept` failed, in one line of the log."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _EXHAUSTED and "socket" in context:
            self._exhausted.tell(f"no client can be accepted: {error.strerror}")
        else:
            loop.default_exception_handler(context)

    def look(self) -> None:
        """Say when there is no descriptor left, now and from time to time.

        Clients are refused before that; but what plugins open, nobody counts. Then uvloop closes
        who comes, and says nothing of it.
        """
        try:
            socket.socket().close()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._exhausted.tell(f"no client can be accepted: {error.strerror}")
        self._next_look = asyncio.get_running_loop().call_later(LOOK, self.look)

    def close(self) -> None:
        """Look no more."""
        if self._next_look is not None:
            self._next_look.cancel()

    def _is_over(self, ip: str, settings: Settings) -> bool:
        most = settings.max_connections_per_address
        return (
            bool(ip)
            and 0 < most <= self._by_network.get(network_of(ip), 0)
            and ip not in settings.unlimited_clients
        )

    def _is_too_often(self, ip: str, settings: Settings) -> bool:
        """Count this one too, whether it is refused or not."""
        if not ip or ip in settings.unlimited_clients:
            return False
        return self._latest.add(ip) > settings.max_connection_rate


class RareLine:
    """A log line that may be due many times a second, and is written once in a while.

    The first is written at once; at the end of each pause it is told how many more there were.
    """

    def __init__(self, level: LogLevel, pause: float = QUIET) -> None:
        """`pause` is in seconds."""
        self._level = level
        self._pause = pause
        self._more = 0
        self._latest = ""
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, text: str) -> None:
        """Write it now, or count it."""
        if self._timer is None:
            log(self._level, text)
            self._wait()
        else:
            self._more += 1
            self._latest = text

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._pause, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        if self._more:
            log(self._level, f"{self._latest} ({self._more} times in {self._pause:g} s)")
            self._more = 0
            self._wait()


def _descriptors() -> int:
    """How many open files clients may bring this process to."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft - min(RESERVE, soft // 4)


def raise_descriptor_limit() -> None:
    """Have as many open files as the system lets us; the default is from the time of `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
