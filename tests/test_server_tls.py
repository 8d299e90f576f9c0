"""TLS on a stream: the switch, what is dropped at it, and how each side ends; on both loops."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from qpsdk.errors import StreamError, StreamTimeoutError
from qpsdk.server.stream import READ_AHEAD, SocketStream
from qpsdk.server.tls import TLSLayer
from qpsdk.stream import TLS
from tests.certificates import Certificate, TLSPeer
from tests.slices import slicings
from tests.test_server_stream import connected, receive, reset

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Run = Callable[[Awaitable[None]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Run:
    """Run a coroutine on each kind of loop; neither has anything to complain of."""

    def run_on(coroutine: Awaitable[None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(coroutine, 20))
        assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []

    return run_on


async def starting(stream: SocketStream, context: ssl.SSLContext) -> asyncio.Task[TLS]:
    """The switch, under way: what comes from now on is taken for TLS."""
    task = asyncio.create_task(stream.start_tls(context, 5))
    await asyncio.sleep(0)
    return task


@asynccontextmanager
async def encrypted(certificate: Certificate) -> AsyncIterator[tuple[SocketStream, TLSPeer]]:
    """A stream that has started TLS, and its client."""
    async with connected() as (stream, peer):
        client = TLSPeer(peer, certificate.client_context())
        started = await starting(stream, certificate.server_context())
        await client.handshake()
        await started
        yield stream, client


def client_of(layer: TLSLayer, context: ssl.SSLContext) -> tuple[ssl.MemoryBIO, ssl.SSLObject]:
    """Lead a layer through its handshake, byte by byte."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server)
    while layer.established is None:
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        for byte in to_server.read():
            assert layer.receive(bytes([byte])) == b""
        to_client.write(layer.data_to_send())
    return to_server, client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_layer(certificate: Certificate, version: ssl.TLSVersion) -> None:
    """Records may come in any slices; what was agreed on is known after the handshake."""
    context = certificate.client_context()
    context.maximum_version = version
    records = b""
    for slices in [[b""], *slicings(b"x" * 120)]:  # as many cuts as the records have bytes
        layer = TLSLayer(certificate.server_context())
        to_server, client = client_of(layer, context)
        assert layer.established is not None
        assert layer.established.version == {"TLSv1_2": "TLSv1.2"}.get(version.name, "TLSv1.3")
        assert layer.established.cipher == (client.cipher() or ("",))[0]
        client.write(b"MAIL FROM:<a@b>\r\n")
        client.write(b"RCPT TO:<c@d>\r\n")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.unwrap()
        records = to_server.read()
        got, at = b"", 0
        for part in [len(s) for s in slices] + [len(records)]:
            got += layer.receive(records[at : at + part])
            at += part
        assert got == b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
        assert layer.ended


def test_switch(run: Run, certificate: Certificate) -> None:
    """After the switch both sides read what the other wrote, and know what was agreed on."""

    async def main() -> None:
        async with connected() as (stream, peer):
            client = TLSPeer(peer, certificate.client_context())
            peer.send(b"STARTTLS")
            assert await stream.read() == b"STARTTLS"
            stream.write(b"220 ready")
            started = await starting(stream, certificate.server_context())
            assert await receive(peer, 9) == b"220 ready"
            await client.handshake()
            assert await started == TLS("TLSv1.3", "TLS_AES_256_GCM_SHA384")
            await client.send(b"EHLO client", cut=1)
            got = b""
            while len(got) < 11:
                got += await stream.read()
            assert got == b"EHLO client"
            stream.writelines([b"250", b" mx"])
            await stream.drain()
            await stream.flush()
            assert await client.receive() == b"250 mx"

    run(main())


def test_plain_bytes_are_dropped(run: Run, certificate: Certificate) -> None:
    """What was buffered in plain before the switch is never read (RFC 3207 and its CVEs)."""

    async def main() -> None:
        async with connected() as (stream, peer):
            peer.send(b"RSET injected")
            while not stream.input_waiting:
                await asyncio.sleep(0.001)
            client = TLSPeer(peer, certificate.client_context())
            started = await starting(stream, certificate.server_context())
            await client.handshake()
            await started
            await client.send(b"EHLO")
            assert await stream.read() == b"EHLO"

    run(main())


def test_from_the_start(run: Run, certificate: Certificate) -> None:
    """Where TLS begins the connection, what came while we were not ready is the handshake."""

    async def main() -> None:
        async with connected() as (stream, peer):
            client = TLSPeer(peer, certificate.client_context())
            shaking = asyncio.ensure_future(client.handshake())
            while not stream.input_waiting:
                await asyncio.sleep(0.001)
            await stream.start_tls(certificate.server_context(), 5, from_start=True)
            await shaking
            await client.send(b"EHLO")
            assert await stream.read() == b"EHLO"

    run(main())


