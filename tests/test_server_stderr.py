"""The log on standard error, whose reader may hang."""

import fcntl
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qpsdk import LOGERROR, LOGWARN, server
from qpsdk.cli import app
from qpsdk.log import configure, log
from qpsdk.server import stderr
from qpsdk.server.stderr import StandardError

SIZE = 4 * 4096


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of a pipe that standard error is: it holds `SIZE` bytes, and then is full."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, SIZE)
    os.set_blocking(ours, False)
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(stderr, "PATIENCE", 0.01)
        configure(LOGWARN, handler=StandardError())
        yield ours
    os.close(ours)


def read(reader: int) -> list[str]:
    """The lines that there are, without their time."""
    return [line[24:] for line in os.read(reader, 100_000).decode().splitlines()]


def test_nobody_reads(reader: int) -> None:
    """Lines that nobody takes are lost and hold up nobody; how many they were is told later."""
    for number in range(100):
        log(LOGERROR, f"{number} {'x' * 500}")
    taken = read(reader)
    assert 0 < len(taken) < 100
    log(LOGWARN, "again")
    assert read(reader) == [
        f"LOGERROR {100 - len(taken)} lines of the log were lost here: nobody took them",
        "LOGWARN again",
    ]
    log(LOGWARN, "as before")
    assert read(reader) == ["LOGWARN as before"]


def test_only_the_first_waits(reader: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads too slowly gets our patience once in a while, and not for each line."""
    monkeypatch.setattr(stderr, "PAUSE", 1000.0)
    log(LOGERROR, "x" * 2 * SIZE)
    monkeypatch.setattr(stderr, "PATIENCE", 1000.0)
    for _ in range(3):
        log(LOGERROR, "lost")  # at once
    read(reader)
    log(LOGERROR, "again")
    assert read(reader)[-1] == "LOGERROR again"


def test_a_line_that_is_cut(reader: int) -> None:
    """Of a long line there may be the beginning; the next one stands on a line of its own."""
    log(LOGERROR, "x" * 2 * SIZE)
    assert len(os.read(reader, 100_000)) == SIZE
    log(LOGERROR, "next")
    assert read(reader) == [
        "",
        "LOGERROR 1 lines of the log were lost here: nobody took them",
        "LOGERROR next",
    ]


def test_patience(reader: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is only slow gets all, also what is longer than the pipe."""
    monkeypatch.setattr(stderr, "PATIENCE", 15.0)
    os.set_blocking(reader, True)
    whole = bytearray()

    def take() -> None:
        while not whole.endswith(b"\n"):
            whole.extend(os.read(reader, 1000))

    thread = threading.Thread(target=take)
    thread.start()
    log(LOGERROR, "x" * 10 * SIZE)
    thread.join(15)
    assert whole.count(b"x") == 10 * SIZE


def test_nowhere_to_write(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A disk that is full, or a reader that has gone, loses lines, and nothing else happens."""
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        configure(LOGWARN, handler=StandardError())
        log(LOGERROR, "lost")
        log(LOGERROR, "lost")
    assert capfd.readouterr() == ("", "")


def test_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Where standard error is no file, as in a test, it is written to all the same."""
    configure(LOGWARN, handler=StandardError())
    log(LOGERROR, "hello")
    assert capsys.readouterr().err[24:] == "LOGERROR hello\n"


def test_a_host_logs_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`qpsdk serve` logs in this way."""
    handlers: list[logging.Handler] = []
    monkeypatch.setattr(server, "serve", lambda *_: handlers.extend(logging.root.handlers))
    assert CliRunner().invoke(app, ["serve", "--config", str(tmp_path)]).exit_code == 0
    assert any(isinstance(handler, StandardError) for handler in handlers)
