"""Our client and our server face to face: what goes in comes out, however it is cut."""

import asyncio
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.errors import StreamError
from qpsdk.qmqp import Package, Response, Verdict, client, deliver
from qpsdk.testing import FakeQMQPServer, pipe
from qpsdk.testing.memory import MemoryStream
from tests.slices import sliced

addresses = st.binary(min_size=1, max_size=60).filter(lambda a: not set(a) & set(b"\0\r\n"))
sizes = st.lists(st.integers(1, 40), max_size=20)


class Slicing:
    """A stream whose input comes in slices of given sizes, then in pieces of 100 bytes."""

    def __init__(self, stream: MemoryStream, sizes: list[int]) -> None:
        self._stream = stream
        self._sizes: Iterator[int] = chain(sizes, repeat(100))
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def input_waiting(self) -> bool:
        """As a stream's."""
        return bool(self._held) or self._stream.input_waiting

    async def read(self) -> bytes:
        """The next slice."""
        held = self._held or await self._stream.read()
        size = next(self._sizes)
        self._held = held[size:]
        return held[:size]


@pytest.mark.parametrize("one_piece", [client.ONE_PIECE, 0], ids=["one piece", "streamed"])
@given(
    st.binary(max_size=1000) | st.text("3:,KZD\n\r.").map(str.encode),
    st.tuples(addresses | st.just(b""), st.lists(addresses, min_size=1, max_size=6)),
    st.builds(Response, st.sampled_from(Verdict), st.binary(max_size=60), st.just(0)),
    st.data(),
)
def test_any_message_any_envelope_any_slices(
    one_piece: int,
    message: bytes,
    envelope: tuple[bytes, list[bytes]],
    answer: Response,
    data: st.DataObject,
) -> None:
    """The server has the message and the envelope byte for byte, the client its response."""
    sender, recipients = envelope
    blocks, there, back = data.draw(st.tuples(sliced(message), sizes, sizes))
    package = Package.of(len(message), sender, recipients)
    fake = FakeQMQPServer()
    fake.answer = answer

    async def main() -> Response:
        ours, theirs = pipe()
        serving = asyncio.ensure_future(fake.handle(Slicing(theirs, there)))
        response = await deliver(Slicing(ours, back), package, blocks)
        ours.end()
        await serving
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "ONE_PIECE", one_piece)
        response = asyncio.run(asyncio.wait_for(main(), 20))
    assert response == answer
    (conversation,) = fake.connections
    captured = conversation.captured
    assert captured is not None
    assert (captured.message, captured.sender) == (message, sender)
    assert captured.recipients == tuple(recipients)
    captured.assert_canonical()
    assert fake.messages == ([captured] if answer.verdict is Verdict.ACCEPTED else [])


@given(
    st.integers(0, 10_000),
    st.binary(max_size=300),
    st.lists(addresses, min_size=1, max_size=3),
    sizes,
)
def test_any_part_of_a_package_is_nothing(
    cut: int, message: bytes, recipients: list[bytes], there: list[int]
) -> None:
    """A package that lacks at least its last byte is discarded, and not answered with a K."""
    package = Package.of(len(message), b"a@b", recipients)
    wire = package.head + message + package.tail
    fake = FakeQMQPServer()

    async def main() -> bytes:
        ours, theirs = pipe()
        serving = asyncio.ensure_future(fake.handle(Slicing(theirs, there)))
        ours.write(wire[: cut % len(wire)])
        ours.end()
        await serving
        try:
            return await ours.read()
        except StreamError:  # it hung up with something unread
            return b""

    assert b"K" not in asyncio.run(asyncio.wait_for(main(), 20))
    assert fake.messages == []
    assert len(fake.discarded) == 1
