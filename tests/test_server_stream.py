"""Streams on real sockets, on asyncio's loop and on uvloop."""

import asyncio
import contextlib
import gc
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import uvloop

from qpsdk import OK, Address, Parameters, Plugin, Result, Transaction
from qpsdk.errors import StreamConnectError, StreamError, StreamTimeoutError
from qpsdk.server.drive import Drive
from qpsdk.server.stream import READ_AHEAD, SocketStream, connect
from qpsdk.stream import Endpoint
from qpsdk.testing import host

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run a coroutine on each kind of loop."""

    def run_on(coroutine: Awaitable[None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(coroutine, 20))

    return run_on


@asynccontextmanager
async def connected(io_timeout: float = 10.0) -> AsyncIterator[tuple[SocketStream, socket.socket]]:
    """A stream, and the plain socket at its other end."""
    loop = asyncio.get_running_loop()
    made: asyncio.Future[SocketStream] = loop.create_future()
    server = await loop.create_server(
        lambda: SocketStream(loop, io_timeout, on_made=made.set_result), "127.0.0.1", 0
    )
    try:
        with socket.create_connection(server.sockets[0].getsockname()) as peer:
            peer.setblocking(False)
            stream = await made
            yield stream, peer
            stream.abort()
            await asyncio.sleep(0)
    finally:
        server.close()


async def receive(peer: socket.socket, size: int = 1_000_000) -> bytes:
    """The peer's next bytes."""
    return await asyncio.get_running_loop().sock_recv(peer, size)


