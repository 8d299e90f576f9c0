"""Hosts that share a store: what one of them has seen, the others know."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.interop.rig import FakeServer, RunningHost, eventually, running_host
from tests.redis_server import RedisServer, redis_server

SETTINGS = {
    "plugins": "greylisting black_timeout=3\nratelimit 600 600\nrcpt_ok",
    "loglevel": "LOGNOTICE",
}


@contextmanager
def two_hosts(folder: Path, store: str) -> Iterator[tuple[RunningHost, RunningHost]]:
    """Two hosts of one store."""
    with ExitStack() as stack:
        yield (
            stack.enter_context(running_host(folder / "a", ("", 0), store=store, **SETTINGS)),
            stack.enter_context(running_host(folder / "b", ("", 0), store=store, **SETTINGS)),
        )


def rcpt(host: RunningHost, user: bytes = b"b") -> int:
    """The code that a host answers to one recipient of a new client."""
    with host.connect() as client:
        client.hello()
        assert client.ask(b"MAIL FROM:<a@example.org>").code == 250
        return client.ask(b"RCPT TO:<" + user + b"@example.com>").code


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis server."""
    with redis_server() as server:
        yield server


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_two_hosts(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Who was put off by one is taken by the other; and both count together."""
    store = f"sqlite:{tmp_path}/store"
    if kind == "redis":
        store = request.getfixturevalue("redis").url
    with two_hosts(tmp_path, store) as (one, other):
        began = time.monotonic()
        assert rcpt(one) == 450
        assert rcpt(other) == 450
        assert eventually(lambda: rcpt(other, b"b") == 250)
        assert time.monotonic() - began > 2  # in whole seconds of the clock
        assert "white: came again after " in other.log()
        assert rcpt(one) == 250


def test_counted_together(tmp_path: Path, redis: RedisServer) -> None:
    """Of a limit, what one host takes is not left for the other."""
    settings = {"plugins": "ratelimit 6 600\nrcpt_ok", "store": redis.url}
    with (
        running_host(tmp_path / "a", ("", 0), **settings) as one,
        running_host(tmp_path / "b", ("", 0), **settings) as other,
    ):
        assert [rcpt(host) for host in (one, other) * 4] == [250] * 6 + [450] * 2


def test_store_dies(tmp_path: Path, redis: RedisServer) -> None:
    """Without Redis mail passes, and the log says so."""
    with two_hosts(tmp_path, redis.url) as (one, other):
        assert rcpt(one) == 450
        redis.process.kill()
        redis.process.wait()
        assert [rcpt(host, user) for host in (one, other) for user in (b"b", b"c")] == [250] * 4
        assert "greylisting: the store fails, so nobody is looked up: " in one.log()
        assert "ratelimit: the store fails, so nobody is limited: " in one.log()
        assert "Traceback" not in one.log()


def test_restart(tmp_path: Path, fake: FakeServer) -> None:
    """Without config/store what is known is in the spool folder, and there after a restart."""
    settings = {**SETTINGS, "plugins": "greylisting black_timeout=1\nrcpt_ok"}
    with running_host(tmp_path, fake.address, **settings) as host:
        assert rcpt(host) == 450
        assert (host.spool / "store.sqlite").exists()
    with running_host(tmp_path, fake.address, **settings) as host:
        assert eventually(lambda: rcpt(host) == 250)


def test_wrong_store(tmp_path: Path) -> None:
    """A store that cannot be used refuses to start."""
    with (
        pytest.raises(AssertionError, match=r"the store cannot be used: .*No such file"),
        running_host(tmp_path, ("", 0), store="sqlite:nowhere/store", **SETTINGS),
    ):
        pass
