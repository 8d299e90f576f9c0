"""What the config allows a client, and what it does to a message."""

import re
import select
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.interop.rig import (
    PATIENCE,
    Client,
    FakeServer,
    RunningHost,
    ScriptedServer,
    eventually,
    running_host,
    without_received,
)


def test_databytes(tmp_path: Path, fake: FakeServer) -> None:
    """A message of databytes octets passes; one more is 552, and so is SIZE= above it.

    Line ends count as two octets (RFC 1870, 6), stuffed dots not at all.
    """
    with (
        running_host(tmp_path, fake.address, databytes="1000", loglevel="LOGNOTICE") as host,
        host.connect() as client,
    ):
        assert b"SIZE 1000" in client.ask(b"EHLO client.example.org").text.split(b"\n")
        fits = b"Subject: x\n\n." + b"x" * 983 + b"\n"
        assert len(fits.replace(b"\n", b"\r\n")) == 1000
        assert client.deliver(fits).code == 250
        assert without_received(fake.take().message) == fits
        assert client.deliver(fits[:-1] + b"x\n").code == 552
        assert client.deliver(fits * 1000).code == 552
        assert client.ask(b"MAIL FROM:<sender@example.org> SIZE=1001").code == 552
        assert client.ask(b"MAIL FROM:<sender@example.org> SIZE=1000").code == 250
        refused = "message refused: 552 5.3.4 Message is larger than allowed here"
        assert host.log().count(refused) == 2
    assert fake.messages == []


def test_databytes_keep_the_spool_small(tmp_path: Path, fake: FakeServer) -> None:
    """What comes after the limit is not stored."""
    with (
        running_host(tmp_path, fake.address, databytes="500000", size_threshold="0") as host,
        host.connect() as client,
    ):
        client.hello()
        client.begin()
        client.send(b"Subject: x\r\n\r\n" + (b"x" * 998 + b"\r\n") * 5000)
        sizes = [path.stat().st_size for path in host.spooled()]
        assert sum(sizes) <= 1_000_000
        assert client.ask(b".").code == 552
        assert eventually(lambda: not host.spooled())


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        (b"a\nb\r\n", b"a\nb\n"),
        (b"a\rb\r\n", b"a\nb\n"),
        (b"a\r\r\nb\r\n", b"a\n\nb\n"),
        (b"a\n\r\nb\r\n", b"a\n\nb\n"),
        (b"a\n.\nb\r\n", b"a\n.\nb\n"),
        (b"a\n..\r\nb\r\n", b"a\n..\nb\n"),
        (b"\r..\r\n", b"\n..\n"),
    ],
)
def test_bare_newline_normalize(
    tmp_path: Path, fake: FakeServer, sent: bytes, arrives: bytes
) -> None:
    """With `normalize` a bare CR or LF is a line end in the message, and ends nothing else."""
    with (
        running_host(tmp_path, fake.address, bare_newline="normalize") as host,
        host.connect() as client,
    ):
        client.hello()
        for block in (len(sent), 1):
            client.begin()
            client.send(b"Subject: x\r\n\r\n")
            for start in range(0, len(sent), block):
                client.send(sent[start : start + block])
            assert client.ask(b".").code == 250
            assert without_received(fake.take().message) == b"Subject: x\n\n" + arrives


def test_bare_newline_reject(tmp_path: Path, fake: FakeServer) -> None:
    """By default a bare CR or LF refuses the message with 554, and only that message."""
    with running_host(tmp_path, fake.address) as host, host.connect() as client:
        client.hello()
        for bare in (b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"\n\r\n"):
            client.begin()
            client.send(b"Subject: x\r\n\r\n" + bare)
            assert client.ask(b".").code == 554
        assert client.deliver(b"Subject: good\n\n").code == 250
    assert without_received(fake.take().message) == b"Subject: good\n\n"


def test_a_silent_client_times_out(tmp_path: Path, fake: FakeServer) -> None:
    """After `timeout` seconds of silence a client is sent away, and its spool file is gone.

    That limit is for silence: without a lowest rate, who trickles has all the time it needs.
    """
    with running_host(
        tmp_path, fake.address, timeout="3", min_data_rate="0", size_threshold="0"
    ) as host:
        with host.connect() as slow:
            slow.hello()
            slow.begin()
            slow.send(b"Subject: slow\r\n\r\n")
            started = time.monotonic()
            with host.connect() as greeted, host.connect() as hailed, host.connect() as half:
                hailed.hello()
                half.hello()
                half.begin()
                half.send(b"Subject: x\r\n\r\nbody\r\n")
                for client in (greeted, hailed, half):
                    while not says(client):
                        slow.send(b"x")
                    assert time.monotonic() - started > 2.9
                    told = b"4.4.2 mx.example.com You said nothing for too long"
                    assert client.rest() == [(421, told)]
            assert eventually(lambda: len(host.spooled()) == 1)
            assert slow.ask(b"\r\n.").code == 250
        assert eventually(lambda: not host.spooled())
        assert "LOGCRIT" not in host.log()
    message = without_received(fake.take().message)
    assert re.fullmatch(rb"Subject: slow\n\nx{10,}\n", message)