def reset(peer: socket.socket) -> None:
    """Close so that the other side gets a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def test_read_and_write(run: Callable[[Awaitable[None]], None]) -> None:
    """What the peer sends is read, what is written arrives, and its end reads as nothing."""

    async def main() -> None:
        async with connected() as (stream, peer):
            peer.send(b"hello")
            assert await stream.read() == b"hello"
            stream.writelines([b"how", b" are"])
            stream.write(b" you")
            await stream.drain()
            await stream.flush()
            assert await receive(peer) == b"how are you"
            peer.send(b"last")
            peer.shutdown(socket.SHUT_WR)
            assert await stream.read() == b"last"
            assert await stream.read() == b""
            assert stream.input_waiting
            stream.write(b"still there")  # the peer has only ended its side
            assert await receive(peer) == b"still there"

    run(main())


def test_reset_is_a_loss(run: Callable[[Awaitable[None]], None]) -> None:
    """A reset calls back, and fails reads and drains; writes are ignored."""

    async def main() -> None:
        async with connected() as (stream, peer):
            lost = asyncio.Event()
            stream.on_lost(lost.set)
            reset(peer)
            await lost.wait()
            stream.write(b"into the void")
            with pytest.raises(StreamError):
                await stream.read()
            with pytest.raises(StreamError):
                await stream.drain()

    run(main())


def test_bytes_before_a_reset_are_read(run: Callable[[Awaitable[None]], None]) -> None:
    """What came before the connection failed is still read."""

    async def main() -> None:
        async with connected() as (stream, peer):
            lost = asyncio.Event()
            stream.on_lost(lost.set)
            peer.send(b"5:Dbusy,")
            while not stream.input_waiting:
                await asyncio.sleep(0.01)
            reset(peer)
            await lost.wait()
            assert await stream.read() == b"5:Dbusy,"
            with pytest.raises(StreamError):
                await stream.read()

    run(main())


def test_bytes_before_a_failed_write_are_read(run: Callable[[Awaitable[None]], None]) -> None:
    """What had come when a write failed is still read, though the loop did not get to it."""

    async def main() -> None:
        for _ in range(20):
            async with connected() as (stream, peer):
                peer.send(b"5:Dbusy,")
                reset(peer)
                await asyncio.sleep(0)
                with contextlib.suppress(StreamError):
                    while not stream.input_waiting:
                        stream.write(b"x" * 100_000)
                        await stream.drain(until_input=True)
                assert await stream.read() == b"5:Dbusy,"

    run(main())


def test_finish_when_the_peer_is_gone(run: Callable[[Awaitable[None]], None]) -> None:
    """To finish a connection that was reset raises nothing."""

    async def main() -> None:
        async with connected() as (stream, peer):
            reset(peer)
            await stream.finish()
            with pytest.raises(StreamError):
                await stream.flush()

    run(main())


def test_reading_pauses(run: Callable[[Awaitable[None]], None]) -> None:
    """A peer that sends more than is read is held up; nothing is lost."""
    total = 20_000_000  # more than the kernel holds

    async def main() -> None:
        async with connected() as (stream, peer):
            sending = asyncio.ensure_future(
                asyncio.get_running_loop().sock_sendall(peer, b"x" * total)
            )
            await asyncio.sleep(0.2)
            assert not sending.done()
            got = len(first := await stream.read())
            assert len(first) <= READ_AHEAD + 256 * 1024  # the loop reads that much at a time
            while got < total:
                got += len(await stream.read())
            await sending

    run(main())


def test_writing_waits(run: Callable[[Awaitable[None]], None]) -> None:
    """drain and flush wait for a slow peer; both return early for input, if asked to."""

    async def main() -> None:
        async with connected() as (stream, peer):
            stream.write(b"x" * 20_000_000)
            draining = asyncio.ensure_future(stream.drain())
            await asyncio.sleep(0.05)
            assert not draining.done()
            draining.cancel()
            await asyncio.wait([draining])
            flushing = asyncio.ensure_future(stream.flush(until_input=True))
            await asyncio.sleep(0.05)
            assert not flushing.done()
            peer.send(b"stop!")
            await flushing
            await stream.drain(until_input=True)
            assert await stream.read() == b"stop!"
            flushing = asyncio.ensure_future(stream.flush())
            left = 20_000_000
            while left:
                left -= len(await receive(peer))
            await flushing

    run(main())


def test_many_blocks_fill_the_buffer(run: Callable[[Awaitable[None]], None]) -> None:
    """Blocks written in one go count as full, as one block does: the sender waits for its peer.

    With asyncio's own `writelines` they do not, in Python 3.12 and 3.13.
    """

    async def main() -> None:
        async with connected() as (stream, _):
            stream.writelines([b"x" * 1_000_000] * 20)
            await asyncio.sleep(0)
            assert stream.full
            draining = asyncio.ensure_future(stream.drain())
            await asyncio.sleep(0.05)
            assert not draining.done()
            draining.cancel()

    run(main())


def test_a_loss_is_told_before_work_goes_on(run: Callable[[Awaitable[None]], None]) -> None:
    """Who waits for bytes hears of the loss first: what was rescued is not a client's message."""

    async def main() -> None:
        async with connected() as (stream, peer):
            order: list[str] = []
            stream.on_lost(lambda: order.append("lost"))

            async def session() -> None:
                with contextlib.suppress(StreamError):
                    await stream.read()
                order.append("goes on")

            drive = Drive(session(), lambda drive, error: None)
            stream.drive_with(drive.wake)
            drive.wake()
            reset(peer)
            while len(order) < 2:
                await asyncio.sleep(0.01)
            assert order == ["lost", "goes on"]

    run(main())


def test_a_session_that_closes_when_it_can_write(run: Callable[[Awaitable[None]], None]) -> None:
    """A session goes on once the loop has written, and not in its midst: its end is told once."""

    async def main() -> None:
        problems: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: problems.append(context)
        )
        async with connected() as (stream, peer):
            ended: list[BaseException | None] = []

            async def session() -> None:
                stream.write(b"x" * 10_000_000)
                await stream.flush()
                stream.abort()

            drive = Drive(session(), lambda drive, error: ended.append(error))
            stream.drive_with(drive.wake)
            drive.wake()
            assert stream.full
            while not ended:
                await receive(peer)
            await asyncio.sleep(0.01)
            assert ended == [None]
        assert problems == []

    run(main())


def test_input_is_seen_while_writing(run: Callable[[Awaitable[None]], None]) -> None:
    """What has come is seen before the next block, also while the kernel takes all we write."""

    async def main() -> None:
        async with connected() as (stream, peer):
            peer.send(b"stop!")
            stream.write(b"x")
            await stream.flush(until_input=True)
            assert stream.input_waiting

    run(main())


