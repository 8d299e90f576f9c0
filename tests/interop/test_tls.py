"""TLS and AUTH with the clients that others wrote, and with some that misbehave."""

import contextlib
import shutil
import smtplib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.certificates import Certificate, make_certificate
from tests.interop.rig import (
    PATIENCE,
    FakeServer,
    RunningHost,
    command,
    eventually,
    running_host,
    without_received,
    write_config,
)
from tests.programs import needs

PASSWORD = "tanstaaftanstaaf"
MESSAGE = "From: a@example.org\r\nSubject: hello\r\n\r\nhow are you?\r\n"


@contextmanager
def tls_host(
    folder: Path, certificate: Certificate, fake: FakeServer, **settings: str
) -> Iterator[RunningHost]:
    """A host with a certificate, that lets tim relay once TLS stands."""
    server, port = fake.address
    plugins = f"tls {certificate.certificate} {certificate.key}\nauth/auth_flat_file\nrcpt_ok"
    settings = {
        "plugins": f"{plugins}\nqueue/qmqp_forward {server} {port}",
        "flat_auth_pw": f"tim:{PASSWORD}",
        "tls_before_auth": "1",
        "loglevel": "7",
        **settings,
    }
    with running_host(folder, fake.address, **settings) as running:
        yield running


@pytest.fixture(scope="module", params=["STARTTLS", "TLS"])
def tls(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    fake_of_module: FakeServer,
) -> Iterator[RunningHost]:
    """The module's host: it begins with TLS at once, or when it is asked."""
    listen = {"STARTTLS": "127.0.0.1:0", "TLS": "tls:127.0.0.1:0"}[request.param]
    folder = tmp_path_factory.mktemp("tls")
    with tls_host(folder, certificate, fake_of_module, listen=listen) as running:
        yield running


@pytest.fixture(scope="module")
def starttls(
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    fake_of_module: FakeServer,
) -> Iterator[RunningHost]:
    """A host that does STARTTLS."""
    with tls_host(tmp_path_factory.mktemp("starttls"), certificate, fake_of_module) as running:
        yield running


def _smtplib(host: RunningHost, certificate: Certificate) -> smtplib.SMTP:
    """The standard library's client, under TLS."""
    context = ssl.create_default_context(cafile=certificate.certificate)
    if host.listen.startswith("tls:"):
        client: smtplib.SMTP = smtplib.SMTP_SSL(*host.address, context=context, timeout=PATIENCE)
        client.ehlo()
        return client
    client = smtplib.SMTP(*host.address, timeout=PATIENCE)
    client.ehlo()
    assert not client.has_extn("auth")
    client.starttls(context=context)
    client.ehlo()
    return client


def test_smtplib(tls: RunningHost, fake: FakeServer, certificate: Certificate) -> None:
    """smtplib logs in under TLS and may send to any domain; our fields say how it came."""
    with _smtplib(tls, certificate) as client:
        assert not client.has_extn("starttls")
        assert client.login("tim", PASSWORD) == (235, b"2.7.0 Authentication succeeded")
        assert client.sendmail("a@example.org", ["b@elsewhere.example"], MESSAGE) == {}
    message = fake.take()
    assert without_received(message.message) == MESSAGE.replace("\r\n", "\n").encode()
    assert message.recipients == (b"b@elsewhere.example",)
    assert b" with ESMTPSA\n\t(TLSv1.3 TLS_AES_256_GCM_SHA384) id " in message.message
    assert b"\tauth=pass (cram-md5) smtp.auth=tim\n" in message.message


def test_smtplib_with_a_wrong_password(tls: RunningHost, certificate: Certificate) -> None:
    """smtplib tries a wrong password by each of three mechanisms, which is all it may."""
    with _smtplib(tls, certificate) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
            client.login("tim", "wrong")
        assert refusal.value.smtp_code == 421


def test_large_message(tls: RunningHost, fake: FakeServer, certificate: Certificate) -> None:
    """Megabytes arrive whole."""
    body = "Subject: large\r\n\r\n" + ("x" * 76 + "\r\n") * 40_000
    with _smtplib(tls, certificate) as client:
        assert client.sendmail("a@example.org", ["b@example.com"], body) == {}
    message = fake.take().message
    assert without_received(message) == body.replace("\r\n", "\n").encode()
    assert b" with ESMTPS\n" in message


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks(tls: RunningHost, fake: FakeServer, mechanism: str) -> None:
    """swaks authenticates by each mechanism under TLS, and its message arrives."""
    needs("Net::SSLeay")
    done = _swaks(tls, mechanism, PASSWORD)
    assert done.returncode == 0, done.stdout + done.stderr
    message = fake.take()
    assert message.recipients == (b"someone@elsewhere.example",)
    assert f"\tauth=pass ({mechanism.lower()}) smtp.auth=tim\n".encode() in message.message


