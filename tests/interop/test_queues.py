"""The bundled queue plugins in a real host: a Maildir that is killed, and Postfix's smtp-sink."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.rig import (
    PATIENCE,
    QMQPSink,
    RunningHost,
    eventually,
    wire,
    without_received,
)
from tests.programs import needs

MESSAGE = (
    b"Subject: dots and bytes\nMessage-Id: <1@example.org>\n\n"
    b".\n..\n.leading\n\n" + bytes(range(128, 256)) + b"\nlong " + b"x" * 900 + b"\n.\n"
)
PAUSE = '''\
"""Stops the whole process at a call of a function of `os`, where a test can kill it."""

import os
import time
from pathlib import Path

from qpsdk import Plugin


class Pause(Plugin):
    def register(self, qp, name, count, marker):
        def pause(*arguments, **options):
            calls.append(name)
            if len(calls) == int(count):
                Path(marker).touch()
                time.sleep(3600)
            return function(*arguments, **options)

        calls = []
        function = getattr(os, name)
        setattr(os, name, pause)
'''


@contextmanager
def host_with(folder: Path, *plugins: str) -> Iterator[RunningHost]:
    """A host for example.com with these queue plugins, and those in `folder/plugins`."""
    (folder / "plugins").mkdir(exist_ok=True)
    (folder / "plugins" / "pause.py").write_text(PAUSE)
    settings = {
        "me": "mx.example.com",
        "rcpthosts": "example.com",
        "plugin_dirs": str(folder / "plugins"),
        "plugins": "\n".join(["rcpt_ok", *plugins]),
        "spool_dir": str(folder / "spool"),
        "size_threshold": "10000",
    }
    host = RunningHost(folder, settings, "127.0.0.1:0")
    try:
        yield host
    finally:
        host.kill()


# queue/maildir


_DELIVERY = re.compile(rb"Return-Path: <sender@example\.org>\nDelivered-To: .*\n")


def stored(folder: Path) -> list[bytes]:
    """The messages that a mail reader would find, without what was added on top."""
    texts = [path.read_bytes() for path in sorted(folder.glob("*/new/*"))]
    found = [_DELIVERY.match(text) for text in texts]
    return [without_received(m.string[m.end() :]) for m in found if m is not None]


@pytest.mark.parametrize("message", [MESSAGE, b"Subject: large\n\n" + b"x" * 76 * 5000 + b"\n"])
def test_a_maildir(tmp_path: Path, message: bytes) -> None:
    """A message for two recipients is in each one's Maildir, byte for byte."""
    with host_with(tmp_path, f"queue/maildir {tmp_path}/mail %l") as host, host.connect() as client:
        client.hello()
        client.begin(b"one@example.com", b"two@example.com")
        client.send(wire(message) + b".\r\n")
        assert client.reply().code == 250
        assert stored(tmp_path / "mail") == [message, message]
        assert list((tmp_path / "mail").glob("*/tmp/*")) == []


@pytest.mark.parametrize(
    ("call", "whole"),
    [
        pytest.param("fsync 1", 0, id="before the first file is on the disk"),
        pytest.param("link 1", 0, id="before the first link"),
        pytest.param("link 2", 1, id="between the two links"),
        pytest.param("unlink 1", 2, id="when all is linked"),
    ],
)
def test_a_maildir_and_a_host_that_is_killed(tmp_path: Path, call: str, whole: int) -> None:
    """Killed at any moment, the host leaves whole messages in new and has not said 250."""
    mail, marker = tmp_path / "mail", tmp_path / "marker"
    for name in ("one", "two"):
        for part in ("tmp", "new", "cur"):
            (mail / name / part).mkdir(parents=True)
    line = f"queue/maildir {mail} %l"
    with host_with(tmp_path, f"pause {call} {marker}", line) as host, host.connect() as client:
        client.hello()
        client.begin(b"one@example.com", b"two@example.com")
        client.send(wire(MESSAGE) + b".\r\n")
        assert eventually(marker.exists)
        host.kill()
        assert client.rest() == []
    assert stored(mail) == [MESSAGE] * whole
    assert list(mail.glob("*/tmp/*")) != []  # what a mail reader removes after 36 hours
    # The next host is not disturbed by what is left.
    with host_with(tmp_path, line) as host, host.connect() as client:
        client.hello()
        assert client.deliver(b"Subject: next\n\n").code == 250
    assert b"Subject: next\n\n" in stored(mail)


# queue/smtp_forward


