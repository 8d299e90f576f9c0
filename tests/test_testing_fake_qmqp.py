"""The fake server in memory: each act of its script, what it captures, what it says of it."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from qpsdk import Endpoint
from qpsdk.errors import StreamConnectError, StreamError, StreamTimeoutError
from qpsdk.qmqp import Response, Verdict
from qpsdk.testing import Conversation, FakeQMQPServer, MemoryStream
from qpsdk.testing.qmqp_script import (
    WORDS,
    Act,
    accept,
    answer,
    close_at,
    cut_reply,
    defer,
    drip,
    eight_bit,
    empty,
    huge_length,
    late,
    leading_zeros,
    no_comma,
    no_reply,
    refuse,
    reject,
    rst,
    silence,
    stall,
    trailing,
    unauthorized,
    unknown,
)

ANYWHERE = Endpoint("192.0.2.1", 628)
LIMITS = {"connect_timeout": 5.0, "io_timeout": 5.0}
GOOD = b"18:3:hi\n,3:a@b,3:c@d,,"
OK = b"24:Kfake, nothing is queued,"
RESET = "connection reset by peer"
STALLED = "nothing more is read"
SILENT = "nothing is said, all is read"


class Seen(list[bytes]):
    """What a client was told, in pieces, and how it ended."""

    end = ""


async def soon(condition: Callable[[], bool]) -> bool:
    """Whether it holds once everybody has had enough turns: in memory nothing takes time."""
    for _ in range(100):
        if condition():
            return True
        await asyncio.sleep(0)
    return False


async def send(fake: FakeQMQPServer, data: bytes = GOOD) -> Seen:
    """Send bytes on a connection of their own, and see what comes."""
    stream = await fake.connect(ANYWHERE, **LIMITS)
    stream.write(data)
    seen = Seen()
    try:
        while await soon(lambda: stream.input_waiting):
            piece = await stream.read()
            if not piece:
                return seen
            seen.append(piece)
    except StreamError as error:
        seen.end = str(error)
        return seen
    stream.write(b"x" * 100_000)
    seen.end = SILENT if await soon(lambda: not stream.full) else STALLED
    stream.abort()
    await asyncio.sleep(0)
    return seen


def run(act: Act, data: bytes = GOOD, **options: Any) -> tuple[Seen, Conversation, FakeQMQPServer]:
    """One connection with one act."""

    async def main() -> tuple[Seen, Conversation, FakeQMQPServer]:
        fake = FakeQMQPServer(**options)
        fake.script(act)
        seen = await send(fake, data)
        await fake.close()
        return seen, fake.connections[0], fake

    return asyncio.run(main())


ACTS = [
    # act, what the client gets, how it ends, whether the message was accepted
    (accept(), OK, "", True),
    (accept("ok"), b"3:Kok,", "", True),
    (accept(b"\xff\r\n"), b"4:K\xff\r\n,", "", True),
    (defer("busy"), b"5:Zbusy,", "", False),
    (reject("no"), b"3:Dno,", "", False),
    (
        unauthorized(),
        b"64:DError: unknown[127.0.0.1] is not authorized to use this service,",
        RESET,
        False,
    ),
    (eight_bit(), b"129:K" + bytes(range(128, 256)) + b",", "", True),
    (answer("whatever"), b"whatever", "", False),
    (answer(b""), b"", "", False),
    (empty(), b"0:,", "", False),
    (unknown("X"), b"3:Xok,", "", False),
    (no_comma(), b"3:Kok;", "", False),
    (leading_zeros(), b"003:Kok,", "", False),
    (huge_length(), b"99999999999999999999:Kok,", "", False),
    (trailing(), b"3:Kok,3:Dno,", "", True),
    (cut_reply(3), b"24:", "", True),
    (close_at(), b"", RESET, False),  # as the kernel has it where input is unread
    (close_at(10), b"", "", False),
    (no_reply(), b"", "", False),
    (rst(), b"", RESET, False),
    (rst(4), b"", RESET, False),
    (reject("no", at=4), b"3:Dno,", "", False),
    (accept("ok", at=4), b"3:Kok,", "", False),
    (accept("ok", rst=True), b"3:Kok,", RESET, True),
    (accept("ok", cut=4, rst=True), b"3:Ko", RESET, True),
    (silence(), b"", SILENT, False),
    (silence(5), b"", SILENT, False),
    (stall(), b"", STALLED, False),
    (stall(5), b"", STALLED, False),
]


@pytest.mark.parametrize(("act", "said", "end", "accepted"), ACTS, ids=[str(a[0]) for a in ACTS])
def test_acts(act: Act, said: bytes, end: str, accepted: bool) -> None:
    """Each act gives the client these bytes and this end; K to a whole package is an accept."""
    seen, conversation, fake = run(act)
    assert b"".join(seen) == said
    assert seen.end == end
    assert conversation.accepted == accepted
    assert len(fake.messages) == accepted
    assert conversation.act is act
    assert conversation.ended


def test_every_word_is_tested() -> None:
    """No act of the vocabulary is missing from these tests."""
    tried = {str(act).partition("(")[0] for act, *_ in ACTS}
    assert tried | {"drip", "late", "refuse"} == set(WORDS)


def test_drip() -> None:
    """A reply can come byte by byte, with a wait before each."""
    naps: list[float] = []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        for _ in range(3):  # turns of the client, in which it reads the byte before
            await asyncio.sleep(0)

    seen, conversation, _ = run(drip(1, delay=7.0), sleep=sleep)
    assert seen == [OK[at : at + 1] for at in range(len(OK))]
    assert naps == [7.0] * len(OK)
    assert conversation.accepted


def test_late() -> None:
    """A reply can be late, by a clock that is lent."""
    naps: list[float] = []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)

    seen, _, _ = run(late(3600), sleep=sleep)
    assert (seen, naps) == ([OK], [3600])


@pytest.mark.parametrize("offset", range(len(GOOD)))
def test_close_at_every_offset(offset: int) -> None:
    """Closed after so many bytes, not one more is taken and nothing is accepted."""
    seen, conversation, fake = run(close_at(offset))
    assert (seen, conversation.raw, fake.messages) == ([], GOOD[:offset], [])
    assert conversation.fault == f"the script stopped it at offset {offset}"
    assert fake.discarded == [conversation]


def test_an_offset_beyond_the_end() -> None:
    """What is to happen after more bytes than come happens when the package is whole."""
    seen, conversation, _ = run(reject("late", at=1000))
    assert (seen, seen.end) == ([b"5:Dlate,"], "")
    assert conversation.captured is not None


def test_refuse() -> None:
    """In memory one connection is refused, the next is made."""

    async def main() -> None:
        fake = FakeQMQPServer()
        fake.script(refuse(), accept())
        with pytest.raises(StreamConnectError, match="cannot connect: Connection refused"):
            await fake.connect(ANYWHERE, **LIMITS)
        assert await send(fake) == [OK]
        assert len(fake.connections) == 1

    asyncio.run(main())


def test_script_in_order() -> None:
    """One act for each connection in order, the last for all after; no act is as at first."""

    async def main() -> None:
        fake = FakeQMQPServer()
        fake.script(defer("a"), reject("b"), accept("c"))
        said = [b"".join(await send(fake)) for _ in range(4)]
        assert said == [b"2:Za,", b"2:Db,", b"2:Kc,", b"2:Kc,"]
        fake.script()
        assert await send(fake) == [OK]
        fake.answer = Response(Verdict.DEFERRED, b"as told")
        assert await send(fake) == [b"8:Zas told,"]
        assert [c.number for c in fake.connections] == [1, 2, 3, 4, 5, 6]

    asyncio.run(main())


def test_what_the_profile_refuses_no_script_accepts() -> None:
    """To a malformed package the profile has the word, unless the script keeps silent."""
    said = run(accept("ok"), b"x" + GOOD, profile="postfix", sleep=_no_time)[0]
    assert said == [b"58:Dnetstring format error while receiving QMQP packet header,"]
    assert run(no_reply(), b"x" + GOOD, profile="postfix", sleep=_no_time)[0] == []


async def _no_time(_: float) -> None:
    pass


def test_parallel_connections() -> None:
    """Connections at the same time do not mix; they are numbered as they came."""

    async def main() -> None:
        fake = FakeQMQPServer()
        streams = [await fake.connect(ANYWHERE, **LIMITS) for _ in range(50)]
        await asyncio.sleep(0)
        for at in range(len(GOOD)):
            for number, stream in reversed(list(enumerate(streams))):
                package = GOOD.replace(b"hi\n", b"%02d\n" % number)
                stream.write(package[at : at + 1])
        for stream in streams:
            assert await stream.read() == OK
        assert [c.captured.message for c in fake.connections if c.captured] == [
            b"%02d\n" % number for number in range(50)
        ]
        await fake.close()

    asyncio.run(main())


def test_keep() -> None:
    """With a bound on what is kept, size and digest are still of all."""
    body = b"Subject: large\n\n" + b"x" * 1_000_000 + b"\n"
    package = b"1000038:1000017:%b,3:a@b,3:c@d,," % body
    _, conversation, fake = run(accept(), package, keep=100)
    captured = fake.only_message()
    assert (captured.message, captured.raw) == (body[:100], package[:100])
    assert (captured.message_size, captured.size) == (1_000_017, len(package))
    assert captured.message_sha256 == (
        "8ae2e01f63385e2966b277d2b3f2b136a9cac0846294ba75ec79528edfa74795"
    )
    assert (captured.sender, captured.recipients) == (b"a@b", (b"c@d",))
    assert len(conversation.input.message) == 100
    for check in (captured.assert_lf_only, captured.assert_canonical):
        with pytest.raises(AssertionError, match=r"only 100 of 1,000,0.. bytes were kept"):
            check()


def test_a_client_that_resets() -> None:
    """A reset inside the package is a discard, and is written down."""

    async def main() -> None:
        seen: list[Conversation] = []
        fake = FakeQMQPServer(seen.append)
        stream = await fake.connect(ANYWHERE, **LIMITS)
        stream.write(GOOD[:10])
        await stream.flush()  # it has been read
        stream.abort()
        assert await soon(lambda: bool(fake.discarded))
        (conversation,) = fake.discarded
        assert (conversation.raw, conversation.fault) == (GOOD[:10], RESET)
        assert fake.failures == [RESET]
        assert seen == [conversation]

    asyncio.run(main())


def test_only_message() -> None:
    """Where there is not just one message, the error shows what did come, and why it broke."""

    async def main() -> None:
        fake = FakeQMQPServer()
        with pytest.raises(AssertionError, match=r"^0 messages were accepted, not 1$"):
            fake.only_message()
        await send(fake, b"18:3:hi\n;")
        fake.script(defer("busy"))
        await send(fake)
        with pytest.raises(AssertionError) as error:
            fake.only_message()
        assert str(error.value) == "\n".join(
            [
                "0 messages were accepted, not 1",
                "connection 1, accept(): b';' where a comma is due at offset 8",
                "       0  18:",
                "       3  │ 3:hi",
                "          │     message",
                "       8  │ ;",
                "          │ ^ ';' where a comma is due, at offset 8",
                "       9  ^ the input ends 12 bytes and a comma early, at offset 9",
                r"  answered 58:Dnot a QMQP package: b';' where a comma is due at offset 8,",
                "connection 2, defer('busy'): a whole package",
                "       0  18:",
                "       3  │ 3:hi",
                "          │   ,  message",
                "       9  │ 3:a@b,  sender",
                "      15  │ 3:c@d,  recipient",
                "      21  ,",
                "  answered 5:Zbusy,",
            ]
        )
        fake.clear()
        fake.script()
        await send(fake)
        fake.only_message().assert_message(b"hi\n")

    asyncio.run(main())


def test_a_seeded_choice() -> None:
    """A campaign can draw its acts: equal seeds, equal servers."""

    def draw(seed: int) -> list[Act]:
        chance = random.Random(seed)
        return [chance.choice([accept, defer, no_reply])() for _ in range(20)] + [
            close_at(chance.randrange(1000)) for _ in range(20)
        ]

    assert draw(1) == draw(1) != draw(2)
    assert len(set(draw(1))) > 10


@pytest.mark.parametrize("act", [silence(), stall(), late(10)])
def test_time_limits(act: Act) -> None:
    """In memory, too, a connection gives up when nothing moves, and when its whole time is over."""

    async def main() -> list[str]:
        fake = FakeQMQPServer()
        fake.script(act)
        seen = []
        for limits in ({"io_timeout": 0.02}, {"io_timeout": 9.0, "session_timeout": 0.02}):
            stream = await fake.connect(ANYWHERE, **(LIMITS | limits))
            stream.write(GOOD)
            with pytest.raises(StreamTimeoutError) as caught:
                await stream.read()
            seen.append(str(caught.value))
            stream.abort()
        await fake.close()
        return seen

    assert asyncio.run(main()) == [
        "no progress for 0.02 s",
        "the time for the whole session is over",
    ]


def test_time_limit_of_a_write() -> None:
    """A server that stops reading is given up as well."""

    async def main() -> None:
        fake = FakeQMQPServer()
        fake.script(stall(at=10))
        stream = await fake.connect(ANYWHERE, **LIMITS)
        assert isinstance(stream, MemoryStream)
        stream.write(GOOD)
        await stream.flush()  # as much as the server reads
        stream.set_timeouts(0.02, None)
        stream.write(b"x" * 100_000)
        with pytest.raises(StreamTimeoutError, match=r"no progress for 0\.02 s"):
            await stream.drain()
        stream.abort()
        await fake.close()

    asyncio.run(main())


def test_a_drip_keeps_a_connection_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte begins the time limit anew; that of the whole session ends it all the same."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        real, passed = loop.time, 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + passed)

        async def sleep(seconds: float) -> None:
            nonlocal passed
            passed += seconds
            for _ in range(3):  # turns of the client, in which it reads the byte before
                await asyncio.sleep(0)
            if passed > 20 * seconds:
                await asyncio.Event().wait()

        fake = FakeQMQPServer(sleep=sleep)
        fake.script(drip(delay=60.0))
        stream = await fake.connect(
            ANYWHERE, connect_timeout=5.0, io_timeout=100.0, session_timeout=3600.0
        )
        assert isinstance(stream, MemoryStream)
        stream.write(GOOD)
        came = [await stream.read() for _ in range(20)]  # 20 minutes of them
        assert b"".join(came) == b"24:Kfake, nothing is"
        stream.set_timeouts(5.0, 0.01)
        with pytest.raises(StreamTimeoutError, match="the time for the whole session is over"):
            await stream.read()
        await fake.close()

    asyncio.run(main())


def test_what_comes_after_a_close_is_reset() -> None:
    """A server that has closed early lets its reply be read, and resets what still comes."""

    async def main() -> bytes:
        fake = FakeQMQPServer()
        fake.script(reject("no", at=5))
        stream = await fake.connect(ANYWHERE, **LIMITS)
        stream.write(GOOD[:5])
        said = await stream.read()
        stream.write(GOOD[5:])
        with pytest.raises(StreamError, match=RESET):
            await stream.flush()
        return said

    assert asyncio.run(asyncio.wait_for(main(), 5)) == b"3:Dno,"
