"""The settings that the host and its bundled plugins know: one table, and their values, checked."""

import platform
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

from qpsdk import limits as host_limits
from qpsdk.config import Config
from qpsdk.constants import LogLevel
from qpsdk.errors import ConfigError
from qpsdk.lists import NetworkList
from qpsdk.smtp import limits as smtp_limits
from qpsdk.smtp.engine import BareNewline
from qpsdk.smtp.limits import Limits
from qpsdk.stream import Endpoint
from qpsdk.values import (
    full_greeting,
    read_address,
    read_bare_newline,
    read_bytes,
    read_endpoint,
    read_host_name,
    read_line_of_text,
    read_network,
    read_number,
    read_perms,
    read_positive,
    read_proxy,
    read_seconds,
    read_store,
    read_yes_or_no,
)

DEFAULT_SIZE_THRESHOLD: Final = 64 * 1024
DEFAULT_TIMEOUT: Final = 300
"""Seconds: what a server should wait for the next command (RFC 5321, 4.5.3.2.7)."""

DEFAULT_HANDSHAKE_TIMEOUT: Final = 30
"""Seconds: a handshake is a few packets, and a client that makes none holds a connection."""

DEFAULT_PROXY_TIMEOUT: Final = 5
"""Seconds: a proxy sends its header with the connection, and knows all that is in it."""


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
        store: Where state that hosts share is; empty for the spool folder, or memory without one.
        metrics: Where the metrics are served; None for nowhere.
        proxy_networks: Who has to say, by a PROXY header, for which client it speaks.
        proxy_unix: Those who connect to a unix socket have to, too.
        proxy_timeout: Seconds that it has for that.
        max_connections: Clients at a time; here and below, 0 is no limit.
        max_connections_per_address: Of one address, or IPv6 network of 64 bits.
        max_connection_rate: New ones of the same within a minute.
        max_auth_failures_per_address: Of the same, within `qpsdk.attempts.WINDOW`.
        unlimited_clients: Those whom the limits of one address do not concern.
        session_timeout: Seconds that a connection may last.
        min_data_rate: Bytes a second that a client has to bring, beyond `timeout`.
        max_forwards: Messages that queue plugins have in hand at a time.
        max_threads: Threads for what blocks.
        max_spool: Bytes of all spool files.
        min_free_disk: Bytes that spool files leave free on their disk.
    """

    me: str
    greeting: str
    limits: Limits
    bare_newline: BareNewline
    size_threshold: int
    spool_dir: Path | None
    spool_perms: int
    timeout: float
    loglevel: LogLevel
    tls_before_auth: bool
    tls_handshake_timeout: float
    auth_results: str
    listen: tuple[str, ...]
    store: str
    metrics: Endpoint | None
    proxy_networks: NetworkList
    proxy_unix: bool
    proxy_timeout: float
    max_connections: int
    max_connections_per_address: int
    max_connection_rate: int
    max_auth_failures_per_address: int
    unlimited_clients: NetworkList
    session_timeout: float
    min_data_rate: int
    max_forwards: int
    max_threads: int
    max_spool: int
    min_free_disk: int

    @classmethod
    def read(cls, config: Config) -> "Settings":
        """The settings of a config.

        Raises:
            ConfigError: One of them is wrong; file, line and what would be right are in it.
        """
        values = {name: setting.read(config) for name, setting in SETTINGS.items() if setting.host}
        me = values["me"] or platform.node() or "localhost"
        spool_dir = values["spool_dir"]
        unlimited = values["unlimited_clients"] or host_limits.UNLIMITED_CLIENTS
        read: dict[str, Any] = {
            attribute.name: values.get(attribute.name) for attribute in fields(cls)
        }
        read |= {
            "me": me,
            "greeting": full_greeting(me, values["smtpgreeting"]),
            "limits": Limits(
                message=values["databytes"],
                recipients=values["max_recipients"],
                header=values["max_header"],
                commands=values["max_commands"],
                bad_commands=values["max_bad_commands"],
                refusals=values["max_refusals"],
                failed_auth=values["max_auth_failures"],
            ),
            "spool_dir": config.resolve(spool_dir) if spool_dir else None,
            "auth_results": values["me-auth-results"] or me,
            "proxy_networks": NetworkList(p for p in values["proxy_networks"] if p != "unix:"),
            "proxy_unix": "unix:" in values["proxy_networks"],
            "unlimited_clients": NetworkList(unlimited),
            "listen": tuple(values["listen"]),
        }
        return cls(**read)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: a file of the config directory.

    Attributes:
        meaning: What it is for, in one sentence.
        parse: Reads one value; raises ValueError with a text that says what would be right.
        default: Its value where there is no file.
        default_in_words: The same, where it is not written like that.
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
    default_in_words: str = ""
    several: bool = False
    taken_up_by: Literal["", "reload", "restart"] = ""
    hook: bool = True
    host: bool = True

    @property
    def shown_default(self) -> str:
        """Its default, for people to read; empty if there is nothing to say."""
        return self.default_in_words or str(self.default)

    @property
    def taken_up(self) -> str:
        """What takes up a change, in words."""
        return self.taken_up_by or "the next client"

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


def _plugins(name: str, meaning: str) -> Setting:
    """A setting of bundled plugins, which check it themselves when they are loaded."""
    return Setting(name, meaning, str, several=True, host=False)


_TABLE: Final = (
    Setting(
        "me",
        "The name of this host, in greetings and in our Received field.",
        read_host_name,
        default_in_words="what the system calls itself",
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
        "Folders in which plugins are looked for, before the bundled and the installed ones; a"
        " relative one begins at the config directory.",
        str,
        several=True,
        taken_up_by="reload",
        hook=False,
        host=False,
    ),
    Setting(
        "listen",
        "Where to take mail: `HOST:PORT`, `[V6]:PORT` or `unix:PATH`; behind `tls:`, by TLS only.",
        read_address,
        several=True,
        taken_up_by="restart",
        hook=False,
    ),
    Setting(
        "proxy_networks",
        "Proxies before this host, as in relayclients, or `unix:` for whoever comes by a unix"
        " socket: each of their connections has to begin with a PROXY header (version 1 or 2), and"
        " the client that it names is believed.",
        read_proxy,
        several=True,
        hook=False,
    ),
    Setting(
        "proxy_timeout",
        "Seconds that a proxy has for its PROXY header.",
        read_seconds,
        DEFAULT_PROXY_TIMEOUT,
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
        read_line_of_text,
        default_in_words="ESMTP qpsdk ready",
    ),
    Setting(
        "timeout",
        "Seconds that a client may say nothing, or not take what we send.",
        read_seconds,
        DEFAULT_TIMEOUT,
    ),
    Setting(
        "databytes",
        "The largest message that is taken, in bytes; 0 for no limit.",
        read_bytes,
        0,
    ),
    Setting(
        "max_recipients",
        "Recipients of one message; RFC 5321 has a server take 100.",
        read_positive,
        smtp_limits.MAX_RECIPIENTS,
    ),
    Setting(
        "max_header",
        "Bytes of a message's header, which is held in memory.",
        read_positive,
        smtp_limits.MAX_HEADER,
    ),
    Setting(
        "max_commands",
        "Commands without a message that is taken; 0 for no limit.",
        read_number,
        smtp_limits.MAX_COMMANDS,
    ),
    Setting(
        "max_bad_commands",
        "Commands that make no sense.",
        read_positive,
        smtp_limits.MAX_BAD_COMMANDS,
    ),
    Setting(
        "max_refusals",
        "Refused commands, recipients among them, without a message that is taken; 0 for no limit.",
        read_number,
        smtp_limits.MAX_REFUSALS,
    ),
    Setting(
        "max_auth_failures",
        "Failed attempts to authenticate, of one connection.",
        read_positive,
        smtp_limits.MAX_FAILED_AUTH,
    ),
    Setting(
        "max_auth_failures_per_address",
        "Failed attempts to authenticate within 15 minutes, of one address or IPv6 /64; 0 for no"
        " limit.",
        read_number,
        host_limits.MAX_AUTH_FAILURES_PER_ADDRESS,
        hook=False,
    ),
    Setting(
        "max_connections",
        "Clients that are connected at a time; 0 for no limit.",
        read_number,
        host_limits.MAX_CONNECTIONS,
        hook=False,
    ),
    Setting(
        "max_connections_per_address",
        "Those of one address or IPv6 /64; 0 for no limit.",
        read_number,
        host_limits.MAX_CONNECTIONS_PER_ADDRESS,
        hook=False,
    ),
    Setting(
        "max_connection_rate",
        "New connections of one address or IPv6 /64 within a minute; 0 for no limit.",
        read_number,
        host_limits.MAX_CONNECTION_RATE,
        hook=False,
    ),
    Setting(
        "unlimited_clients",
        "Clients whom the limits of one address do not concern, as in relayclients.",
        read_network,
        default_in_words=", ".join(host_limits.UNLIMITED_CLIENTS),
        several=True,
        hook=False,
    ),
    Setting(
        "session_timeout",
        "Seconds that a connection may last, and as long again for a transaction that is open;"
        " 0 for no limit.",
        read_number,
        host_limits.SESSION_TIMEOUT,
    ),
    Setting(
        "min_data_rate",
        "Bytes a second that a client has to bring once a command or a message takes longer than"
        " `timeout`; 0 for any.",
        read_number,
        host_limits.MIN_DATA_RATE,
    ),
    Setting(
        "max_forwards",
        "Messages that queue plugins have in hand at a time; 0 for no limit.",
        read_number,
        host_limits.MAX_FORWARDS,
        hook=False,
    ),
    Setting(
        "max_threads",
        "Threads for hooks that block, and for what else plugins have run there.",
        read_positive,
        host_limits.MAX_THREADS,
        taken_up_by="reload",
        hook=False,
    ),
    Setting(
        "max_spool",
        "Bytes of all files of messages together; 0 for no limit.",
        read_number,
        0,
        hook=False,
    ),
    Setting(
        "min_free_disk",
        "Bytes that those files leave free on their disk.",
        read_number,
        host_limits.MIN_FREE_DISK,
        hook=False,
    ),
    Setting(
        "bare_newline",
        "What to do with a CR or LF that stands alone in a message: `reject` or `normalize`.",
        read_bare_newline,
        "reject",
    ),
    Setting(
        "size_threshold",
        "Bytes of a message that are held in memory before it goes to a file.",
        read_bytes,
        DEFAULT_SIZE_THRESHOLD,
    ),
    Setting(
        "spool_dir",
        "The folder for those files; a relative one begins at the config directory.",
        str,
        default_in_words="a temporary folder",
        taken_up_by="reload",
        hook=False,
    ),
    Setting(
        "spool_perms",
        "The mode of that folder, in octal.",
        read_perms,
        0o700,
        "0700",
        taken_up_by="reload",
        hook=False,
    ),
    Setting(
        "tls_before_auth",
        "1 offers AUTH under TLS only.",
        read_yes_or_no,
        False,
        "0",
    ),
    Setting(
        "tls_handshake_timeout",
        "Seconds that a client has for the TLS handshake.",
        read_seconds,
        DEFAULT_HANDSHAKE_TIMEOUT,
    ),
    Setting(
        "me-auth-results",
        "What this host calls itself in Authentication-Results fields.",
        read_host_name,
        default_in_words="me",
    ),
    Setting(
        "store",
        "Where state is that hosts share: `sqlite:PATH` for one machine, `redis://HOST:PORT/NUMBER`"
        " for several.",
        read_store,
        default_in_words="`store.sqlite` in `spool_dir`; without that, memory",
        taken_up_by="reload",
        hook=False,
    ),
    Setting(
        "metrics",
        "Where `/metrics` is served for Prometheus, and `/healthz`: `HOST:PORT`.",
        read_endpoint,
        None,
        "nowhere",
        taken_up_by="restart",
        hook=False,
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
    _plugins("greylisting_allow", "greylisting: clients that are never put off."),
    _plugins("ratelimit_allow", "ratelimit: clients that are not limited."),
    _plugins("fortunes", "quit_fortune: what to say where there is no fortune program."),
    _plugins("flat_auth_pw", "auth/auth_flat_file: `user:password` on each line."),
    Setting(
        "qmail_control",
        "qmail's control directory, for settings that have no file here.",
        str,
        default_in_words="none",
        hook=False,
    ),
)

SETTINGS: Final = {setting.name: setting for setting in _TABLE}
"""The table by name, the most important first."""
