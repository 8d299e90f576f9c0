"""Looking at a thread from beside it."""

import asyncio
import json
import sys
import time
from types import FrameType
from typing import Any

import pytest

from qpsdk.testing.watch import (
    Place,
    Watch,
    defined,
    frames,
    in_debugger,
    raised,
    running,
    told,
    traced_by_debugger,
    waiting,
)


def functions(places: list[Place]) -> list[str]:
    """Their names."""
    return [place.function for place in places]


def test_place() -> None:
    """A place is shown as file and line from here, with function and text."""
    (place,) = defined(functions)
    text = "def functions(places: list[Place]) -> list[str]:"
    assert str(place) == f"tests/test_testing_watch.py:{place.line}, in functions: {text}"
    assert str(Place("/no/such/file", 3, "")) == "/no/such/file:3"
    assert told([Place("/a", 1, "b")]) == "\n  /a:1, in b"
    assert defined(len) == []


def test_watch() -> None:
    """The watched thread is seen at what it does, and the watch ends with its block."""
    seen: list[str] = []

    def busy() -> None:
        while "busy" not in seen:
            time.sleep(0.001)

    def look(frame: FrameType) -> None:
        seen.extend(frame.f_code.co_name for frame in frames(frame))

    with Watch(look, every=0.001):
        busy()
    count = len(seen)
    assert "busy" in seen
    time.sleep(0.01)
    assert len(seen) == count


def test_running() -> None:
    """Of a stack in a loop, the author's lines are told, outermost first, and nobody else's."""
    found: list[Place] = []

    def inner() -> None:
        json.loads("{}", object_hook=lambda _: found.extend(running(sys._getframe())))

    async def outer() -> None:
        inner()

    asyncio.run(outer())
    assert [name.rpartition(".")[2] for name in functions(found)] == ["outer", "inner", "<lambda>"]


def test_nothing_of_the_author() -> None:
    """A loop that runs none of their code is at none of their lines, whoever runs the loop."""
    found: list[list[Place]] = []

    async def main() -> None:
        while [] not in found:
            await asyncio.sleep(0.01)

    with Watch(lambda frame: found.append(running(frame)), every=0.001):
        asyncio.run(asyncio.wait_for(main(), 20))


def test_waiting() -> None:
    """A coroutine that waits is followed to where it does."""

    async def inner() -> None:
        await asyncio.sleep(10)

    async def outer() -> None:
        await inner()

    async def main() -> list[str]:
        task = asyncio.create_task(outer())
        await asyncio.sleep(0)
        try:
            return functions(waiting(task.get_coro()))
        finally:
            task.cancel()

    assert [name.rpartition(".")[2] for name in asyncio.run(main())] == ["outer", "inner"]


def test_raised() -> None:
    """Of a traceback, the lines of Python's own modules are left out."""
    with pytest.raises(ValueError) as caught:
        json.loads("{")
    assert functions(raised(caught.value)) == ["test_raised"]


def test_debuggers() -> None:
    """A stack with a debugger in it is known, and this one has none."""
    here = sys._getframe()
    assert not in_debugger(here)
    names: dict[str, Any] = {"__name__": "pdb", "sys": sys}
    exec("frame = sys._getframe()", names)
    assert in_debugger(names["frame"])


def test_traced() -> None:
    """A debugger that follows each step is told from a coverage tool."""
    before = sys.gettrace()

    class Tracer:
        def __call__(self, *_: Any) -> None: ...

    try:
        for module, expected in (
            ("bdb", True),
            ("pydevd.tracer", True),
            ("coverage.ctrace", False),
        ):
            Tracer.__module__ = module
            sys.settrace(Tracer())
            found = traced_by_debugger()
            sys.settrace(before)
            assert found is expected
    finally:
        sys.settrace(before)
