"""The store on SQLite, for the workers of one machine; and which store the settings name."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, TypeVar

from qpsdk.config import Config
from qpsdk.constants import LOGERROR
from qpsdk.errors import BusyError, ConfigError, StoreError
from qpsdk.host import RunBlocking
from qpsdk.log import log
from qpsdk.settings import Settings
from qpsdk.store import MAX_ENTRIES, REST, MemoryStore, Store, read_count

_T = TypeVar("_T")

FILE_NAME: Final = "store.sqlite"
"""The store in `config/spool_dir`, where `config/store` names no other."""

BUSY_TIMEOUT: Final = 2.0
"""Seconds to wait for another process that writes: its transactions take a millisecond."""

AGAIN: Final = 0.01
"""Seconds until SQLite is asked again for what it does not wait for itself."""

PRUNE_AFTER: Final = 1000
"""Writes after which what has ended is deleted."""

PRUNE_AT_MOST: Final = 10_000
"""Entries deleted at a time: some 50 ms in which nobody else writes."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    key BLOB PRIMARY KEY, value BLOB NOT NULL, ends REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_end ON entries (ends);
"""


def new_store(
    config: Config, settings: Settings, run_blocking: RunBlocking, clock: Callable[[], float]
) -> Store:
    """The store that `config/store` names; else SQLite in a spool folder, else memory.

    Raises:
        ConfigError: It is no URL, or a package is missing.
    """
    kind, _, place = (settings.store or "").partition(":")
    if kind == "sqlite":
        path = config.resolve(place)
        if path.resolve().parent == config.path("store").resolve().parent:
            # All that is there is read as settings, and to close a file takes SQLite's locks away.
            problem = "no store can be among the settings; write another folder, sqlite:state/NAME"
            raise ConfigError(problem, config.path("store"))
        return SQLiteStore(path, run_blocking, clock)
    if kind:
        try:
            from qpsdk.server.redis import RedisStore

            return RedisStore(settings.store)
        except ImportError:
            problem = "this needs the package redis: pip install 'qpsdk[redis]'"
        except ValueError as error:
            problem = f"{error}; write redis://HOST:PORT/NUMBER"
        raise ConfigError(problem, config.path("store"))
    if settings.spool_dir is not None:
        return SQLiteStore(settings.spool_dir / FILE_NAME, run_blocking, clock)
    return MemoryStore(clock)


class SQLiteStore:
    """A `Store` in a file, which processes of one machine share."""

    lasting = True

    def __init__(
        self,
        path: Path,
        run_blocking: RunBlocking,
        clock: Callable[[], float],
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        """The file is made when it is first needed; so a process that forks has not opened it."""
        self._path = path
        self._run_blocking = run_blocking
        self._clock = clock
        self._max_entries = max_entries
        self._lock = threading.Lock()  # of the connection, which one thread at a time uses
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # which one that is of, until it is gone
        self._writes = 0
        self._rests_until = 0.0

    async def open(self) -> None:
        try:
            await self.get(b"")
        except StoreError as error:
            raise ConfigError(f"the store cannot be used: {error}") from None

    async def get(self, key: bytes) -> bytes | None:
        return await self._run(lambda db, now: _read(db, now, key)[0])

    async def set(self, key: bytes, value: bytes, ttl: float) -> None:
        await self._run(lambda db, now: self._write(db, key, value, now + ttl))

    async def add(self, key: bytes, value: bytes, ttl: float) -> bytes | None:
        def add(db: sqlite3.Connection, now: float) -> bytes | None:
            known, _ = _read(db, now, key)
            if known is None:
                self._write(db, key, value, now + ttl)
            return known

        return await self._run(add)

    async def increment(self, key: bytes, ttl: float, by: int = 1) -> int:
        def increment(db: sqlite3.Connection, now: float) -> int:
            known, end = _read(db, now, key)
            count = by + read_count(known)
            self._write(db, key, b"%d" % count, now + ttl if known is None else end)
            return count

        return await self._run(increment)

    async def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    async def _run(self, work: Callable[[sqlite3.Connection, float], _T]) -> _T:
        """Do `work` in a thread, as one transaction."""
        self._check_rest()  # also here, since those that wait have a thread each
        try:
            return await self._run_blocking(self._transact, work)  # type: ignore[no-any-return]
        except BusyError as error:  # which in a hook would put mail off, whatever the plugin wants
            raise StoreError(f"{self._path}: {error}") from None

    def _transact(self, work: Callable[[sqlite3.Connection, float], _T]) -> _T:
        with self._lock:
            self._check_rest()
            try:
                db = self._connection = self._connection or self._connect()
                self._look()
                # Immediate: what was read here, nobody changes before we have written.
                db.execute("BEGIN IMMEDIATE")
                with db:
                    return work(db, self._clock())
            except (sqlite3.Error, OSError) as error:
                self._rests_until = monotonic() + REST
                raise StoreError(f"{self._path}: {_reason(error)}") from error

    def _check_rest(self) -> None:
        if monotonic() < self._rests_until:
            raise StoreError(f"{self._path} has just failed")

    def _connect(self) -> sqlite3.Connection:
        # A key may be somebody's address: not for others to read. SQLite's other files get the
        # mode of this one.
        # Only a new file: to close one takes away all locks that this process has on it (fcntl(2)),
        # and after a reload the store of before still has its own.
        with contextlib.suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self._path, flags, 0o600))
        db = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            _begin_wal(db)  # readers do not wait for the one who writes
            db.execute("PRAGMA synchronous=NORMAL")  # a power cut may take the last moments
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        self._file = _identity(self._path)
        return db

    def _look(self) -> None:
        """Tell, once, that the file has been deleted under us.

        We go on with it, as the other workers do: a new one beside it would be at odds with what
        SQLite keeps in the files that belong to it.
        """
        if self._file is not None and _identity(self._path) != self._file:
            self._file = None
            told = "was deleted or replaced while it is in use, and what it has ends with this host"
            log(LOGERROR, f"{self._path} {told}; stop the host before you delete it")

    def _write(self, db: sqlite3.Connection, key: bytes, value: bytes, end: float) -> None:
        db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", (key, value, end))
        self._writes += 1
        if self._writes % PRUNE_AFTER == 0:
            self._prune(db)

    def _prune(self, db: sqlite3.Connection) -> None:
        """Delete what has ended; and what ends first, where there is too much."""
        (ended,) = db.execute(
            "SELECT count(*) FROM entries WHERE ends <= ?", (self._clock(),)
        ).fetchone()
        (size,) = db.execute("SELECT count(*) FROM entries").fetchone()
        surplus = min(max(ended, size - self._max_entries), PRUNE_AT_MOST)
        db.execute(
            "DELETE FROM entries WHERE key IN (SELECT key FROM entries ORDER BY ends LIMIT ?)",
            (surplus,),
        )


def _begin_wal(db: sqlite3.Connection) -> None:
    """Have a write-ahead log; SQLite does not wait itself for who makes one at the same moment."""
    until = monotonic() + BUSY_TIMEOUT
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() >= until:
                raise
        sleep(AGAIN)


def _identity(path: Path) -> tuple[int, int]:
    """Which file is at a path; of none zeros."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _read(db: sqlite3.Connection, now: float, key: bytes) -> tuple[bytes | None, float]:
    """The value of a key, and when it ends."""
    row: Any = db.execute(
        "SELECT value, ends FROM entries WHERE key = ? AND ends > ?", (key, now)
    ).fetchone()
    return row or (None, 0.0)


def _reason(error: sqlite3.Error | OSError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
