"""The process of a host: what a reload may do to it."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from qpsdk import Endpoint
from qpsdk.config import Config
from qpsdk.server.host import Server, new_host
from qpsdk.server.notify import Notifier
from qpsdk.server.process import _reload, _run


def test_a_reload_that_crashes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong in a reload is logged and told, and those who are here are served on."""

    async def crash(server: Server) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(Server, "reload", crash)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = Server(new_host(Config({"me": "mx.example.com"})), [])
        asyncio.run(_reload(server, Notifier(ours)))
        told = theirs.recv(10_000).decode()
    assert told.endswith("STATUS=serving as before: KeyError: 'oops'\nX_QPSDK_KEPT=1\nREADY=1\n")
    assert "not reloaded: KeyError: 'oops'" in caplog.text


@pytest.mark.parametrize(("user", "worker", "told"), [(0, 0, 1), (0, 1, 0), (1000, 0, 0)])
def test_root(  # noqa: PLR0917 - three of them are fixtures
    user: int,
    worker: int,
    told: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A host that runs as root says at its start that it should not; one worker does."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    config = Config({"me": "mx.example.com", "spool_dir": str(tmp_path / "spool")})

    def stop(_: Endpoint) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    at = [Endpoint("127.0.0.1", 0)]
    asyncio.run(asyncio.wait_for(_run(config, at, stop, Notifier(), None, worker=worker), 20))
    assert caplog.text.count("runs as root, and so does each plugin") == told
