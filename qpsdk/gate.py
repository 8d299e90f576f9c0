"""Lets so many through at a time: messages that are queued, the attempts of one address at AUTH."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

    from qpsdk.dispatcher import Work

PATIENCE: Final = 30.0
"""Seconds that a message, or an attempt, waits for its turn. A client waits ten minutes for its
answer (RFC 5321, 4.5.3.2.6): this and one plugin at `queue`, which has nine, fit into them. What
plugins at `data_post` take, or a second one at `queue`, comes on top."""


class Gate:
    """A gate through which those who came first go first.

    Attributes:
        limit: How many may be inside; 0 for any number.
        inside: How many are.
    """

    __slots__ = ("__weakref__", "_waiting", "inside", "limit")

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.inside = 0
        self._waiting: dict[asyncio.Future[bool], None] = {}  # in the order in which they came

    def enter(self) -> bool:
        """Go inside if there is room; else one may `wait`."""
        if self._waiting or 0 < self.limit <= self.inside:
            return False
        self.inside += 1
        return True

    async def wait(self, work: "Work", seconds: float = PATIENCE) -> bool:
        """Wait for one's turn to go inside; False when that has taken too long.

        Args:
            work: May call it off.
        """
        import asyncio  # not loaded by the public names alone, of which the host is one

        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting[turn] = None
        timer = loop.call_later(seconds, self._end, turn, False)
        work.task = turn
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.leave()  # it came to the turn in the same moment
            raise
        finally:
            work.task = None
            timer.cancel()
            self._waiting.pop(turn, None)

    def leave(self) -> None:
        """Make room for the next."""
        self.inside -= 1
        self._let_in()

    def set_limit(self, limit: int) -> None:
        """Have another limit, which may be one for those who wait."""
        self.limit = limit
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and not 0 < self.limit <= self.inside:
            if self._end(next(iter(self._waiting)), True):
                self.inside += 1

    def _end(self, turn: "asyncio.Future[bool]", inside: bool) -> bool:
        """End a wait; whether there was still somebody who waited."""
        self._waiting.pop(turn, None)
        if turn.done():
            return False
        turn.set_result(inside)
        return True
