"""count_unrecognized_commands: a client that speaks something else is sent away."""

import logging

import pytest

from qpsdk.plugins import count_unrecognized_commands
from qpsdk.smtp.limits import MAX_BAD_COMMANDS
from tests.dialogue import hold, refusal


def test_default() -> None:
    """The fourth unknown command is the last; known ones in between do not count."""
    hold(
        """
        S: 220 mx.example.com ESMTP qpsdk ready
        C: GET / HTTP/1.1
        S: 500 5.5.1 Unrecognized command
        C: Host: mx.example.com
        S: 500 5.5.1 Unrecognized command
        C: HELO client.example
        S: 250 mx.example.com
        C: User-Agent: curl
        S: 500 5.5.1 Unrecognized command
        C: Accept: */*
        S: 521 5.5.1 Too many unknown commands, closing the connection; see RFC 5321
        (closed)
        """,
        "count_unrecognized_commands",
    )


def test_limit() -> None:
    """N says which is the last."""
    hold(
        """
        S: 220 mx.example.com ESMTP qpsdk ready
        C: HELO client.example
        S: 250 mx.example.com
        C: HELLO
        S: 521 5.5.1 Too many unknown commands, closing the connection; see RFC 5321
        (closed)
        """,
        "count_unrecognized_commands 1",
    )


@pytest.mark.parametrize("limit", ["0", "-1", "many", "20", "٣"])
def test_refuses_to_start(limit: str) -> None:
    """A limit that is no number, or one that is never reached, is told."""
    assert refusal(f"count_unrecognized_commands {limit}") == (
        f"count_unrecognized_commands: {limit!r} commands: write a number from 1 to 19"
    )


def test_the_log_does_not_have_it(caplog: pytest.LogCaptureFixture) -> None:
    """A client that goes on with a refused AUTH sends its password as a command: none is logged."""
    caplog.set_level(logging.INFO, "qpsdk")
    hold(
        """
        S: 220 mx.example.com ESMTP qpsdk ready
        C: dGFuc3RhYWZ0YW5zdGFhZg==
        S: 500 5.5.1 Unrecognized command
        """,
        "count_unrecognized_commands",
    )
    assert "1 of 4" in caplog.messages
    assert "dgfuc3r" not in caplog.text.lower()


def test_host_limit() -> None:
    """What the plugin says of the host is true."""
    assert count_unrecognized_commands.HOST_LIMIT == MAX_BAD_COMMANDS == 20
