"""The process that watches over the workers: what it does when one cannot be had, or answers."""

import errno
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from qpsdk.server.notify import Notifier
from qpsdk.server.workers import _Supervisor


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The supervisor's end of a channel, and the worker's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def supervisor(channel: tuple[socket.socket, socket.socket]) -> Iterator[_Supervisor]:
    """One that has begun, with a worker that is ready, though there is no such process."""
    supervisor = _Supervisor([[]], lambda endpoint: None, Notifier())
    (worker,) = supervisor._workers
    supervisor._announced = worker.ready = True
    worker.channel = channel[0]
    yield supervisor
    supervisor._selector.close()


def no_fork() -> int:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_no_process_to_be_had(
    supervisor: _Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that cannot be forked is tried again later; signals come, and nothing is left."""
    monkeypatch.setattr("os.fork", no_fork)
    (worker,) = supervisor._workers
    descriptors = os.listdir("/proc/self/fd")
    assert supervisor._start(worker) is None
    assert worker.start_at is not None
    assert 0 < worker.start_at - time.monotonic() <= worker.delay
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)
    assert "worker 1 cannot start: Resource temporarily unavailable; tried again" in caplog.text


def test_no_process_at_the_start(supervisor: _Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before all have been ready once, the host does not start."""
    monkeypatch.setattr("os.fork", no_fork)
    supervisor._announced = False
    with pytest.raises(BlockingIOError):
        supervisor._start(supervisor._workers[0])
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_reload_that_others_have_asked_for(
    supervisor: _Supervisor,
    channel: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A worker that could not do it, told by somebody else, is not taken to fail the next."""
    told: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, number: told.append(number))
    caplog.set_level(logging.INFO, "qpsdk")
    (worker,) = supervisor._workers
    reports = Notifier(channel[1])
    reports.kept("nonsense")
    supervisor._hear(worker)
    supervisor._signal(signal.SIGHUP)
    assert told == [signal.SIGHUP]
    reports.ready()
    supervisor._hear(worker)
    assert "all workers have reloaded" in caplog.text
    assert "could not reload" not in caplog.text
