"""How a host refuses to start: with exit status 2, and one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.rig import refusal, write_config


@pytest.fixture(scope="module", autouse=True)
def loop() -> None:
    """Such a host has not begun one, so that each is tried only once."""


def test_no_config_directory(tmp_path: Path) -> None:
    """A config directory that is none is named."""
    line = refusal(tmp_path / "missing", "127.0.0.1:0")
    assert str(tmp_path / "missing") in line
    assert "config directory" in line


WRONG = {
    # name: (file, its text, line, what would be right)
    "no such plugin": ("plugins", "rcpt_ok\nqueue/qmqp_forwrd 192.0.2.1", 2, "queue/qmqp_forward"),
    "a plugin name that is none": (
        "plugins",
        "# mine\n/etc/passwd",
        2,
        "name its folder in config/plugin_dirs",
    ),
    "no argument": ("plugins", "rcpt_ok\n\nqueue/qmqp_forward", 3, "SERVER"),
    "an argument too many": ("plugins", "rcpt_ok strict", 1, "rcpt_ok"),
    "an option not known": ("plugins", "rcpt_ok strict=yes", 1, "strict"),
    "a malformed server": ("plugins", "queue/qmqp_forward a:b:c", 1, "is no QMQP server"),
    "a malformed port": ("plugins", "queue/qmqp_forward 192.0.2.1 x", 1, "'x' is no port"),
    "a port out of range": ("plugins", "queue/qmqp_forward 192.0.2.1 65536", 1, "192.0.2.1:65536"),
    "a time limit": ("plugins", "rcpt_ok timeout=soon", 1, "seconds"),
    "on_error": ("plugins", "rcpt_ok on_error=maybe", 1, "declined or denysoft"),
    "databytes": ("databytes", "10M", 1, "10485760"),
    "size_threshold": ("size_threshold", "# bytes\n-1", 2, "10485760"),
    "timeout": ("timeout", "0", 1, "300"),
    "loglevel": ("loglevel", "LOGLOUD", 1, "LOGINFO"),
    "loglevel 8": ("loglevel", "8", 1, "0 to 7"),
    "bare_newline": ("bare_newline", "maybe", 1, "reject or normalize"),
    "me": ("me", "mx example com", 1, "mx.example.com"),
    "two values": ("me", "mx.example.com\nmx.example.net", 2, "one value"),
    "listen": ("listen", "127.0.0.1:0\nnowhere", 2, "HOST:PORT"),
    "listen on a strange port": ("listen", "127.0.0.1:65536", 1, "HOST:PORT"),
}


@pytest.mark.parametrize(("name", "text", "number", "remedy"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_setting(tmp_path: Path, name: str, text: str, number: int, remedy: str) -> None:
    """Exit status 2, and one line that names file, line and what would be right."""
    config = write_config(tmp_path, {name: text})
    line = refusal(config, *(() if name == "listen" else ("127.0.0.1:0",)))
    assert f"{config / name}:{number}: " in line
    assert remedy in line


def test_a_setting_that_is_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is named, with the line."""
    (tmp_path / "rcpthosts").write_bytes(b"")
    (tmp_path / "me").write_bytes(b"# name\nm\xff\n")
    assert f"{tmp_path / 'me'}:2: " in refusal(tmp_path, "127.0.0.1:0")


def _misspelt_hook(folder: Path) -> tuple[str, str]:
    return "def hook_rctp(self, transaction, recipient, params): ...", "rcpt"


def _wrong_arguments(folder: Path) -> tuple[str, str]:
    return "def hook_rcpt(self, transaction): ...", "transaction, recipient, params"


def _no_python(folder: Path) -> tuple[str, str]:
    return "def hook_rcpt(self", "mine.py:3"


@pytest.mark.parametrize("fault", [_misspelt_hook, _wrong_arguments, _no_python])
def test_a_plugin_with_a_fault(tmp_path: Path, fault: Callable[[Path], tuple[str, str]]) -> None:
    """A plugin of one's own that cannot be loaded: the line that asks for it is named."""
    method, remedy = fault(tmp_path)
    (tmp_path / "mine.py").write_text(
        f"from qpsdk import Plugin\nclass Mine(Plugin):\n    {method}\n"
    )
    config = write_config(
        tmp_path / "config", {"plugin_dirs": str(tmp_path), "plugins": "rcpt_ok\nmine"}
    )
    line = refusal(config, "127.0.0.1:0")
    assert f"{config / 'plugins'}:2: " in line
    assert "mine" in line
    assert remedy in line


def test_a_spool_that_others_may_read(tmp_path: Path) -> None:
    """An open spool folder is refused, with what to do about it."""
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o755)
    spool.chmod(0o755)
    config = write_config(tmp_path / "config", {"spool_dir": str(spool)})
    line = refusal(config, "127.0.0.1:0")
    assert str(spool) in line
    assert "chmod 700" in line


def test_a_spool_that_cannot_be_made(tmp_path: Path) -> None:
    """A spool folder below a file is refused."""
    (tmp_path / "file").touch()
    config = write_config(tmp_path / "config", {"spool_dir": str(tmp_path / "file" / "spool")})
    assert str(tmp_path / "file" / "spool") in refusal(config, "127.0.0.1:0")


def test_a_spool_that_is_a_file(tmp_path: Path) -> None:
    """A spool "folder" that is a file is refused before mail comes."""
    (tmp_path / "file").touch(mode=0o600)
    config = write_config(tmp_path / "config", {"spool_dir": str(tmp_path / "file")})
    assert str(tmp_path / "file") in refusal(config, "127.0.0.1:0")


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1:x", "[::1", ":", "unix:"])
def test_a_malformed_address_to_listen_on(tmp_path: Path, listen: str) -> None:
    """--listen with an address that is none: what would be one is told."""
    line = refusal(write_config(tmp_path, {"me": "mx.example.com"}), listen)
    assert repr(listen) in line
    assert "HOST:PORT" in line


def test_no_address_to_listen_on(tmp_path: Path) -> None:
    """Neither --listen nor config/listen: both are named."""
    line = refusal(write_config(tmp_path, {"me": "mx.example.com"}))
    assert str(tmp_path / "listen") in line
    assert "--listen" in line
