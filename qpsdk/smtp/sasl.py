"""The exchanges that authenticate a client (RFC 4954): PLAIN, LOGIN and CRAM-MD5, without I/O."""

import binascii
import re
from collections.abc import Callable, Generator
from typing import Final

from qpsdk.reply import Reply
from qpsdk.smtp.commands import refusal
from qpsdk.smtp.events import Credentials

MECHANISMS: Final = ("PLAIN", "LOGIN", "CRAM-MD5")
"""What we can do, as EHLO lists it."""

_DIGEST: Final = re.compile(rb"[0-9A-Fa-f]{32}")

_Steps = Generator[bytes, bytes, Credentials]
"""Gives challenges, is sent the responses, returns what came of it; the first `next` gives the
challenge to a client that sent no initial response."""


class Exchange:
    r"""One exchange: give it the client's lines, until it has the credentials.

    >>> exchange = Exchange("LOGIN", b"<1.2@mx.example>")
    >>> bytes(exchange.start(None))
    b'334 VXNlcm5hbWU6\r\n'
    >>> bytes(exchange.receive(b"dGlt"))
    b'334 UGFzc3dvcmQ6\r\n'
    >>> credentials = exchange.receive(b"dGFuc3RhYWZ0YW5zdGFhZg==")
    >>> credentials.user, credentials.password
    (b'tim', b'tanstaaftanstaaf')
    """

    def __init__(self, mechanism: str, ticket: bytes) -> None:
        """`mechanism` is one of `MECHANISMS`; `ticket` is what CRAM-MD5 challenges with.

        That is to be different each time, and nobody may guess it: see `new_ticket`.
        """
        self._mechanism = mechanism
        self._steps = _STEPS[mechanism](ticket)

    def start(self, initial: bytes | None) -> Reply | Credentials:
        """Begin, with the initial response where AUTH has one, in base64.

        Returns:
            The challenge to send, or the credentials if that was all. As `receive`.
        """
        challenge = next(self._steps)
        if initial is None:
            return _challenge(challenge)
        if self._mechanism == "CRAM-MD5":  # RFC 4954, 4: where the server begins, there is none
            raise refusal(501, "CRAM-MD5 takes no initial response", "5.5.4")
        return self._step(b"" if initial == b"=" else _decode(initial))

    def receive(self, line: bytes) -> Reply | Credentials:
        """Go on with the client's next line, without its end.

        Raises:
            CommandError: The exchange has failed, with the reply that says so.
        """
        if line == b"*":
            raise refusal(501, "Authentication cancelled", "5.7.0")
        return self._step(_decode(line))

    def _step(self, response: bytes) -> Reply | Credentials:
        try:
            return _challenge(self._steps.send(response))
        except StopIteration as end:
            credentials: Credentials = end.value
            if not credentials.user or not (credentials.password or credentials.hashed):
                # Some directories take an empty password for an anonymous login, and say yes.
                raise refusal(501, "User and password cannot be empty", "5.5.2") from None
            return credentials


def new_ticket(random: str, now: float, me: str) -> bytes:
    """A challenge for CRAM-MD5 in the form of a message id (RFC 2195, 2).

    Args:
        random: What nobody can guess.
        now: Seconds since the epoch.
        me: This host's name.

    >>> new_ticket("1896", 697170952, "postoffice.example.net")
    b'<1896.697170952@postoffice.example.net>'
    """
    return f"<{random}.{int(now)}@{me}>".encode("ascii", "replace")


def _plain(_: bytes) -> _Steps:
    response = yield b""
    parts = response.split(b"\0")  # RFC 4616, 2
    if len(parts) != 3:
        raise refusal(501, "Not a PLAIN response", "5.5.2")
    identity, user, password = parts
    if identity not in (b"", user):
        raise refusal(535, "Nobody may act for another user here", "5.7.8")
    return Credentials("plain", user, password=password)


def _login(_: bytes) -> _Steps:
    user = yield b"Username:"
    password = yield b"Password:"
    return Credentials("login", user, password=password)


def _cram_md5(ticket: bytes) -> _Steps:
    response = yield ticket
    user, _, digest = response.rpartition(b" ")  # RFC 2195, 2
    if _DIGEST.fullmatch(digest) is None:
        raise refusal(501, "Not a CRAM-MD5 response", "5.5.2")
    return Credentials("cram-md5", user, hashed=digest.lower(), ticket=ticket)


_STEPS: Final[dict[str, Callable[[bytes], _Steps]]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
}


def _challenge(data: bytes) -> Reply:
    return Reply(334, (binascii.b2a_base64(data, newline=False),))


def _decode(line: bytes) -> bytes:
    try:
        if len(line) % 4 == 0:  # "dGlt=" is not, which the strict mode lets pass
            return binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error:
        pass
    raise refusal(501, "Not base64", "5.5.2")
