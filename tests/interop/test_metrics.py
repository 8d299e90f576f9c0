"""The metrics of a real host, after real mail."""

import re
import signal
from pathlib import Path

from qpsdk import Endpoint
from qpsdk.meter import Meter
from tests.interop.rig import FakeServer, RunningHost, eventually, running_host
from tests.test_server_metrics import get, samples, served

MESSAGE = b"Subject: hi\n\nhello\n"
LARGE = b"Subject: large\n\n" + b"x" * 70 + b"\n" + b"more\n" * 40_000


def where(host: RunningHost) -> Endpoint:
    """Where a host says that its metrics are."""
    match = re.search(r"metrics at http://127\.0\.0\.1:([0-9]+)/metrics", host.log())
    assert match is not None, host.log()
    return Endpoint("127.0.0.1", int(match[1]))


def test_after_mail(tmp_path: Path, fake: FakeServer) -> None:
    """Connections, answers, hooks and QMQP are counted; the spool is as full as it is."""
    settings = {"metrics": "127.0.0.1:0", "loglevel": "LOGNOTICE"}
    with running_host(tmp_path, fake.address, **settings) as host:
        at = where(host)
        assert "qpsdk_messages_total" not in samples(get(at, "/metrics")[1])
        with host.connect() as client:
            client.hello()
            for message in (MESSAGE, MESSAGE, LARGE):
                assert client.deliver(message).code == 250
        with host.connect() as client:
            client.hello()
            assert client.ask(b"MAIL FROM:<a@example.org>").code == 250
            assert client.ask(b"RCPT TO:<a@elsewhere.example>").code == 550
            client.begin()
            client.send(LARGE.replace(b"\n", b"\r\n"))
            assert eventually(lambda: len(host.spooled()) == 1)
            assert eventually(lambda: samples(get(at, "/metrics")[1])["qpsdk_spool_bytes"] > 2e5)
            found = samples(get(at, "/metrics")[1])
    forward = f"answer='accepted',server='{fake.address[0]}:{fake.address[1]}'"
    assert found["qpsdk_connections_total"] == 2
    assert found["qpsdk_open_connections"] == 1
    assert found["qpsdk_messages_total{code='250'}"] == 3
    assert found["qpsdk_message_bytes_total"] == sum(
        len(message.replace(b"\n", b"\r\n")) for message in (MESSAGE, MESSAGE, LARGE)
    )
    assert found["qpsdk_hook_seconds_count{hook='rcpt',plugin='rcpt_ok'}"] == 5
    assert found["qpsdk_hook_seconds_count{hook='queue',plugin='queue/qmqp_forward'}"] == 3
    assert found[f"qpsdk_forward_seconds_count{{{forward}}}"] == 3
    assert 0 < found[f"qpsdk_forward_seconds_sum{{{forward}}}"] < 15
    assert found["qpsdk_spool_files"] == 1


def test_refused(tmp_path: Path, fake: FakeServer) -> None:
    """Clients that are not let in are counted by the limit that they have met."""
    settings = {
        "metrics": "127.0.0.1:0",
        "loglevel": "LOGNOTICE",
        "max_connections_per_address": "1",
        "unlimited_clients": "192.0.2.1",
    }
    with running_host(tmp_path, fake.address, **settings) as host:
        at = where(host)
        with host.connect(), host.connect(greeted=False) as refused:
            assert refused.reply().code == 421
            found = samples(get(at, "/metrics")[1])
    limit = "{reason='max_connections_per_address'}"
    assert found["qpsdk_refused_connections_total" + limit] == 1
    assert found["qpsdk_connections_total"] == 1


def test_page(tmp_path: Path) -> None:
    """The page on metrics names all that there are, and no others."""
    meter = Meter()
    meter.refuse("max_connections")
    meter.message(250, 1)
    meter.hook("rcpt_ok", "rcpt", 0.1)
    meter.forward("192.0.2.1:628", "accepted", 0.1)
    _, text = served(lambda at: get(at, "/metrics"), meter=meter, spool=tmp_path)
    shown = {re.sub(r"(_bucket|_count|_sum)?(\{.*)?\Z", "", name) for name in samples(text)}
    page = Path("docs/how-to/metrics.md").read_text()
    assert set(re.findall(r"^\| `(qpsdk_\w+)`", page, re.MULTILINE)) == shown
    used = set(re.findall(r"\((qpsdk_\w+?)(?:_bucket|_count|_sum)?[\[{]", page))
    assert used <= shown


def test_health(tmp_path: Path, fake: FakeServer) -> None:
    """A host is ready; while it waits for its last messages it drains; then it is gone."""
    settings = {"metrics": "127.0.0.1:0", "loglevel": "LOGNOTICE"}
    with running_host(tmp_path, fake.address, **settings) as host:
        at = where(host)
        assert get(at, "/healthz") == (200, "ready\n")
        with host.connect() as client:
            client.hello()
            client.begin()
            host.signal(signal.SIGTERM)
            assert eventually(lambda: get(at, "/healthz") == (503, "draining\n"))
            client.send(b"Subject: last\r\n\r\n.\r\n")
            assert client.reply().code == 250
            assert client.reply().code == 421
        assert host.exit_status() == 0
    assert "Traceback" not in host.log()


def test_workers(tmp_path: Path, fake: FakeServer) -> None:
    """Each worker shows its own numbers, also after a reload; together they are all."""
    settings = {"metrics": "127.0.0.1:0", "loglevel": "LOGNOTICE"}
    options = ("--workers", "2")
    with running_host(tmp_path, fake.address, options=options, **settings) as host:
        ports = re.findall(r"metrics at http://127\.0\.0\.1:([0-9]+)/metrics", host.log())
        assert len(set(ports)) == 2
        for number in range(20):
            if number == 10:
                host.signal(signal.SIGHUP)
                assert eventually(lambda: "all workers have reloaded" in host.log())
            with host.connect() as client:
                client.hello()
                assert client.deliver(MESSAGE).code == 250
        taken = []
        for port in ports:
            at = Endpoint("127.0.0.1", int(port))
            assert get(at, "/healthz") == (200, "ready\n")
            taken.append(samples(get(at, "/metrics")[1]).get("qpsdk_messages_total{code='250'}", 0))
        assert sum(taken) == 20
