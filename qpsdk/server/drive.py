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

    __slots__ = ("_done", "_ended", "_go_on", "_running", "_waiting_for", "_woken")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, None],
        done: Callable[["Drive", BaseException | None], None],
    ) -> None:
        """`done` is called at the end, with the exception that ended the coroutine, if one did."""
        # In a context of its own, as a task has: whoever wakes us has others.
        self._go_on: Callable[[], Any] = partial(copy_context().run, coroutine.send, None)
        self._done = done
        self._waiting_for: asyncio.Future[Any] | None = None
        self._running = False
        self._woken = False
        self._ended = False

    def wake(self) -> None:
        """Go on: there is something on the stream, or it is the start."""
        if self._waiting_for is not None or self._ended:
            return  # it will look at the stream when it comes to that, or not any more
        self._woken = True
        while self._woken and not self._running:
            self._step()

    def _future_done(self, future: asyncio.Future[Any]) -> None:
        if future is self._waiting_for:
            self._waiting_for = None
            self.wake()

    def _step(self) -> None:
        self._woken, self._running = False, True
        try:
            future = self._go_on()
        except StopIteration:
            self._ended, self._woken = True, False
            self._done(self, None)
        except BaseException as error:
            self._ended, self._woken = True, False
            self._done(self, error)
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise  # KeyboardInterrupt and its like are the loop's
        else:
            if future is PAUSE:
                pass
            elif future is None:  # asyncio.sleep(0): after the others
                asyncio.get_running_loop().call_soon(self.wake)
            else:
                # As a task does: the future says so when it is awaited the wrong way.
                future._asyncio_future_blocking = False
                self._waiting_for, self._woken = future, False
                future.add_done_callback(self._future_done)
        finally:
            self._running = False
