"""Running what is async from plain code: results, hangs and debuggers."""

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from qpsdk import DECLINED, Plugin
from qpsdk.testing import HangError, run, smtp
from qpsdk.testing.loop import Loop


async def answer() -> int:
    """Something to run."""
    await asyncio.sleep(0)
    return 42


def test_run() -> None:
    """A coroutine runs to its end in a loop of its own."""
    assert run(answer()) == 42


def test_errors_pass() -> None:
    """What it raises comes out as it is."""

    async def fails() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        run(fails())


def test_tasks_are_cancelled() -> None:
    """What it leaves running is cancelled at the end."""
    ended = []

    async def forever() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(True)

    async def main() -> None:
        main.task = asyncio.create_task(forever())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    run(main())
    assert ended == [True]


def test_not_in_a_loop() -> None:
    """Where a loop is running already, one is told to await."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match="an event loop is running here: write `async with`"):
            run(answer())
        with pytest.raises(RuntimeError, match="an event loop is running here"):
            smtp().__enter__()

    asyncio.run(main())


class Waits(Plugin):
    async def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        await asyncio.sleep(100)


class Sleeps(Plugin):
    def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        time.sleep(100)


class Spins(Plugin):
    def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        while True:
            try:
                time.sleep(0)
            except Exception:
                return DECLINED


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        (Waits(), "no end within 1.5 s; waiting at\n"),
        (Sleeps(), "no end within 1.5 s; held up by\n"),
        (Spins(), "no end within 1.5 s; held up by\n"),
    ],
)
def test_a_hook_that_hangs(plugin: Plugin, told: str) -> None:
    """A hook that hangs fails the test, whatever it does, and is named with its line."""
    started = time.perf_counter()
    with smtp(plugin, limit=1.5) as client:
        client.mail()
        with pytest.raises(HangError) as caught:
            client.rcpt()
        client.abort()
    assert str(caught.value).startswith(told)
    assert f"in {type(plugin).__name__}.hook_rcpt: " in str(caught.value)
    assert time.perf_counter() - started < 30


def test_limit_for_each() -> None:
    """The limit is for each thing that is run, not for all of them."""
    with Loop(limit=1.5) as loop:
        for _ in range(3):
            loop.run(asyncio.sleep(0.6))


def test_in_another_thread() -> None:
    """It runs in any thread; there, too, a wait has an end, though its time is up as it begins."""
    found: list[object] = []

    def work() -> None:
        found.append(run(answer()))
        for held_up in (0.0, 0.5):
            with Loop(limit=0.1) as loop:
                loop._loop.call_soon(time.sleep, held_up)
                try:
                    loop.run(asyncio.sleep(100))
                except HangError as error:
                    found.append(str(error)[:19])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert found == [42, "no end within 0.1 s", "no end within 0.1 s"]


DEBUGGED = """
import asyncio
from qpsdk import DENY, Plugin
from qpsdk.testing import smtp

class Stops(Plugin):
    async def hook_rcpt(self, transaction, recipient, params):
        word = "seen"
        breakpoint()
        await asyncio.sleep(0.01)
        return DENY, "after"

stops = Stops()
with smtp("rcpt_ok", limit=1) as client:
    client.mail()
with smtp(stops, limit=1) as client:
    stops.options.timeout = 1
    client.mail()
    print(client.rcpt())
"""


def test_breakpoint() -> None:
    """No time passes in the debugger: neither the client's limit nor the hook's is over then."""
    result = subprocess.run(
        [sys.executable, "-c", DEBUGGED],
        input="p word.upper()\nimport time\ntime.sleep(1.5)\ncontinue\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "'SEEN'" in result.stdout
    assert result.stdout.endswith("550 5.7.1 after\n")
