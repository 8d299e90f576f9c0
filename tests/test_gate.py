"""The gate: how many are inside, who comes next, and who waits no longer."""

import asyncio

import pytest

from qpsdk.dispatcher import Work
from qpsdk.gate import Gate

LONG = 20.0
"""Seconds that nothing here is to take."""


def wait(gate: Gate, seconds: float = LONG, work: Work | None = None) -> asyncio.Task[bool]:
    """Begin to wait."""
    return asyncio.create_task(gate.wait(work or Work(), seconds))


def test_room() -> None:
    """So many go in as there is room for, and one more for each that leaves; 0 is any number."""
    gate = Gate(2)
    assert [gate.enter() for _ in range(3)] == [True, True, False]
    gate.leave()
    assert [gate.enter(), gate.enter(), gate.inside] == [True, False, 2]
    gate.limit = 0
    assert gate.enter()


def test_in_order() -> None:
    """Who waits goes in when there is room, the first first; nobody goes past them."""

    async def main() -> None:
        gate = Gate(1)
        assert gate.enter()
        first, second = wait(gate), wait(gate)
        await asyncio.sleep(0)
        gate.leave()
        assert await first
        assert not second.done()
        assert not gate.enter()
        gate.leave()
        assert await second
        gate.leave()
        assert gate.inside == 0
        assert gate.enter()

    asyncio.run(asyncio.wait_for(main(), LONG))


def test_patience() -> None:
    """Who has waited for too long is told so, and takes nobody's place later."""

    async def main() -> None:
        gate = Gate(1)
        assert gate.enter()
        assert not await wait(gate, 0.01)
        gate.leave()
        assert gate.inside == 0
        assert gate.enter()

    asyncio.run(asyncio.wait_for(main(), LONG))


@pytest.mark.parametrize("in_the_same_moment", [False, True])
def test_called_off(in_the_same_moment: bool) -> None:
    """Who is called off leaves the place to the next, also when the turn has come just then."""

    async def main() -> None:
        gate, work = Gate(1), Work()
        assert gate.enter()
        gone, next_one = wait(gate, work=work), wait(gate)
        await asyncio.sleep(0)
        if in_the_same_moment:
            gate.leave()
            gone.cancel()
        else:
            work.call_off()
            gate.leave()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert await next_one
        assert gate.inside == 1
        assert work.task is None

    asyncio.run(asyncio.wait_for(main(), LONG))


def test_a_higher_limit() -> None:
    """A limit that was raised lets those in that wait, and 0 all of them."""

    async def main() -> None:
        gate = Gate(1)
        assert gate.enter()
        waiting = [wait(gate) for _ in range(3)]
        await asyncio.sleep(0)
        gate.set_limit(2)
        assert await waiting[0]
        assert not waiting[1].done()
        assert not gate.enter()
        gate.set_limit(0)
        assert await waiting[1]
        assert await waiting[2]
        assert gate.inside == 4

    asyncio.run(asyncio.wait_for(main(), LONG))
