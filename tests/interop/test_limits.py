"""What the config allows a client, and what it does to a message."""

import time
from pathlib import Path

import pytest

from tests.interop.rig import FakeServer, eventually, running_host, without_received


def test_databytes(tmp_path: Path, fake: FakeServer) -> None:
    """A message of databytes octets passes; one more is 552, and so is SIZE= above it.

    Line ends count as two octets (RFC 1870, 6), stuffed dots not at all.
    """
    with (
        running_host(tmp_path, fake.address, databytes="1000") as host,
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


@pytest.mark.parametrize("step", ["greeted", "ehlo", "data"])
def test_a_silent_client_times_out(tmp_path: Path, fake: FakeServer, step: str) -> None:
    """After `timeout` seconds of silence the client is sent away, and its spool file is gone."""
    with running_host(tmp_path, fake.address, timeout="1", size_threshold="0") as host:
        with host.connect() as client:
            if step != "greeted":
                client.hello()
            if step == "data":
                client.begin()
                client.send(b"Subject: x\r\n\r\nbody\r\n")
            started = time.monotonic()
            assert [answer.code for answer in client.rest()] in ([], [421])
            assert 0.5 < time.monotonic() - started < 4
        assert eventually(lambda: not host.spooled())
        assert "LOGCRIT" not in host.log()
    assert fake.messages == []


def test_a_slow_client_does_not_time_out(tmp_path: Path, fake: FakeServer) -> None:
    """The time limit is for silence: a client that trickles has all the time it needs."""
    message = b"Subject: slow\r\n\r\nbody\r\n.\r\n"
    with running_host(tmp_path, fake.address, timeout="1") as host, host.connect() as client:
        client.hello()
        client.begin()
        for byte in message:
            client.send(bytes([byte]))
            time.sleep(0.06)
        assert client.reply().code == 250
    assert without_received(fake.take().message) == b"Subject: slow\n\nbody\n"
