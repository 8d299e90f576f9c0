"""What Prometheus and a balancer are told, over HTTP."""

import asyncio
import contextlib
import errno
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from qpsdk import Endpoint
from qpsdk.config import Config
from qpsdk.errors import SetupError
from qpsdk.meter import Meter
from qpsdk.server import metrics
from qpsdk.server.host import Server, new_host
from qpsdk.server.metrics import MetricsServer
from qpsdk.server.process import watched
from tests.programs import last_word_without, needs_ipv6

ANY_PORT = Endpoint("127.0.0.1", 0)


def get(at: Endpoint, path: str, method: str = "GET", accept: str = "*/*") -> tuple[int, str]:
    """The status and text of a page."""
    client = http.client.HTTPConnection(at.host, at.port, timeout=20)
    client.request(method, path, headers={"Accept": accept})
    response = client.getresponse()
    text = response.read().decode()
    client.close()
    return response.status, text


def served(
    ask: Callable[[Endpoint], Any],
    *,
    at: Endpoint = ANY_PORT,
    meter: Meter | None = None,
    spool: Path = Path("/nowhere"),
    ready: bool = True,
) -> Any:
    """What is asked, in a thread, of a server that runs."""

    async def main() -> Any:
        async with MetricsServer(at, meter or Meter(), lambda: spool, lambda: ready) as server:
            return await asyncio.to_thread(ask, server.endpoint)

    return asyncio.run(asyncio.wait_for(main(), 30))


def samples(text: str) -> dict[str, float]:
    """What Prometheus reads, as ``name{label="value"}``; of ourselves only."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value!r}" for name, value in sorted(sample.labels.items()))
            if sample.name.startswith("qpsdk_"):
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_metrics(tmp_path: Path) -> None:
    """All that is counted is shown, under the names that Prometheus's own rules ask for."""
    meter = Meter()
    meter.connections, meter.ended = 7, 5
    meter.refuse("max_connections")
    meter.message(250, 1000)
    meter.message(250, 500)
    meter.message(451, 9)
    meter.hook("rcpt_ok", "rcpt", 0.0005)
    meter.hook("rcpt_ok", "rcpt", 0.05)
    meter.forward("192.0.2.1:628", "accepted", 99.0)
    (tmp_path / "message-a").write_bytes(b"12345")
    (tmp_path / "message-b").write_bytes(b"123")
    (tmp_path / "store.sqlite").write_bytes(b"no message")
    status, text = served(lambda at: get(at, "/metrics"), meter=meter, spool=tmp_path)
    assert status == 200
    assert "process_resident_memory_bytes" in text
    found = samples(text)
    assert {name: value for name, value in found.items() if "_bucket" not in name} == {
        "qpsdk_connections_total": 7,
        "qpsdk_open_connections": 2,
        "qpsdk_refused_connections_total{reason='max_connections'}": 1,
        "qpsdk_messages_total{code='250'}": 2,
        "qpsdk_messages_total{code='451'}": 1,
        "qpsdk_message_bytes_total": 1509,
        "qpsdk_hook_seconds_count{hook='rcpt',plugin='rcpt_ok'}": 2,
        "qpsdk_hook_seconds_sum{hook='rcpt',plugin='rcpt_ok'}": 0.0505,
        "qpsdk_forward_seconds_count{answer='accepted',server='192.0.2.1:628'}": 1,
        "qpsdk_forward_seconds_sum{answer='accepted',server='192.0.2.1:628'}": 99,
        "qpsdk_spool_files": 2,
        "qpsdk_spool_bytes": 8,
    }
    hooks = [value for name, value in found.items() if name.startswith("qpsdk_hook_seconds_bucket")]
    assert hooks == [1, 1, 2, 2, 2, 2, 2]
    forward = [v for name, v in found.items() if name.startswith("qpsdk_forward_seconds_bucket")]
    assert forward == [0] * 10 + [1]


def test_hostile_names(tmp_path: Path) -> None:
    """A name is a label's value and nothing else, whatever is in it."""
    meter = Meter()
    odd = 'x"} 1\nqpsdk_up 0 \\ \udcff'
    meter.hook(odd, "rcpt", 0.1)
    _, text = served(lambda at: get(at, "/metrics"), meter=meter, spool=tmp_path)
    (family,) = [f for f in text_string_to_metric_families(text) if f.name == "qpsdk_hook_seconds"]
    assert {s.labels["plugin"] for s in family.samples} == {'x"} 1\nqpsdk_up 0 \\ \\udcff'}
    assert "\nqpsdk_up" not in text


def test_health() -> None:
    """A host that takes mail is ready; one that was told to stop drains."""
    assert served(lambda at: get(at, "/healthz")) == (200, "ready\n")
    assert served(lambda at: get(at, "/healthz"), ready=False) == (503, "draining\n")