def says(client: Client, within: float = 0.1) -> bool:
    """Whether the host says something to a client, or closes, in so many seconds."""
    return bool(select.select([client.socket], [], [], within)[0])


@pytest.mark.parametrize("step", ["greeted", "data"])
def test_slow_loris(tmp_path: Path, fake: FakeServer, step: str) -> None:
    """A client that sends a byte now and then, command or message, is sent away in time."""
    with running_host(
        tmp_path, fake.address, timeout="2", loglevel="LOGNOTICE", size_threshold="0"
    ) as host:
        with host.connect() as client:
            if step == "data":
                client.hello()
                client.begin()
            while not says(client):
                client.send(b"x")
            (answer,) = client.rest()
        told = "4.4.2 mx.example.com You send too slowly"
        assert (answer.code, answer.text) == (421, told.encode())
        assert eventually(lambda: not host.spooled())
        assert f"sent away: 421 {told}" in host.log()
    assert fake.messages == []


def test_a_connection_that_lasts(tmp_path: Path, fake: FakeServer) -> None:
    """After session_timeout a client that still has mail is asked to connect again."""
    with (
        running_host(tmp_path, fake.address, session_timeout="2", loglevel="LOGNOTICE") as host,
        host.connect() as client,
    ):
        client.hello()
        assert client.deliver(b"Subject: one\n\n").code == 250
        time.sleep(2.1)
        answer = client.ask(b"MAIL FROM:<sender@example.org>")
        told = "4.3.2 mx.example.com This connection has lasted too long"
        assert (answer.code, answer.text) == (421, told.encode())
        assert client.rest() == []
        assert f"sent away: 421 {told}" in host.log()


def test_max_connections_per_address(tmp_path: Path, fake: FakeServer) -> None:
    """One address has so many connections at a time, the others theirs."""
    with (
        running_host(tmp_path, fake.address, max_connections_per_address="2") as host,
        host.connect(source="127.0.0.2") as first,
        host.connect(source="127.0.0.2") as second,
    ):
        with host.connect(source="127.0.0.2", greeted=False) as third:
            (answer,) = third.rest()
        told = b"4.7.0 mx.example.com Too many connections from your address, try again later"
        assert answer == (421, told)
        with host.connect(source="127.0.0.3") as other:
            other.hello()
            assert other.deliver(b"Subject: other\n\n").code == 250
        assert first.ask(b"QUIT").code == 221
        first.close()
        assert eventually(lambda: _greets(host, "127.0.0.2"))
        assert second.ask(b"QUIT").code == 221
        assert "LOGWARN 127.0.0.2 refused: max_connections_per_address is 2" in host.log()


def test_max_connection_rate(tmp_path: Path, fake: FakeServer) -> None:
    """One address may come so often a minute, though it goes each time, and the others too."""
    with running_host(tmp_path, fake.address, max_connection_rate="2") as host:
        for _ in range(2):
            with host.connect(source="127.0.0.2") as client:
                assert client.ask(b"QUIT").code == 221
        with host.connect(source="127.0.0.2", greeted=False) as third:
            (answer,) = third.rest()
        assert answer == (421, b"4.7.0 mx.example.com You connect too often, try again later")
        with host.connect(source="127.0.0.3") as other:
            assert other.ask(b"QUIT").code == 221
        assert host.log().endswith(" LOGWARN 127.0.0.2 refused: max_connection_rate is 2\n")


def test_max_connections(tmp_path: Path, fake: FakeServer) -> None:
    """All addresses together have so many."""
    with running_host(tmp_path, fake.address, max_connections="2") as host:
        with host.connect(), host.connect(source="127.0.0.2"):
            with host.connect(source="127.0.0.3", greeted=False) as third:
                (answer,) = third.rest()
            told = b"4.3.2 mx.example.com Too many connections, try again later"
            assert answer == (421, told)
        assert eventually(lambda: _greets(host, "127.0.0.3"))
        assert "LOGWARN 127.0.0.3 refused: max_connections is 2" in host.log()


def _greets(host: RunningHost, source: str) -> bool:
    with host.connect(source=source, greeted=False) as client:
        return client.reply().code == 220


