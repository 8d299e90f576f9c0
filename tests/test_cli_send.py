"""`qpsdk send`: what it prints, and its exit status."""

import subprocess
import sys
from pathlib import Path

import pytest

from qpsdk import OK, Plugin, Result, Transaction
from qpsdk.testing.host import host


class Takes(Plugin):
    """Takes every message."""

    def hook_queue(self, transaction: Transaction) -> Result:
        """Say so."""
        return OK


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "qpsdk", "send", *arguments],
        input=stdin,
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("plugins", "recipient", "status", "printed"),
    [
        (["rcpt_ok", Takes()], "b@example.com", 0, b"S: 250 2.0.0 "),
        (["rcpt_ok"], "b@example.com", 75, b"S: 451 "),
        (["rcpt_ok"], "b@elsewhere.example", 100, b"S: 550 5.7.1 Relaying denied\n"),
    ],
)
def test_exit_status(
    plugins: list[Plugin | str], recipient: str, status: int, printed: bytes
) -> None:
    """The last reply decides it."""
    with host(*plugins, config={"rcpthosts": "example.com"}) as at:
        result = run("--server", f"127.0.0.1:{at.port}", "--to", recipient, "-", stdin=b"hi\n")
    assert (result.returncode, result.stderr) == (status, b"")
    assert printed in result.stdout


def test_sample_is_a_message() -> None:
    """What is sent where no file is named passes `headers`, even a strict one."""
    with host("rcpt_ok", "headers require=From,Date,Message-ID past=1 future=1", Takes(),
              config={"rcpthosts": "example.com"}) as at:  # fmt: skip
        result = run("--server", f"127.0.0.1:{at.port}", "--to", "b@example.com")
    assert (result.returncode, result.stderr) == (0, b"")


def test_no_answer() -> None:
    """A host that is not there may be there later."""
    with host("rcpt_ok") as at:
        server = f"127.0.0.1:{at.port}"
    result = run("--server", server, "--to", "b@example.com")
    assert result.returncode == 75
    assert result.stderr.decode() == (
        f"qpsdk: {server}: [Errno 111] Connection refused (--server names another)\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--server", "unix:/x"], "--server: 'unix:/x' is no TCP address; write HOST:PORT or"),
        (["--server", "2541"], "--server: '2541' is no address; write HOST:PORT"),
        (["--server", "a b"], "--server: 'a b' is no address; write HOST:PORT"),
        (["--from", "a\nb"], "--from, --to, --helo: each is one line"),
        (["--helo", "a\nb"], "--from, --to, --helo: each is one line"),
        (
            ["--from", "\udcff@example.com"],
            "--from, --to, --helo: '\\udcff@example.com' is not UTF",
        ),
        (["--to", "\udcff@example.com"], "--from, --to, --helo: '\\udcff@example.com' is not UTF"),
        (["--helo", "grüße.example"], "--helo: 'grüße.example' is no name; write one such as"),
        (["--helo", ""], "--helo: '' is no name; write one such as client.example.org"),
        (["--helo", "a b"], "--helo: 'a b' is no name; write one such as client.example.org"),
        (["--timeout", "-1"], "--timeout: -1: write a number of seconds above 0, 86400 at most"),
        (["--timeout", "0"], "--timeout: 0: write a number of seconds above 0, 86400 at most"),
        (["--timeout", "nan"], "--timeout: nan: write a number of seconds above 0, 86400 at"),
        (["--timeout", "1e300"], "--timeout: 1e+300: write a number of seconds above 0, 86400"),
        (["/no/file"], "/no/file: No such file or directory"),
    ],
)
def test_wrong_arguments(arguments: list[str], told: str) -> None:
    """What is wrong is told in one line, and nothing is sent."""
    result = run("--to", "b@example.com", *arguments)
    assert result.returncode == 2
    assert result.stderr.decode().startswith(f"qpsdk: {told}")


def test_message_of_a_file(tmp_path: Path) -> None:
    """A file is sent as it is, and refused as the host refuses it."""
    message = tmp_path / "message"
    message.write_bytes(b"Subject: bare\rreturn\n\nhi\n")
    with host("rcpt_ok", config={"rcpthosts": "example.com"}) as at:
        result = run("--server", f"127.0.0.1:{at.port}", "--to", "b@example.com", str(message))
    assert result.returncode == 100
    assert b"S: 554 5.6.0" in result.stdout
