"""The tls plugin: what it says of wrong certificates, and that it notices new ones."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from qpsdk import DECLINED, DONE, Connection, PluginError
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.plugins.tls import TLS
from qpsdk.testing import smtp
from qpsdk.testing.smtp import memory_host
from tests.certificates import Certificate, make_certificate
from tests.programs import needs


def load(*words: object, **options: str) -> TLS:
    """The plugin, with these arguments."""
    given = [*map(str, words), *(f"{key}={value}" for key, value in options.items())]
    plugin = load_one(PluginLine.parse(" ".join(["tls", *given])), memory_host({}))
    assert isinstance(plugin, TLS)
    return plugin


def shown(context: ssl.SSLContext) -> bytes:
    """The certificate that a handshake with this context shows."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [context.wrap_bio(one, other, server_side=True), client.wrap_bio(other, one)]
    for side in sides[::-1] * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return sides[1].getpeercert(binary_form=True) or b""


@pytest.fixture
def copy(certificate: Certificate, tmp_path: Path) -> Certificate:
    """The certificate, in files that the test may spoil."""
    return Certificate(*(Path(shutil.copy(path, tmp_path)) for path in certificate))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The plugin's clock, to be moved."""
    now = [100.0]
    monkeypatch.setattr("qpsdk.plugins.tls.time.monotonic", lambda: now[0])
    return now


def test_context(certificate: Certificate) -> None:
    """The host is given contexts with the certificate, from TLS 1.2 on unless told otherwise."""
    plugin = load(*certificate)
    assert plugin.qp.tls is not None
    context = plugin.qp.tls()
    assert shown(context) == certificate.der()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert load(*certificate, minimum="1.3").context().minimum_version == ssl.TLSVersion.TLSv1_3


def test_one_file(certificate: Certificate, tmp_path: Path) -> None:
    """Certificate and key may be in one file, whose path begins at the config directory."""
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.key.read_bytes() + certificate.certificate.read_bytes())
    assert shown(load(both).context()) == certificate.der()


def test_wrong_files(copy: Certificate, tmp_path: Path) -> None:
    """Without a certificate that can be used the host does not start, and says which file it is."""
    other = make_certificate(tmp_path_of(tmp_path, "other"))
    text = tmp_path / "text.pem"
    text.write_text("hello\n")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nhello\n-----END CERTIFICATE-----\n")
    gone = tmp_path / "gone.pem"
    for words, message in [
        ([gone, copy.key], f"tls: {gone}: cannot be read: No such file or directory"),
        ([copy.certificate, gone], f"tls: {gone}: cannot be read: No such file or directory"),
        ([tmp_path, copy.key], f"tls: {tmp_path}: cannot be read: Is a directory"),
        ([text, copy.key], f"tls: {text}: not PEM, which has a line -----BEGIN ...-----"),
        ([copy.certificate, text], f"tls: {text}: not PEM, which has a line -----BEGIN ...-----"),
        (
            [copy.certificate, other.key],
            f"tls: {copy.certificate} and {other.key} do not fit: KEY_VALUES_MISMATCH",
        ),
    ]:
        with pytest.raises(PluginError) as refusal:
            load(*words)
        assert str(refusal.value) == message
    with pytest.raises(PluginError, match=f"tls: {broken} and {copy.key} do not fit: "):
        load(broken, copy.key)


def tmp_path_of(folder: Path, name: str) -> Path:
    """A folder in another."""
    (folder / name).mkdir()
    return folder / name


def test_encrypted_key(copy: Certificate, tmp_path: Path) -> None:
    """A key with a password is refused; nobody is asked for it on a terminal."""
    locked = tmp_path / "locked.pem"
    command = [needs("openssl"), "pkey", "-in", str(copy.key), "-out", str(locked)]
    subprocess.run([*command, "-aes128", "-passout", "pass:x"], check=True, timeout=30)
    with pytest.raises(PluginError, match="the key has a password: a server cannot be asked"):
        load(copy.certificate, locked)


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["a", "b"], {"minimum": "1.1"}, "tls: minimum=1.1: write 1.2 or 1.3"),
        ([], {}, "tls: missing a required argument: 'certificate'; given: no arguments"),
        (["a", "b", "c"], {}, "tls: too many positional arguments"),
    ],
)
def test_wrong_arguments(words: list[str], options: dict[str, str], message: str) -> None:
    """Arguments that it does not take refuse to start."""
    with pytest.raises(PluginError) as refusal:
        load(*words, **options)
    assert str(refusal.value).startswith(message)


def test_renewal(copy: Certificate, tmp_path: Path, clock: list[float]) -> None:
    """A renewed certificate is used by the next handshake; looked for once a second."""
    plugin = load(*copy)
    before = copy.der()
    renewed = make_certificate(copy.certificate.parent)
    clock[0] += 0.9
    assert shown(plugin.context()) == before
    clock[0] += 0.2
    assert shown(plugin.context()) == renewed.der() != before
    context = plugin.context()
    clock[0] += 5
    assert plugin.context() is context  # nothing has changed


def test_broken_renewal(
    copy: Certificate, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """A broken renewal is told once, at LOGERROR, and the old one serves."""
    plugin = load(*copy)
    good, der = copy.key.read_bytes(), copy.der()
    copy.key.unlink()
    for _ in range(3):
        clock[0] += 2
        assert shown(plugin.context()) == der
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage() == (
        f"the certificate stays as it was: {copy.key}: cannot be read: No such file or directory"
    )
    copy.key.write_bytes(good)
    clock[0] += 2
    before = plugin.current
    assert plugin.context() is not before


def test_half_a_renewal(copy: Certificate, tmp_path: Path, clock: list[float]) -> None:
    """While certificate and key do not fit, the old ones serve; then the new."""
    plugin = load(*copy)
    der = copy.der()
    new = make_certificate(tmp_path_of(tmp_path, "new"))
    copy.certificate.write_bytes(new.certificate.read_bytes())
    clock[0] += 2
    assert shown(plugin.context()) == der
    copy.key.write_bytes(new.key.read_bytes())
    clock[0] += 2
    assert shown(plugin.context()) == new.der()


def test_dialogue(certificate: Certificate) -> None:
    """STARTTLS is listed until it is done; an argument or a second one is refused."""

    async def main() -> None:
        line = f"tls {certificate.certificate} {certificate.key}"
        # Whoever counts unknown commands, also before it, does not count this one.
        async with smtp("count_unrecognized_commands 2", line) as client:
            assert "STARTTLS" in (await client.command("EHLO client")).text.split("\n")
            reply = await client.command("STARTTLS now")
            assert str(reply) == "501 5.5.4 STARTTLS takes no argument"
            assert str(await client.command("starttls")) == "220 2.0.0 Ready to start TLS"
            assert "STARTTLS" not in (await client.command("EHLO client")).text
            assert str(await client.command("STARTTLS")) == "503 5.5.1 TLS is active already"
            assert (await client.command("STARTTLSX")).code == 500

    asyncio.run(main())


def test_other_commands(certificate: Certificate) -> None:
    """Other commands are no business of its."""
    plugin = load(*certificate)
    assert plugin.hook_unrecognized_command(Connection(), b"xyzzy", b"") == DECLINED
    connection = Connection()
    assert plugin.hook_unrecognized_command(connection, b"starttls", b"") == DONE
    assert connection.tls_to_start is plugin.context()
