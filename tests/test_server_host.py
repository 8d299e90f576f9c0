"""The server: whom it serves."""

import asyncio
import contextlib
import errno
import os
import socket
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from qpsdk import DECLINED, ConfigError, Connection, Endpoint, Plugin, Transaction
from qpsdk.config import Config
from qpsdk.dispatcher import Dispatcher
from qpsdk.errors import SetupError
from qpsdk.server import admission
from qpsdk.server.host import Server, new_host
from qpsdk.server.listeners import Listener


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


def test_a_port_that_is_taken_meanwhile() -> None:
    """An address that was bound, but that another listens on, is told; uvloop itself would not."""
    first, second = socket.socket(), socket.socket()
    with first, second:
        for bound in (first, second):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind(("127.0.0.1", 0))
        second.bind(first.getsockname())
        first.listen()

        async def main() -> None:
            async with Server(new_host(Config({"me": "mx.example.com"})), [Listener(second)]):
                raise AssertionError

        with (
            pytest.raises(SetupError, match=r"^cannot listen on 127.0.0.1:\d+: Address already in"),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(asyncio.wait_for(main(), 20))


def test_who_comes_as_the_host_stops() -> None:
    """A client that the host does not serve any more stays in the socket, for the next one."""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        ours.setblocking(False)

        async def main() -> None:
            server = Server(new_host(Config({"me": "mx.example.com"})), [Listener(ours.dup())])
            async with server:
                # The loop finds the client in the turn in which the host stops, and right after.
                client = socket.create_connection(ours.getsockname())
                await asyncio.create_task(server.stop(0))
            with client, ours.accept()[0] as accepted:
                assert accepted.getpeername() == client.getsockname()

        asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_a_session_that_fails_at_its_end(
    loop: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its client does not wait for the rest of its days, whatever it was that failed."""

    def fail(self: Transaction) -> None:
        raise OSError("oops")

    monkeypatch.setattr(Transaction, "close", fail)

    async def main() -> None:
        async with Server(
            new_host(Config({"me": "mx.example.com"})), [Endpoint("127.0.0.1", 0)]
        ) as server:
            reader, writer = await asyncio.open_connection(*server.endpoints[0][:2])
            writer.write(b"HELO a\r\nMAIL FROM:<>\r\nQUIT\r\n")
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(main(), 20))
    assert "a session failed: OSError: oops" in caplog.text


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
