"""`qpsdk.qmqp.send`: one message from a script, whatever it is in."""

import asyncio
import contextlib
import io
import os
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import Address, Endpoint, QMQPUnconfirmedError, StreamError, qmqp
from qpsdk.errors import QMQPBodyError, QMQPEnvelopeError, StreamConnectError, StreamTimeoutError
from qpsdk.qmqp import Response, Verdict
from qpsdk.testing import FakeQMQPServer, MemoryStream, pipe

MESSAGE = b"Subject: hi\r\n\r\nhello\r\nbare\rCR\r\n.dot\r\nno end"
LF_MESSAGE = b"Subject: hi\n\nhello\nbare\rCR\n.dot\nno end\n"
TO = b"b@example.com"


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run, but not for ever."""
    return asyncio.run(asyncio.wait_for(main, 20))


def sent(message: Any, sender: Any = "", recipients: Any = TO, **options: Any) -> Any:
    """Send to a fake server; what it took."""

    async def main() -> None:
        fake = FakeQMQPServer()
        response = await qmqp.send(
            "192.0.2.1", message, sender, recipients, connect=fake.connect, **options
        )
        assert response.verdict is Verdict.ACCEPTED
        taken.extend(fake.messages)

    taken: list[Any] = []
    run(main())
    return taken.pop()


def test_bytes() -> None:
    """A message of bytes arrives with LF line ends, the last one included."""
    assert sent(MESSAGE).message == LF_MESSAGE


def test_path(tmp_path: Path) -> None:
    """So does the file of a path."""
    path = tmp_path / "message"
    path.write_bytes(MESSAGE)
    assert sent(path).message == LF_MESSAGE


def test_file(tmp_path: Path) -> None:
    """So does an open file, from where it stands; it stays open."""
    path = tmp_path / "message"
    path.write_bytes(b"From the mailbox\n" + MESSAGE)
    with path.open("rb") as file:
        file.readline()
        assert sent(file).message == LF_MESSAGE
        assert not file.closed
    assert sent(io.BytesIO(MESSAGE)).message == LF_MESSAGE


@pytest.mark.parametrize("count", [1, 60_000])
def test_pipe(count: int) -> None:
    """So does what can be read only once, whatever its size."""
    ours, theirs = os.pipe()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), open(theirs, "wb") as file:
            file.write(MESSAGE * count)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with open(ours, "rb") as file:
            message = sent(file).message
    finally:
        writer.join(20)
    assert message == (MESSAGE * count).replace(b"\r\n", b"\n") + b"\n"


def test_path_of_a_pipe(tmp_path: Path) -> None:
    """So does what a path names that can be read only once."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(MESSAGE,))
    writer.start()
    try:
        assert sent(path).message == LF_MESSAGE
    finally:
        writer.join(20)


def test_text_is_no_message() -> None:
    """A str is refused: it could be meant as a path or as a message."""
    with pytest.raises(TypeError, match=r"a message is bytes, a path .*, not 'Subject: hi"):
        run(qmqp.send("192.0.2.1", "Subject: hi\n", "", TO))  # type: ignore[arg-type]


@given(st.lists(st.sampled_from([b"a" * 70, b"\r\n", b"\r", b"\n", b"\xff\0", b"x" * 65_000])))
def test_any_message(parts: list[bytes]) -> None:
    """The length is right for any message, also where a CRLF is cut by the end of a block."""
    message = b"".join(parts)
    expected = message.replace(b"\r\n", b"\n")
    if expected and not expected.endswith(b"\n"):
        expected += b"\n"
    assert sent(message).message == expected


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("", b""),
        ("<>", b""),
        ("a@example.org", b"a@example.org"),
        (b"<a@example.org>", b"a@example.org"),
        (Address.parse("<a@example.org>"), b"a@example.org"),
        (Address.parse("<>"), b""),
        ("list-@example.org-@[]", b"list-@example.org-@[]"),
        (Address.parse(r'"a \"b\""@example.org'), b'a "b"@example.org'),
        ('"a b"@example.org', b'"a b"@example.org'),
    ],
)
def test_sender(sender: Any, expected: bytes) -> None:
    """An address is text, bytes or an Address, which loses its quotes; brackets fall off."""
    assert sent(b"", sender).sender == expected


@pytest.mark.parametrize(
    ("recipients", "expected"),
    [
        ("b@example.com", (b"b@example.com",)),
        (b"<b@example.com>", (b"b@example.com",)),
        (Address.parse("b@example.com"), (b"b@example.com",)),
        (["b@x", b"c@x", Address.parse("d@x"), "b@x"], (b"b@x", b"c@x", b"d@x", b"b@x")),
        (("b@x",), (b"b@x",)),
    ],
)
def test_recipients(recipients: Any, expected: tuple[bytes, ...]) -> None:
    """Recipients are one or several, and keep their order."""
    assert sent(b"", "", recipients).recipients == expected


def test_smtputf8() -> None:
    """Addresses beyond ASCII are for those who say that they mean it."""
    taken = sent(b"", "ä@example.org", "ö@example.com", smtputf8=True)
    assert taken.sender == b"\xc3\xa4@example.org"
    assert taken.recipients == (b"\xc3\xb6@example.com",)
    with pytest.raises(QMQPEnvelopeError, match="needs SMTPUTF8"):
        sent(b"", "ä@example.org")


async def nowhere(endpoint: Endpoint, /, **limits: Any) -> Any:
    """Fail the test: nothing was to be connected to."""
    raise AssertionError("it connected")


@pytest.mark.parametrize(
    "recipients", [[], "", [""], ["b@x", b""], ["b\0@x"], ["b@x\n"], ["b" * 1000]]
)
def test_envelope_that_qmqp_cannot_carry(recipients: Any) -> None:
    """What QMQP cannot carry is refused before anything is connected to."""
    with pytest.raises(QMQPEnvelopeError):
        run(qmqp.send("192.0.2.1", b"", "", recipients, connect=nowhere))


