"""What a client did: frozen values, made by the engine, legal by the time they exist.

Each of them but `Block`, `Unparsed` and `Hangup` waits for exactly one reply. Those without fields
are no tuples: an empty tuple would count as false.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from qpsdk.reply import Reply

Parameters = Mapping[str, str]
"""Parameters of MAIL or RCPT: names in lower case as in qpsmtpd, "" where there is no value."""


class Hello(NamedTuple):
    """HELO or EHLO."""

    verb: str
    host: bytes


class Mail(NamedTuple):
    """MAIL FROM: the address is still text, since a plugin may replace it or its parser."""

    address: bytes
    params: Parameters


class Recipient(NamedTuple):
    """RCPT TO: the address is still text."""

    address: bytes
    params: Parameters


@dataclass(frozen=True, slots=True)
class Data:
    """DATA: the client would like to send the message."""


class Block(NamedTuple):
    """The next bytes of the message: dots unstuffed, line ends LF; never empty."""

    data: bytes


class MessageEnd(NamedTuple):
    """The final dot.

    Attributes:
        size: Octets of the message with each CRLF counted as two (RFC 1870, 5).
        refusal: The reply, if the message may not be taken; nothing of it is to be kept.
    """

    size: int
    refusal: Reply | None


@dataclass(frozen=True, slots=True)
class Reset:
    """RSET."""


class Noop(NamedTuple):
    """NOOP, with whatever text came with it."""

    text: bytes


class Verify(NamedTuple):
    """VRFY."""

    text: bytes


class Help(NamedTuple):
    """HELP, with whatever text came with it."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT."""


class Auth(NamedTuple):
    """AUTH.

    Attributes:
        initial: What the client already says, in base64; None if it waits for a challenge.
    """

    mechanism: str
    initial: bytes | None

    def __repr__(self) -> str:
        return f"Auth(mechanism={self.mechanism!r}, ...)"  # no secret


class Credentials(NamedTuple):
    """What the client authenticates with: the end of an AUTH command and its exchange.

    What a mechanism does not have is empty.

    Attributes:
        mechanism: In lower case, as in qpsmtpd: ``plain``, ``login`` or ``cram-md5``.
        password: As the client sent it, in clear.
        hashed: What the client sent in its place: the hexadecimal digest of CRAM-MD5.
        ticket: What that is made of beside the password: the challenge.
    """

    mechanism: str
    user: bytes
    password: bytes = b""
    hashed: bytes = b""
    ticket: bytes = b""

    def __repr__(self) -> str:
        return f"Credentials(mechanism={self.mechanism!r}, user={self.user!r}, ...)"  # no secret


class Unparsed(NamedTuple):
    """A command, in order, whose arguments the caller would like to read: see `Engine.parse`."""

    verb: str


class Unknown(NamedTuple):
    """A command that is none of the above: plugins may know it."""

    command: bytes
    arguments: bytes


class Hangup(NamedTuple):
    """The conversation is over: the client is gone, or had to be told to go."""

    reason: str


Event = (
    Hello
    | Mail
    | Recipient
    | Data
    | Block
    | MessageEnd
    | Reset
    | Noop
    | Verify
    | Help
    | Quit
    | Auth
    | Credentials
    | Unparsed
    | Unknown
    | Hangup
)
