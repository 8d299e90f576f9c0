"""quit_fortune: a saying for the way home."""

from pathlib import Path

import pytest

from qpsdk import Plugin
from qpsdk.plugins import quit_fortune
from tests.dialogue import hold, refusal

PLAIN = """
    S: 220 mx.example.com ESMTP qpsdk ready
    C: HELO client.example
    S: 250 mx.example.com
    C: QUIT
    S: 221 2.0.0 mx.example.com Closing the connection
    (closed)
"""


def program(folder: Path, script: str) -> str:
    """A fortune program of our own; the line that loads the plugin with it."""
    path = folder / "fortune"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"quit_fortune {path}"


@pytest.fixture
def no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without fortune."""
    monkeypatch.setattr(quit_fortune, "FORTUNE", (str(tmp_path / "fortune"),))


def test_program(tmp_path: Path) -> None:
    """The program's lines stand in the reply, which still begins with our name."""
    hold(
        """
        S: 220 mx.example.com ESMTP qpsdk ready
        C: HELO client.example
        S: 250 mx.example.com
        C: QUIT
        S: 221-2.0.0 mx.example.com Closing the connection
        S: 221-2.0.0   / What you -s
        S: 221 2.0.0   / is what you get.
        (closed)
        """,
        program(tmp_path, 'printf "What you %s\\nis what you get.\\n" "$*"'),
    )


def test_ehlo(tmp_path: Path) -> None:
    """A client that says EHLO gets no saying."""
    hold(
        """
        S: 220 mx.example.com ESMTP qpsdk ready
        C: QUIT
        S: 221 2.0.0 mx.example.com Closing the connection
        (closed)
        """,
        SaysEhlo(),
        program(tmp_path, "echo not for you"),
    )


class SaysEhlo(Plugin):
    """Has every client have said EHLO, whose answer is another test's subject."""

    def hook_pre_connection(self, connection: object) -> object:
        connection.hello = "ehlo"  # type: ignore[attr-defined]
        return None


def test_bad_bytes(tmp_path: Path) -> None:
    """Whatever the program writes, it cannot end the reply and begin another."""
    hold(
        """
        S: 220 mx.example.com ESMTP qpsdk ready
        C: HELO client.example
        S: 250 mx.example.com
        C: QUIT
        S: 221-2.0.0 mx.example.com Closing the connection
        S: 221-2.0.0   / a??
        S: 221 2.0.0   / 250 b
        (closed)
        """,
        program(tmp_path, r"printf 'a\033\377\r\n250 b\r'"),
    )


@pytest.mark.parametrize("script", ["echo half a; exit 1", "kill -9 $$", "exit 0", "sleep 100"])
def test_program_fails(
    script: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """When the program fails, is silent or too slow, the host says goodbye as ever."""
    if "sleep" in script:
        monkeypatch.setattr(quit_fortune, "TIME_LIMIT", 0.05)
        script = "exec " + script
    hold(PLAIN, program(tmp_path, script))
    assert ("timed out after 0.05 seconds" in caplog.text) == ("sleep" in script)


def test_program_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A program that was deleted later is missed in the log alone."""
    line = program(tmp_path, "echo hi")

    class Deletes(Plugin):
        def hook_helo(self, connection: object, host: bytes) -> None:
            (tmp_path / "fortune").unlink()

    hold(PLAIN, line, Deletes())
    assert "no saying: [Errno 2] No such file or directory" in caplog.text


@pytest.mark.usefixtures("no_program")
def test_file() -> None:
    """Where there is no program the sayings are lines of a file."""
    hold(
        PLAIN.replace("221 2.0.0 mx.example.com Closing the connection", BOTH),
        "quit_fortune",
        config={"fortunes": "# one only\nWhat you see is what you get."},
    )


BOTH = """221-2.0.0 mx.example.com Closing the connection
    S: 221 2.0.0   / What you see is what you get."""


@pytest.mark.usefixtures("no_program")
def test_refuses_to_start(tmp_path: Path) -> None:
    """Without program and file there is nothing to say."""
    assert refusal("quit_fortune") == (
        "quit_fortune: no fortune program is installed: install it or write config/fortunes"
    )
    missing = tmp_path / "missing"
    assert refusal(f"quit_fortune {missing}", {"fortunes": "a"}) == (
        f"quit_fortune: there is no program '{missing}'"
    )