@pytest.mark.parametrize(
    "options",
    [
        {"server": "a:b:c"},
        {"server": ""},
        {"server": "a,b"},
        {"connect_timeout": 0},
        {"io_timeout": -1},
        {"session_timeout": 3601},
    ],
)
def test_wrong_arguments(options: Any) -> None:
    """A server or a limit that is none is a ValueError, before anything is connected to."""
    arguments = {"server": "192.0.2.1", "connect": nowhere} | options
    with pytest.raises(ValueError):
        run(qmqp.send(message=b"", sender="", recipients=TO, **arguments))


def test_no_such_file(tmp_path: Path) -> None:
    """A file that cannot be read is the OSError that it is."""
    with pytest.raises(FileNotFoundError):
        run(qmqp.send("192.0.2.1", tmp_path / "none", "", TO, connect=nowhere))


@pytest.mark.parametrize(
    ("server", "endpoint"),
    [
        ("q.example.com", Endpoint("q.example.com", 628)),
        ("[::1]:6280", Endpoint("::1", 6280)),
        ("unix:/run/qmqp", Endpoint(path="/run/qmqp")),
        (Endpoint("q.example.com", 25), Endpoint("q.example.com", 25)),
    ],
)
def test_server_and_limits(server: Any, endpoint: Endpoint) -> None:
    """Server and limits reach the connection; the limits are 10, 60 and 3600 seconds."""
    seen: list[Any] = []

    async def connect(endpoint: Endpoint, /, **limits: Any) -> Any:
        seen.append((endpoint, *limits.items()))
        raise StreamConnectError("no")

    for limits in ({}, {"connect_timeout": 1.5, "io_timeout": 2, "session_timeout": 3}):
        with pytest.raises(StreamConnectError):
            run(qmqp.send(server, b"", "", TO, connect=connect, **limits))  # type: ignore[arg-type]
    assert seen == [
        (endpoint, ("connect_timeout", 10), ("io_timeout", 60), ("session_timeout", 3600)),
        (endpoint, ("connect_timeout", 1.5), ("io_timeout", 2), ("session_timeout", 3)),
    ]


@pytest.mark.parametrize("change", [b"", b"short", MESSAGE + b"more"])
@pytest.mark.parametrize("count", [1, 10_000])
def test_a_file_that_changes(tmp_path: Path, change: bytes, count: int) -> None:
    """A file that changes after it was measured is never sent as a whole package."""
    path = tmp_path / "message"
    path.write_bytes(MESSAGE * count)
    raw = bytearray()

    async def serve(stream: MemoryStream) -> None:
        try:
            while data := await stream.read():
                raw.extend(data)
        except StreamError:
            pass

    async def main() -> None:
        serving = []

        async def connect(endpoint: Endpoint, /, **limits: Any) -> MemoryStream:
            path.write_bytes(change * count)
            ours, theirs = pipe()
            serving.append(asyncio.ensure_future(serve(theirs)))
            return ours

        with pytest.raises(QMQPBodyError, match="were announced"):
            await qmqp.send("192.0.2.1", path, "", TO, connect=connect)
        await serving[0]

    run(main())
    decoder = qmqp.PackageDecoder()
    assert decoder.feed(bytes(raw)) is None


def test_the_stream_is_closed() -> None:
    """Whatever happens, the connection is closed at the end."""
    for answer in (b"3:Kok,", b"nothing like it"):

        async def main(answer: bytes = answer) -> None:
            ours, theirs = pipe()

            async def connect(endpoint: Endpoint, /, **limits: Any) -> MemoryStream:
                theirs.write(answer)
                return ours

            try:
                await qmqp.send("192.0.2.1", MESSAGE, "", TO, connect=connect)
            except QMQPUnconfirmedError:
                assert answer != b"3:Kok,"
            await theirs.read()
            with pytest.raises(StreamError, match="reset"):
                await theirs.read()

        run(main())


# -- Sockets ---------------------------------------------------------------------------------


def test_over_tcp() -> None:
    """Without further ado it connects to a real server."""

    async def main() -> None:
        fake = FakeQMQPServer()
        endpoint = await fake.listen()
        try:
            assert await qmqp.send(endpoint, MESSAGE, "", TO) == Response(
                Verdict.ACCEPTED, b"fake, nothing is queued"
            )
            assert await qmqp.send(str(endpoint), LF_MESSAGE * 100_000, "", TO)
        finally:
            await fake.close()
        assert [len(m.message) for m in fake.messages] == [39, 3_900_000]

    run(main())


def test_over_a_unix_socket(tmp_path: Path) -> None:
    """A unix socket is a server, too."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(5) == b"63:39"
        writer.write(b"5:Dnone,")
        await writer.drain()
        await reader.read()
        writer.close()

    async def main() -> None:
        path = tmp_path / "qmqp"
        async with await asyncio.start_unix_server(serve, path):
            response = await qmqp.send(f"unix:{path}", MESSAGE, "", TO)
        assert response == Response(Verdict.REJECTED, b"none")

    run(main())


def test_time_limits() -> None:
    """A server that says nothing is given up; it may have the message."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            at = Endpoint(*server.sockets[0].getsockname()[:2])
            for limits in ({"io_timeout": 0.05}, {"session_timeout": 0.05}):
                with pytest.raises(QMQPUnconfirmedError) as error:
                    await qmqp.send(at, MESSAGE, "", TO, **limits)  # type: ignore[arg-type]
                assert isinstance(error.value.__cause__, StreamTimeoutError)

    run(main())
