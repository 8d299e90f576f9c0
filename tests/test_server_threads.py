"""The threads for what blocks: as many as are allowed, in time or not at all, and no hindrance."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from qpsdk.errors import BusyError
from qpsdk.server.threads import Threads

LONG = 20.0
"""Seconds that nothing here is to take."""

SOON = 0.05
"""Seconds that a test waits for what is to take too long."""


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a loop."""
    asyncio.run(asyncio.wait_for(main(), LONG))


def test_results() -> None:
    """What the function returns or raises comes back; it sees our context variables."""
    variable = contextvars.ContextVar("variable", default="unset")

    def look(*arguments: int) -> tuple[str, str, tuple[int, ...]]:
        return threading.current_thread().name, variable.get(), arguments

    def leave() -> None:
        raise SystemExit(3)

    async def main() -> None:
        threads = Threads(2)
        variable.set("set")
        assert await threads.run(look, 1, 2) == ("qpsdk-blocking", "set", (1, 2))
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)
        assert await threads.run(int, "7") == 7

    run(main)


def test_at_most() -> None:
    """No more run at a time than the limit says; the others do when these have ended."""
    barrier = threading.Barrier(3, timeout=LONG)
    running: list[int] = []
    most: list[int] = []

    def work() -> None:
        running.append(1)
        most.append(len(running))
        barrier.wait()
        running.pop()
        barrier.wait()

    async def main() -> None:
        threads = Threads(3)
        await asyncio.gather(*(threads.run(work) for _ in range(9)))
        assert max(most) == 3
        assert threads._threads == 3

    run(main)


def test_threads_are_used_again() -> None:
    """One thread does for what comes one after the other; unused for a while, it ends."""
    names: set[int] = set()

    async def main() -> None:
        threads = Threads(100, idle=LONG)
        for _ in range(20):
            names.add(await threads.run(threading.get_ident))
            while not threads._free:  # the result is told a moment before
                await asyncio.sleep(0.001)
        assert len(names) == 1
        threads._idle = SOON
        await threads.run(int)
        while threads._threads:
            await asyncio.sleep(0.01)
        assert await threads.run(int) == 0

    run(main)


def test_all_are_busy() -> None:
    """Where no thread is free in time it is told, and the function does not run, then or later."""
    release, ran = threading.Event(), threading.Event()

    async def main() -> None:
        threads = Threads(1)
        hangs = asyncio.create_task(threads.run(release.wait, LONG))
        await asyncio.sleep(0)
        threads._patience = SOON
        text = r"^no thread was free within 0\.05 s: all 1 are busy$"
        with pytest.raises(BusyError, match=text):
            await threads.run(ran.set)
        threads._patience = LONG
        release.set()
        assert await hangs
        assert not threads._jobs
        assert await threads.run(ran.is_set) is False

    run(main)


def test_the_system_has_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that cannot begin counts as none: once the system has some, all work as before."""

    class Fails(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    async def main() -> None:
        threads = Threads(1, patience=SOON)
        with monkeypatch.context() as patched:
            patched.setattr("qpsdk.server.threads.Thread", Fails)
            with pytest.raises(BusyError):
                await threads.run(int)
        threads._patience = LONG
        assert (threads._threads, len(threads._jobs)) == (0, 0)
        assert await threads.run(int) == 0

    run(main)


def test_called_off() -> None:
    """A function that nobody waits for any more does not run; one that runs is abandoned."""
    release, ran = threading.Event(), threading.Event()

    async def main() -> None:
        threads = Threads(1)
        tasks = [asyncio.create_task(threads.run(call)) for call in (release.wait, ran.set)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not threads._jobs
        release.set()
        assert await threads.run(ran.is_set) is False

    run(main)


def test_the_end_of_the_process() -> None:
    """A thread that hangs neither holds up the end nor a name look-up."""
    program = """
import asyncio, threading
from qpsdk.server.threads import Threads

async def main():
    threads = Threads(4)
    hang = threading.Event().wait
    tasks = [asyncio.create_task(threads.run(hang)) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.get_running_loop().getaddrinfo("localhost", 25)
    print("looked up", flush=True)

asyncio.run(main())
print("ended")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.stdout, done.stderr) == ("looked up\nended\n", "")
