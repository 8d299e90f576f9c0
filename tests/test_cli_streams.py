"""Standard input and output that are closed, full, or read by nobody: never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = "qpsdk: standard output cannot be written: No space left on device\n"

PRINTING = [
    "--version",
    "hooks",
    "netstring --text 2:hi,",
    "try rcpt_ok",
    "lab --demo",
    "lab --listen 127.0.0.1:0 --qmqp 127.0.0.1:0",
    "fake-qmqp --listen 127.0.0.1:0",
]
"""Some commands print by themselves, others inside of a loop."""


def run(command: str, redirected: str) -> tuple[int, str]:
    """Run a command with redirections of a shell; its exit status and its errors."""
    script = f'exec "$0" -m qpsdk {command} {redirected}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable], stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", PRINTING)
def test_full(command: str) -> None:
    """That nothing can be printed is told in one line, and ends a server as Ctrl-C does."""
    assert run(command, ">/dev/full") == (1, FULL)


@pytest.mark.parametrize("command", PRINTING)
def test_broken_pipe(command: str) -> None:
    """A reader that has enough, such as `head`, is no fault: the command ends and says nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "qpsdk", *command.split()]
    with open(writer, "wb") as pipe:
        done = subprocess.run(words, stdout=pipe, stderr=subprocess.PIPE, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("redirected", ["<&-", ">&-", "<&- >&-"])
@pytest.mark.parametrize("command", ["hooks", "lab --demo"])
def test_closed(command: str, redirected: str) -> None:
    """What neither reads nor has to print needs neither."""
    assert run(command, redirected) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        "netstring",
        "qmqp-send 127.0.0.1:9 --from a@example.com --to b@example.com",
        "send --to b@example.com -",
        "try queue/discard --message -",
    ],
)
def test_closed_input(command: str) -> None:
    """That what is to be read is closed is told in one line, and no empty message is sent."""
    status, errors = run(command, "<&-")
    assert status == 2
    assert errors.startswith("qpsdk: -: ")
    assert errors.endswith("standard input is closed\n")


def test_new_asks_at_a_terminal() -> None:
    """Where standard input is closed there is no terminal to ask at."""
    told = "qpsdk: there is no terminal to ask at; --yes asks nothing\n"
    assert run("new greylist-by-domain", "<&-") == (2, told)


def test_path_that_is_no_utf8(tmp_path: Path) -> None:
    """A path that the terminal cannot show is printed with escapes."""
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    (folder / "plugins").write_text("queue/discard\n")
    done = subprocess.run(
        [sys.executable, "-m", "qpsdk", "check", "--config", folder],
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert rb"/\udcff: no errors" in done.stdout
    assert b"Traceback" not in done.stderr
