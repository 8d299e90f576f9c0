"""The settings: what each file may say, and what is told when it is wrong."""

import platform
from pathlib import Path
from typing import Any

import pytest

import qpsdk.plugins
from qpsdk import ConfigError, Endpoint, LogLevel, NetworkList
from qpsdk.config import Config
from qpsdk.settings import SETTINGS, Settings
from qpsdk.smtp.limits import Limits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty config directory."""
    path = tmp_path / "config"
    path.mkdir()
    return path


def test_defaults() -> None:
    """Without any file: no limit of size, bare newlines refused, warnings logged."""
    assert Settings.read(Config({})) == Settings(
        me=platform.node() or "localhost",
        greeting="",
        limits=Limits(message=0),
        bare_newline="reject",
        size_threshold=65536,
        spool_dir=None,
        spool_perms=0o700,
        timeout=300.0,
        loglevel=LogLevel.LOGWARN,
        tls_before_auth=False,
        tls_handshake_timeout=30.0,
        auth_results=platform.node() or "localhost",
        listen=(),
        store="",
        metrics=None,
        proxy_networks=NetworkList([]),
        proxy_unix=False,
        proxy_timeout=5.0,
        max_connections=10_000,
        max_connections_per_address=50,
        max_connection_rate=0,
        max_auth_failures_per_address=30,
        unlimited_clients=NetworkList(["127.0.0.1", "::1"]),
        session_timeout=3600.0,
        min_data_rate=500,
        max_forwards=200,
        max_threads=32,
        max_spool=0,
        min_free_disk=67_108_864,
    )


VALUES = [
    # name, text, attribute, value
    ("me", "mx.example.com", "me", "mx.example.com"),
    ("me", "[192.0.2.1]", "me", "[192.0.2.1]"),
    ("me", "[IPv6:2001:db8::1]", "me", "[IPv6:2001:db8::1]"),
    ("databytes", "0", "limits", Limits(message=0)),
    ("databytes", "10485760", "limits", Limits(message=10485760)),
    ("bare_newline", "reject", "bare_newline", "reject"),
    ("bare_newline", "normalize", "bare_newline", "normalize"),
    ("size_threshold", "0", "size_threshold", 0),
    ("spool_dir", "/var/spool/x y", "spool_dir", Path("/var/spool/x y")),
    ("proxy_networks", "192.0.2.0/24", "proxy_networks", NetworkList(["192.0.2."])),
    ("proxy_networks", "192.0.2.0/24\nunix:", "proxy_networks", NetworkList(["192.0.2."])),
    ("proxy_networks", "unix:", "proxy_unix", True),
    ("proxy_timeout", "3", "proxy_timeout", 3.0),
    ("timeout", "20", "timeout", 20.0),
    ("spool_perms", "0750", "spool_perms", 0o750),
    ("spool_perms", "700", "spool_perms", 0o700),
    ("tls_before_auth", "1", "tls_before_auth", True),
    ("tls_before_auth", "no", "tls_before_auth", False),
    ("me-auth-results", "auth.example.com", "auth_results", "auth.example.com"),
    ("store", "sqlite:state.db", "store", "sqlite:state.db"),
    ("store", "redis://:pw@127.0.0.1:6379/1", "store", "redis://:pw@127.0.0.1:6379/1"),
    ("metrics", "127.0.0.1:9100", "metrics", Endpoint("127.0.0.1", 9100)),
    ("metrics", "[::1]:9100", "metrics", Endpoint("::1", 9100)),
    ("loglevel", "0", "loglevel", LogLevel.LOGEMERG),
    ("loglevel", "7", "loglevel", LogLevel.LOGDEBUG),
    ("loglevel", "LOGINFO", "loglevel", LogLevel.LOGINFO),
    ("loglevel", "notice", "loglevel", LogLevel.LOGNOTICE),
    (
        "listen",
        "127.0.0.1:25\n[::1]:25\nunix:/x",
        "listen",
        ("127.0.0.1:25", "[::1]:25", "unix:/x"),
    ),
    ("listen", "tls:[::]:465", "listen", ("tls:[::]:465",)),
    ("tls_handshake_timeout", "7", "tls_handshake_timeout", 7.0),
    ("max_recipients", "100", "limits", Limits(recipients=100)),
    ("max_header", "102400", "limits", Limits(header=102_400)),
    ("max_commands", "0", "limits", Limits(commands=0)),
    ("max_bad_commands", "5", "limits", Limits(bad_commands=5)),
    ("max_refusals", "20", "limits", Limits(refusals=20)),
    ("max_auth_failures", "1", "limits", Limits(failed_auth=1)),
    ("max_auth_failures_per_address", "0", "max_auth_failures_per_address", 0),
    ("max_connections", "500", "max_connections", 500),
    ("max_connections_per_address", "0", "max_connections_per_address", 0),
    ("max_connection_rate", "30", "max_connection_rate", 30),
    ("unlimited_clients", "192.0.2.\n::1", "unlimited_clients", NetworkList(["192.0.2.", "::1"])),
    ("session_timeout", "60", "session_timeout", 60.0),
    ("min_data_rate", "0", "min_data_rate", 0),
    ("max_forwards", "20", "max_forwards", 20),
    ("max_threads", "1", "max_threads", 1),
    ("max_spool", "1000000000", "max_spool", 1_000_000_000),
    ("min_free_disk", "0", "min_free_disk", 0),
]


@pytest.mark.parametrize(("name", "text", "attribute", "value"), VALUES)
def test_setting(name: str, text: str, attribute: str, value: Any) -> None:
    """Each setting is read from the file of its name."""
    assert getattr(Settings.read(Config({name: text})), attribute) == value


NUMBER = "is no number; write one such as 100, or 0 for no limit"
POSITIVE = "is no number of at least 1; write one such as 100"
HOST = "is no host name; write one such as mx.example.com"
BYTES = "is no number of bytes; write one such as 10485760"
SECONDS = "is no number of seconds; write one such as 300"
LEVEL = "is no log level; write 0 to 7, or a name such as LOGINFO"
PERMS = "is no mode of a spool folder; write 0700, or 0750 for a group that may read"
GREETING = "is no greeting; write up to 500 printable ASCII characters"
ADDRESS = "is no address; write HOST:PORT, [V6]:PORT or unix:PATH"
METRICS = "is no address; write one such as 127.0.0.1:9100"

DIGITS = "is too large; write 15 digits at most"

WRONG = [
    ("me", "my host", HOST),
    ("me", "mx;example", HOST),
    ("me", "bücher.example", HOST),
    ("me", "a" * 256, HOST),
    ("databytes", "10M", BYTES),
    ("databytes", "-1", BYTES),
    ("session_timeout", "9" * 16, DIGITS),
    ("max_commands", "1" * 400, DIGITS),
    ("max_recipients", "1" * 400, DIGITS),
    ("databytes", "1" * 400, DIGITS),
    ("timeout", "1" * 400, DIGITS),
    ("databytes", "\u00b2", BYTES),
    ("size_threshold", "64k", BYTES),
    ("bare_newline", "Reject", "is not known; write reject or normalize"),
    ("proxy_timeout", "0", SECONDS),
    ("timeout", "0", SECONDS),
    ("timeout", "5 min", SECONDS),
    ("timeout", "1.5", SECONDS),
    ("loglevel", "8", LEVEL),
    ("loglevel", "-1", LEVEL),
    ("loglevel", "LOGLOUD", LEVEL),
    ("spool_perms", "7777", PERMS),
    ("spool_perms", "0600", PERMS),
    ("spool_perms", "0702", PERMS),
    ("spool_perms", "rwx", PERMS),
    ("tls_before_auth", "maybe", "is neither yes nor no; write 1 or 0"),
    ("me-auth-results", "two words", HOST),
    ("smtpgreeting", "gr\xfc\xdf Gott", GREETING),
    ("smtpgreeting", "one\ttwo", GREETING),
    ("listen", "127.0.0.1", ADDRESS),
    ("listen", "127.0.0.1:99999", ADDRESS),
    ("tls_handshake_timeout", "0", SECONDS),
    ("max_connections", "-1", NUMBER),
    ("max_connections", "many", NUMBER),
    ("session_timeout", "1.5", NUMBER),
    ("max_threads", "0", POSITIVE),
    ("max_recipients", "0", POSITIVE),
    ("max_header", "64k", POSITIVE),
    ("metrics", "9100", METRICS),
    ("metrics", "unix:/run/metrics", METRICS),
]


@pytest.mark.parametrize(("name", "text", "text_of_error"), WRONG)
def test_wrong_setting(name: str, text: str, text_of_error: str, folder: Path) -> None:
    """A wrong value is refused with file, line, and what would be right."""
    (folder / name).write_text(f"# a comment\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refusal:
        Settings.read(Config(folder))
    assert str(refusal.value) == f"{folder}/{name}:2: {text!r} {text_of_error}"


def test_second_listener_wrong() -> None:
    """Of several addresses the wrong one is named with its line."""
    with pytest.raises(ConfigError, match=r"^config/listen:2: 'nowhere'"):
        Settings.read(Config({"listen": "127.0.0.1:25\nnowhere"}))


@pytest.mark.parametrize(
    "name",
    ["me", "databytes", "bare_newline", "size_threshold", "spool_dir", "timeout", "loglevel"],
)
def test_each_has_one_value(name: str) -> None:
    """Each of them but `listen` takes one value."""
    with pytest.raises(ConfigError, match=f"^config/{name}:2: one value expected"):
        Settings.read(Config({name: {"me": "a", "bare_newline": "reject"}.get(name, "1") + "\n1"}))


def test_relative_paths(tmp_path: Path) -> None:
    """A relative path in a setting begins at the config directory, wherever the host is started."""
    (tmp_path / "spool_dir").write_text("spool\n")
    assert Settings.read(Config(tmp_path)).spool_dir == tmp_path / "spool"
    assert Config(tmp_path).resolve("/var/spool/qpsdk") == Path("/var/spool/qpsdk")


def test_place_of_settings_in_memory() -> None:
    """Settings that are no files are told as if they were."""
    with pytest.raises(ConfigError, match=r"^config/databytes:2: 'x' is no number of bytes"):
        Settings.read(Config({"databytes": "\nx"}))


@pytest.mark.parametrize(
    ("text", "greeting"),
    [
        ("", ""),
        ("ESMTP at your service", "mx.example.com ESMTP at your service"),
        ("Willkommen", "mx.example.com Willkommen ESMTP"),
        ("mx.example.com ESMTP", "mx.example.com ESMTP"),
        ("MX.Example.com here", "MX.Example.com here ESMTP"),
        ("mx.example.community", "mx.example.com mx.example.community ESMTP"),
        ("NOESMTPHERE", "mx.example.com NOESMTPHERE ESMTP"),
    ],
)
def test_greeting(text: str, greeting: str) -> None:
    """A greeting begins with our name (RFC 5321, 4.2), and says ESMTP; without one it is empty."""
    assert (
        Settings.read(Config({"me": "mx.example.com", "smtpgreeting": text})).greeting == greeting
    )


def test_name_in_authentication_results() -> None:
    """In Authentication-Results we are called `me` where nothing else is said."""
    assert Settings.read(Config({"me": "mx.example.com"})).auth_results == "mx.example.com"


# The table


def test_table() -> None:
    """The settings, which take a reload or a restart, which are out of hook_config's reach."""
    assert list(SETTINGS) == [
        "me",
        "plugins",
        "plugin_dirs",
        "listen",
        "proxy_networks",
        "proxy_timeout",
        "loglevel",
        "smtpgreeting",
        "timeout",
        "databytes",
        "max_recipients",
        "max_header",
        "max_commands",
        "max_bad_commands",
        "max_refusals",
        "max_auth_failures",
        "max_auth_failures_per_address",
        "max_connections",
        "max_connections_per_address",
        "max_connection_rate",
        "unlimited_clients",
        "session_timeout",
        "min_data_rate",
        "max_forwards",
        "max_threads",
        "max_spool",
        "min_free_disk",
        "bare_newline",
        "size_threshold",
        "spool_dir",
        "spool_perms",
        "tls_before_auth",
        "tls_handshake_timeout",
        "me-auth-results",
        "store",
        "metrics",
        "rcpthosts",
        "morercpthosts",
        "relayclients",
        "morerelayclients",
        "norelayclients",
        "badmailfrom",
        "badrcptto",
        "dnsbl_zones",
        "dnsbl_allow",
        "greylisting_allow",
        "ratelimit_allow",
        "fortunes",
        "flat_auth_pw",
        "qmail_control",
    ]
    assert {name: row.taken_up_by for name, row in SETTINGS.items() if row.taken_up_by} == {
        "plugins": "reload",
        "plugin_dirs": "reload",
        "listen": "restart",
        "max_threads": "reload",
        "spool_dir": "reload",
        "store": "reload",
        "metrics": "restart",
        "spool_perms": "reload",
    }
    assert {name for name, setting in SETTINGS.items() if not setting.hook} == {
        "me",
        "plugins",
        "plugin_dirs",
        "listen",
        "proxy_networks",
        "proxy_timeout",
        "loglevel",
        "spool_dir",
        "spool_perms",
        "store",
        "metrics",
        "qmail_control",
        "max_auth_failures_per_address",
        "max_connections",
        "max_connections_per_address",
        "max_connection_rate",
        "unlimited_clients",
        "max_forwards",
        "max_threads",
        "max_spool",
        "min_free_disk",
    }


