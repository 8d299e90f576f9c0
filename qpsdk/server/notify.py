"""Tells the one who has started us how we are: systemd, or the supervisor of our workers."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

from qpsdk.log import escape


class Notifier:
    """Sends what sd_notify(3) sends; without a socket, nothing.

    Attributes:
        watchdog: Seconds after which we are taken for dead if we have not said `alive`; 0 where
            nobody wants to hear it.
    """

    def __init__(self, where: socket.socket | None = None, watchdog: float = 0.0) -> None:
        """`where` is connected."""
        self._socket = where
        self.watchdog = watchdog

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "Notifier":
        """One for systemd, where it has started us with ``Type=notify``.

        Args:
            environment: The process's; where systemd listens, and for what, is taken out, so that
                no program that we start speaks for us.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        ours = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if not address.startswith(("/", "@")):
            return cls()
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):  # that nobody listens is no reason not to serve
            made.connect("\0" + address[1:] if address.startswith("@") else address)
        watched = ours and microseconds.isdecimal()  # as in sd_watchdog_enabled(3)
        return cls(made, int(microseconds) / 1e6 if watched else 0.0)

    def ready(self, status: str = "serving") -> None:
        """We serve, or have taken up what was new."""
        self._send(status, "READY=1")

    def reloading(self) -> None:
        """We take up what is new; `ready` or `kept` will follow."""
        self._send("reloading", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "RELOADING=1")

    def kept(self, problem: str) -> None:
        """What is new is wrong, and we serve as before."""
        self._send(f"serving as before: {problem}", "X_QPSDK_KEPT=1", "READY=1")

    def stopping(self) -> None:
        """We take no more clients."""
        self._send("stopping", "STOPPING=1")

    def alive(self) -> None:
        """We do not hang."""
        self._write("WATCHDOG=1\n")

    def keep_alive(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say `alive` as often as somebody wants to hear it, for as long as the loop turns."""
        if self.watchdog:
            self.alive()
            loop.call_later(self.watchdog / 2, self.keep_alive, loop)

    def close(self) -> None:
        """Tell nothing more."""
        if self._socket is not None:
            self._socket.close()

    def _send(self, status: str, *fields: str) -> None:
        self._write("".join(f"{field}\n" for field in (f"STATUS={escape(status)}", *fields)))

    def _write(self, text: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(text.encode())
