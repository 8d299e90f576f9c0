"""A time limit for part of a coroutine."""

import asyncio
from types import TracebackType


class TimeLimit:
    """What `asyncio.timeout` is, at a fraction of its cost.

    Each message needs one for its queue plugin and one for the connection of that; an
    ``async with`` and a rescheduling timer were a tenth of the host's work.

    Attributes:
        expired: True once the time was over.

    Raises:
        TimeoutError: From the ``with`` block, when the time is over before it ends.
    """

    __slots__ = ("_cancelling", "_loop", "_seconds", "_task", "_timer", "expired")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self.expired = False

    def __enter__(self) -> "TimeLimit":
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._timer: asyncio.TimerHandle = self._loop.call_later(self._seconds, self._expire)
        return self

    def lift(self) -> None:
        """Let it take as long as it takes, from now on."""
        self._timer.cancel()

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        # Somebody else may have cancelled the task, too; then that goes on.
        if (
            self.expired
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error
