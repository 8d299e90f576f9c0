"""Counts what went wrong, by client: guesses at passwords."""

from collections.abc import Callable
from typing import Final

from qpsdk.lists import network_of

WINDOW: Final = 900.0
"""Seconds after which the failures of a client are forgotten: an account is guessed at for days,
and a person who has found the right password again waits no longer than for a coffee."""

MAX_CLIENTS: Final = 10_000
"""Clients that are remembered, of more the latest: about 2 MB."""


class Attempts:
    """Failed attempts of the latest clients.

    >>> attempts = Attempts(lambda: 0.0)
    >>> attempts.add("2001:db8::1")
    >>> attempts.count("2001:db8::2"), attempts.count("192.0.2.1")
    (1, 0)
    """

    __slots__ = ("_clients", "_clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._clients: dict[str, tuple[int, float]] = {}  # how many, and when it began

    def count(self, ip: str) -> int:
        """How often the client, or another of its network, has failed within the window."""
        times, began = self._clients.get(network_of(ip), (0, 0.0))
        return times if abs(self._clock() - began) < WINDOW else 0  # a clock may be set back

    def add(self, ip: str) -> None:
        """It has failed once more."""
        client, times = network_of(ip), self.count(ip)
        _, began = self._clients.pop(client, (0, 0.0))
        # Last in the table, which is in the order of the latest failures.
        self._clients[client] = (times + 1, began if times else self._clock())
        if len(self._clients) > MAX_CLIENTS:
            del self._clients[next(iter(self._clients))]