@pytest.mark.parametrize("early", [b"EHLO client\r\n", b"\x16\x03\x01\x00\x02\x01\x00"])
def test_no_tls_from_the_start(run: Run, certificate: Certificate, early: bytes) -> None:
    """What came before we were ready and is no handshake fails like what comes later."""

    async def main() -> None:
        async with connected() as (stream, peer):
            peer.send(early)
            while not stream.input_waiting:
                await asyncio.sleep(0.001)
            peer.shutdown(socket.SHUT_WR)
            with pytest.raises(StreamError):
                await stream.start_tls(certificate.server_context(), 5, from_start=True)

    run(main())


def test_first_command_with_the_handshake(run: Run, certificate: Certificate) -> None:
    """What comes with the client's last handshake message is not lost."""

    async def main() -> None:
        async with connected() as (stream, peer):
            started = await starting(stream, certificate.server_context())
            client = TLSPeer(peer, certificate.client_context())
            client._flush, flush = _nothing, client._flush  # type: ignore[method-assign]
            with pytest.raises(ssl.SSLWantReadError):
                client.object.do_handshake()
            await flush()
            while True:
                await client._fill()
                with contextlib.suppress(ssl.SSLWantReadError):
                    client.object.do_handshake()
                    break
            await client.send(b"EHLO client")  # the Finished goes with it
            await started
            assert await stream.read() == b"EHLO client"

    run(main())


async def _nothing() -> None:
    pass


def test_much_data(run: Run, certificate: Certificate) -> None:
    """Megabytes pass in both directions; a peer that sends more than is read is held up."""
    total = 20_000_000

    async def main() -> None:
        async with encrypted(certificate) as (stream, client):
            sending = asyncio.ensure_future(client.send(b"x" * total))
            await asyncio.sleep(0.1)
            got = len(first := await stream.read())
            assert len(first) <= READ_AHEAD + 256 * 1024
            while got < total:
                got += len(await stream.read())
            await sending
            stream.write(b"y" * total)
            draining = asyncio.ensure_future(stream.flush())
            await asyncio.sleep(0.05)
            assert not draining.done()
            while got:
                got -= len(await client.receive())
            await draining

    run(main())


def test_client_ends_its_side(run: Run, certificate: Certificate) -> None:
    """A client that said it sends nothing more still reads: what is written after that arrives."""

    async def main() -> None:
        async with encrypted(certificate) as (stream, client):
            await client.send(b"QUIT")
            await client.end()
            assert await stream.read() == b"QUIT"
            assert await stream.read() == b""
            stream.write(b"221 bye")
            assert await client.receive() == b"221 bye"
            finishing = asyncio.ensure_future(stream.finish())
            assert await client.receive() == b""
            await finishing

    run(main())


def test_nothing_is_kept_after_the_end(certificate: Certificate) -> None:
    """A client that has said it sends nothing more, and goes on, fills no memory."""
    layer = TLSLayer(certificate.server_context())
    to_server, client = client_of(layer, certificate.client_context())
    with contextlib.suppress(ssl.SSLWantReadError):
        client.unwrap()
    assert layer.receive(to_server.read()) == b""
    assert layer.ended
    for _ in range(100):
        assert layer.receive(b"x" * 1000) == b""
    assert layer._incoming.pending == 0
    assert layer.send(b"221 bye") != b""


def test_client_ends_without_a_word(run: Run, certificate: Certificate) -> None:
    """Many clients end TCP, and not TLS before it: that, too, is the end of its side."""

    async def main() -> None:
        async with encrypted(certificate) as (stream, client):
            await client.send(b"QUIT")
            client.socket.shutdown(socket.SHUT_WR)
            assert await stream.read() == b"QUIT"
            assert await stream.read() == b""
            stream.write(b"221 bye")
            assert await client.receive() == b"221 bye"

    run(main())


def test_finish_delivers_the_last_words(run: Run, certificate: Certificate) -> None:
    """A client that is still talking gets all that was said, and the end of TLS after it."""

    async def main() -> None:
        async with encrypted(certificate) as (stream, client):
            await client.send(b"unread " * 1000)
            stream.write(b"554 go away\r\n")
            finishing = asyncio.ensure_future(stream.finish())
            await client.send(b"still talking " * 100_000)
            assert await client.receive() == b"554 go away\r\n"
            assert await client.receive() == b""
            client.socket.shutdown(socket.SHUT_WR)
            await finishing

    run(main())


