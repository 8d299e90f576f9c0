"""`qpsdk qmqp-send`: what it sends, what it prints, and its exit status."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qpsdk.qmqp import PackageDecoder, Received

QMQP_SEND = [sys.executable, "-m", "qpsdk", "qmqp-send"]
ENVELOPE = ["--from", "a@example.org", "--to", "b@example.com"]
MESSAGE = b"Subject: hi\r\n\r\nhello"


def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(
        [*QMQP_SEND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=30,
        check=False,
    )


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[Received]]]:
    """A server that takes one package and says this; its address, and what it took."""
    taken: list[Received] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            decoder = PackageDecoder()
            while (package := decoder.feed(connection.recv(65_536))) is None:
                pass
            taken.append(package)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", taken
        thread.join(20)


@pytest.mark.parametrize(
    ("answer", "status", "printed"),
    [
        (b"15:Kok 1700000000 ,", 0, "accepted: ok 1700000000 "),
        (b"5:Zbusy,", 75, "deferred: busy"),
        (b"10:Dno\r\n\xc3\xa4\xff x,", 100, r"rejected: no\r\n\xe4\xff x"),
    ],
)
def test_answers(answer: bytes, status: int, printed: str) -> None:
    """The answer is one line of ASCII; K, Z and D are exit status 0, 75 and 100."""
    with answering(answer) as (server, taken):
        result = run(server, *ENVELOPE, stdin=MESSAGE)
    assert result.stderr == b""
    assert result.stdout.decode() == f"{server}: {printed}\n"
    assert result.returncode == status
    assert taken == [Received(b"Subject: hi\n\nhello\n", b"a@example.org", (b"b@example.com",))]


def test_file_and_envelope(tmp_path: Path) -> None:
    """The message comes from a file; --to may be repeated; the sender may be empty."""
    path = tmp_path / "message"
    path.write_bytes(MESSAGE)
    with answering(b"1:K,") as (server, taken):
        result = run("--to", "b@x", "--smtputf8", "--to", "ä@y", "--from", "", server, path)
    assert result.returncode == 0, result.stderr
    assert taken == [Received(b"Subject: hi\n\nhello\n", b"", (b"b@x", b"\xc3\xa4@y"))]


def test_no_answer() -> None:
    """A server that says nothing: 75, and a warning that it may have the message."""
    with answering(b"") as (server, _):
        result = run(server, *ENVELOPE, stdin=MESSAGE)
    assert (result.returncode, result.stdout) == (75, b"")
    assert result.stderr.decode() == (
        f"qpsdk: {server}: the server closed without a response, it may have been accepted\n"
    )


def test_no_server() -> None:
    """Where nobody listens: 75, and the reason."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{nobody.getsockname()[1]}"
        result = run(server, *ENVELOPE, stdin=MESSAGE)
    assert (result.returncode, result.stdout) == (75, b"")
    assert result.stderr.decode() == f"qpsdk: {server}: cannot connect: Connection refused\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Missing argument"),
        (["192.0.2.1", "--to", "b@x"], "Missing option '--from'"),
        (["192.0.2.1", "--from", "a@x"], "Missing option '--to'"),
        (["192.0.2.1", *ENVELOPE, "--io-timeout", "x"], "Invalid value for '--io-timeout'"),
        (["a:b:c", *ENVELOPE], "'[a:b:c]' is no QMQP server; write HOST, HOST:PORT"),
        (["192.0.2.1", *ENVELOPE, "--io-timeout", "0"], "io_timeout=0: write a number of seconds"),
        (["192.0.2.1", *ENVELOPE, "--to", ""], "an empty recipient"),
        (["192.0.2.1", *ENVELOPE, "--to", "ä@b"], "needs SMTPUTF8"),
        (["192.0.2.1", *ENVELOPE, "/nowhere/to/be"], "/nowhere/to/be: No such file or directory"),
        (["192.0.2.1", *ENVELOPE, "/"], "/: Is a directory"),
    ],
    ids=str,
)
def test_wrong_usage(arguments: list[str], told: str) -> None:
    """What cannot be meant is told, with exit status 2, and nothing is connected to."""
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, b"")
    assert told in result.stderr.decode()


def test_help() -> None:
    """Help says what each exit status means."""
    result = run("--help")
    assert result.returncode == 0
    text = " ".join(result.stdout.decode().split())
    assert "0 the server has accepted it, 75 try again later" in text
    assert "100 it will never accept it" in text
