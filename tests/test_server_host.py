"""The server: whom it serves."""

import asyncio
import errno
import os
import socket
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from qpsdk import DECLINED, ConfigError, Connection, Endpoint, Plugin
from qpsdk.config import Config
from qpsdk.dispatcher import Dispatcher
from qpsdk.server import admission
from qpsdk.server.host import Server, new_host


def test_a_client_without_an_address() -> None:
    """A client that has gone before it is accepted is not served where nobody knows who it was.

    On uvloop, that is: asyncio knows it from accept().
    """
    seen: list[str] = []

    class Sees(Plugin):
        def hook_connect(self, connection: Connection) -> Any:
            seen.append(connection.remote_ip)
            return DECLINED

    async def main() -> None:
        qp = new_host(Config({"me": "mx.example.com"}))
        plugins = Dispatcher([Sees()], qp.run_blocking)
        async with Server(qp, [Endpoint("127.0.0.1", 0)], dispatcher=plugins) as server:
            at = (server.endpoints[0].host, server.endpoints[0].port)
            with socket.create_connection(at) as gone:
                gone.sendall(b"EHLO a\r\nMAIL FROM:<>\r\n")
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            reader, writer = await asyncio.open_connection(*at)
            assert (await reader.readline()).startswith(b"220 ")
            writer.close()
            await writer.wait_closed()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), 20))
    assert seen == ["127.0.0.1"]


def test_the_log_after_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What concerns no client goes to the plugins of now, too, and not to those of the start."""

    looked = asyncio.Event()

    def fail() -> None:
        looked.set()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def write(**settings: str) -> None:
        for name, text in settings.items():
            (tmp_path / name).write_text(text)

    write(me="mx.example.com", plugins=f"logging/file {tmp_path}/.before", max_connections="1")
    monkeypatch.setattr(admission, "LOOK", 0.01)
    monkeypatch.setattr("qpsdk.host.RECHECK", 0.0)

    async def main() -> None:
        async with Server(new_host(Config(tmp_path)), [Endpoint("127.0.0.1", 0)]) as server:
            write(plugins=f"logging/file {tmp_path}/.now maxlevel=LOGNOTICE")
            await server.reload()
            with monkeypatch.context() as patched:
                patched.setattr(admission, "socket", SimpleNamespace(socket=fail))
                await looked.wait()
            write(databytes="1000")
            at = (server.endpoints[0].host, server.endpoints[0].port)
            first, second = [await asyncio.open_connection(*at) for _ in range(2)]
            assert (await first[0].readline()).startswith(b"220 ")
            assert (await second[0].readline()).startswith(b"421 ")
            for _, writer in (first, second):
                writer.close()
                await writer.wait_closed()

    asyncio.run(asyncio.wait_for(main(), 20))
    said = [line[24:] for line in (tmp_path / ".now").read_text().splitlines()]
    assert "LOGERROR no client can be accepted: Too many open files" in said
    assert "LOGWARN 127.0.0.1 refused: max_connections is 1" in said
    assert "LOGNOTICE the config has changed: databytes" in said


def test_a_spool_folder_that_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host does not start with it, rather than put off each larger message."""
    tmp_path.chmod(0o700)
    # Root may write anywhere, so the system's answer is made up.
    monkeypatch.setattr("qpsdk.server.loaded.os.access", lambda path, mode: path != tmp_path)

    async def main() -> None:
        qp = new_host(Config({"me": "mx.example.com", "spool_dir": str(tmp_path)}))
        async with Server(qp, [Endpoint("127.0.0.1", 0)]):
            raise AssertionError

    with pytest.raises(ConfigError, match="this user cannot write to the spool folder"):
        asyncio.run(main())
