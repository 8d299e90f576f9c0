"""Sending a package: what is written when, and what each answer means."""

import asyncio
from collections.abc import Awaitable, Iterator

import pytest

from qpsdk.errors import QMQPBodyError, QMQPResponseError, StreamError
from qpsdk.qmqp import Package, Response, Verdict, deliver
from qpsdk.qmqp.client import ONE_PIECE
from qpsdk.testing import pipe

SMALL = b"Subject: hi\n\nhello\n"
LARGE = 3_000_000


def package(size: int) -> Package:
    """A package for a message of `size` bytes."""
    return Package.of(size, b"a@b", [b"c@d", b"e@f"])


def blocks(size: int = LARGE, block: int = 50_000) -> Iterator[bytes]:
    """A large message in blocks."""
    for _ in range(size // block):
        yield b"x" * block


def run(main: Awaitable[None]) -> None:
    """Run, but not for ever."""
    asyncio.run(asyncio.wait_for(main, 20))


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        (b"4:Kyes,", Response(Verdict.ACCEPTED, b"yes")),
        (b"1:Z,", Response(Verdict.DEFERRED, b"")),
        (b"3:Dno,trailing", Response(Verdict.REJECTED, b"no", excess=8)),
    ],
)
def test_small_message(answer: bytes, response: Response) -> None:
    """A small message goes out in one piece, and counts as handed over before that."""
    handed_over: list[bool] = []

    async def main() -> None:
        ours, theirs = pipe()
        sending = asyncio.ensure_future(
            deliver(
                ours,
                package(len(SMALL)),
                [SMALL[:5], SMALL[5:]],
                lambda: handed_over.append(theirs.input_waiting),
            )
        )
        assert await theirs.read() == b"41:19:Subject: hi\n\nhello\n,3:a@b,3:c@d,3:e@f,,"
        theirs.write(answer)
        assert await sending == response

    run(main())
    assert handed_over == [False]


def test_large_message() -> None:
    """A large message is streamed; the tail is written when all else has left, and not before."""
    handed_over = asyncio.Event()
    whole = package(LARGE)

    async def main() -> None:
        ours, theirs = pipe()
        sending = asyncio.ensure_future(deliver(ours, whole, blocks(), handed_over.set))
        data = b""
        while len(data) < len(whole.head) + LARGE:
            assert not handed_over.is_set()
            data += await theirs.read()
        assert data == whole.head + b"x" * LARGE
        assert await theirs.read() == whole.tail
        assert handed_over.is_set()
        theirs.write(b"2:Kk,")
        assert (await sending).verdict is Verdict.ACCEPTED

    run(main())


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        (b"9:Dtoo much,", Response(Verdict.REJECTED, b"too much")),
        (b"5:Zbusy,", Response(Verdict.DEFERRED, b"busy")),
    ],
)
@pytest.mark.parametrize("then", ["wait", "end", "abort"])
def test_early_refusal(answer: bytes, response: Response, then: str) -> None:
    """A refusal while we still send counts, whatever the server does after it."""
    handed_over: list[bool] = []

    async def main() -> None:
        ours, theirs = pipe()
        sending = asyncio.ensure_future(
            deliver(ours, package(LARGE), blocks(), lambda: handed_over.append(True))
        )
        await theirs.read()
        theirs.write(answer)
        if then != "wait":
            getattr(theirs, then)()
        assert await sending == response

    run(main())
    assert not handed_over


def test_early_acceptance_is_none() -> None:
    """A server that accepts what it has not seen whole promises nothing."""

    async def main() -> None:
        ours, theirs = pipe()
        sending = asyncio.ensure_future(deliver(ours, package(LARGE), blocks()))
        await theirs.read()
        theirs.write(b"3:Kok,")
        with pytest.raises(QMQPResponseError, match="not whole"):
            await sending

    run(main())


@pytest.mark.parametrize("size", [LARGE - 50_000, LARGE + 50_000, len(SMALL) - 1, len(SMALL) + 1])
def test_body_of_another_size(size: int) -> None:
    """A message that is not as long as announced is never made whole."""
    handed_over: list[bool] = []

    async def main() -> None:
        ours, theirs = pipe()
        message = [SMALL] if size < ONE_PIECE else blocks()
        sending = asyncio.ensure_future(
            deliver(ours, package(size), message, lambda: handed_over.append(True))
        )
        received = 0
        while not sending.done():
            received += len(await theirs.read()) if theirs.input_waiting else 0
            await asyncio.sleep(0)
        with pytest.raises(QMQPBodyError, match=f"but {size} were announced"):
            await sending
        assert received <= len(package(size).head) + size

    run(main())
    assert not handed_over


@pytest.mark.parametrize("size", [len(SMALL), LARGE])
@pytest.mark.parametrize("how", ["end", "abort"])
def test_no_response(size: int, how: str) -> None:
    """A server that goes away without a word is an error, early or late."""

    async def main() -> None:
        ours, theirs = pipe()
        message = [SMALL] if size == len(SMALL) else blocks()
        sending = asyncio.ensure_future(deliver(ours, package(size), message))
        await theirs.read()
        getattr(theirs, how)()
        with pytest.raises((QMQPResponseError, StreamError)):
            await sending

    run(main())
