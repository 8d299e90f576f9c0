"""State that all hosts of a fleet share: `qp.store`.

The stores that outlive a process are in `qpsdk.server`: on SQLite for the workers of one machine,
on Redis for several. What a plugin counts or remembers in here is worth less than mail: each
entry has an end, and where there are too many, those go first that would end first.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

from qpsdk.errors import StoreError

MAX_ENTRIES: Final = 1_000_000
"""Entries of a store of ours: some 200 MB on disk. Redis has its own limit, ``maxmemory``."""

REST: Final = 1.0
"""Seconds that a store which failed is not asked, so that not each command waits for it."""

MAX_IN_MEMORY: Final = 100_000
"""Entries of a store in memory, which are some 300 bytes each."""


class Store(Protocol):
    """Keys and values, all bytes, kept for some seconds; each call is atomic across all hosts.

    >>> async def main():
    ...     store = MemoryStore()
    ...     print(await store.add(b"first seen", b"10:00", 3600))
    ...     print(await store.add(b"first seen", b"10:05", 3600))
    ...     print(await store.increment(b"messages", 60), await store.increment(b"messages", 60))
    >>> import asyncio
    >>> asyncio.run(main())
    None
    b'10:00'
    1 2

    Every method raises `StoreError` where the store does not answer. What that means is for the
    plugin to say: one that only delays or limits mail does better to let it pass.

    Attributes:
        lasting: It outlives the process, and other processes have it, too.
    """

    lasting: bool

    async def open(self) -> None:
        """Look whether it can be used, before the host begins to listen.

        Raises:
            SetupError: It never will; the text says what to change.
        """

    async def get(self, key: bytes) -> bytes | None:
        """The value of a key; None if it has none, or not any more."""

    async def set(self, key: bytes, value: bytes, ttl: float) -> None:
        """Give a key a value for `ttl` seconds from now on, whatever it had before."""

    async def add(self, key: bytes, value: bytes, ttl: float) -> bytes | None:
        """Give a key a value for `ttl` seconds if it has none.

        Returns:
            None; or the value that it has, which then stays.
        """

    async def increment(self, key: bytes, ttl: float, by: int = 1) -> int:
        """Count, in windows of `ttl` seconds that begin with the first count in them.

        Returns:
            The count in this window, with what was added. `get` gives it as decimal digits.

        Raises:
            StoreError: Also where the key has a value that is no count.
        """

    async def close(self) -> None:
        """Let go of files and connections."""


class MemoryStore:
    """The `Store` of one process, for tests and for a host that has no other."""

    lasting = False

    def __init__(
        self, clock: Callable[[], float] = time.time, max_entries: int = MAX_IN_MEMORY
    ) -> None:
        """`clock` gives the time in seconds."""
        self._clock = clock
        self._max_entries = max_entries
        self._entries: dict[bytes, tuple[bytes, float]] = {}  # the value, and when it ends

    async def open(self) -> None:
        """Nothing."""

    async def get(self, key: bytes) -> bytes | None:
        value, end = self._entries.get(key, (None, 0.0))
        return value if end > self._clock() else None

    async def set(self, key: bytes, value: bytes, ttl: float) -> None:
        self._write(key, value, self._clock() + ttl)

    async def add(self, key: bytes, value: bytes, ttl: float) -> bytes | None:
        known = await self.get(key)
        if known is None:
            await self.set(key, value, ttl)
        return known

    async def increment(self, key: bytes, ttl: float, by: int = 1) -> int:
        known = await self.get(key)
        count = by + read_count(known)
        end = self._clock() + ttl if known is None else self._entries[key][1]
        self._write(key, b"%d" % count, end)
        return count

    async def close(self) -> None:
        self._entries.clear()

    def _write(self, key: bytes, value: bytes, end: float) -> None:
        self._entries[key] = (value, end)
        if len(self._entries) > self._max_entries:
            # A tenth at once, so that it is not sorted for each that comes then.
            by_end = sorted(self._entries, key=lambda key: self._entries[key][1])
            for first in by_end[: self._max_entries // 10 + 1]:
                del self._entries[first]


def read_count(value: bytes | None) -> int:
    """The count in a value; 0 where there is none.

    Raises:
        StoreError: The value is no count.
    """
    try:
        return int(value or b"0")
    except ValueError:
        raise StoreError("the value of this key is no count") from None
