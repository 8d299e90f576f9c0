"""The store on Redis, for the hosts of a fleet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from qpsdk.constants import LOGWARN
from qpsdk.errors import StoreError
from qpsdk.log import log
from qpsdk.store import REST

TIME_LIMIT: Final = 2.0
"""Seconds for one answer: a client's command waits for it."""

CONNECTIONS: Final = 20
"""For one process; with more commands at a time, the others wait for one of these."""


class RedisStore:
    """A `Store` on a Redis server, or one that speaks as it does, such as Valkey.

    What ends is forgotten by the server itself. For the case that its memory is full, set its
    ``maxmemory-policy`` to ``volatile-ttl``.
    """

    lasting = True

    def __init__(self, url: str) -> None:
        """`url` is as in `config/store`; no connection is made yet.

        Raises:
            ValueError: It is none.
        """
        database = urlsplit(url).path.strip("/")
        if not url.startswith("unix:") and database and not database.isdigit():
            raise ValueError(f"/{database}: the path of a Redis URL is the number of a database")
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIME_LIMIT,
            socket_connect_timeout=TIME_LIMIT,
            socket_timeout=TIME_LIMIT,
            # Once, at once: a connection that was kept may be one to a server that was restarted.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        at = pool.connection_kwargs
        try:
            pool.connection_class(**at)  # which connects nowhere yet, and knows its options
        except TypeError as error:
            raise ValueError(f"an option in it is unknown: {error}") from None
        self._name = at.get("path") or f"{at.get('host', 'localhost')}:{at.get('port', 6379)}"
        self._redis = Redis.from_pool(pool)
        self._rests_until = 0.0

    async def open(self) -> None:
        try:
            await self.get(b"qpsdk")
        except StoreError as error:
            log(LOGWARN, f"the store does not answer yet: {error}")

    async def get(self, key: bytes) -> bytes | None:
        return cast("bytes | None", await self._ask(self._redis.get, key))

    async def set(self, key: bytes, value: bytes, ttl: float) -> None:
        await self._ask(self._redis.psetex, key, _milliseconds(ttl), value)

    async def add(self, key: bytes, value: bytes, ttl: float) -> bytes | None:
        async with self._redis.pipeline(transaction=True) as both:
            both.set(key, value, px=_milliseconds(ttl), nx=True)
            both.get(key)
            added, known = await self._ask(both.execute)
        return None if added else known

    async def increment(self, key: bytes, ttl: float, by: int = 1) -> int:
        async with self._redis.pipeline(transaction=True) as both:
            # The window begins with the first of us, and INCRBY leaves its end as it is.
            both.set(key, 0, px=_milliseconds(ttl), nx=True)
            both.incrby(key, by)
            _, count = await self._ask(both.execute)
        return int(count)

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _ask(self, command: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """What the server says to a command.

        Raises:
            StoreError: Nothing in time, or that it cannot.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._rests_until:
            raise StoreError(f"{self._name} has just failed")
        try:
            async with asyncio.timeout(TIME_LIMIT):
                return await command(*arguments)
        except ResponseError as error:
            raise StoreError(f"{self._name}: {error}") from None
        except (TimeoutError, RedisTimeoutError):
            problem = f"no answer within {TIME_LIMIT:g} s"
        except (RedisError, OSError) as error:
            problem = str(error)
        self._rests_until = loop.time() + REST
        raise StoreError(f"{self._name}: {problem}")


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)
