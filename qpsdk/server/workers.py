"""Several processes that share the addresses of one host, and the supervisor that keeps them up.

The supervisor binds all sockets, so that none of them goes away while a worker is replaced: what
the kernel has accepted for a worker that died waits for the next one. It runs no plugins and no
event loop; a worker is a fork of it that goes on as a host of its own. How it is, the worker tells
by a `Notifier`, in the words that systemd hears from a host without workers.
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from qpsdk.constants import LOGERROR, LOGNOTICE
from qpsdk.log import log
from qpsdk.server.host import FAREWELL, GRACE
from qpsdk.server.listeners import Listener, renewed
from qpsdk.server.notify import Notifier
from qpsdk.stream import Endpoint

HEALTHY: Final = 60.0
"""Seconds after which a worker's end counts as one accident, and another starts at once."""

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
"""Seconds until another is tried for a worker that did not live that long: twice as many each time
that it ends so again, up to these."""

STOP_LIMIT: Final = GRACE + 2 * FAREWELL + 20
"""Seconds that a worker has to stop, its plugins' shutdown included, before it is killed."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def supervise(
    shares: Sequence[Sequence[Listener]],
    on_ready: Callable[[Endpoint], None],
    notifier: Notifier,
) -> tuple[int, list[Listener], socket.socket] | None:
    """Run a worker for each share, until SIGTERM or SIGINT. This returns in each worker, too.

    Args:
        shares: What each worker listens on.
        on_ready: Called with each address once all workers have begun to accept.

    Returns:
        None when all have ended; in a worker its number, from 0 on, its share, and a socket to
        tell how it is.

    Raises:
        SystemExit: A worker could not start, or did not end well.
    """
    return _Supervisor(shares, on_ready, notifier).run()


class _Worker:
    """A share of the addresses, and the process that serves it, if there is one now."""

    def __init__(self, number: int, listeners: Sequence[Listener]) -> None:
        self.number = number
        self.listeners = list(listeners)
        self.pid = 0  # none
        self.channel: socket.socket | None = None
        self.heard = b""  # of a line that has not ended
        self.ready = False
        self.kept = False  # it has said that it could not reload
        self.hangs_at: float | None = None  # unless it says before that it is alive
        self.aborted = False  # since it hung
        self.started = 0.0
        self.start_at: float | None = None  # when to try the next one
        self.delay = FIRST_DELAY  # until then, if it dies young

    def __str__(self) -> str:
        return f"worker {self.number} (process {self.pid})"


class _Supervisor:
    def __init__(
        self,
        shares: Sequence[Sequence[Listener]],
        on_ready: Callable[[Endpoint], None],
        notifier: Notifier,
    ) -> None:
        self._workers = [_Worker(number, share) for number, share in enumerate(shares, 1)]
        self._on_ready = on_ready
        self._notifier = notifier
        self._selector = selectors.DefaultSelector()
        self._announced = False
        self._to_reload: list[_Worker] = []
        self._reloading: _Worker | None = None
        self._kill_at: float | None = None  # set once we are stopping
        self._alive_at = time.monotonic() if notifier.watchdog else None  # when to say so
        self._interrupts = 0
        self._status = 0  # to exit with

    def run(self) -> tuple[int, list[Listener], socket.socket] | None:
        """See `supervise`."""
        signalled, wakeup = socket.socketpair()
        signalled.setblocking(False)
        wakeup.setblocking(False)
        self._selector.register(signalled, selectors.EVENT_READ)
        signal.set_wakeup_fd(wakeup.fileno())
        for handled in _SIGNALS:
            signal.signal(handled, _wake_up)
        # The first one alone, so that what is wrong with the config is reported once.
        self._workers[0].start_at = 0.0
        while self._kill_at is None or any(worker.pid for worker in self._workers):
            for worker in self._workers:
                if worker.start_at is not None and worker.start_at <= time.monotonic():
                    channel = self._start(worker)
                    if channel is not None:  # we are the worker
                        signalled.close()
                        wakeup.close()
                        share = [own._replace(path="") for own in worker.listeners]
                        return worker.number - 1, share, channel
            for key, _ in self._selector.select(self._patience()):
                if key.data is not None:
                    self._hear(key.data)
                else:
                    with contextlib.suppress(BlockingIOError):
                        for number in signalled.recv(100):
                            self._signal(number)
            self._reap()
            self._watch()
        if self._status:
            raise SystemExit(self._status)
        return None

    def _start(self, worker: _Worker) -> socket.socket | None:
        """Fork; in the worker, its end of the channel to us."""
        worker.start_at = None
        ours, theirs = socket.socketpair()
        # A signal that comes in between would be taken for one to the other process.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
        except OSError as error:  # no memory or process just now; the others go on meanwhile
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            ours.close()
            theirs.close()
            if not self._announced:
                raise
            worker.start_at = time.monotonic() + worker.delay
            told = f"worker {worker.number} cannot start: {error.strerror}"
            log(LOGERROR, f"{told}; tried again in {worker.delay:g} s")
            return None
        if pid:
            theirs.close()
            ours.setblocking(False)
            worker.pid, worker.channel, worker.started = pid, ours, time.monotonic()
            self._selector.register(ours, selectors.EVENT_READ, worker)
        else:
            ours.close()
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            self._selector.close()
            own = {listener.socket for listener in worker.listeners}
            for other in self._workers:
                if other.channel is not None:
                    other.channel.close()
                for listener in other.listeners:
                    if listener.socket not in own:
                        listener.socket.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return None if pid else theirs

    def _patience(self) -> float | None:
        """Seconds until there is something to do, whatever is heard."""
        times = [self._kill_at, self._alive_at]
        times += [worker.start_at for worker in self._workers]
        times += [worker.hangs_at for worker in self._workers]
        known = [at for at in times if at is not None]
        return max(min(known) - time.monotonic(), 0.0) if known else None

    # What happens

    def _signal(self, number: int) -> None:
        if number == signal.SIGHUP and self._announced and self._kill_at is None:
            self._to_reload = self._workers[:]
            if self._reloading is None:
                self._notifier.reloading()
                self._reload_next()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
            self._interrupts += number == signal.SIGINT
            if self._interrupts > 1:
                self._stop_at_once()

    def _hear(self, worker: _Worker) -> None:
        assert worker.channel is not None
        data = b""
        with contextlib.suppress(ConnectionError):
            data = worker.channel.recv(65536)
        if not data:  # its end: `_reap` will find the process
            self._selector.unregister(worker.channel)
        *lines, worker.heard = (worker.heard + data).split(b"\n")
        for line in lines:
            if line == b"X_QPSDK_KEPT=1":
                worker.kept = True
            elif line == b"READY=1":
                worker.ready = True
                self._ready(worker)
            elif line == b"WATCHDOG=1" and self._kill_at is None:
                worker.hangs_at = time.monotonic() + self._notifier.watchdog

    def _ready(self, worker: _Worker) -> None:
        kept, worker.kept = worker.kept, False  # also of a reload that others have asked it for
        if self._kill_at is not None:  # it was ready as we were told to stop
            return
        if worker is self._reloading:
            self._reloading = None
            if kept:
                self._to_reload.clear()
                problem = f"{worker} could not reload: it and those after it go on as before"
                log(LOGERROR, problem)
                self._notifier.kept(problem)
            else:
                self._reload_next()
        elif not self._announced:
            for other in self._workers[1:]:
                if not other.pid:
                    other.start_at = 0.0
            if all(other.ready for other in self._workers):
                self._announced = True
                for listener in worker.listeners:
                    self._on_ready(listener.endpoint)
                self._notifier.ready()

    def _reload_next(self) -> None:
        while self._to_reload:
            worker = self._to_reload.pop(0)
            if worker.ready:  # else it is about to read what is new anyway
                self._reloading = worker
                os.kill(worker.pid, signal.SIGHUP)
                return
        log(LOGNOTICE, "all workers have reloaded")
        self._notifier.ready()

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.pid:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
                if pid:
                    self._ended(worker, os.waitstatus_to_exitcode(status))
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = time.monotonic() + STOP_LIMIT
            for worker in self._workers:
                if worker.pid:
                    log(LOGERROR, f"{worker} does not stop; killed")
                    os.kill(worker.pid, signal.SIGKILL)

    def _watch(self) -> None:
        """Kill a worker that hangs, as systemd does with a host; and say that we do not."""
        now = time.monotonic()
        if self._alive_at is not None and now >= self._alive_at:
            self._notifier.alive()
            self._alive_at = now + self._notifier.watchdog / 2
        for worker in self._workers:
            if worker.hangs_at is not None and now >= worker.hangs_at:
                log(LOGERROR, f"{worker} has hung for {self._notifier.watchdog:g} s; killed")
                os.kill(worker.pid, signal.SIGKILL if worker.aborted else signal.SIGABRT)
                worker.aborted = True
                worker.hangs_at = now + self._notifier.watchdog

    def _ended(self, worker: _Worker, status: int) -> None:
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else ""
        told = f"{worker} {how or f'has ended with status {status}'}"
        assert worker.channel is not None
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.channel)
        worker.channel.close()
        was_ready = worker.ready
        worker.channel, worker.pid, worker.ready, worker.heard = None, 0, False, b""
        worker.hangs_at, worker.aborted = None, False
        if self._kill_at is not None:
            # One that was about to start, or has just stopped, is ended by the signal itself.
            if status not in (0, -signal.SIGTERM, -signal.SIGINT):
                log(LOGERROR, told)
                self._status = self._status or 1
            return
        if not self._announced:  # what is wrong, it has reported itself
            if status != 2:
                log(LOGERROR, f"{told} before it was ready")
            self._status = status if status > 0 else 1
            self._stop()
            return
        delay = worker.delay
        if time.monotonic() - worker.started >= HEALTHY:
            delay, worker.delay = 0.0, FIRST_DELAY
        else:
            worker.delay = min(2 * worker.delay, LONGEST_DELAY)
        worker.start_at = time.monotonic() + delay
        log(LOGERROR, f"{told}; another starts {f'in {delay:g} s' if delay else 'now'}")
        if not was_ready:
            self._stand_back(worker)
        if worker is self._reloading:
            self._reloading = None
            self._reload_next()

    def _stand_back(self, worker: _Worker) -> None:
        """Leave the clients of a worker that does not come back to the others, if any is ready.

        Those whom the kernel has given to it are lost, and would only wait the longer.
        """
        others = [other for other in self._workers if other is not worker]
        if not any(other.ready for other in others):
            return
        shared = {own.socket for other in others for own in other.listeners}
        for number, own in enumerate(worker.listeners):
            if own.socket not in shared:
                with contextlib.suppress(OSError):  # tried again when the next one fails
                    worker.listeners[number] = renewed(own)

    def _stop(self) -> None:
        """Let all workers end; nobody waits in our sockets for one that would come back."""
        if self._kill_at is not None:
            return
        self._kill_at = time.monotonic() + STOP_LIMIT
        self._notifier.stopping()
        for worker in self._workers:
            worker.start_at = worker.hangs_at = None
            for listener in worker.listeners:
                listener.close()
            if worker.pid:
                os.kill(worker.pid, signal.SIGTERM)

    def _stop_at_once(self) -> None:
        """Have the workers wait no longer for their clients.

        By the channel: a worker that counted signals would take our SIGTERM and the terminal's
        SIGINT for two.
        """
        for worker in self._workers:
            if worker.channel is not None:
                with contextlib.suppress(OSError):  # it has ended, or has been told before
                    worker.channel.send(b"\n")


def _wake_up(*_: object) -> None:
    """A handler, so that the signal comes to the wakeup socket."""