def test_swaks_with_a_wrong_password(tls: RunningHost, fake: FakeServer) -> None:
    """A wrong password: swaks exits 28 (its code for AUTH), and shows our 535."""
    needs("Net::SSLeay")
    done = _swaks(tls, "PLAIN", "wrong")
    assert done.returncode == 28
    assert "535 5.7.8 Authentication failed" in done.stdout + done.stderr
    assert fake.messages == []


def _swaks(host: RunningHost, mechanism: str, password: str) -> subprocess.CompletedProcess[str]:
    at_once = host.listen.startswith("tls:")
    return subprocess.run(
        [
            *(needs("swaks"), "--server", f"{host.address[0]}:{host.address[1]}"),
            *("--from", "a@example.org", "--to", "someone@elsewhere.example"),
            *("--tls-on-connect" if at_once else "--tls", "--auth", mechanism),
            *("--auth-user", "tim", "--auth-password", password),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_client(tls: RunningHost, certificate: Certificate, version: str) -> None:
    """openssl s_client verifies the certificate, talks, and sees TLS end cleanly."""
    starttls = [] if tls.listen.startswith("tls:") else ["-starttls", "smtp"]
    done = subprocess.run(
        [
            *(needs("openssl"), "s_client", "-connect", f"127.0.0.1:{tls.address[1]}", *starttls),
            *("-CAfile", str(certificate.certificate), "-verify_return_error", version),
            *("-verify_hostname", "mx.example.com", "-quiet", "-crlf"),
        ],
        input="EHLO client\nMAIL FROM:<a@b>\nQUIT\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "250 2.1.0 Sender OK\n221 2.0.0 mx.example.com" in done.stdout.replace("\r", "")
    assert "error:" not in done.stderr


def test_injection(starttls: RunningHost, certificate: Certificate) -> None:
    """Commands behind STARTTLS in one packet are dropped, and EHLO is forgotten (RFC 3207, 4.2)."""
    with socket.create_connection(starttls.address, PATIENCE) as plain:
        lines = plain.makefile("rb")
        assert lines.readline()[:3] == b"220"
        plain.sendall(b"EHLO client\r\n")
        while lines.readline()[3:4] == b"-":
            pass
        plain.sendall(b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@example.org>\r\nNOOP ")
        assert lines.readline() == b"220 2.0.0 Ready to start TLS\r\n"
        with certificate.client_context().wrap_socket(plain) as secure:
            encrypted = secure.makefile("rb")
            secure.sendall(b"MAIL FROM:<a@example.org>\r\nQUIT\r\n")
            assert encrypted.readline() == b"503 5.5.1 Say HELO or EHLO first\r\n"
            assert encrypted.readline()[:3] == b"221"
            assert encrypted.read() == b""
            lines.close()
            encrypted.close()


def _handshakes_left(host: RunningHost) -> list[str]:
    return [line for line in host.log().splitlines() if "connection lost: " in line]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"EHLO client\r\n", "the TLS handshake failed: "),
        (b"\x16\x03\x01\x02", "the connection was closed in the TLS handshake"),
    ],
)
def test_failed_handshake(
    tls: RunningHost, certificate: Certificate, data: bytes, why: str
) -> None:
    """A handshake that fails costs this connection and a line in the log; the others go on."""
    before = len(_handshakes_left(tls))
    with _smtplib(tls, certificate) as other, socket.create_connection(tls.address, PATIENCE) as it:
        if not tls.listen.startswith("tls:"):
            it.recv(1000)
            it.sendall(b"STARTTLS\r\n")
            assert it.recv(1000)[:3] == b"220"
        it.sendall(data)
        it.shutdown(socket.SHUT_WR)
        while it.recv(1000):
            pass
        assert other.noop()[0] == 250
    assert eventually(lambda: len(_handshakes_left(tls)) == before + 1)
    assert why in _handshakes_left(tls)[-1]
    assert "Traceback" not in tls.log()


def test_time_limit(tmp_path: Path, certificate: Certificate, fake_of_module: FakeServer) -> None:
    """A client that connects to a TLS port and says nothing is closed after the time it has."""
    settings = {"listen": "tls:127.0.0.1:0", "tls_handshake_timeout": "1"}
    with tls_host(tmp_path, certificate, fake_of_module, **settings) as host:
        began = time.monotonic()
        with socket.create_connection(host.address, PATIENCE) as silent:
            assert silent.recv(100) == b""
        assert time.monotonic() - began > 0.9
        assert "connection lost: no TLS handshake within 1 s" in host.log()


def test_passwords_are_not_logged(
    tmp_path: Path, certificate: Certificate, fake_of_module: FakeServer
) -> None:
    """At LOGDEBUG the log has the user's name, and no password in any form."""
    with tls_host(tmp_path, certificate, fake_of_module) as host:
        with _smtplib(host, certificate) as client:
            client.docmd("AUTH", "PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm")
            client.docmd("AUTH", "LOGIN")
            client.docmd("dGlt")
            client.docmd("bXlzZWNyZXQ=")
            client.docmd("bXlzZWNyZXQ=")
        host.signal()
        host.exit_status()
        log = host.log()
    assert "authenticated as tim (plain)" in log
    for secret in (PASSWORD, "mysecret", "bXlzZWNyZXQ", "AHRpbQB0YW5", "dGFuc3RhYWZ"):
        assert secret not in log


def test_renewed_certificate(
    tmp_path: Path, certificate: Certificate, fake_of_module: FakeServer
) -> None:
    """A new certificate is shown to the next client, without a restart."""
    files = Certificate(*(Path(shutil.copy(path, tmp_path)) for path in certificate))
    with tls_host(tmp_path, files, fake_of_module, listen="tls:127.0.0.1:0") as host:

        def shown() -> bytes | None:
            with (
                socket.create_connection(host.address, PATIENCE) as plain,
                ssl._create_unverified_context().wrap_socket(plain) as secure,
            ):
                secure.recv(100)
                return secure.getpeercert(binary_form=True)

        assert shown() == certificate.der()
        renewed = make_certificate(tmp_path).der()
        assert eventually(lambda: shown() == renewed)


SLOW = """
import asyncio
from qpsdk import DECLINED, Plugin


class Slow(Plugin):
    async def hook_pre_connection(self, connection):
        while not connection.input_waiting():
            await asyncio.sleep(0.001)
        return DECLINED
"""


def test_slow_pre_connection(
    tmp_path: Path, certificate: Certificate, fake_of_module: FakeServer
) -> None:
    """A handshake that came while a plugin was at work on pre_connection is not lost."""
    (tmp_path / "slow.py").write_text(SLOW)
    settings = {
        "listen": "tls:127.0.0.1:0",
        "plugin_dirs": str(tmp_path),
        "plugins": f"tls {certificate.certificate} {certificate.key}\nslow",
        "tls_handshake_timeout": "5",
    }
    with (
        tls_host(tmp_path, certificate, fake_of_module, **settings) as host,
        _smtplib(host, certificate) as client,
    ):
        assert client.noop()[0] == 250


def test_memory_after_the_end(
    tmp_path: Path, certificate: Certificate, fake_of_module: FakeServer
) -> None:
    """What a client sends behind its close_notify, while a plugin is at work, is not kept."""
    (tmp_path / "waits.py").write_text(
        "import asyncio\nfrom qpsdk import DECLINED, Plugin\n\n\n"
        "class Waits(Plugin):\n"
        "    async def hook_noop(self, connection, text):\n"
        "        await asyncio.sleep(20)\n"
        "        return DECLINED\n"
    )
    settings = {
        "listen": "tls:127.0.0.1:0",
        "plugin_dirs": str(tmp_path),
        "plugins": f"tls {certificate.certificate} {certificate.key}\nwaits",
    }
    with (
        tls_host(tmp_path, certificate, fake_of_module, **settings) as host,
        socket.create_connection(host.address, PATIENCE) as plain,
    ):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = certificate.client_context().wrap_bio(incoming, outgoing)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        client.write(b"NOOP\r\n")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.unwrap()
        plain.sendall(outgoing.read())
        before = host.memory("VmRSS")
        for _ in range(100):
            plain.sendall(b"x" * 1_000_000)
        assert host.memory("VmRSS") < before + 20_000


def test_stop(tls: RunningHost, tmp_path: Path, certificate: Certificate, fake: FakeServer) -> None:
    """A host that is told to stop says 421 to its idle clients, under TLS too."""
    listen = "tls:127.0.0.1:0" if tls.listen.startswith("tls:") else "127.0.0.1:0"
    with tls_host(tmp_path, certificate, fake, listen=listen) as host:
        client = _smtplib(host, certificate)
        host.signal()
        assert client.getreply()[0] == 421
        client.close()
        assert host.exit_status() == 0


def test_stop_in_a_handshake(
    tmp_path: Path, certificate: Certificate, fake_of_module: FakeServer
) -> None:
    """A host that is told to stop does not wait for a client that says nothing."""
    with tls_host(tmp_path, certificate, fake_of_module, listen="tls:127.0.0.1:0") as host:
        with socket.create_connection(host.address, PATIENCE) as silent:
            assert eventually(lambda: "connection from" in host.log())
            host.signal()
            with contextlib.suppress(ConnectionResetError):
                assert silent.recv(100) == b""
            assert host.exit_status() == 0
        assert "Traceback" not in host.log()


@pytest.mark.parametrize(
    ("plugins", "listen", "told"),
    [
        ("rcpt_ok", "tls:127.0.0.1:0", "cannot listen on tls:127.0.0.1:0: there is no certificate"),
        ("tls nowhere.pem", "127.0.0.1:0", "plugins:1: tls: {config}/nowhere.pem: cannot be read"),
    ],
)
def test_no_certificate(tmp_path: Path, plugins: str, listen: str, told: str) -> None:
    """Without a certificate that can be read the host does not start, and says what is missing."""
    settings = {"plugins": plugins, "me": "mx.example.com", "rcpthosts": "example.com"}
    config = write_config(tmp_path, settings)
    done = subprocess.run(
        command(config, listen), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2
    assert told.format(config=config) in done.stderr
    assert done.stderr.count("\n") == 1
