"""The driver: what a driven coroutine may wait for, and how it ends."""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import ContextVar, copy_context
from types import coroutine
from typing import Any

import pytest

from qpsdk.server.drive import PAUSE, Drive


@coroutine
def pause() -> Generator[object, None, None]:
    """Wait for `Drive.wake`."""
    yield PAUSE


class Ended(list[BaseException | None]):
    """How driven coroutines ended."""

    def drive(self, coroutine: Coroutine[Any, Any, None]) -> Drive:
        """A driver that reports here."""
        return Drive(coroutine, lambda _, error: self.append(error))


def test_steps_when_woken() -> None:
    """A coroutine runs from wake to wake, inside the call that wakes it."""
    seen: list[int] = []
    ended = Ended()

    async def counts() -> None:
        for number in range(3):
            seen.append(number)
            await pause()

    drive = ended.drive(counts())
    for expected in ([0], [0, 1], [0, 1, 2]):
        drive.wake()
        assert seen == expected
        assert ended == []
    drive.wake()
    assert ended == [None]


def test_context_of_its_own() -> None:
    """Whoever wakes it, it goes on with the context variables that it had."""
    seen: list[str] = []
    at_work: ContextVar[str] = ContextVar("at_work", default="nobody")

    async def session() -> None:
        for name in ("first", "second"):
            seen.append(at_work.get())
            at_work.set(name)
            await pause()

    drive = Ended().drive(session())
    copy_context().run(drive.wake)
    at_work.set("another")
    drive.wake()
    assert seen == ["nobody", "first"]
    assert at_work.get() == "another"


def test_waits_for_futures() -> None:
    """It may await a task; what is on the stream meanwhile does not disturb it."""
    answer: asyncio.Future[str]
    seen: list[str] = []
    ended = Ended()

    async def session() -> None:
        seen.append(await answer)
        await pause()
        seen.append("more")

    async def main() -> None:
        nonlocal answer
        answer = asyncio.get_running_loop().create_future()
        drive = ended.drive(session())
        drive.wake()
        drive.wake()  # bytes arrive, while it waits for the hook
        assert seen == []
        answer.set_result("answer")
        await asyncio.sleep(0)
        assert seen == ["answer"]
        drive.wake()
        assert seen == ["answer", "more"]

    asyncio.run(main())
    assert ended == [None]


def test_a_failed_future_is_raised() -> None:
    """The exception of an awaited task arrives where it is awaited, cancellation too."""
    ended = Ended()
    seen: list[type[BaseException]] = []

    async def fails() -> None:
        raise ValueError("no")

    async def session() -> None:
        for task in (asyncio.ensure_future(fails()), asyncio.ensure_future(asyncio.sleep(60))):
            task.get_loop().call_later(0.01, task.cancel)
            try:
                await task
            except (ValueError, asyncio.CancelledError) as error:
                seen.append(type(error))

    async def main() -> None:
        ended.drive(session()).wake()
        while not ended:
            await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == [ValueError, asyncio.CancelledError]
    assert ended == [None]


def test_woken_while_it_runs() -> None:
    """A wake from inside a step is kept for after it: steps do not nest."""
    depth: list[int] = []
    ended = Ended()

    async def session() -> None:
        for _ in range(3):
            depth.append(1)
            drive.wake()
            assert len(depth) == 1
            depth.pop()
            await pause()

    drive = ended.drive(session())
    drive.wake()
    assert ended == [None]


def test_gives_others_a_turn() -> None:
    """After asyncio.sleep(0) it goes on by itself, when others had their turn."""
    seen: list[str] = []
    ended = Ended()

    async def session() -> None:
        await asyncio.sleep(0)
        seen.append("session")

    async def main() -> None:
        asyncio.get_running_loop().call_soon(seen.append, "other")
        ended.drive(session()).wake()
        while not ended:
            await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == ["other", "session"]
    assert ended == [None]


def test_woken_at_its_end() -> None:
    """A wake in its last step, or after it, is ignored: it ends once."""
    ended = Ended()

    async def session() -> None:
        drive.wake()

    drive = ended.drive(session())
    drive.wake()
    drive.wake()
    assert ended == [None]


def test_failure_is_reported() -> None:
    """A coroutine that fails is reported with its exception, and nothing is raised."""
    ended = Ended()

    async def session() -> None:
        raise RuntimeError("oops")

    ended.drive(session()).wake()
    assert [type(error) for error in ended] == [RuntimeError]


def test_interrupts_go_on() -> None:
    """KeyboardInterrupt and its like are for the loop, not for us."""
    ended = Ended()

    async def session() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ended.drive(session()).wake()
    assert [type(error) for error in ended] == [KeyboardInterrupt]
