"""The contract that every store holds: in memory, on SQLite, on a real Redis server."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import ConfigError, MemoryStore, Store, StoreError
from qpsdk.config import Config
from qpsdk.errors import BusyError
from qpsdk.server.redis import RedisStore
from qpsdk.server.store import SQLiteStore, new_store
from qpsdk.settings import Settings
from qpsdk.testing import Clock
from tests.programs import last_word_without
from tests.redis_server import RedisServer, redis_server

KINDS = ["memory", "sqlite", "redis"]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """The module's Redis server."""
    with redis_server() as server:
        yield server


class Bench:
    """Makes stores of one kind that share their state, and lets time pass for them."""

    def __init__(self, kind: str, url: str, folder: Path) -> None:
        self._kind = kind
        self._url = url
        self._folder = folder
        self._clock = Clock()
        self._memory = MemoryStore(self._clock)

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """One store; those of other hosts see what it has, where it is `lasting`."""
        if self._kind == "memory":
            yield self._memory
            return
        store: Store = (
            RedisStore(self._url)
            if self._kind == "redis"
            else SQLiteStore(self._folder / "store", asyncio.to_thread, self._clock)
        )
        try:
            yield store
        finally:
            await store.close()

    def run(self, check: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
        """Run a check with one store."""

        async def main() -> None:
            async with self.store() as store:
                await store.open()
                await check(store)

        asyncio.run(asyncio.wait_for(main(), 20))

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass: Redis has a clock of its own, which is not ours to set."""
        if self._kind == "redis":
            await asyncio.sleep(seconds)
        self._clock.advance(seconds)


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """Stores of each kind."""
    url = ""
    if request.param == "redis":
        url = request.getfixturevalue("redis").url
        subprocess.run(
            ["redis-cli", "-s", url.removeprefix("unix://").partition("?")[0], "flushall"],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=10,
        )
    return Bench(request.param, url, tmp_path)


def test_get_and_set(bench: Bench) -> None:
    """A key has the value that it was given last; one that has none, None."""

    async def check(store: Store) -> None:
        assert await store.get(b"a") is None
        await store.set(b"a", b"1", 60)
        await store.set(b"a", b"2", 60)
        await store.set(b"b", b"", 60)
        assert await store.get(b"a") == b"2"
        assert await store.get(b"b") == b""

    bench.run(check)


def test_any_bytes(bench: Bench) -> None:
    """Keys and values are bytes of any kind, compared as bytes."""
    odd = bytes(range(256))

    async def check(store: Store) -> None:
        await store.set(odd, odd, 60)
        await store.set(b"\xc3\xa4", b"utf-8", 60)
        assert await store.get(odd) == odd
        assert await store.get(b"\xe4") is None
        assert await store.get("ä".encode()) == b"utf-8"

    bench.run(check)


def test_values_end(bench: Bench) -> None:
    """After its seconds a key has no value, and may be given another as if it never had one."""

    async def check(store: Store) -> None:
        await store.set(b"a", b"old", 0.05)
        await bench.pass_time(0.06)
        assert await store.get(b"a") is None
        assert await store.add(b"a", b"new", 60) is None
        assert await store.get(b"a") == b"new"

    bench.run(check)


def test_set_begins_anew(bench: Bench) -> None:
    """To set a value again makes it last for as long again."""

    async def check(store: Store) -> None:
        await store.set(b"a", b"1", 0.05)
        await store.set(b"a", b"1", 60)
        await bench.pass_time(0.06)
        assert await store.get(b"a") == b"1"

    bench.run(check)


def test_add(bench: Bench) -> None:
    """The first that adds a value wins; the others are given that, and its end stays."""

    async def check(store: Store) -> None:
        assert await store.add(b"a", b"first", 0.2) is None
        assert await store.add(b"a", b"second", 60) == b"first"
        assert await store.get(b"a") == b"first"
        await bench.pass_time(0.21)
        assert await store.get(b"a") is None

    bench.run(check)


def test_increment(bench: Bench) -> None:
    """Counts begin at nothing, and end with the window that the first of them began."""

    async def check(store: Store) -> None:
        assert [await store.increment(b"a", 0.2) for _ in range(3)] == [1, 2, 3]
        assert await store.increment(b"a", 60, by=10) == 13
        assert await store.get(b"a") == b"13"
        await bench.pass_time(0.21)
        assert await store.increment(b"a", 60, by=5) == 5

    bench.run(check)


def test_no_count(bench: Bench) -> None:
    """What is no count cannot be counted on; that is told, and stays, and harms nobody else."""

    async def check(store: Store) -> None:
        await store.set(b"a", b"white", 60)
        with pytest.raises(StoreError):
            await store.increment(b"a", 60)
        assert await store.get(b"a") == b"white"
        assert await store.increment(b"b", 60) == 1

    bench.run(check)


def test_all_at_once(bench: Bench) -> None:
    """Of many hosts that do the same at once, one adds, and each counts."""

    async def main() -> None:
        async with bench.store() as one, bench.store() as other:
            await one.open()
            both = [one, other] * 50
            added = await asyncio.gather(*(s.add(b"a", b"%d" % n, 60) for n, s in enumerate(both)))
            assert added.count(None) == 1
            assert len({known for known in added if known is not None}) == 1
            counts = await asyncio.gather(*(store.increment(b"n", 60) for store in both))
            assert sorted(counts) == list(range(1, 101))

    asyncio.run(asyncio.wait_for(main(), 20))


def test_works_on_after_cancel(bench: Bench) -> None:
    """A call that is cancelled, since its client has gone, leaves the store in order."""

    async def check(store: Store) -> None:
        for _ in range(20):
            task = asyncio.ensure_future(store.increment(b"a", 60))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await store.set(b"b", b"1", 60)
        assert await store.get(b"b") == b"1"
        assert 1 <= await store.increment(b"a", 60) <= 21

    bench.run(check)


# Memory


def test_memory_is_bounded() -> None:
    """When there are too many, those go that would end first."""

    async def main() -> list[int]:
        store = MemoryStore(Clock(), max_entries=20)
        for n in range(1, 22):
            await store.set(b"%d" % n, b"", 100 - n)
        return [n for n in range(1, 22) if await store.get(b"%d" % n) is not None]

    assert asyncio.run(main()) == list(range(1, 19))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("sai"), st.integers(1, 9))))
def test_sqlite_is_as_memory(calls: list[tuple[str, str, int]]) -> None:
    """Whatever is said to both, SQLite answers as memory does."""

    async def inline(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    async def main() -> None:
        clock = Clock()
        file = Path(folder, "store")
        stores: list[Store] = [MemoryStore(clock), SQLiteStore(file, inline, clock)]
        for name, call, number in calls:
            key, value = name.encode(), b"%d" % number
            answers: list[Awaitable[object]] = [
                s.set(key, value, number)
                if call == "s"
                else s.add(key, value, number)
                if call == "a"
                else s.increment(key, number)
                for s in stores
            ]
            one, other = [await answer for answer in answers]
            assert one == other
            clock.advance(2)
        await stores[1].close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main())


# SQLite


def sqlite(path: Path, max_entries: int = 1_000_000, clock: Clock | None = None) -> SQLiteStore:
    """A store on this file."""
    return SQLiteStore(path, asyncio.to_thread, clock or Clock(), max_entries)


def test_sqlite_stays(tmp_path: Path) -> None:
    """What it has is there after a restart."""

    async def main() -> bytes | None:
        first = sqlite(tmp_path / "store")
        await first.set(b"a", b"1", 60)
        await first.close()
        second = sqlite(tmp_path / "store")
        try:
            return await second.get(b"a")
        finally:
            await second.close()

    assert asyncio.run(main()) == b"1"


def test_sqlite_is_private(tmp_path: Path) -> None:
    """Nobody else may read its files: keys may be the addresses of people who write."""

    async def main() -> dict[str, int]:
        store = sqlite(tmp_path / "store")
        await store.set(b"a", b"1", 60)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        await store.close()
        return modes

    assert asyncio.run(main()) == {"store": 0o600, "store-wal": 0o600, "store-shm": 0o600}


def test_sqlite_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has ended is deleted; of what is too much, that which ends first."""
    monkeypatch.setattr("qpsdk.server.store.PRUNE_AFTER", 10)
    clock = Clock()

    def keys() -> list[int]:
        with sqlite3.connect(tmp_path / "store") as db:
            found = sorted(int(key) for (key,) in db.execute("SELECT key FROM entries"))
        db.close()
        return found

    async def main() -> None:
        store = sqlite(tmp_path / "store", 15, clock)
        for n in range(10):
            await store.set(b"%d" % n, b"", 50 + n)
        assert keys() == list(range(10))
        for n in range(10, 20):
            await store.set(b"%d" % n, b"", 50 + n)
        assert keys() == list(range(5, 20))
        clock.advance(60)  # 10 ends now
        for _ in range(10):
            await store.set(b"100", b"", 1000)
        assert keys() == [*range(11, 20), 100]
        await store.close()

    asyncio.run(main())


def test_sqlite_keeps_its_locks(tmp_path: Path) -> None:
    """A reload opens a file again and closes the first: others still see that it is in use.

    Else the next process that closes it deletes what is not in the database itself yet.
    """
    path = tmp_path / "store"
    leave = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1])\n"
        "db.execute('SELECT count(*) FROM entries').fetchone()\n"
        "db.close()\n"
    )

    async def main() -> None:
        old, new = sqlite(path), sqlite(path)
        await old.set(b"a", b"1", 60)
        await new.get(b"a")
        await old.close()
        subprocess.run([sys.executable, "-c", leave, path], check=True)
        assert (tmp_path / "store-wal").exists()
        await new.close()

    asyncio.run(main())


