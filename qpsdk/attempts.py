"""Counts by client what may not be tried too often: guesses at passwords, connections."""

from collections.abc import Callable
from typing import Final

from qpsdk.lists import network_of

WINDOW: Final = 900.0
"""Seconds after which failures to authenticate are forgotten: an account is guessed at for days,
and a person who has found the right password again waits no longer than for a coffee."""

MAX_CLIENTS: Final = 10_000
"""Clients that are remembered, of more the latest: about 2 MB."""


class Attempts:
    """Attempts of the latest clients, within a window that begins with a client's first.

    >>> attempts = Attempts(lambda: 0.0)
    >>> attempts.add("2001:db8::1")
    1
    >>> attempts.count("2001:db8::2"), attempts.count("192.0.2.1")
    (1, 0)
    """

    __slots__ = ("_clients", "_clock", "_window")

    def __init__(self, clock: Callable[[], float], window: float = WINDOW) -> None:
        """`clock` gives seconds; they are forgotten after `window` seconds."""
        self._clock = clock
        self._window = window
        self._clients: dict[str, tuple[int, float]] = {}  # how many, and when it began

    def count(self, ip: str) -> int:
        """How many the client, or others of its network, have made within the window."""
        return self._times(network_of(ip))

    def _times(self, client: str) -> int:
        times, began = self._clients.get(client, (0, 0.0))
        return times if abs(self._clock() - began) < self._window else 0  # a clock may be set back

    def add(self, ip: str) -> int:
        """It has made one more; how many these are now."""
        client = network_of(ip)
        times = self._times(client)
        _, began = self._clients.pop(client, (0, 0.0))
        # Last in the table, which is in the order of the latest attempts.
        self._clients[client] = (times + 1, began if times else self._clock())
        if len(self._clients) > MAX_CLIENTS:
            del self._clients[next(iter(self._clients))]
        return times + 1