def test_no_tls(run: Run, certificate: Certificate) -> None:
    """A client that goes on in plain text is closed, and the stream is of no more use."""

    async def main() -> None:
        async with connected() as (stream, peer):
            lost = asyncio.Event()
            stream.on_lost(lost.set)
            started = await starting(stream, certificate.server_context())
            peer.send(b"EHLO client\r\n")
            with pytest.raises(StreamError, match=r"the TLS handshake failed: [A-Z_]+$"):
                await started
            assert lost.is_set()
            assert await receive(peer) == b""
            stream.write(b"into the void")
            with pytest.raises(StreamError):
                await stream.read()
            await stream.finish()

    run(main())


def test_no_common_version(run: Run, certificate: Certificate) -> None:
    """A client that is too old is refused, and its side is told so."""

    async def main() -> None:
        server, old = certificate.server_context(), certificate.client_context()
        server.minimum_version = ssl.TLSVersion.TLSv1_3
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        async with connected() as (stream, peer):
            started = await starting(stream, server)
            with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
                await TLSPeer(peer, old).handshake()
            with pytest.raises(StreamError, match="UNSUPPORTED_PROTOCOL"):
                await started

    run(main())


def test_handshake_time_limit(run: Run, certificate: Certificate) -> None:
    """A client that does not shake hands is given up."""

    async def main() -> None:
        async with connected() as (stream, _):
            with pytest.raises(StreamTimeoutError, match=r"no TLS handshake within 0\.1 s"):
                await stream.start_tls(certificate.server_context(), 0.1)

    run(main())


def test_a_dripped_record_is_silence(run: Run, certificate: Certificate) -> None:
    """Bytes of a record that never ends are no progress: the time limit holds as without TLS."""

    async def drip(peer: socket.socket) -> None:
        for byte in b"\x17\x03\x03\x40\x00" + bytes(1000):  # of 16 KB of data
            await asyncio.get_running_loop().sock_sendall(peer, bytes([byte]))
            await asyncio.sleep(0.05)

    async def main() -> None:
        async with encrypted(certificate) as (stream, client):
            stream.set_timeout(0.4)
            dripping = asyncio.ensure_future(drip(client.socket))
            with pytest.raises(StreamTimeoutError, match=r"no progress for 0\.4 s"):
                await stream.read()
            dripping.cancel()

    run(main())


class Answering(TLSLayer):
    """Has an answer as long as what came, as OpenSSL has to each KeyUpdate that asks for one."""

    __slots__ = ("_answer",)

    def receive(self, records: bytes) -> bytes:
        self._answer = bytes(len(records))
        return b""

    def data_to_send(self) -> bytes:
        return self._answer


def test_answers_of_tls_that_nobody_takes(run: Run, certificate: Certificate) -> None:
    """A peer that has TLS answer and takes nothing is held up, and is silent for the time limit."""
    total = 40_000_000  # more than the kernel holds

    async def main() -> None:
        async with connected(io_timeout=0.4) as (stream, peer):
            stream._tls = Answering(certificate.server_context())
            sending = asyncio.ensure_future(
                asyncio.get_running_loop().sock_sendall(peer, bytes(total))
            )
            with pytest.raises(StreamTimeoutError):
                await asyncio.wait_for(stream.read(), 10)
            assert not sending.done()
            assert stream.transport.get_write_buffer_size() < 1_000_000
            left = total
            while left:  # the peer takes it after all: all goes on
                left -= len(await receive(peer))
            await sending

    run(main())


@pytest.mark.parametrize("how", ["end", "reset", "abort"])
def test_gone_in_the_handshake(run: Run, certificate: Certificate, how: str) -> None:
    """Whoever closes the connection inside the handshake, it fails at once."""

    async def main() -> None:
        async with connected() as (stream, peer):
            started = await starting(stream, certificate.server_context())
            await asyncio.sleep(0.01)
            if how == "end":
                peer.shutdown(socket.SHUT_WR)
            elif how == "reset":
                reset(peer)
            else:
                stream.abort()
            with pytest.raises(StreamError):
                await started
            await stream.finish()

    run(main())


def test_reset_after_the_handshake(run: Run, certificate: Certificate) -> None:
    """A reset is a loss as without TLS: it calls back, writes are ignored."""

    async def main() -> None:
        async with encrypted(certificate) as (stream, client):
            lost = asyncio.Event()
            stream.on_lost(lost.set)
            reset(client.socket)
            await lost.wait()
            stream.write(b"into the void")
            with pytest.raises(StreamError):
                await stream.read()

    run(main())


def test_garbage_after_the_handshake(run: Run, certificate: Certificate) -> None:
    """Bytes that are no record break the connection; what came before them was read."""

    async def main() -> None:
        async with encrypted(certificate) as (stream, client):
            lost = asyncio.Event()
            stream.on_lost(lost.set)
            await client.send(b"NOOP")
            assert await stream.read() == b"NOOP"
            client.socket.send(b"no record at all")
            await lost.wait()
            with pytest.raises(StreamError, match=r"^TLS failed: "):
                await stream.read()
            await stream.finish()

    run(main())