@pytest.mark.parametrize("name", list(SETTINGS))
def test_row(name: str) -> None:
    """A row is a sentence; where it shows a value as the default, that value gives the default."""
    setting = SETTINGS[name]
    assert setting.name == name
    assert setting.meaning.endswith(".")
    assert "\n" not in setting.meaning
    if setting.default:
        assert setting.parse(setting.shown_default) == setting.default


@pytest.mark.parametrize(
    "name", [name for name, row in SETTINGS.items() if not row.host and not row.taken_up_by]
)
def test_row_of_plugins(name: str) -> None:
    """A row of a plugin's setting names the plugins that read it, and no other."""
    folder = Path(qpsdk.plugins.__file__ or "").parent
    readers = {
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*.py")
        if f'"{name}"' in path.read_text()
    }
    assert set(SETTINGS[name].meaning.partition(": ")[0].split(", ")) == readers


def test_problems() -> None:
    """Of a setting all is told that is wrong, not only the first."""
    config = Config({"listen": "x\n127.0.0.1:25\ny", "me": "a\nb c\nd"})
    assert [str(p).partition(";")[0] for p in SETTINGS["listen"].problems(config)] == [
        "config/listen:1: 'x' is no address",
        "config/listen:3: 'y' is no address",
    ]
    assert [str(p) for p in SETTINGS["me"].problems(config)] == [
        "config/me:2: one value expected, this is another",
        "config/me:3: one value expected, this is another",
    ]
    assert SETTINGS["databytes"].problems(config) == []