def test_sqlite_without_a_thread(tmp_path: Path) -> None:
    """Where no thread is free the store fails, as a plugin expects it; the hook is not over."""

    async def busy(*_: Any) -> None:
        raise BusyError("no thread was free")

    with pytest.raises(StoreError, match=r"store: no thread was free$"):
        asyncio.run(SQLiteStore(tmp_path / "store", busy, Clock()).get(b"a"))


def test_sqlite_between_processes(tmp_path: Path) -> None:
    """Processes that open one file at the same moment, and count in it, lose no count."""
    script = (
        "import asyncio, sys, time\n"
        "from pathlib import Path\n"
        "from qpsdk.server.store import SQLiteStore\n"
        "async def main():\n"
        "    store = SQLiteStore(Path(sys.argv[1]), asyncio.to_thread, time.time)\n"
        "    sys.stdin.readline()\n"
        "    for _ in range(100):\n"
        "        await store.increment(b'n', 600)\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    path = tmp_path / "store"
    workers = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE)
        for _ in range(4)
    ]
    for worker in workers:
        worker.communicate(b"go\n", timeout=40)
    assert [worker.returncode for worker in workers] == [0] * 4

    async def main() -> bytes | None:
        store = SQLiteStore(path, asyncio.to_thread, time.time)
        try:
            return await store.get(b"n")
        finally:
            await store.close()

    assert asyncio.run(main()) == b"400"


