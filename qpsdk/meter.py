"""Counts what a host does, for those who watch it.

These are plain numbers of one event loop, without a lock or a library: to count costs less than a
microsecond, and nothing where nobody watches. `qpsdk.server.metrics` shows them to Prometheus.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

HOOK_BOUNDS: Final = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0)
FORWARD_BOUNDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
"""Seconds up to which times are counted together."""

MAX_SERIES: Final = 1000
"""Of each kind: names come from the config, but a plugin may have others. The rest is ``other``."""


class Times:
    """How often something happened, and how long it took.

    >>> times = Times((0.1, 1.0))
    >>> for seconds in (0.05, 0.1, 7.5):
    ...     times.add(seconds)
    >>> times.counts, round(times.seconds, 2)
    ([2, 0, 1], 7.65)

    Attributes:
        bounds: Seconds, ascending.
        counts: How many took up to each bound and more than the one before; last, all others.
        seconds: What they took together.
    """

    __slots__ = ("bounds", "counts", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one that took so long."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds


@dataclass(slots=True)
class Meter:
    """What is counted of one host.

    Attributes:
        connections: Clients that came.
        ended: Those that have gone.
        refused: Those that were not let in, by the reason.
        messages: Replies to the final dot, by their code.
        message_bytes: Octets of these messages, taken or not.
        hooks: Times of plugins, by plugin and hook.
        forwards: Times of handing a message to another server, by server and answer.
    """

    connections: int = 0
    ended: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    messages: dict[int, int] = field(default_factory=dict)
    message_bytes: int = 0
    hooks: dict[tuple[str, str], Times] = field(default_factory=dict)
    forwards: dict[tuple[str, str], Times] = field(default_factory=dict)

    def refuse(self, reason: str) -> None:
        """A client was not let in; `reason` is the name of the limit or the like."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def message(self, code: int, size: int) -> None:
        """A message of `size` octets has come, and was answered so."""
        self.messages[code] = self.messages.get(code, 0) + 1
        self.message_bytes += size

    def hook(self, plugin: str, hook: str, seconds: float) -> None:
        """A plugin's part in a hook took so long."""
        _times(self.hooks, (plugin, hook), HOOK_BOUNDS).add(seconds)

    def forward(self, server: str, answer: str, seconds: float) -> None:
        """Another server was tried for a message, which took so long."""
        _times(self.forwards, (server, answer), FORWARD_BOUNDS).add(seconds)


def _times(
    table: dict[tuple[str, str], Times], key: tuple[str, str], bounds: Sequence[float]
) -> Times:
    """Those of a key, or where there are too many, of all others together."""
    times = table.get(key)
    if times is None:
        key = key if len(table) < MAX_SERIES else ("other", "other")
        times = table.setdefault(key, Times(bounds))
    return times
