"""Sends the log to syslog, or to journald, which listens at the same place.

In `config/plugins`, before the plugins whose lines it is to send::

    logging/syslog [ADDRESS] [facility=mail] [ident=qpsdk] [maxlevel=LEVEL] [then=next]

ADDRESS is ``unix:/dev/log`` unless given: another ``unix:PATH``, or IP[:PORT] of a server that is
sent UDP. ``maxlevel=`` and ``then=`` are as for logging/file.
"""

import os
import socket
import time
from typing import Any

from qpsdk import (
    DECLINED,
    OK,
    Connection,
    Endpoint,
    Host,
    LogLevel,
    Plugin,
    Result,
    Transaction,
    log_line,
)

FACILITIES = {"user": 1, "mail": 2, "daemon": 3} | {f"local{n}": 16 + n for n in range(8)}
LOCAL_LIMIT = 8192  # bytes; what rsyslog keeps of a line
UDP_LIMIT = 1024  # bytes; what each server has to take (RFC 3164, 4.1), and one packet holds


class Syslog(Plugin):
    """Send each line as RFC 3164 has it, priority by its level, whose numbers are syslog's.

    Nothing waits for the daemon: what it cannot take at once goes to standard error. What is
    sent by UDP may be lost, as always.
    """

    def register(
        self,
        qp: Host,
        address: str = "unix:/dev/log",
        *,
        facility: str = "mail",
        ident: str = "qpsdk",
        maxlevel: str = "",
        then: str = "stop",
    ) -> None:
        """Check the arguments; the socket is made with the first line."""
        if facility not in FACILITIES:
            raise ValueError(f"facility={facility}: write one of {', '.join(FACILITIES)}")
        if then not in ("stop", "next"):
            raise ValueError(f"then={then}: write stop or next")
        self.answer = OK if then == "stop" else DECLINED
        self.maxlevel = LogLevel.parse(maxlevel) if maxlevel else None
        self.facility, self.ident = FACILITIES[facility], ident
        self.server = Endpoint.parse(address, default_port=514)
        self.limit = LOCAL_LIMIT if self.server.path else UDP_LIMIT
        self.sender = "" if self.server.path else f"{socket.gethostname()} "
        self.socket: socket.socket | None = None
        self.address()  # a wrong one is reported now

    def hook_logging(  # noqa: PLR0917 - what the table gives
        self,
        connection: Connection | None,
        transaction: Transaction | None,
        level: LogLevel,
        hook: str,
        plugin: str,
        text: str,
    ) -> Result:
        """Send a line, and each line of a traceback; that it raises OSError leaves it to others."""
        when = time.strftime("%b %e %H:%M:%S", time.localtime(self.qp.clock()))
        priority = self.facility * 8 + level
        head = f"<{priority}>{when} {self.sender}{self.ident}[{os.getpid()}]: "
        for line in log_line(connection, hook, plugin, text).split("\n"):
            packet = (head + line).encode()
            if len(packet) > self.limit:
                packet = packet[: self.limit - 3] + b"..."
            self.send(packet)
        return self.answer

    def send(self, packet: bytes) -> None:
        """Send one packet, or raise OSError at once."""
        try:
            self.connected().send(packet)
        except ConnectionError:  # the daemon was restarted, and has a new socket
            self.shutdown()
            self.connected().send(packet)

    def connected(self) -> socket.socket:
        """The socket, which never waits."""
        if self.socket is None:
            family, address = self.address()
            self.socket = socket.socket(family, socket.SOCK_DGRAM)
            self.socket.setblocking(False)
            try:
                self.socket.connect(address)
            except OSError:
                self.shutdown()
                raise
        return self.socket

    def address(self) -> tuple[int, Any]:
        """Address family and address. A name is refused: a line cannot wait for DNS."""
        if self.server.path:
            return socket.AF_UNIX, self.server.path
        try:
            found = socket.getaddrinfo(
                self.server.host,
                self.server.port,
                type=socket.SOCK_DGRAM,
                flags=socket.AI_NUMERICHOST,
            )
        except socket.gaierror:
            raise ValueError(f"{self.server.host}: write the server's IP address") from None
        return found[0][0], found[0][4]

    def shutdown(self) -> None:
        """Close the socket; a line that comes later opens it again."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
