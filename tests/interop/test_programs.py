"""Mail programs that others wrote send through the host."""

import re
import smtplib
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.interop.rig import (
    PATIENCE,
    FakeServer,
    QMQPSink,
    RunningHost,
    eventually,
    running_host,
    without_received,
)
from tests.programs import needs


def _source(host: RunningHost, *options: str) -> subprocess.CompletedProcess[str]:
    """Run smtp-source to its end; it stops with a fatal error at the first wrong reply."""
    envelope = ["-f", "sender@example.org", "-t", "recipient@example.com"]
    target = f"inet:{host.address[0]}:{host.address[1]}"
    return subprocess.run(
        [needs("smtp-source"), *options, *envelope, target],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("-m", "300"), id="a connection each"),
        pytest.param(("-m", "300", "-d"), id="connections kept"),
        pytest.param(("-m", "100", "-d", "-r", "5"), id="five recipients"),
        pytest.param(("-m", "100", "-d", "-l", "200000"), id="200 kB each"),
    ],
)
def test_smtp_source_through_the_host_into_qmqp_sink(
    tmp_path: Path, sink: QMQPSink, options: tuple[str, ...]
) -> None:
    """Every message of 20 parallel sessions arrives at qmqp-sink, and smtp-source is content."""
    with running_host(tmp_path, sink.address) as host:
        done = _source(host, "-s", "20", *options)
        assert (done.returncode, done.stderr) == (0, "")
        wanted = int(options[1])
        assert eventually(lambda: sink.count() >= wanted)
        assert sink.count() == wanted
        assert host.log() == ""
        assert eventually(lambda: not host.spooled())


def test_smtp_source_into_the_fake_server(host: RunningHost, fake: FakeServer) -> None:
    """The package's own fake server takes the same load, each message once and whole."""
    done = _source(host, "-s", "20", "-m", "200", "-d")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(fake.messages) == 200
    assert fake.fake.failures == []
    envelopes = {(m.sender, m.recipients) for m in fake.messages}
    assert envelopes == {(b"sender@example.org", (b"recipient@example.com",))}
    # smtp-source numbers its messages, in hexadecimal.
    numbers = {re.search(rb"^Message-Id: (<.*>)$", m.message, re.MULTILINE) for m in fake.messages}
    assert len({number[1] for number in numbers if number}) == 200


