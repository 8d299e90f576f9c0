"""Offers TLS: STARTTLS on every listener, and TLS from the start on those that say so.

In `config/plugins`::

    tls CERTIFICATE [KEY] [minimum=1.2|1.3]

and for a listener that begins with TLS (submissions, port 465), in `config/listen`::

    tls:0.0.0.0:465

The files are PEM, the certificate with the chain behind it; without KEY the key is in the same
file. A path that is relative begins at the config directory. Both are read again when one of
them has changed, so a renewed certificate needs no restart.
"""

import os
import ssl
import time
from pathlib import Path

from qpsdk import DECLINED, DONE, LOGERROR, LOGNOTICE, Connection, Host, Plugin, Result

LOOK_EVERY = 1.0  # seconds between two looks at the files

MINIMUM = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TLS(Plugin):
    """Hold the certificate, list STARTTLS as a capability, and do it."""

    def register(self, qp: Host, certificate: str, key: str = "", *, minimum: str = "1.2") -> None:
        """Read certificate and key: without them the host does not start."""
        if minimum not in MINIMUM:
            raise ValueError(f"minimum={minimum}: write 1.2 or 1.3")
        self.minimum = MINIMUM[minimum]
        self.certificate = qp.configuration.resolve(certificate)
        self.key = qp.configuration.resolve(key) if key else self.certificate
        self.seen = self.stamps()
        self.looked = time.monotonic()
        self.current = self.read()
        qp.tls = self.context

    def hook_ehlo(self, connection: Connection, host: bytes) -> Result:
        """Say that we can, as long as it is not done (RFC 3207, 4.2)."""
        if connection.tls is None:
            connection.capabilities.append("STARTTLS")
        return DECLINED

    def hook_unrecognized_command(
        self, connection: Connection, command: bytes, arguments: bytes
    ) -> Result:
        """Do it when the client says STARTTLS."""
        if command != b"starttls":
            return DECLINED
        if arguments:
            connection.respond(501, "STARTTLS takes no argument", "5.5.4")
        elif connection.tls is not None:
            connection.respond(503, "TLS is active already", "5.5.1")
        else:
            connection.start_tls(self.context())
        return DONE

    def context(self) -> ssl.SSLContext:
        """What the next handshake is made with; a broken renewal leaves it as it was."""
        if time.monotonic() < self.looked + LOOK_EVERY:
            return self.current
        self.looked = time.monotonic()
        if (stamps := self.stamps()) != self.seen:
            self.seen = stamps
            try:
                self.current = self.read()
                self.log(LOGNOTICE, f"read again: {self.certificate}")
            except ValueError as error:
                self.log(LOGERROR, f"the certificate stays as it was: {error}")
        return self.current

    def stamps(self) -> list[tuple[int, int, int]]:
        """What changes when a file does; nothing of one that is not there."""
        found = []
        for path in (self.certificate, self.key):
            try:
                status = os.stat(path)
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return found

    def read(self) -> ssl.SSLContext:
        """A context with both files.

        Raises:
            ValueError: It cannot be made; the text says which file is to blame.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self.minimum
        context.options |= ssl.OP_NO_RENEGOTIATION
        for path in (self.certificate, self.key):
            check(path)
        try:
            context.load_cert_chain(self.certificate, self.key, password=no_password)
        except OSError as error:  # ssl.SSLError is one of them
            reason = getattr(error, "reason", "") or error.strerror
            raise ValueError(f"{self.certificate} and {self.key} do not fit: {reason}") from None
        return context


def check(path: Path) -> None:
    """OpenSSL says what is wrong with a file, but not which."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    if b"-----BEGIN " not in text:
        raise ValueError(f"{path}: not PEM, which has a line -----BEGIN ...-----")


def no_password() -> str:
    """Asked for when the key is encrypted; OpenSSL would ask on the terminal."""
    raise ValueError("the key has a password: a server cannot be asked for it")
