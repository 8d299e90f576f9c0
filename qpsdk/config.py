"""The config directory: one file a setting, as in qpsmtpd.

A file holds one value a line; blank lines and lines that begin with ``#`` say nothing.
"""

import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, cast

from qpsdk.constants import LogLevel
from qpsdk.errors import ConfigError
from qpsdk.smtp import Limits
from qpsdk.smtp.engine import BareNewline
from qpsdk.stream import Endpoint

T = TypeVar("T")


class Line(NamedTuple):
    """One value, and the number of its line in the file."""

    number: int
    text: str


class Config:
    """Settings by name.

    >>> config = Config({"me": "mx.example.com", "rcpthosts": "example.com\\n.example.net"})
    >>> config.get("rcpthosts"), config.value("me"), config.get("databytes")
    (['example.com', '.example.net'], 'mx.example.com', [])
    """

    def __init__(self, source: Path | Mapping[str, str]) -> None:
        """`source` is a directory, or the texts that its files would hold.

        Raises:
            ConfigError: It is not a directory.
        """
        if isinstance(source, Path) and not source.is_dir():
            raise ConfigError(
                "not a directory; a config directory holds one file a setting", source
            )
        self._source = source
        self._lines: dict[str, list[Line]] = {}

    def path(self, name: str) -> Path:
        """Where the setting `name` is, or would be: errors name it."""
        return (self._source if isinstance(self._source, Path) else Path("config")) / name

    def resolve(self, text: str) -> Path:
        """The path that a setting names: one that is relative begins at the config directory."""
        return self._source / text if isinstance(self._source, Path) else Path(text)

    def lines(self, name: str) -> list[Line]:
        """The values of a setting with their line numbers; none if there is no such file.

        Raises:
            ConfigError: The file cannot be read as UTF-8 text.
        """
        if name not in self._lines:
            texts = ((n, line.strip()) for n, line in enumerate(self._read(name).split("\n"), 1))
            self._lines[name] = [Line(n, t) for n, t in texts if t and not t.startswith("#")]
        return self._lines[name]

    def get(self, name: str) -> list[str]:
        """The values of a setting, in order. Raises as `lines`."""
        return [line.text for line in self.lines(name)]

    def value(self, name: str, default: str = "") -> str:
        """The only value of a setting.

        Raises:
            ConfigError: There are several, or as `lines`.
        """
        return self.parse(name, str, default)

    def parse(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """The only value of a setting, parsed.

        Args:
            parse: Raises ValueError with a text that says what would be right.

        Raises:
            ConfigError: There are several values, it is not right, or as `lines`.
        """
        lines = self.lines(name)
        if not lines:
            return default
        if len(lines) > 1:
            raise ConfigError(
                "one value expected, this is another", self.path(name), lines[1].number
            )
        return self._parse_line(name, lines[0], parse)

    def parse_all(self, name: str, parse: Callable[[str], T]) -> list[T]:
        """The values of a setting, each parsed. Arguments and errors as in `parse`."""
        return [self._parse_line(name, line, parse) for line in self.lines(name)]

    def _parse_line(self, name: str, line: Line, parse: Callable[[str], T]) -> T:
        try:
            return parse(line.text)
        except ValueError as error:
            raise ConfigError(str(error), self.path(name), line.number) from None

    def _read(self, name: str) -> str:
        if not isinstance(self._source, Path):
            return self._source.get(name, "")
        path = self.path(name)
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise ConfigError("not UTF-8 text", path, line) from None
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", path) from None


DEFAULT_SIZE_THRESHOLD: Final = 64 * 1024
DEFAULT_TIMEOUT: Final = 300.0
"""Seconds: what a server should wait for the next command (RFC 5321, 4.5.3.2.7)."""

DEFAULT_HANDSHAKE_TIMEOUT: Final = 30.0
"""Seconds: a handshake is a few packets, and a client that does not make one holds a connection."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the host itself reads from the config, checked.

    Attributes:
        me: This host's name, in greetings and in our Received field.
        limits: The message's size is `databytes`, 0 for no limit.
        bare_newline: What to do with a CR or LF that stands alone in a message.
        size_threshold: Bytes of a message held in memory before it goes to a file.
        spool_dir: Where those files are; None for a temporary folder of our own.
        timeout: Seconds that a client may be silent, or not take what we send.
        loglevel: The gravest level is 0; lines up to this one are written.
        listen: Addresses to listen on.
        tls_before_auth: AUTH is offered under TLS only.
        tls_handshake_timeout: Seconds that a client has for the handshake.
        authserv_id: Our name in Authentication-Results (RFC 8601, 2.5): `me-auth-results`; empty
            for `me`.
    """

    me: str = "localhost"
    limits: Limits = field(default_factory=Limits)
    bare_newline: BareNewline = "reject"
    size_threshold: int = DEFAULT_SIZE_THRESHOLD
    spool_dir: Path | None = None
    timeout: float = DEFAULT_TIMEOUT
    loglevel: LogLevel = LogLevel.LOGWARN
    listen: tuple[str, ...] = ()
    tls_before_auth: bool = False
    tls_handshake_timeout: float = DEFAULT_HANDSHAKE_TIMEOUT
    authserv_id: str = ""

    @classmethod
    def read(cls, config: Config) -> "Settings":
        """The settings of a config.

        Raises:
            ConfigError: One of them is wrong; file, line and what would be right are in it.
        """
        return cls(
            me=config.parse("me", _host_name, "") or platform.node() or "localhost",
            limits=Limits(message=config.parse("databytes", _bytes, 0)),
            bare_newline=config.parse("bare_newline", _bare_newline, "reject"),
            size_threshold=config.parse("size_threshold", _bytes, DEFAULT_SIZE_THRESHOLD),
            spool_dir=config.parse("spool_dir", config.resolve, None),
            timeout=config.parse("timeout", _seconds, DEFAULT_TIMEOUT),
            loglevel=config.parse("loglevel", _log_level, LogLevel.LOGWARN),
            listen=tuple(config.parse_all("listen", _address)),
            tls_before_auth=config.parse("tls_before_auth", _yes_or_no, False),
            tls_handshake_timeout=config.parse(
                "tls_handshake_timeout", _seconds, DEFAULT_HANDSHAKE_TIMEOUT
            ),
            authserv_id=config.parse("me-auth-results", _host_name, ""),
        )


_HOST_NAME: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


def _host_name(text: str) -> str:
    if _HOST_NAME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no host name; write one such as mx.example.com")
    return text


def _bytes(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is no number of bytes; write one such as 10485760")
    return int(text)


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ValueError(f"{text!r} is no number of seconds; write one such as 300")
    return float(text)


def _address(text: str) -> str:
    Endpoint.parse_listen(text)
    return text


def _yes_or_no(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"{text!r} is not known; write 1 for yes or 0 for no")
    return text == "1"


def _bare_newline(text: str) -> BareNewline:
    if text not in ("reject", "normalize"):
        raise ValueError(f"{text!r} is not known; write reject or normalize")
    return cast(BareNewline, text)


def _log_level(text: str) -> LogLevel:
    """
    >>> _log_level("6"), _log_level("LOGINFO"), _log_level("debug")
    (<LogLevel.LOGINFO: 6>, <LogLevel.LOGINFO: 6>, <LogLevel.LOGDEBUG: 7>)
    """
    if text.isascii() and text.isdigit() and int(text) <= LogLevel.LOGDEBUG:
        return LogLevel(int(text))
    name = text.upper() if text.upper().startswith("LOG") else f"LOG{text.upper()}"
    if name not in LogLevel.__members__:
        raise ValueError(f"{text!r} is no log level; write 0 to 7, or a name such as LOGINFO")
    return LogLevel[name]
