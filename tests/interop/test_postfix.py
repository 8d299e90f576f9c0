"""Postfix's qmqpd: it delivers what we forward, and our fake server answers as it does."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qpsdk import Address
from qpsdk.testing.qmqp_profiles import PROFILES
from qpsdk.testing.qmqp_script import unauthorized
from tests.interop.postfix import Postfix, ask
from tests.interop.rig import FakeServer, running_host, without_received
from tests.programs import needs
from tests.test_testing_qmqp_profiles import TABLE, package

COMPLETE = (
    b"From: a@example.org\nDate: Mon, 23 Nov 2026 12:00:00 +0000\nMessage-Id: <1@example.org>\n"
)
"""Fields that Postfix would add where they are missing."""


@pytest.fixture(scope="module")
def postfix() -> Iterator[Postfix]:
    """The module's Postfix."""
    with Postfix() as running:
        yield running


@pytest.fixture(scope="module")
def fake_postfix() -> Iterator[FakeServer]:
    """The fake server that behaves like it."""
    impatient = replace(PROFILES["postfix"], error_delay=0.0)  # as ours is configured
    with FakeServer(profile=impatient) as running:
        yield running


def test_forwarded_and_delivered(postfix: Postfix, tmp_path: Path) -> None:
    """What the client sent to our host is in Postfix's maildir, byte for byte."""
    lines = [b"plain", b".dot", b"..dots", b"", b"From here", b"\xe4\xff 8 bits", b"x" * 900, b""]
    message = COMPLETE + b"Subject: forwarded\n\n" + b"\n".join(lines) + b"\n"
    before = len(postfix.delivered())
    with running_host(tmp_path, postfix.address) as host, host.connect() as client:
        client.hello()
        answer = client.deliver(message)
    assert answer.code == 250
    assert re.fullmatch(rb"2\.0\.0 Ok: queued as [0-9A-F]+", answer.text)
    delivered = postfix.wait_for(before + 1)[before]
    head = re.match(
        rb"Return-Path: <sender@example\.org>\n"
        rb"X-Original-To: recipient@example\.com\n"
        rb"Delivered-To: recipient@example\.com\n"
        rb"Received: from [^\n]*\n\tby mx\.example\.net \(Postfix\) with QMQP id [^\n]*\n"
        rb"\tfor [^\n]*\n",
        delivered,
    )
    assert head is not None, delivered[:500]
    assert without_received(delivered[head.end() :]) == message


def test_two_megabytes(postfix: Postfix, tmp_path: Path) -> None:
    """A message that passes in blocks arrives whole."""
    message = COMPLETE + b"\n" + b"".join(b"%070d\n" % n for n in range(30_000))
    before = len(postfix.delivered())
    with running_host(tmp_path, postfix.address) as host, host.connect() as client:
        client.hello()
        assert client.deliver(message).code == 250
    delivered = postfix.wait_for(before + 1)[before]
    assert delivered.endswith(message)


def test_addresses_without_quotes(postfix: Postfix) -> None:
    """Postfix takes the addresses of QMQP as they are, and quotes them where SMTP would."""
    quoted = b'"ann  lee"@example.org', rb'"lee \"x\""@example.com'
    sender, recipient = (Address.parse(address).unquoted for address in quoted)
    before = len(postfix.delivered())
    ask(postfix.address, package(COMPLETE + b"\nquoted\n", sender, recipient))
    delivered = postfix.wait_for(before + 1)[before]
    assert b"Return-Path: <%b>\n" % quoted[0] in delivered
    assert b"\nDelivered-To: %b\n" % quoted[1] in delivered


def test_too_large_is_refused_for_good(postfix: Postfix, tmp_path: Path) -> None:
    """Over Postfix's message_size_limit its early D reaches the client as 552."""
    with running_host(tmp_path, postfix.address) as host, host.connect() as client:
        client.hello()
        answer = client.deliver(b"Subject: large\n\n" + (b"x" * 79 + b"\n") * 130_000)
    assert answer.code == 552
    assert b"netstring length exceeds storage limit while receiving message" in answer.text


@pytest.mark.parametrize("sent", [row[1] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_fake_answers_like_the_real_one(
    postfix: Postfix, fake_postfix: FakeServer, sent: bytes
) -> None:
    """To the same bytes, the profile `postfix` says what Postfix says, but for the queue id."""

    def told(address: tuple[str, int]) -> bytes:
        return re.sub(rb"^[0-9]+:KOk: queued as [0-9A-F]+,$", b"K", ask(address, sent))

    assert told(fake_postfix.address) == told(postfix.address)


def test_clients_that_it_does_not_know(postfix: Postfix, fake_postfix: FakeServer) -> None:
    """Such a client is refused before anything is read; the act `unauthorized` says the same."""
    real = ask(postfix.address, b"", "127.0.0.2")
    assert real == b"64:DError: unknown[127.0.0.2] is not authorized to use this service,"
    fake_postfix.script(unauthorized("unknown[127.0.0.2]"))
    try:
        assert ask(fake_postfix.address, b"") == real
    finally:
        fake_postfix.script()


def test_its_defaults() -> None:
    """The numbers in the profile are the defaults of the real one."""
    postconf = needs("postconf")
    names = ["qmqpd_error_delay", "qmqpd_timeout", "line_length_limit", "message_size_limit"]
    done = subprocess.run([postconf, "-dh", *names], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1s", "300s", "2048", "10240000"]


def test_why_lines_end_in_lf(postfix: Postfix) -> None:
    """Postfix makes each CR a space: the line after the header is no blank one, the header goes on.

    So a first body line that looks like a field becomes one.
    """
    before = len(postfix.delivered())
    message = (COMPLETE + b"Subject: crlf\n\nNote: I am body\nand more\n").replace(b"\n", b"\r\n")
    ask(postfix.address, package(message, b"a@example.org", b"crlf@example.com"))
    delivered = postfix.wait_for(before + 1)[before]
    assert delivered.endswith(b"Subject: crlf \n \nNote: I am body \n\nand more \n")
