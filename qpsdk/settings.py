"""The settings that the host and its bundled plugins know: one table, and their values, checked."""

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

from qpsdk.config import Config
from qpsdk.constants import LogLevel
from qpsdk.errors import ConfigError
from qpsdk.lists import NetworkList
from qpsdk.smtp import Limits
from qpsdk.smtp.engine import BareNewline
from qpsdk.stream import Endpoint

DEFAULT_SIZE_THRESHOLD: Final = 64 * 1024
DEFAULT_TIMEOUT: Final = 300.0
"""Seconds: what a server should wait for the next command (RFC 5321, 4.5.3.2.7)."""

DEFAULT_HANDSHAKE_TIMEOUT: Final = 30.0
"""Seconds: a handshake is a few packets, and a client that makes none holds a connection."""

DEFAULT_PROXY_TIMEOUT: Final = 5.0
"""Seconds: a proxy sends its header with the connection, and knows all that is in it."""

DEFAULT_SPOOL_PERMS: Final = 0o700
MAX_GREETING: Final = 500
"""Octets: a reply line has 512 with its code and line end (RFC 5321, 4.5.3.1.5)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the host itself reads from the config, checked.

    Attributes:
        me: This host's name, in greetings and in our Received field.
        greeting: The text of the greeting, which begins with `me`; empty for the hook table's.
        limits: The message's size is `databytes`, 0 for no limit.
        bare_newline: What to do with a CR or LF that stands alone in a message.
        size_threshold: Bytes of a message held in memory before it goes to a file.
        spool_dir: Where those files are; None for a temporary folder of our own.
        spool_perms: The mode of that folder.
        timeout: Seconds that a client may be silent, or not take what we send.
        loglevel: The gravest level is 0; lines up to this one are written.
        tls_before_auth: AUTH is offered under TLS only.
        tls_handshake_timeout: Seconds that a client has for the handshake.
        auth_results: What we are called in Authentication-Results fields.
        listen: Addresses to listen on.
        proxy_networks: Who has to say, by a PROXY header, for which client it speaks.
        proxy_timeout: Seconds that it has for that.
    """

    me: str = "localhost"
    greeting: str = ""
    limits: Limits = field(default_factory=Limits)
    bare_newline: BareNewline = "reject"
    size_threshold: int = DEFAULT_SIZE_THRESHOLD
    spool_dir: Path | None = None
    spool_perms: int = DEFAULT_SPOOL_PERMS
    timeout: float = DEFAULT_TIMEOUT
    loglevel: LogLevel = LogLevel.LOGWARN
    tls_before_auth: bool = False
    tls_handshake_timeout: float = DEFAULT_HANDSHAKE_TIMEOUT
    auth_results: str = "localhost"
    listen: tuple[str, ...] = ()
    proxy_networks: NetworkList = field(default_factory=lambda: NetworkList(()))
    proxy_timeout: float = DEFAULT_PROXY_TIMEOUT

    @classmethod
    def read(cls, config: Config) -> "Settings":
        """The settings of a config.

        Raises:
            ConfigError: One of them is wrong; file, line and what would be right are in it.
        """
        values = {name: setting.read(config) for name, setting in SETTINGS.items() if setting.host}
        me = values["me"] or platform.node() or "localhost"
        spool_dir = values["spool_dir"]
        return cls(
            me=me,
            greeting=_greeting(me, values["smtpgreeting"]),
            limits=Limits(message=values["databytes"]),
            bare_newline=values["bare_newline"],
            size_threshold=values["size_threshold"],
            spool_dir=config.resolve(spool_dir) if spool_dir else None,
            spool_perms=values["spool_perms"],
            timeout=values["timeout"],
            loglevel=values["loglevel"],
            tls_before_auth=values["tls_before_auth"],
            tls_handshake_timeout=values["tls_handshake_timeout"],
            auth_results=values["me-auth-results"] or me,
            listen=tuple(values["listen"]),
            proxy_networks=NetworkList(values["proxy_networks"]),
            proxy_timeout=values["proxy_timeout"],
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: a file of the config directory.

    Attributes:
        meaning: What it is for, in one sentence.
        parse: Reads one value; raises ValueError with a text that says what would be right.
        default: Its value where there is no file.
        shown_default: The same in words.
        several: It has any number of values, one a line; else one at most.
        taken_up_by: A change takes a reload (SIGHUP), or a restart; where neither, it holds for
            the next client.
        hook: A plugin's `hook_config` may give other values for it.
        host: The host cannot start where it is wrong; else it is the plugins' to judge.
    """

    name: str
    meaning: str
    parse: Callable[[str], Any]
    default: Any = ""
    shown_default: str = ""
    several: bool = False
    taken_up_by: Literal["", "reload", "restart"] = ""
    hook: bool = True
    host: bool = True

    def read(self, config: Config) -> Any:
        """Its value in a config; a list if it may have several.

        Raises:
            ConfigError: It is wrong, with file, line and what would be right.
        """
        if self.several:
            return config.parse_all(self.name, self.parse)
        return config.parse(self.name, self.parse, self.default)

    def problems(self, config: Config) -> list[ConfigError]:
        """All that is wrong with it, not only the first."""
        try:
            lines = config.lines(self.name)
        except ConfigError as error:
            return [error]
        found: list[ConfigError] = []
        for number, line in enumerate(lines):
            if number and not self.several:
                found.append(config.error(self.name, line, "one value expected, this is another"))
                continue
            try:
                self.parse(line.text)
            except ValueError as error:
                found.append(config.error(self.name, line, str(error)))
        return found


_HOST_NAME: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_DOMAIN: Final = re.compile(r"\.?\[?[\w:.-]{1,255}\]?")
_OCTETS: Final = re.compile(r"(?:[0-9]{1,3}\.){1,3}")
_PERMS: Final = re.compile(r"0?[0-7]{3}")


def _host_name(text: str) -> str:
    if _HOST_NAME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no host name; write one such as mx.example.com")
    return text


def _line_of_text(text: str) -> str:
    if not text.isascii() or not text.isprintable() or len(text) > MAX_GREETING:
        raise ValueError(f"{text!r:.80} is no greeting; write up to 500 printable ASCII characters")
    return text


def _greeting(me: str, text: str) -> str:
    """What follows 220: our name first (RFC 5321, 4.2), and the word ESMTP somewhere.

    >>> _greeting("mx.example.com", "hello"), _greeting("mx.example.com", "MX.example.com ESMTP")
    ('mx.example.com hello ESMTP', 'MX.example.com ESMTP')
    """
    if not text:
        return ""
    if text.split(maxsplit=1)[0].lower() != me.lower():
        text = f"{me} {text}"
    return text if re.search(r"\bESMTP\b", text) else f"{text} ESMTP"


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


def _network(text: str) -> str:
    NetworkList([text])
    return text


def _bare_newline(text: str) -> BareNewline:
    if text not in ("reject", "normalize"):
        raise ValueError(f"{text!r} is not known; write reject or normalize")
    return cast(BareNewline, text)


def _yes_or_no(text: str) -> bool:
    if text.lower() not in ("0", "1", "no", "yes"):
        raise ValueError(f"{text!r} is neither yes nor no; write 1 or 0")
    return text.lower() in ("1", "yes")


def _perms(text: str) -> int:
    if _PERMS.fullmatch(text) is None or int(text, 8) & 0o702 != 0o700:
        raise ValueError(
            f"{text!r} is no mode of a spool folder; write 0700, or 0750 for a group that may read"
        )
    return int(text, 8)


def _plugins(name: str, meaning: str) -> "Setting":
    """A setting of bundled plugins, which check it themselves when they are loaded."""
    return Setting(name, meaning, str, several=True, host=False)


_TABLE: Final = (
    Setting(
        "me",
        "The name of this host, in greetings and in our Received field.",
        _host_name,
        shown_default="what the system calls itself",
        hook=False,
    ),
    Setting(
        "plugins",
        "The plugins, in the order in which they are asked: `name[:N] word key=value`.",
        str,
        several=True,
        taken_up_by="reload",
        hook=False,
        host=False,
    ),
    Setting(
        "plugin_dirs",
        "Folders in which plugins are looked for, before the bundled and the installed ones.",
        str,
        several=True,
        taken_up_by="reload",
        hook=False,
        host=False,
    ),
    Setting(
        "listen",
        "Where to take mail: `HOST:PORT`, `[V6]:PORT` or `unix:PATH`; behind `tls:`, by TLS only.",
        _address,
        several=True,
        taken_up_by="restart",
        hook=False,
    ),
    Setting(
        "proxy_networks",
        "Proxies before this host, as in relayclients: each of their connections has to begin with"
        " a PROXY header (version 1 or 2), and the client that it names is believed.",
        _network,
        several=True,
        hook=False,
    ),
    Setting(
        "proxy_timeout",
        "Seconds that a proxy has for its PROXY header.",
        _seconds,
        DEFAULT_PROXY_TIMEOUT,
        "5",
        hook=False,
    ),
    Setting(
        "loglevel",
        "Lines up to this level are written: 0 to 7, or a name such as LOGINFO.",
        LogLevel.parse,
        LogLevel.LOGWARN,
        "LOGWARN",
        hook=False,
    ),
    Setting(
        "smtpgreeting",
        "The text of the greeting; our name is put in front of it.",
        _line_of_text,
        shown_default="ESMTP qpsdk ready",
    ),
    Setting(
        "timeout",
        "Seconds that a client may say nothing, or not take what we send.",
        _seconds,
        DEFAULT_TIMEOUT,
        "300",
    ),
    Setting(
        "databytes",
        "The largest message that is taken, in bytes; 0 for no limit.",
        _bytes,
        0,
        "0",
    ),
    Setting(
        "bare_newline",
        "What to do with a CR or LF that stands alone in a message: `reject` or `normalize`.",
        _bare_newline,
        "reject",
        "reject",
    ),
    Setting(
        "size_threshold",
        "Bytes of a message that are held in memory before it goes to a file.",
        _bytes,
        DEFAULT_SIZE_THRESHOLD,
        "65536",
    ),
    Setting(
        "spool_dir",
        "The folder for those files; a relative one begins at the config directory.",
        str,
        shown_default="a temporary folder",
        taken_up_by="reload",
        hook=False,
    ),
    Setting(
        "spool_perms",
        "The mode of that folder, in octal.",
        _perms,
        DEFAULT_SPOOL_PERMS,
        "0700",
        taken_up_by="reload",
        hook=False,
    ),
    Setting(
        "tls_before_auth",
        "1 offers AUTH under TLS only.",
        _yes_or_no,
        False,
        "0",
    ),
    Setting(
        "tls_handshake_timeout",
        "Seconds that a client has for the TLS handshake.",
        _seconds,
        DEFAULT_HANDSHAKE_TIMEOUT,
        "30",
    ),
    Setting(
        "me-auth-results",
        "What this host calls itself in Authentication-Results fields.",
        _host_name,
        shown_default="me",
    ),
    _plugins(
        "rcpthosts", "rcpt_ok: domains that we take mail for; with a leading dot, all below it."
    ),
    _plugins("morercpthosts", "rcpt_ok: more of them; qmail's habit for a long list."),
    _plugins(
        "relayclients",
        "relay: clients that may send to any domain: an address, a network, or the first of its"
        " numbers with a dot behind.",
    ),
    _plugins("morerelayclients", "relay: more of them."),
    _plugins("norelayclients", "relay: clients that may not, in spite of those two."),
    _plugins("badmailfrom", "badmailfrom: senders that are refused, each with a reason behind it."),
    _plugins("badrcptto", "badrcptto: recipients that are refused, each with a reason behind it."),
    _plugins("dnsbl_zones", "dnsbl: the lists to ask, each with a text behind a colon."),
    _plugins("dnsbl_allow", "dnsbl: clients that are not asked about."),
    _plugins("fortunes", "quit_fortune: what to say where there is no fortune program."),
    _plugins("flat_auth_pw", "auth/auth_flat_file: `user:password` on each line."),
    Setting(
        "qmail_control",
        "qmail's control directory, for settings that have no file here.",
        str,
        shown_default="none",
        hook=False,
    ),
)

SETTINGS: Final = {setting.name: setting for setting in _TABLE}
"""The table by name, the most important first."""
