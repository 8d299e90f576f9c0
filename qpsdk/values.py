"""What the files of the settings may say: each reads one value.

Each raises ValueError with a text that says what would be right.
"""

import re
from typing import Final, cast

from qpsdk.lists import NetworkList
from qpsdk.smtp.engine import BareNewline
from qpsdk.stream import Endpoint

MAX_GREETING: Final = 500
"""Octets: a reply line has 512 with its code and line end (RFC 5321, 4.5.3.1.5)."""

MAX_DIGITS: Final = 15
"""Of a number: a float holds all of these, and any loop can wait so many seconds."""

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_PERMS: Final = re.compile(r"0?[0-7]{3}")
_STORE: Final = re.compile(r"sqlite:.+|(?:redis|rediss|unix)://.+")


def read_host_name(text: str) -> str:
    """The name of a host, or an address literal."""
    if _HOST_NAME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no host name; write one such as mx.example.com")
    return text


def read_line_of_text(text: str) -> str:
    """The text of a greeting."""
    if not text.isascii() or not text.isprintable() or len(text) > MAX_GREETING:
        raise ValueError(f"{text!r:.80} is no greeting; write up to 500 printable ASCII characters")
    return text


def full_greeting(me: str, text: str) -> str:
    """What follows 220: our name first (RFC 5321, 4.2), and the word ESMTP somewhere.

    >>> full_greeting("mx.example.com", "hello")
    'mx.example.com hello ESMTP'
    >>> full_greeting("mx.example.com", "MX.example.com ESMTP")
    'MX.example.com ESMTP'
    """
    if not text:
        return ""
    if text.split(maxsplit=1)[0].lower() != me.lower():
        text = f"{me} {text}"
    return text if re.search(r"\bESMTP\b", text) else f"{text} ESMTP"


def _digits(text: str) -> int | None:
    """The number that a text is; None if it is none.

    Raises:
        ValueError: It is larger than any clock can wait.
    """
    if not text.isascii() or not text.isdigit():
        return None
    if len(text) > MAX_DIGITS:
        raise ValueError(f"{text!r} is too large; write {MAX_DIGITS} digits at most")
    return int(text)


def read_bytes(text: str) -> int:
    """A number of bytes."""
    if (number := _digits(text)) is None:
        raise ValueError(f"{text!r} is no number of bytes; write one such as 10485760")
    return number


def read_number(text: str) -> int:
    """A number; 0 for no limit."""
    if (number := _digits(text)) is None:
        raise ValueError(f"{text!r} is no number; write one such as 100, or 0 for no limit")
    return number


def read_positive(text: str) -> int:
    """A number of at least 1."""
    if not (number := _digits(text)):
        raise ValueError(f"{text!r} is no number of at least 1; write one such as 100")
    return number


def read_network(text: str) -> str:
    """A network, as `NetworkList` takes it."""
    NetworkList([text])
    return text


def read_proxy(text: str) -> str:
    """A network, or ``unix:`` for all who connect to a unix socket."""
    return text if text == "unix:" else read_network(text)


def read_seconds(text: str) -> float:
    """A number of seconds."""
    if not (number := _digits(text)):
        raise ValueError(f"{text!r} is no number of seconds; write one such as 300")
    return float(number)


def read_address(text: str) -> str:
    """An address to listen on."""
    Endpoint.parse_listen(text)
    return text


def read_store(text: str) -> str:
    """Where a store is: ``sqlite:PATH``, or the URL of a Redis."""
    if _STORE.fullmatch(text) is None:
        # Not shown: there may be a password in it.
        raise ValueError("this is no store; write sqlite:PATH or redis://HOST:PORT/NUMBER")
    return text


def read_endpoint(text: str) -> Endpoint:
    """A host and a TCP port."""
    try:
        endpoint = Endpoint.parse(text)
        if endpoint.path:
            raise ValueError("a unix socket")
    except ValueError:
        raise ValueError(f"{text!r} is no address; write one such as 127.0.0.1:9100") from None
    return endpoint


def read_bare_newline(text: str) -> BareNewline:
    """What to do with a CR or LF that stands alone."""
    if text not in ("reject", "normalize"):
        raise ValueError(f"{text!r} is not known; write reject or normalize")
    return cast(BareNewline, text)


def read_yes_or_no(text: str) -> bool:
    """A switch."""
    if text.lower() not in ("0", "1", "no", "yes"):
        raise ValueError(f"{text!r} is neither yes nor no; write 1 or 0")
    return text.lower() in ("1", "yes")


def read_perms(text: str) -> int:
    """The mode of a folder that is private."""
    if _PERMS.fullmatch(text) is None or int(text, 8) & 0o702 != 0o700:
        raise ValueError(
            f"{text!r} is no mode of a spool folder; write 0700, or 0750 for a group that may read"
        )
    return int(text, 8)
