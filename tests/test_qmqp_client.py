"""Sending a package: what is written when, and what each answer means."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.errors import (
    QMQPBodyError,
    QMQPResponseError,
    QMQPUnconfirmedError,
    StreamError,
    StreamTimeoutError,
)
from qpsdk.qmqp import (
    Package,
    PackageDecoder,
    Received,
    Response,
    Verdict,
    check_time_limits,
    deliver,
)
from qpsdk.qmqp.client import ONE_PIECE
from qpsdk.testing import pipe
from tests.slices import sliced

SMALL = b"Subject: hi\n\nhello\n"
LARGE = 3_000_000


def package(size: int) -> Package:
    """A package for a message of `size` bytes."""
    return Package.of(size, b"a@b", [b"c@d", b"e@f"])


class Blocks:
    """A large message in blocks: of such, the last is alone on its way.

    Attributes:
        taken: Bytes of those that were asked for.
    """

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.taken < LARGE:
            self.taken += 40_000
            yield b"x" * 40_000


async def others() -> None:
    """Let whoever can go on do so, as far as they get."""
    for _ in range(10):
        await asyncio.sleep(0)


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
        message = Blocks()
        sending = asyncio.ensure_future(deliver(ours, whole, message, handed_over.set))
        data = b""
        while len(data) < len(whole.head) + LARGE:
            await others()
            assert message.taken - len(data) < 2 * ONE_PIECE
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
@pytest.mark.parametrize("when", [1, LARGE - 40_000])
@pytest.mark.parametrize("then", ["wait", "end", "abort"])
def test_early_refusal(answer: bytes, response: Response, then: str, when: int) -> None:
    """A refusal while we still send counts, whatever the server does after it.

    What is not sent yet is not sent, and not the tail if that is all.
    """
    handed_over: list[bool] = []
    message = Blocks()

    async def main() -> None:
        ours, theirs = pipe()
        sending = asyncio.ensure_future(
            deliver(ours, package(LARGE), message, lambda: handed_over.append(True))
        )
        read = 0
        while read < when:
            await others()
            read += len(await theirs.read())
        await others()
        theirs.write(answer)
        if then != "wait":
            getattr(theirs, then)()
        assert await sending == response
        assert message.taken <= read + 2 * ONE_PIECE

    run(main())
    assert not handed_over


@pytest.mark.parametrize(
    ("error", "said", "response"),
    [
        (StreamError("broken pipe"), b"4:Dbig,", Response(Verdict.REJECTED, b"big")),
        (StreamError("broken pipe"), b"4:Dbi", None),
        (StreamError("broken pipe"), b"", None),
        (StreamTimeoutError("no progress"), b"4:Dbig,", None),
    ],
)
def test_a_write_that_fails(
    error: StreamError,
    said: bytes,
    response: Response | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that has closed may have said why; one that is stuck is not waited for twice."""

    async def fails(**_: bool) -> None:
        raise error

    async def main() -> None:
        ours, theirs = pipe()
        monkeypatch.setattr(ours, "drain", fails)
        theirs.write(said)
        theirs.end()
        if response is not None:
            assert await deliver(ours, package(LARGE), Blocks()) == response
            return
        with pytest.raises(StreamError) as raised:
            await deliver(ours, package(LARGE), Blocks())
        assert raised.value is error

    run(main())


