"""The process of a host: what a reload may do to it."""

import asyncio
import socket

import pytest

from qpsdk.config import Config
from qpsdk.server.host import Server, new_host
from qpsdk.server.notify import Notifier
from qpsdk.server.process import _reload


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
