"""The grammar of a command line (RFC 5321, 4.1), and nothing about when it may come."""

import re
from collections.abc import Callable
from typing import Final

from qpsdk.reply import Reply
from qpsdk.smtp.events import (
    Auth,
    Data,
    Event,
    Hello,
    Help,
    Mail,
    Noop,
    Parameters,
    Quit,
    Recipient,
    Reset,
    Verify,
)


class CommandError(Exception):
    """The command makes no sense; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def refusal(code: int, text: str, enhanced: str) -> CommandError:
    """The error of a command that is refused like this."""
    return CommandError(Reply.make(code, text, enhanced))


# White space after the colon is no RFC syntax, but what many clients send. A bare address is
# what people type. A quoted local part may hold ">" and spaces. What is most of an address is one
# run: an alternative for each byte would take four times as long.
_PATH = rb'[ \t]*+(<[^">]*+(?>"(?>[^"\\]|\\.)*"[^">]*+)*>|[^\s<>"]++)(?:[ \t]++(.*))?'
_mail: Final = re.compile(rb"(?i:FROM:)" + _PATH).fullmatch
_rcpt: Final = re.compile(rb"(?i:TO:)" + _PATH).fullmatch
_AUTH: Final = re.compile(rb"([A-Za-z0-9_-]{1,20})(?:[ \t]+([!-~]+))?")  # RFC 4954, 8
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~]+))?\Z")
_CONTROLS: Final = bytes([*range(9), *range(10, 32), 127])

_MAIL_PARAMETERS: Final[dict[str, re.Pattern[str]]] = {
    "size": re.compile(r"[0-9]{1,20}"),  # RFC 1870
    "body": re.compile(r"7BIT|8BITMIME", re.IGNORECASE),  # RFC 6152
    "smtputf8": re.compile(r""),  # RFC 6531
    "auth": re.compile(r"<>|(?:\+[0-9A-F]{2}|[^+=<>])+"),  # RFC 4954, 5; xtext is RFC 3461, 4
}


def split(line: bytes) -> tuple[bytes, bytes]:
    """The word that a line begins with, and what follows it.

    Args:
        line: Without its line end.

    Raises:
        CommandError: With the reply that tells the client.
    """
    if len(line.translate(None, _CONTROLS)) != len(line):
        raise refusal(500, "Control characters have no place in a command", "5.5.2")
    word, _, rest = line.strip().partition(b" ")
    return word, rest.lstrip()


def _read_hello(verb: str) -> Callable[[bytes], Event]:
    def read(rest: bytes) -> Event:
        host = rest.split(maxsplit=1)
        if not host:
            raise refusal(501, f"{verb} needs the name of your host", "")
        return Hello(verb, host[0])

    return read


def _read_mail(rest: bytes) -> Event:
    path = _mail(rest)
    if path is None:
        raise refusal(501, "Syntax: MAIL FROM:<address>", "5.5.4")
    address, params = path.groups()
    return Mail(address, _parameters("MAIL", params, _MAIL_PARAMETERS) if params else {})


def _read_recipient(rest: bytes) -> Event:
    path = _rcpt(rest)
    if path is None:
        raise refusal(501, "Syntax: RCPT TO:<address>", "5.5.4")
    address, params = path.groups()
    return Recipient(address, _parameters("RCPT", params, {}) if params else {})


def _read_verify(rest: bytes) -> Event:
    if not rest:
        raise refusal(501, "Syntax: VRFY name", "5.5.4")
    return Verify(rest)


def _read_auth(rest: bytes) -> Event:
    command = _AUTH.fullmatch(rest)
    if command is None:
        raise refusal(501, "Syntax: AUTH mechanism [initial-response]", "5.5.4")
    return Auth(command[1].decode("ascii"), command[2])


def _without_argument(verb: str, event: Event) -> Callable[[bytes], Event]:
    def read(rest: bytes) -> Event:
        if rest:
            raise refusal(501, f"{verb} takes no argument", "5.5.4")
        return event

    return read


READERS: Final[dict[str, Callable[[bytes], Event]]] = {
    "HELO": _read_hello("HELO"),
    "EHLO": _read_hello("EHLO"),
    "MAIL": _read_mail,
    "RCPT": _read_recipient,
    "DATA": _without_argument("DATA", Data()),
    "RSET": _without_argument("RSET", Reset()),
    "NOOP": Noop,
    "VRFY": _read_verify,
    "HELP": Help,
    "AUTH": _read_auth,
    "QUIT": _without_argument("QUIT", Quit()),
}
"""By verb, what makes the command of the rest of its line, or raises `CommandError`."""


def _parameters(verb: str, text: bytes, known: dict[str, re.Pattern[str]]) -> Parameters:
    params: dict[str, str] = {}
    for word in text.decode("ascii", "replace").split():
        parameter = _PARAMETER.match(word)
        if parameter is None:
            raise refusal(501, f"Malformed {verb} parameter {word}", "5.5.4")
        name, value = parameter[1].lower(), parameter[2] or ""
        if name not in known:
            raise refusal(555, f"Unknown {verb} parameter {name.upper()}", "5.5.4")
        if name in params or not known[name].fullmatch(value):
            raise refusal(501, f"Bad {verb} parameter {word}", "5.5.4")
        params[name] = value
    return params