def _swaks(host: RunningHost, *options: str) -> subprocess.CompletedProcess[str]:
    server = f"{host.address[0]}:{host.address[1]}"
    return subprocess.run(
        [needs("swaks"), "--server", server, "--from", "sender@example.org", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_swaks_sends_its_own_message(host: RunningHost, fake: FakeServer) -> None:
    """swaks without options of its own delivers its test message, and exits 0."""
    done = _swaks(host, "--to", "recipient@example.com")
    assert done.returncode == 0, done.stdout + done.stderr
    message = fake.take()
    assert message.recipients == (b"recipient@example.com",)
    assert b"\nSubject: test " in message.message


def test_swaks_with_a_subject(host: RunningHost, fake: FakeServer) -> None:
    """swaks' --h-Subject and body arrive, dots and all."""
    done = _swaks(
        host,
        *("--to", "recipient@example.com", "--h-Subject", "Hello there"),
        *("--body", "one\n.two\n..three\n.\nfour"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    header, _, body = fake.take().message.partition(b"\n\n")
    assert b"\nSubject: Hello there\n" in header
    assert body.startswith(b"one\n.two\n..three\n.\nfour\n")


def test_swaks_is_told_that_a_recipient_is_refused(host: RunningHost, fake: FakeServer) -> None:
    """A recipient that is not ours: swaks exits 24 (its code for RCPT), and shows our 550."""
    done = _swaks(host, "--to", "someone@elsewhere.example")
    assert done.returncode == 24
    assert "550 5.7.1 Relaying denied" in done.stdout + done.stderr
    assert fake.messages == []


@pytest.fixture
def smtp(host: RunningHost) -> Iterator[smtplib.SMTP]:
    """The standard library's client, connected."""
    with smtplib.SMTP(*host.address, local_hostname="client.example.org", timeout=PATIENCE) as it:
        yield it


def _letter(to: str, sender: str = "sender@example.org") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, "Hello"
    message.set_content("A line.\n.A line with a dot.\n\n")
    return message


def test_smtplib_send_message(smtp: smtplib.SMTP, fake: FakeServer) -> None:
    """What send_message sends is what arrives."""
    letter = _letter("one@example.com, two@example.com")
    assert smtp.send_message(letter) == {}
    message = fake.take()
    assert without_received(message.message) == bytes(letter)
    assert message.recipients == (b"one@example.com", b"two@example.com")


def test_smtplib_one_of_several_recipients_is_refused(smtp: smtplib.SMTP, fake: FakeServer) -> None:
    """The refused recipient is reported with our reply; the others get the message."""
    to = ["one@example.com", "two@elsewhere.example", "three@example.com"]
    refused = smtp.sendmail("sender@example.org", to, "Subject: Hello\r\n\r\nBody\r\n")
    assert refused == {"two@elsewhere.example": (550, b"5.7.1 Relaying denied")}
    assert fake.take().recipients == (b"one@example.com", b"three@example.com")


def test_smtplib_all_recipients_are_refused(smtp: smtplib.SMTP, fake: FakeServer) -> None:
    """With nobody left there is no message, and the connection serves the next one."""
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail("sender@example.org", ["a@elsewhere.example"], "Subject: no\r\n\r\n")
    smtp.sendmail("sender@example.org", ["one@example.com"], "Subject: yes\r\n\r\n")
    assert without_received(fake.take().message) == b"Subject: yes\n\n"


def test_smtplib_addresses_in_utf8(smtp: smtplib.SMTP, fake: FakeServer) -> None:
    """Addresses in UTF-8 pass with SMTPUTF8 (RFC 6531), byte for byte."""
    smtp.send_message(_letter("jörg@example.com", "anaïs@exämple.org"))
    message = fake.take()
    assert message.sender == "anaïs@exämple.org".encode()
    assert message.recipients == ("jörg@example.com".encode(),)
    assert b" with UTF8SMTP id " in message.message


def test_smtplib_body_of_8_bits(smtp: smtplib.SMTP, fake: FakeServer) -> None:
    """A body of 8-bit bytes passes with BODY=8BITMIME (RFC 6152), in no charset at all."""
    data = b"Subject: bytes\r\n\r\n" + bytes(range(128, 256)) + b"\r\n"
    smtp.sendmail("s@example.org", ["r@example.com"], data, mail_options=["BODY=8BITMIME"])
    assert without_received(fake.take().message) == data.replace(b"\r\n", b"\n")


def test_smtplib_reset_in_the_middle(smtp: smtplib.SMTP, fake: FakeServer) -> None:
    """RSET forgets sender and recipients: the next message has only its own."""
    smtp.ehlo()
    smtp.mail("forgotten@example.org")
    smtp.rcpt("forgotten@example.com")
    assert smtp.rset()[0] == 250
    assert smtp.docmd("DATA")[0] == 503
    smtp.send_message(_letter("kept@example.com"))
    message = fake.take()
    assert (message.sender, message.recipients) == (b"sender@example.org", (b"kept@example.com",))


def test_smtplib_two_messages_on_a_connection(smtp: smtplib.SMTP, fake: FakeServer) -> None:
    """A second message on the same connection has nothing of the first."""
    for name in ("first", "second"):
        smtp.sendmail("s@example.org", [f"{name}@example.com"], f"Subject: {name}\r\n\r\n")
    arrived = [(m.recipients, without_received(m.message)) for m in fake.messages]
    assert arrived == [
        ((b"first@example.com",), b"Subject: first\n\n"),
        ((b"second@example.com",), b"Subject: second\n\n"),
    ]


def test_smtplib_empty_sender(smtp: smtplib.SMTP, fake: FakeServer) -> None:
    """A bounce, from nobody, arrives from nobody."""
    smtp.sendmail("", ["one@example.com"], "Subject: bounce\r\n\r\n")
    assert fake.take().sender == b""
