"""Runs a session straight from the callbacks of its connection."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, Final

PAUSE: Final = object()
"""What a driven coroutine yields to wait until it is woken."""


class Drive:
    """Steps a coroutine when there is something for it: what `asyncio.Task` does, with less.

    A task is woken by a future, by way of the event loop: for each line of a client that would
    be a future, a callback and a turn of the loop, which together cost more than to answer the
    line. A driven session goes on inside the call that brings the bytes. It may wait for its
    stream (it yields `PAUSE`, and then somebody calls `wake`), for futures of its loop, among them
    the tasks in which the hooks of plugins run, and for its next turn (``asyncio.sleep(0)``).
    """

    __slots__ = ("_done", "_go_on", "_paused", "_woken")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, None],
        done: Callable[["Drive", BaseException | None], None],
    ) -> None:
        """`done` is called at the end, with the exception that ended the coroutine, if one did."""
        # In a context of its own, as a task has: whoever wakes us has others.
        self._go_on: Callable[[], Any] = partial(copy_context().run, coroutine.send, None)
        self._done = done
        self._paused = True  # it yielded `PAUSE`, or has not begun
        self._woken = False  # before it came to that

    def wake(self) -> None:
        """Go on: there is something on the stream, or it is the start."""
        if self._paused:
            self._step()
        else:
            self._woken = True  # unless it waits for something else, and looks at the stream then

    def _step(self, _future: object = None) -> None:
        self._paused = False
        try:
            while True:
                self._woken = False
                future = self._go_on()
                if future is not PAUSE:
                    break
                if not self._woken:
                    self._paused = True
                    return
        except StopIteration:
            self._done(self, None)
        except BaseException as error:
            self._done(self, error)
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise  # KeyboardInterrupt and its like are the loop's
        else:
            if future is None:  # asyncio.sleep(0): after the others
                asyncio.get_running_loop().call_soon(self._step)
            else:
                # As a task does: the future says so when it is awaited the wrong way.
                future._asyncio_future_blocking = False
                future.add_done_callback(self._step)