def test_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event loop that does not answer is told, while it does not."""
    monkeypatch.setattr(metrics, "LOOP_LIMIT", 0.05)

    async def main() -> tuple[int, str]:
        async with MetricsServer(ANY_PORT, Meter(), Path, lambda: True) as server:
            # As a plugin that should have been async.
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(get, server.endpoint, "/healthz").result(20)

    assert asyncio.run(main()) == (503, "busy\n")


def test_other_pages() -> None:
    """Other paths and methods have nothing."""
    assert served(lambda at: get(at, "/")) == (404, "there are /metrics and /healthz\n")
    assert served(lambda at: get(at, "/metrics", "DELETE"))[0] == 405


def test_wrong_accept(capfd: pytest.CaptureFixture[str]) -> None:
    """A version that cannot be read in Accept is as good as none: the page is there."""

    accept = "text/plain;version=a.b.c"
    status, text = served(lambda at: get(at, "/metrics", accept=accept))
    assert status == 200
    assert "qpsdk_connections_total" in text
    assert capfd.readouterr().err == ""


def test_v6() -> None:
    """It can be an address of IPv6."""
    needs_ipv6()
    assert served(lambda at: get(at, "/healthz"), at=Endpoint("::1", 0)) == (200, "ready\n")


def test_garbage(capfd: pytest.CaptureFixture[str]) -> None:
    """What is no HTTP, or goes away, is dropped without a word, and the next is served."""

    def ask(at: Endpoint) -> tuple[int, str]:
        for garbage in (b"\x16\x03\x01\r\n\r\n", b"GET /metrics\r\n", b"", b"GET / HTTP/1.1\r\nx"):
            with socket.create_connection((at.host, at.port), 20) as client:
                client.sendall(garbage)
        return get(at, "/healthz")

    assert served(ask) == (200, "ready\n")
    assert capfd.readouterr() == ("", "")


def test_slow_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request has so much time in all: a byte now and then does not buy more, nor does taking
    none of the answer."""
    monkeypatch.setattr(metrics, "REQUEST_LIMIT", 0.2)
    meter = Meter()
    for number in range(200):  # 18 MB: more than the system holds for a client that reads nothing
        meter.hook(f"{number}{'x' * 10_000}", "rcpt", 0.1)

    def ask(at: Endpoint) -> tuple[int, str]:
        deaf, trickling = (socket.create_connection((at.host, at.port), 20) for _ in range(2))
        with deaf, trickling:
            deaf.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            trickling.settimeout(0.05)
            began, said = time.monotonic(), b"-"
            while said:
                assert time.monotonic() < began + 15
                with contextlib.suppress(TimeoutError):
                    with contextlib.suppress(ConnectionError):
                        trickling.sendall(b"G")
                    said = trickling.recv(1)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while block := deaf.recv(65536):
                    answer = answer[-100:] + block
            assert b"process_" not in answer  # which is at the end
        monkeypatch.undo()
        return get(at, "/healthz")

    assert served(ask, meter=meter) == (200, "ready\n")


def test_too_many() -> None:
    """Clients that only sit there keep nobody from an answer: the oldest makes room."""

    def ask(at: Endpoint) -> list[bool]:
        silent = [
            socket.create_connection((at.host, at.port), 20) for _ in range(metrics.MAX_REQUESTS)
        ]
        assert get(at, "/healthz") == (200, "ready\n")
        for client in silent:
            client.setblocking(False)
        closed = [_is_closed(client) for client in silent]
        for client in silent:
            client.close()
        return closed

    assert served(ask) == [True] + [False] * (metrics.MAX_REQUESTS - 1)


def _is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_the_system_has_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that got no thread are dropped, and take nobody's place later."""
    real = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if "process_request" in self.name:
            raise RuntimeError("can't start new thread")
        real(self)

    def ask(at: Endpoint) -> tuple[int, str]:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            for _ in range(metrics.MAX_REQUESTS):
                with socket.create_connection((at.host, at.port), 20) as client:
                    assert client.recv(1) == b""
        return get(at, "/healthz")

    assert served(ask) == (200, "ready\n")


def test_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that cannot be accepted waits, and the processor is left to the mail meanwhile."""
    real, failed = WSGIServer.get_request, list[float]()

    def get_request(self: WSGIServer) -> Any:
        if len(failed) < 2:
            failed.append(time.monotonic())
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(self)

    monkeypatch.setattr(WSGIServer, "get_request", get_request)
    assert served(lambda at: get(at, "/healthz")) == (200, "ready\n")
    assert failed[1] - failed[0] >= metrics.LOOK


def test_not_to_be_had() -> None:
    """An address that is taken refuses to start."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError) as caught:
            served(lambda at: None, at=Endpoint("127.0.0.1", port))
    assert str(caught.value) == (
        f"config/metrics: cannot listen on 127.0.0.1:{port}: Address already in use"
    )


def test_workers(tmp_path: Path) -> None:
    """Each worker has a port of its own, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        host = new_host(Config({"metrics": f"127.0.0.1:{port - 1}", "spool_dir": str(tmp_path)}))

        async def main() -> None:
            watched(Server(host, []), worker=1)

        # The port of the second worker is taken, that of the first is not.
        with pytest.raises(SetupError, match=f"cannot listen on 127.0.0.1:{port}: "):
            asyncio.run(main())


def test_no_port_is_left(tmp_path: Path) -> None:
    """A worker whose port would be none says so, and what to change."""
    host = new_host(Config({"metrics": "127.0.0.1:65535", "spool_dir": str(tmp_path)}))
    with pytest.raises(SetupError, match="worker 2 would be 65536, and 65535 is the last; name a"):
        watched(Server(host, []), worker=1)


def test_off(tmp_path: Path) -> None:
    """Without the setting nothing listens, and nothing is counted."""

    async def main() -> None:
        host = new_host(Config({"spool_dir": str(tmp_path / "spool")}))
        async with Server(host, []) as server, watched(server) as nothing:
            assert nothing is None
            assert host.meter is None

    asyncio.run(main())


def test_without_prometheus_client() -> None:
    """Where the package is missing it is said what to install."""
    script = (
        "from qpsdk.config import Config\n"
        "from qpsdk.server.host import Server, new_host\n"
        "from qpsdk.server.process import watched\n"
        "host = new_host(Config({'metrics': '127.0.0.1:0'}))\n"
        "watched(Server(host, []))\n"
    )
    assert last_word_without("prometheus_client", script) == (
        "qpsdk.errors.SetupError: config/metrics needs prometheus-client:"
        " pip install 'qpsdk[metrics]'"
    )
