"""Runs what blocks, in threads that nobody else needs.

The executor of asyncio would do it too; but it also looks names up, so that plugins that hang would
keep the host from connecting anywhere, and Python waits for its threads before it ends.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Condition, Thread
from typing import Any, Final

from qpsdk.errors import BusyError

PATIENCE: Final = 10.0
"""Seconds that a function waits for a thread: less than any hook has (`qpsdk.hooks`)."""

IDLE: Final = 10.0
"""Seconds after which a thread ends that nobody has used."""


class Threads:
    """At most so many threads, made when they are needed.

    Those that hang are lost until they go on, but hold up neither the others nor the end of the
    process.
    """

    def __init__(self, limit: int, patience: float = PATIENCE, idle: float = IDLE) -> None:
        """`limit` is how many; `patience` and `idle` are in seconds."""
        self._limit = limit
        self._patience = patience
        self._idle = idle
        self._changed = Condition()  # also the lock of all below
        self._jobs: dict[Future[Any], Callable[[], Any]] = {}  # that wait for a thread, in order
        self._threads = 0
        self._free = 0  # threads that wait for a job

    async def run(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """What `function` returns: see `qpsdk.host.RunBlocking`.

        Raises:
            BusyError: All threads were at work for too long; it did not run.
        """
        result: Future[Any] = Future()
        gave_up = False

        def give_up() -> None:
            nonlocal gave_up
            gave_up = result.cancel()  # False if it runs

        context = contextvars.copy_context()
        self._submit(result, partial(context.run, function, *arguments))
        limit = asyncio.get_running_loop().call_later(self._patience, give_up)
        try:
            return await asyncio.wrap_future(result)
        except asyncio.CancelledError:
            if gave_up:
                text = f"no thread was free within {self._patience:g} s: all {self._limit} are busy"
                raise BusyError(text) from None
            raise
        finally:
            limit.cancel()
            with self._changed:
                self._jobs.pop(result, None)

    def _submit(self, result: Future[Any], job: Callable[[], Any]) -> None:
        with self._changed:
            self._jobs[result] = job
            if len(self._jobs) > self._free and self._threads < self._limit:
                try:
                    Thread(target=self._work, name="qpsdk-blocking", daemon=True).start()
                    self._threads += 1
                except RuntimeError:  # the system has none for us; one of ours may come free
                    pass
            else:
                self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._jobs:
                    self._free += 1
                    self._changed.wait(self._idle)
                    self._free -= 1
                    if not self._jobs:
                        self._threads -= 1
                        return
                result = next(iter(self._jobs))
                job = self._jobs.pop(result)
            if result.set_running_or_notify_cancel():
                _run(job, result)
            del job, result  # not kept until the next comes


def _run(job: Callable[[], Any], result: Future[Any]) -> None:
    try:
        value = job()
    except BaseException as error:
        result.set_exception(error)
    else:
        result.set_result(value)
