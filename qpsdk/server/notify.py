"""Tells the one who has started us how we are: systemd, or the supervisor of our workers."""

import contextlib
import socket
import time
from collections.abc import MutableMapping

from qpsdk.log import escape


class Notifier:
    """Sends what sd_notify(3) sends; without a socket, nothing."""

    def __init__(self, where: socket.socket | None = None) -> None:
        """`where` is connected."""
        self._socket = where

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "Notifier":
        """One for systemd, where it has started us with ``Type=notify``.

        Args:
            environment: The process's; where systemd listens is taken out, so that no program
                that we start speaks for us.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls()
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):  # that nobody listens is no reason not to serve
            made.connect("\0" + address[1:] if address.startswith("@") else address)
        return cls(made)

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

    def close(self) -> None:
        """Tell nothing more."""
        if self._socket is not None:
            self._socket.close()

    def _send(self, status: str, *fields: str) -> None:
        if self._socket is not None:
            text = "".join(f"{field}\n" for field in (f"STATUS={escape(status)}", *fields))
            with contextlib.suppress(OSError):
                self._socket.send(text.encode())