def test_other_timeout(run: Callable[[Awaitable[None]], None]) -> None:
    """The time limit may be changed once the connection stands; it counts from then on."""

    async def main() -> None:
        async with connected(io_timeout=60) as (stream, _):
            stream.set_timeout(60)
            stream.set_timeout(0.2)
            with pytest.raises(StreamTimeoutError, match=r"no progress for 0\.2 s"):
                await stream.read()
        async with connected(io_timeout=0.2) as (stream, peer):
            stream.set_timeout(60)
            asyncio.get_running_loop().call_later(0.6, peer.send, b"late")
            assert await stream.read() == b"late"

    run(main())


def test_silence_times_out(run: Callable[[Awaitable[None]], None]) -> None:
    """A peer that neither gives nor takes a byte for too long is an error, and can be told so."""

    async def main() -> None:
        async with connected(io_timeout=0.2) as (stream, peer):
            with pytest.raises(StreamTimeoutError, match=r"no progress for 0\.2 s"):
                await stream.read()
            stream.write(b"421 too slow")
            assert await receive(peer) == b"421 too slow"
            stream.write(b"x" * 20_000_000)
            with pytest.raises(StreamTimeoutError):
                await stream.drain()

    run(main())


def test_slow_progress_does_not_time_out(run: Callable[[Awaitable[None]], None]) -> None:
    """The limit is for silence, not for the whole; time in which nobody waits does not count."""

    async def main() -> None:
        async with connected(io_timeout=1.0) as (stream, peer):
            for _ in range(6):
                asyncio.get_running_loop().call_later(0.2, peer.send, b"x")
                assert await stream.read() == b"x"
            await asyncio.sleep(1.1)
            asyncio.get_running_loop().call_later(0.1, peer.send, b"y")
            assert await stream.read() == b"y"

    run(main())


def test_finish_delivers_the_last_words(run: Callable[[Awaitable[None]], None]) -> None:
    """A connection closed with input unread is not reset: the peer gets all that was said."""

    async def main() -> None:
        async with connected() as (stream, peer):
            loop = asyncio.get_running_loop()
            peer.send(b"unread " * 1000)
            stream.write(b"554 go away\r\n")
            finishing = asyncio.ensure_future(stream.finish())
            await loop.sock_sendall(peer, b"still talking " * 100_000)
            said = b""
            while data := await receive(peer):
                said += data
            assert said == b"554 go away\r\n"
            peer.shutdown(socket.SHUT_WR)
            await finishing

    run(main())


def test_connect(run: Callable[[Awaitable[None]], None], tmp_path: Path) -> None:
    """Connects to names, addresses and unix sockets."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "socket")
        greeted: list[SocketStream] = []

        def greet(stream: SocketStream) -> None:
            greeted.append(stream)
            stream.write(b"hi")

        def greeting() -> SocketStream:
            return SocketStream(loop, 5, on_made=greet)

        tcp = await loop.create_server(greeting, "127.0.0.1", 0)
        unix = await loop.create_unix_server(greeting, path)
        port = tcp.sockets[0].getsockname()[1]
        for endpoint in (
            Endpoint("127.0.0.1", port),
            Endpoint("localhost", port),
            Endpoint(path=path),
        ):
            stream = await connect(endpoint, connect_timeout=5, io_timeout=5, session_timeout=5)
            assert await stream.read() == b"hi"
            stream.abort()
            greeted.pop().abort()
        tcp.close()
        unix.close()
        with pytest.raises(StreamConnectError, match="cannot connect"):
            await connect(Endpoint("127.0.0.1", port), connect_timeout=5, io_timeout=5)
        with pytest.raises(StreamConnectError, match="cannot connect"):
            await connect(Endpoint(path=path + "x"), connect_timeout=5, io_timeout=5)

    run(main())


@pytest.mark.parametrize("turns", range(6))
def test_connect_called_off(run: Callable[[Awaitable[None]], None], turns: int) -> None:
    """A connection that is called off leaves nothing behind, at whichever moment of its making."""

    def streams() -> int:
        gc.collect()
        return sum(isinstance(thing, SocketStream) for thing in gc.get_objects())

    async def main() -> None:
        before = streams()
        with socket.create_server(("127.0.0.1", 0)) as server:
            there = Endpoint("127.0.0.1", server.getsockname()[1])
            for _ in range(3):
                connecting = asyncio.create_task(
                    connect(there, connect_timeout=10, io_timeout=100, session_timeout=100)
                )
                for _ in range(turns):
                    await asyncio.sleep(0)
                connecting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    (await connecting).abort()
            del connecting
            for _ in range(5):
                await asyncio.sleep(0)
        assert streams() == before

    run(main())


@contextmanager
def full_server() -> Iterator[Endpoint]:
    """Where a connection is begun and never made: those who wait there already are too many."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        yield Endpoint(*full.getsockname())


