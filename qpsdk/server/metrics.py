"""`config/metrics`: what a host does, for Prometheus, and whether it takes mail, for a balancer.

``/metrics`` is what `qpsdk.meter` has counted, in the format of Prometheus. ``/healthz`` is 200
``ready``; 503 ``draining`` from the moment that the host is told to stop; or 503 ``busy`` where
the event loop does not answer within a second. A queue server that is down does not count: the host
still answers, with 452, and so would all the others whom a balancer might ask in its place.

Both are served from a thread by the standard library's HTTP server, so that they answer even when
a plugin holds up the event loop. There is no password: listen on an internal address.

Each worker process listens on a port of its own, the first on the one of `config/metrics`, the
next on the one after it, and so on. So each shows its own numbers, and Prometheus adds them up.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from qpsdk.constants import LOGDEBUG, LOGNOTICE
from qpsdk.errors import SetupError
from qpsdk.log import log
from qpsdk.meter import Meter, Times
from qpsdk.server.stream import reason
from qpsdk.stream import Endpoint

try:
    from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ImportError:
    raise SetupError(
        "config/metrics needs prometheus-client: pip install 'qpsdk[metrics]'"
    ) from None

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

LOOP_LIMIT: Final = 1.0
"""Seconds within which the event loop has to answer."""

REQUEST_LIMIT: Final = 10.0
"""Seconds that a request may take, from its connection to its last byte."""

MAX_REQUESTS: Final = 16
"""At a time: of more, which no Prometheus makes, the oldest is closed for the newest, so that
clients that only sit there do not keep a balancer from its answer."""

LOOK: Final = 0.1
"""Seconds until we look again whether a request's time is over, or ours; and whether a client can
be accepted that could not be."""


class MetricsServer:
    """Serves the metrics of one process; an async context manager.

    Attributes:
        endpoint: Where, with the port that port 0 became.
    """

    def __init__(
        self, at: Endpoint, meter: Meter, spool: Callable[[], Path], ready: Callable[[], bool]
    ) -> None:
        """Begin to serve; to be called where the event loop runs.

        Args:
            spool: Gives the spool folder.
            ready: Whether the host takes mail; called in the event loop.

        Raises:
            SetupError: The address cannot be listened on.
        """
        registry = CollectorRegistry()
        registry.register(_Collector(meter, spool))
        ProcessCollector(registry=registry)
        self._metrics = make_wsgi_app(registry)
        self._ready = ready
        self._loop = asyncio.get_running_loop()
        kind = _V6Server if ":" in at.host else _Server
        try:
            self._server = kind((at.host, at.port), _Handler)
        except OSError as error:
            raise SetupError(f"config/metrics: cannot listen on {at}: {reason(error)}") from None
        self._server.set_app(self._answer)
        self.endpoint = Endpoint(at.host, self._server.server_address[1])
        serve = partial(self._server.serve_forever, LOOK)
        threading.Thread(target=serve, name="metrics", daemon=True).start()
        log(LOGNOTICE, f"metrics at http://{self.endpoint}/metrics")

    async def __aenter__(self) -> "MetricsServer":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Serve no more."""
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return self._page(environ, start)
        status, text = ("404 Not Found", "there are /metrics and /healthz")
        if environ["PATH_INFO"] == "/healthz":
            text = self._health()
            status = "200 OK" if text == "ready" else "503 Service Unavailable"
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    def _page(self, environ: dict[str, Any], start: "StartResponse") -> Iterable[bytes]:
        try:
            return self._metrics(environ, start)  # type: ignore[no-any-return]
        except (TypeError, ValueError):
            # The library reads versions in Accept, and raises at what is none, before it answers.
            if environ.pop("HTTP_ACCEPT", None) is None:
                raise
            return self._page(environ, start)

    def _health(self) -> str:
        async def ready() -> bool:
            return self._ready()

        try:
            answer = asyncio.run_coroutine_threadsafe(ready(), self._loop)
            return "ready" if answer.result(LOOP_LIMIT) else "draining"
        except concurrent.futures.TimeoutError:
            return "busy"


