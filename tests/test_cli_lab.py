"""`qpsdk lab` on the command line: what it refuses before anything is started."""

from pathlib import Path
from typing import Any

import pytest

from qpsdk.cli.lab import lab_
from qpsdk.errors import SetupError

OPTIONS: dict[str, Any] = {
    "demo": False,
    "listen": None,
    "qmqp": "127.0.0.1:0",
    "config": None,
    "site": None,
    "http": "127.0.0.1:0",
}


def test_demo_is_alone(tmp_path: Path) -> None:
    """The demo has a host of its own: an option about another is not ignored."""
    given = OPTIONS | {"demo": True, "listen": "127.0.0.1:0", "config": tmp_path}
    with pytest.raises(SetupError, match=r"--demo .*: leave out --listen, --config$"):
        lab_(**given)


def test_listen_of_the_config(tmp_path: Path) -> None:
    """The lab listens where the host would; one address it has to be able to tell a client."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "listen").write_text("unix:run/smtp\ntls:127.0.0.1:465\n")
    with pytest.raises(SetupError, match=r"config/listen: none of these is HOST:PORT without TLS"):
        lab_(**OPTIONS | {"config": config})