def test_connect_times_out(run: Callable[[Awaitable[None]], None]) -> None:
    """A server that does not take the connection is given up."""

    async def main() -> None:
        refused = pytest.raises(StreamConnectError, match=r"no connection within 0\.2 s")
        with full_server() as endpoint, refused:
            await connect(endpoint, connect_timeout=0.2, io_timeout=5)

    run(main())


@pytest.mark.parametrize("share", [0.9, 1.1], ids=["first", "later"])
def test_connect_within_a_limit_of_the_same_length(
    run: Callable[[Awaitable[None]], None], share: float
) -> None:
    """A limit around it that is over in the same turn of the loop counts, as the outer one."""

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        with full_server() as endpoint:
            # Others hold the loop, until both are over.
            asyncio.get_running_loop().call_later(0.05, time.sleep, 0.1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1 * share):
                    await connect(endpoint, connect_timeout=0.1, io_timeout=5)
            assert task.cancelling() == 0

    run(main())


def test_session_limit_set_later(run: Callable[[Awaitable[None]], None]) -> None:
    """That time may be set when the connection stands, and counts from then."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            endpoint = Endpoint(*listener.getsockname())
            stream = await connect(endpoint, connect_timeout=5, io_timeout=5)
            stream.set_timeout(5, 0.2)
            with pytest.raises(StreamTimeoutError, match="whole session"):
                await stream.read()
            stream.abort()

    run(main())


def test_session_limit(run: Callable[[Awaitable[None]], None]) -> None:
    """The time for the whole session ends it, progress or not."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stream = await connect(
                Endpoint(*listener.getsockname()),
                connect_timeout=5,
                io_timeout=5,
                session_timeout=0.2,
            )
            with pytest.raises(StreamTimeoutError, match="whole session"):
                await stream.read()
            with pytest.raises(StreamTimeoutError):
                await stream.read()
            stream.abort()
            await asyncio.sleep(0.01)

    run(main())


def test_finish_when_the_time_is_over(run: Callable[[Awaitable[None]], None]) -> None:
    """A connection whose time is over is closed, and not only forgotten."""

    async def main() -> None:
        async with connected() as (stream, peer):
            stream.set_timeout(5, 0.05)
            with pytest.raises(StreamTimeoutError, match="whole session"):
                await stream.read()
            await stream.finish()
            assert await receive(peer) == b""

    run(main())


@pytest.mark.parametrize("behind", [b"", b"QUIT\r\n"])
def test_session_limit_while_a_plugin_works(
    run: Callable[[Awaitable[None]], None], behind: bytes
) -> None:
    """A message that was taken is answered though the time is over meanwhile; then it ends."""

    class Slow(Plugin):
        def hook_rcpt(
            self, transaction: Transaction, recipient: Address, params: Parameters
        ) -> Result:
            return OK

        async def hook_queue(self, transaction: Transaction) -> Result:
            await asyncio.sleep(4)  # the stream's limit: twice the session's, and the timeout
            return OK, "Taken"

    async def main() -> None:
        async with host(Slow(), config={"timeout": "1", "session_timeout": "1"}) as at:
            reader, writer = await asyncio.open_connection(at.host, at.port)
            writer.write(
                b"HELO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n"
                b"DATA\r\nhi\r\n.\r\n" + behind
            )
            async with asyncio.timeout(10):
                said = await reader.read()
            assert b"\r\n250 2.0.0 Taken\r\n" in said
            writer.close()

    run(main())