def test_early_acceptance_is_none() -> None:
    """A server that accepts what it has not seen whole promises nothing."""

    async def main() -> None:
        ours, theirs = pipe()
        sending = asyncio.ensure_future(deliver(ours, package(LARGE), Blocks()))
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
        message: Iterable[bytes] = [SMALL] if size < ONE_PIECE else Blocks()
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
    """A server that goes away without a word is an error; one in doubt once it had all."""
    handed_over: list[bool] = []

    async def main() -> None:
        ours, theirs = pipe()
        message: Iterable[bytes] = [SMALL] if size == len(SMALL) else Blocks()
        sending = asyncio.ensure_future(
            deliver(ours, package(size), message, lambda: handed_over.append(True))
        )
        await theirs.read()
        getattr(theirs, how)()
        with pytest.raises((QMQPResponseError, StreamError)) as error:
            await sending
        assert isinstance(error.value, QMQPUnconfirmedError) == bool(handed_over)

    run(main())
    assert bool(handed_over) == (size == len(SMALL))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "the server closed without a response, it may have been accepted"),
        (b"4:Kye", "the server closed in its response: b'4:Kye', it may have been accepted"),
        (b"4:Okay,", "a response begins with K, Z or D, not b'Okay', it may have been accepted"),
        (b"250 OK", "it may have been accepted"),
    ],
)
@pytest.mark.parametrize("size", [len(SMALL), LARGE])
def test_unconfirmed(size: int, answer: bytes, problem: str) -> None:
    """No usable response to a whole package is an error of its own: another may not have it."""

    async def main() -> None:
        ours, theirs = pipe()
        message: Iterable[bytes] = [SMALL] if size == len(SMALL) else Blocks()
        sending = asyncio.ensure_future(deliver(ours, package(size), message))
        decoder = PackageDecoder()
        while decoder.feed(await theirs.read()) is None:
            pass
        theirs.write(answer)
        theirs.end()
        with pytest.raises(QMQPUnconfirmedError) as error:
            await sending
        assert str(error.value).endswith(problem)

    run(main())


def test_an_endless_message() -> None:
    """Of a message that never ends, no more is read than shows that it is too long."""
    read: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            read.append(1000)
            yield b"x" * 1000

    async def main() -> None:
        for size in (5000, LARGE):
            read.clear()
            ours, theirs = pipe()
            sending = asyncio.ensure_future(deliver(ours, package(size), endless()))
            while not sending.done():
                await (theirs.read() if theirs.input_waiting else asyncio.sleep(0))
            with pytest.raises(QMQPBodyError, match=f"but {size} were announced"):
                await sending
            assert sum(read) == size + 1000

    run(main())


ADDRESSES = st.binary(min_size=1, max_size=30).map(
    lambda a: a.replace(b"\0", b"0").replace(b"\r", b"r").replace(b"\n", b"n")
)


@given(
    st.binary() | st.integers(60_000, 200_000).map(lambda size: b"long line\n" * (size // 10)),
    ADDRESSES | st.just(b""),
    st.lists(ADDRESSES, min_size=1, max_size=9),
    st.builds(Response, st.sampled_from(list(Verdict)), st.binary(max_size=50), st.just(0)),
    st.data(),
)
def test_any_package(
    message: bytes,
    sender: bytes,
    recipients: list[bytes],
    response: Response,
    data: st.DataObject,
) -> None:
    """Any message and envelope, sent in any blocks, come out of a server as they went in."""
    cut = data.draw(sliced(message))
    answer = data.draw(sliced(response.encode()))

    async def main() -> None:
        ours, theirs = pipe()
        whole = Package.of(len(message), sender, recipients)
        sending = asyncio.ensure_future(deliver(ours, whole, cut))
        decoder = PackageDecoder()
        received = None
        while received is None:
            came = await theirs.read()
            for part in data.draw(sliced(came)):
                received = received or decoder.feed(part)
        assert received == Received(message, sender, tuple(recipients))
        for part in answer:
            theirs.write(part)
            await asyncio.sleep(0)
        assert await sending == response

    run(main())


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ((0, 60), "connect_timeout=0: write a number of seconds above 0"),
        ((10, -1), "io_timeout=-1: write"),
        ((10, 60, float("nan")), "session_timeout=nan: write"),
        ((float("inf"), 60), "connect_timeout=inf: write"),
        ((10, 60, 3601), "session_timeout=3601: a QMQP session ends after 3600 seconds"),
    ],
)
def test_wrong_time_limits(limits: tuple[float, ...], problem: str) -> None:
    """A time limit is a time, and no session is longer than the hour that QMQP gives it."""
    check_time_limits(10, 60, 3600)
    with pytest.raises(ValueError) as error:
        check_time_limits(*limits)
    assert str(error.value).startswith(problem)