def test_sqlite_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another process does not let go of is a failure in the end, and works after."""
    monkeypatch.setattr("qpsdk.server.store.BUSY_TIMEOUT", 0.05)

    async def main() -> bytes | None:
        store = sqlite(tmp_path / "store")
        await store.set(b"a", b"1", 60)
        other = sqlite3.connect(tmp_path / "store", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"store: database is locked\Z"):
            await store.get(b"a")
        other.execute("ROLLBACK")
        other.close()
        monkeypatch.setattr(store, "_rests_until", 0.0)
        try:
            return await store.get(b"a")
        finally:
            await store.close()

    assert asyncio.run(main()) == b"1"


def test_sqlite_opened_by_two(tmp_path: Path) -> None:
    """Who opens a new file while another does the same waits for it."""
    path = tmp_path / "store"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # as whoever creates it does for a moment

    async def main() -> bytes | None:
        store = sqlite(path)
        asyncio.get_running_loop().call_later(0.1, other.execute, "ROLLBACK")
        await store.open()
        await store.set(b"a", b"1", 60)
        try:
            return await store.get(b"a")
        finally:
            await store.close()

    assert asyncio.run(main()) == b"1"
    other.close()


def test_sqlite_never_to_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another that holds a new file for too long is told before the host listens."""
    monkeypatch.setattr("qpsdk.server.store.BUSY_TIMEOUT", 0.05)
    path = tmp_path / "store"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigError, match=r"the store cannot be used: .*: database is locked"):
        asyncio.run(sqlite(path).open())
    other.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_sqlite_deleted(tmp_path: Path, replaced: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is deleted under a host is told of, once; what it has is kept until the end."""
    path = tmp_path / "store"

    async def main() -> bytes | None:
        store = sqlite(path)
        await store.set(b"a", b"1", 60)
        assert not caplog.messages
        path.unlink()
        if replaced:
            path.write_bytes(b"")
        await store.set(b"b", b"2", 60)
        try:
            return await store.get(b"a")
        finally:
            await store.close()

    assert asyncio.run(main()) == b"1"
    (line,) = caplog.messages
    assert line.startswith(f"{path} was deleted or replaced while it is in use")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: (path.parent.mkdir(), path.write_bytes(b"no database" * 100)), "not a"),
    ],
    ids=["no folder", "no database"],
)
def test_sqlite_cannot_be_used(
    make: Callable[[Path], object], problem: str, tmp_path: Path
) -> None:
    """A place that cannot be one is told before the host listens."""
    path = tmp_path / "folder" / "store"
    make(path)
    with pytest.raises(ConfigError, match=f"the store cannot be used: {path}: .*{problem}"):
        asyncio.run(sqlite(path).open())


# Redis


def test_redis_away(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its server the store fails at once, says so at the start, and comes back with it."""
    monkeypatch.setattr("qpsdk.server.redis.TIME_LIMIT", 60.0)
    monkeypatch.setattr("qpsdk.server.redis.REST", 60.0)
    with redis_server() as server:

        async def main() -> None:
            store = RedisStore(server.url)
            await store.open()
            assert caplog.text == ""
            await store.set(b"a", b"1", 60)
            server.process.kill()
            server.process.wait()
            started = time.monotonic()
            with pytest.raises(StoreError, match=r"socket: "):
                await store.get(b"a")
            with pytest.raises(StoreError, match="socket has just failed"):
                await store.increment(b"a", 60)
            assert time.monotonic() - started < 15.0
            await store.open()
            await store.close()

        asyncio.run(main())
    assert "the store does not answer yet: " in caplog.text


def test_redis_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to a server that was restarted are made anew, without a failure."""
    monkeypatch.setattr("qpsdk.server.redis.REST", 0.0)
    with redis_server() as server:

        async def main() -> int:
            store = RedisStore(server.url)
            await asyncio.gather(*(store.increment(b"n", 60) for _ in range(5)))
            path = server.url.removeprefix("unix://").partition("?")[0]
            kill = ["redis-cli", "-s", path, "client", "kill", "type", "normal"]
            subprocess.run(kill, check=True, stdout=subprocess.DEVNULL, timeout=10)
            counts = await asyncio.gather(*(store.increment(b"n", 60) for _ in range(5)))
            await store.close()
            return max(counts)

        assert asyncio.run(main()) == 10


def test_redis_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing is a failure in time, and then is left alone for a while."""
    monkeypatch.setattr("qpsdk.server.redis.REST", 60.0)
    with redis_server() as server:

        async def main() -> None:
            store = RedisStore(server.url)
            await store.set(b"a", b"1", 60)
            os.kill(server.process.pid, signal.SIGSTOP)
            with monkeypatch.context() as patched:
                patched.setattr("qpsdk.server.redis.TIME_LIMIT", 0.2)
                with pytest.raises(StoreError, match=r"socket: no answer within 0\.2 s"):
                    await store.get(b"a")
            with pytest.raises(StoreError, match="socket has just failed"):
                await store.get(b"a")
            os.kill(server.process.pid, signal.SIGCONT)
            monkeypatch.setattr(store, "_rests_until", 0.0)
            assert await store.get(b"a") == b"1"
            await store.close()

        asyncio.run(main())


def test_redis_round_trips(redis: RedisServer) -> None:
    """Each call is one round trip, also where it takes several commands of Redis."""
    turns: list[str] = []  # who has spoken, each time that it was not the same as before

    async def relay(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        path = redis.url.removeprefix("unix://").partition("?")[0]
        server, to_server = await asyncio.open_unix_connection(path)

        async def copy(name: str, read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
            while data := await read.read(65536):
                if turns[-1:] != [name]:
                    turns.append(name)
                write.write(data)
            write.close()

        await asyncio.gather(copy("C", client, to_server), copy("S", server, to_client))

    async def main() -> None:
        # Not in pytest's own folders, as in `redis_server`.
        with tempfile.TemporaryDirectory(prefix="relay-") as folder:
            async with await asyncio.start_unix_server(relay, f"{folder}/socket"):
                store = RedisStore(f"unix://{folder}/socket")
                await store.open()  # and greets the server
                for call in (
                    store.get(b"round"),
                    store.set(b"round", b"1", 60),
                    store.add(b"round", b"2", 60),
                    store.increment(b"round", 60),
                ):
                    turns.clear()
                    await call
                    assert turns == ["C", "S"]
                await store.close()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_redis_full() -> None:
    """A server whose memory is full says so."""
    with redis_server("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:

        async def main() -> None:
            store = RedisStore(server.url)
            with pytest.raises(StoreError, match="when used memory"):
                await store.set(b"a", b"1", 60)
            assert await store.get(b"a") is None
            await store.close()

        asyncio.run(main())


def test_redis_password() -> None:
    """A password in the URL is used, and is in no error."""
    with redis_server("--requirepass", "sesame") as server:

        async def main(password: str) -> bytes | None:
            store = RedisStore(server.url.replace("unix://", f"unix://:{password}@"))
            try:
                await store.set(b"a", b"1", 60)
                return await store.get(b"a")
            finally:
                await store.close()

        assert asyncio.run(main("sesame")) == b"1"
        with pytest.raises(StoreError) as caught:
            asyncio.run(main("melon"))
    assert "melon" not in str(caught.value)


# Which one


def chosen(**config: str) -> Store:
    """The store of these settings."""
    configuration = Config(config)
    settings = Settings.read(configuration)
    return new_store(configuration, settings, asyncio.to_thread, Clock())


def test_which(tmp_path: Path) -> None:
    """The setting says which store; else it is SQLite in the spool folder, else memory."""
    assert isinstance(chosen(), MemoryStore)
    assert isinstance(chosen(spool_dir=str(tmp_path)), SQLiteStore)
    assert isinstance(chosen(store=f"sqlite:{tmp_path}/x", spool_dir="/nowhere"), SQLiteStore)
    assert isinstance(chosen(store="redis://127.0.0.1:6379/1"), RedisStore)


@pytest.mark.parametrize("text", ["memory", "sqlite:", "redis:6379", "http://127.0.0.1:6379"])
def test_wrong_setting(text: str) -> None:
    """What names no store refuses to start, and is not shown, since it may hold a password."""
    with pytest.raises(ConfigError) as caught:
        chosen(store=text)
    assert str(caught.value) == (
        "config/store:1: this is no store; write sqlite:PATH or redis://HOST:PORT/NUMBER"
    )


@pytest.mark.parametrize("place", ["x", "./x"])
def test_among_the_settings(tmp_path: Path, place: str) -> None:
    """No store is where each file is read as a setting, and closed: that takes its locks away."""
    (tmp_path / "store").write_text(f"sqlite:{place}\n")
    config = Config(tmp_path)
    with pytest.raises(ConfigError, match="store: no store can be among the settings; write "):
        new_store(config, Settings.read(config), asyncio.to_thread, Clock())
    (tmp_path / "store").write_text("sqlite:state/x\n")
    config = Config(tmp_path)
    store = new_store(config, Settings.read(config), asyncio.to_thread, Clock())
    assert isinstance(store, SQLiteStore)


def test_sqlite_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a file is locked not each command waits: the threads are for others, too."""
    monkeypatch.setattr("qpsdk.server.store.BUSY_TIMEOUT", 0.2)

    async def main() -> None:
        store = sqlite(tmp_path / "store")
        await store.set(b"a", b"1", 60)
        other = sqlite3.connect(tmp_path / "store", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        asked = (store.get(b"a") for _ in range(20))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        with pytest.raises(StoreError, match="store has just failed"):
            await store.get(b"a")
        assert time.monotonic() - began < 2  # 20 of them, one after the other, would take 4
        assert all(isinstance(answer, StoreError) for answer in answers)
        other.close()
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://127.0.0.1:1?foo=bar", "an option in it is unknown: .*foo"),
        ("redis://127.0.0.1:1/abc", "/abc: the path of a Redis URL is the number of a database"),
    ],
)
def test_wrong_parts_of_a_url(url: str, problem: str) -> None:
    """Options and databases that there cannot be are reported at the start, not at each client."""
    with pytest.raises(ConfigError, match=f"config/store: {problem}.*; write redis://"):
        chosen(store=url)


def test_wrong_url() -> None:
    """So does a URL that is none."""
    with pytest.raises(ConfigError, match=r"config/store: .*; write redis://HOST:PORT/NUMBER"):
        chosen(store="redis://127.0.0.1:x/0")


def test_without_redis() -> None:
    """Where the package is missing it is said what to install."""
    script = (
        "from qpsdk.config import Config\n"
        "from qpsdk.server.host import new_host\n"
        "new_host(Config({'store': 'redis://127.0.0.1'}))\n"
    )
    assert last_word_without("redis.asyncio", script) == (
        "qpsdk.errors.ConfigError: config/store: this needs the package redis:"
        " pip install 'qpsdk[redis]'"
    )