def test_max_forwards(tmp_path: Path, scripted: ScriptedServer) -> None:
    """While so many messages are being forwarded the next one waits; then it is forwarded too."""
    go_on = threading.Event()

    def script(connection: socket.socket) -> None:
        scripted.package(connection)
        assert go_on.wait(PATIENCE)
        connection.sendall(b"4:Kyes,")

    scripted.script = script
    with (
        running_host(tmp_path, scripted.address, max_forwards="1") as host,
        host.connect() as one,
        host.connect() as other,
    ):
        for client in (one, other):
            client.hello()
            client.begin()
            client.send(b"Subject: x\r\n\r\n.\r\n")
        assert eventually(lambda: scripted.packages == 1)
        assert not eventually(lambda: scripted.packages > 1, 0.3)
        # Whoever waits is not read: the sockets fill up, the memory of the host does not.
        before = host.memory("VmRSS")
        other.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            other.socket.sendall(b"NOOP\r\n" * 10_000_000)
        assert host.memory("VmRSS") - before < 8_000
        other.socket.settimeout(PATIENCE)
        go_on.set()
        assert [client.reply().code for client in (one, other)] == [250, 250]
        assert scripted.packages == 2


@pytest.mark.parametrize(
    ("settings", "lines", "told"),
    [
        (
            {"max_commands": "10"},
            [b"NOOP"] * 11,
            "4.7.0 mx.example.com Too many commands without a message, closing the connection",
        ),
        (
            {"max_refusals": "3"},
            [b"EHLO x", b"MAIL FROM:<a@example.org>", *[b"RCPT TO:<a@nowhere.example>"] * 4],
            "4.7.0 mx.example.com Too many refused commands, closing the connection",
        ),
        (
            {"max_bad_commands": "2"},
            [b"RCPT", b"DATA"],
            "4.7.0 mx.example.com Too many bad commands, closing the connection",
        ),
    ],
)
def test_commands(
    tmp_path: Path, fake: FakeServer, settings: dict[str, str], lines: list[bytes], told: str
) -> None:
    """Who asks too much, is refused too much or talks nonsense is sent away."""
    with (
        running_host(tmp_path, fake.address, loglevel="LOGNOTICE", **settings) as host,
        host.connect() as client,
    ):
        answers = [client.ask(line) for line in lines]
        assert answers[-1] == (421, told.encode())
        assert 421 not in [answer.code for answer in answers[:-1]]
        assert client.rest() == []
        assert f"sent away: 421 {told}" in host.log()


def test_max_recipients_and_header(tmp_path: Path, fake: FakeServer) -> None:
    """One recipient more is put off, and the message goes to the others; a longer header is 552.

    The log says so, of a recipient at LOGDEBUG.
    """
    limits = {"max_recipients": "2", "max_header": "1000", "loglevel": "LOGDEBUG"}
    with running_host(tmp_path, fake.address, **limits) as host, host.connect() as client:
        client.hello()
        assert client.ask(b"MAIL FROM:<sender@example.org>").code == 250
        codes = [client.ask(b"RCPT TO:<%d@example.com>" % n).code for n in range(3)]
        assert codes == [250, 250, 452]
        assert client.ask(b"DATA").code == 354
        assert client.ask(b"Subject: x\r\n\r\n.").code == 250
        assert len(fake.take().recipients) == 2
        assert client.deliver(b"Subject: " + b"x" * 900 + b"\n\n").code == 250
        assert client.deliver(b"Subject: x\n" + b"X-Y: zzz\n" * 120 + b"\n").code == 552
        log = host.log()
    assert "refused 'RCPT TO:<2@example.com>': 452 4.5.3 Too many recipients" in log
    assert "message refused: 552 5.3.4 The header is larger than allowed here" in log


def test_what_a_killed_host_has_left(tmp_path: Path, fake: FakeServer) -> None:
    """A host that starts removes the spool files of one that was killed, not those of another."""
    spool = str(tmp_path / "spool")

    def begin(client: Client) -> None:
        client.hello()
        client.begin()
        client.send(b"Subject: x\r\n\r\n")

    with (
        running_host(tmp_path / "a", fake.address, size_threshold="0", spool_dir=spool) as living,
        running_host(tmp_path / "b", fake.address, size_threshold="0", spool_dir=spool) as killed,
        living.connect() as client,
        killed.connect() as victim,
    ):
        begin(client)
        assert eventually(lambda: len(living.spooled()) == 1)
        (its_file,) = living.spooled()
        begin(victim)
        assert eventually(lambda: len(living.spooled()) == 2)
        killed.process.kill()
        killed.process.wait()
        assert len(living.spooled()) == 2
        with running_host(tmp_path / "c", fake.address, spool_dir=spool) as next_one:
            assert living.spooled() == [its_file]
            told = f"{spool}: removed spool files of a host that died: 1"
            assert f"LOGWARN {told}\n" in next_one.log()
        assert client.ask(b".").code == 250
        assert living.log() == ""
    assert without_received(fake.take().message) == b"Subject: x\n\n"