class SMTPSink(QMQPSink):
    """Postfix's smtp-sink, which writes each message to a file."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where it writes them."""
        self.folder = folder / "sunk"
        self.folder.mkdir()
        self._count = folder / "count"
        # As root it insists on being told whose rights to take.
        user = ["-u", "root"] if os.geteuid() == 0 else []
        options = [*user, "-c", "-d", f"{self.folder}/m."]
        with self._count.open("wb") as count:
            self.process = subprocess.Popen(
                [needs("smtp-sink"), *options, "127.0.0.1:0", "100"],
                stdout=count,
                stdin=subprocess.DEVNULL,
            )
        assert eventually(lambda: bool(self._ports())), "it does not listen"
        self.address = ("127.0.0.1", self._ports()[0])

    def messages(self) -> list[tuple[list[bytes], bytes]]:
        """Of each message, the lines about its envelope, and what came after DATA."""
        found = []
        for path in sorted(self.folder.iterdir()):
            # On top smtp-sink writes what it was told, and a Received field of its own.
            text = path.read_bytes()
            match = re.match(rb"((?:X-.*\n)+)Received: .*\n(?:\t.*\n)+", text)
            assert match is not None, text[:500]
            assert text.endswith(b"\n\n"), "it adds a line"
            found.append((match[1].splitlines(), text[match.end() : -1]))
        return found


def _source(host: RunningHost, *options: str) -> subprocess.CompletedProcess[str]:
    envelope = ["-f", "sender@example.org", "-t", "recipient@example.com"]
    return subprocess.run(
        [needs("smtp-source"), *options, *envelope, f"inet:{host.address[0]}:{host.address[1]}"],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )


@pytest.fixture
def smtp_sink(tmp_path: Path) -> Iterator[SMTPSink]:
    """An smtp-sink for one test."""
    with SMTPSink(tmp_path) as sink:
        yield sink


def test_into_smtp_sink(tmp_path: Path, smtp_sink: SMTPSink) -> None:
    """A message with dots and 8-bit bytes arrives at smtp-sink byte for byte, from any client."""
    path = tmp_path / "message"
    path.write_bytes(MESSAGE)
    line = f"queue/smtp_forward 127.0.0.1 {smtp_sink.address[1]}"
    with host_with(tmp_path, line) as host, host.connect() as client:
        client.hello()
        assert client.deliver(MESSAGE).code == 250
        done = _source(host, "-F", str(path))
        assert (done.returncode, done.stderr, host.log()) == (0, "", "")
    messages = smtp_sink.messages()
    for envelope, _ in messages:
        assert b"X-Mail-Args: <sender@example.org> BODY=8BITMIME" in envelope
        assert b"X-Rcpt-Args: <recipient@example.com>" in envelope
        assert b"X-Helo-Args: mx.example.com" in envelope
    # smtp-source ends each message with an empty line of its own.
    texts = {without_received(text) for _, text in messages}
    assert texts == {MESSAGE, MESSAGE + b"\n"}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("-m", "200"), id="a connection each"),
        pytest.param(("-m", "100", "-d", "-r", "5"), id="five recipients"),
        pytest.param(("-m", "50", "-d", "-l", "200000"), id="200 kB each"),
    ],
)
def test_load(tmp_path: Path, smtp_sink: SMTPSink, options: tuple[str, ...]) -> None:
    """Every message of 20 parallel sessions arrives once, and smtp-source is content."""
    with host_with(tmp_path, f"queue/smtp_forward 127.0.0.1 {smtp_sink.address[1]}") as host:
        done = _source(host, "-s", "20", *options)
        assert (done.returncode, done.stderr, host.log()) == (0, "", "")
        assert eventually(lambda: not host.spooled())
    numbers = [
        re.search(rb"^Message-Id: (<.*>)$", m, re.MULTILINE) for _, m in smtp_sink.messages()
    ]
    assert len(numbers) == int(options[1])
    assert len({number[1] for number in numbers if number}) == int(options[1])


def test_memory(tmp_path: Path, smtp_sink: SMTPSink) -> None:
    """A message of 60 MB is never in memory whole."""
    message = b"Subject: large\n\n" + (b"x" * 76 + b"\n") * 800_000
    line = f"queue/smtp_forward 127.0.0.1 {smtp_sink.address[1]}"
    with host_with(tmp_path, line) as host, host.connect() as client:
        client.hello()
        assert client.deliver(b"Subject: first\n\n").code == 250
        host.reset_peak()
        before = host.memory("VmRSS")
        assert client.deliver(message).code == 250
        assert host.memory("VmHWM") - before < 8_000
    assert len(smtp_sink.messages()) == 2