class _Server(ThreadingMixIn, WSGIServer):
    """Each request in a thread: one that is slow keeps no other waiting."""

    daemon_threads = True
    request_queue_size = 128  # the default of 5 is less than may come at once

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.BoundedSemaphore(MAX_REQUESTS)
        self._end_by: dict[socket.socket, float] = {}  # of those that are open, the oldest first
        self._lock = threading.Lock()  # nobody is ended whose descriptor is another's already
        super().__init__(*arguments)

    def server_bind(self) -> None:
        # Not WSGIServer's, which asks the DNS for our name.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "", 0  # of WSGI, and of no use to us
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:  # such as that there is no descriptor left: the client goes on waiting,
            time.sleep(LOOK)  # and we would ask without a pause
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            with self._lock:
                if self._end_by:
                    self._end(next(iter(self._end_by)))
            # It has gone in a moment, or waits for the event loop, which has a limit too.
            if not self._free.acquire(timeout=LOOP_LIMIT):
                self.shutdown_request(request)
                return
        with self._lock:
            self._end_by[request] = time.monotonic() + REQUEST_LIMIT
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system has no thread for us
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def service_actions(self) -> None:
        """End those whose time is over: `serve_forever` calls this each time that it looks."""
        now = time.monotonic()
        with self._lock:
            for request in [r for r, end_by in self._end_by.items() if end_by < now]:
                self._end(request)

    def _end(self, request: socket.socket) -> None:
        """Have its thread, which waits for the client, find that it is gone."""
        del self._end_by[request]
        with contextlib.suppress(OSError):  # it is
            request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._end_by.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that is gone, or is none."""


class _V6Server(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Each request of a monitor."""
        log(LOGDEBUG, "metrics:", format % arguments)


class _Collector(Collector):
    """What a `Meter` has counted, as it is when Prometheus asks."""

    def __init__(self, meter: Meter, spool: Callable[[], Path]) -> None:
        self._meter = meter
        self._spool = spool

    def describe(self) -> Iterable[Metric]:
        """Nothing: what is collected says its names itself."""
        return ()

    def collect(self) -> Iterator[Metric]:
        meter = self._meter
        yield CounterMetricFamily(
            "qpsdk_connections", "Clients that came.", value=meter.connections
        )
        yield GaugeMetricFamily(
            "qpsdk_open_connections", "Clients that are here.", meter.connections - meter.ended
        )
        yield _counter("qpsdk_refused_connections", "Clients not let in.", "reason", meter.refused)
        yield _counter("qpsdk_messages", "Replies to the final dot.", "code", meter.messages)
        yield CounterMetricFamily(
            "qpsdk_message_bytes", "Octets of these messages.", value=meter.message_bytes
        )
        yield _histogram("qpsdk_hook_seconds", "Times of plugins.", ("plugin", "hook"), meter.hooks)
        yield _histogram(
            "qpsdk_forward_seconds",
            "Times of handing a message to another server.",
            ("server", "answer"),
            meter.forwards,
        )
        with contextlib.suppress(OSError):  # the rest is worth knowing without these
            sizes = list(_sizes(self._spool()))
            yield GaugeMetricFamily("qpsdk_spool_files", "Messages in files.", len(sizes))
            yield GaugeMetricFamily("qpsdk_spool_bytes", "Octets of these.", sum(sizes))


def _counter(name: str, text: str, label: str, counts: Mapping[Any, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in list(counts.items()):  # a list: the event loop goes on meanwhile
        family.add_metric([_label(str(value))], count)
    return family


def _histogram(
    name: str, text: str, labels: tuple[str, str], table: Mapping[tuple[str, str], Times]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, times in list(table.items()):
        counts, total = list(times.counts), 0
        buckets = []
        for bound, count in zip([*times.bounds, "+Inf"], counts, strict=True):
            total += count
            buckets.append((str(bound), float(total)))
        family.add_metric([_label(value) for value in values], buckets, times.seconds)
    return family


def _label(text: str) -> str:
    """A label's value that can be written, whatever bytes a name in the config has."""
    return text.encode("utf-8", "backslashreplace").decode()


def _sizes(folder: Path) -> Iterator[int]:
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # a message that has left just now
            if entry.name.startswith("message-"):
                yield entry.stat().st_size
