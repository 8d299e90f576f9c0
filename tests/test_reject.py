"""The reject family: what the two options make of a plugin's verdict."""

from typing import Any

import pytest

from qpsdk import (
    DECLINED,
    DENY,
    DENY_DISCONNECT,
    DENYSOFT,
    DENYSOFT_DISCONNECT,
    Connection,
    RejectMixin,
)


def plugin(reject: str = "1", reject_type: str = "") -> RejectMixin:
    """A plugin with these options."""
    made = RejectMixin()
    made.set_reject(reject, reject_type)
    return made


@pytest.mark.parametrize(
    ("reject_type", "constant"),
    [
        ("", DENY),
        ("perm", DENY),
        ("temp", DENYSOFT),
        ("disconnect", DENY_DISCONNECT),
        ("temp_disconnect", DENYSOFT_DISCONNECT),
    ],
)
def test_reject_types(reject_type: str, constant: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With reject=1 the type says which denial; the log has the details, the client has not."""
    caplog.set_level("INFO", "qpsdk")
    connection = Connection()
    answer = plugin("1", reject_type).get_reject(connection, "Go away", "line 7")
    assert answer == (constant, "Go away")
    assert connection.notes == {}
    assert "refusing: Go away (line 7)" in caplog.text


def test_without_options() -> None:
    """A plugin that never took the options refuses."""
    assert RejectMixin().get_reject(Connection(), "Go away") == (DENY, "Go away")


def test_reject_0(caplog: pytest.LogCaptureFixture) -> None:
    """With reject=0 the log alone says what would have been refused."""
    caplog.set_level("INFO", "qpsdk")
    connection = Connection()
    assert plugin("0", "temp").get_reject(connection, "Go away") is DECLINED
    assert connection.notes == {}
    assert "would refuse, reject=0: Go away" in caplog.text


def test_naughty() -> None:
    """With reject=naughty the connection is marked, and the first reason stays."""
    connection = Connection()
    assert plugin("naughty", "temp").get_reject(connection, "Go away") is DECLINED
    assert plugin("naughty").get_reject(connection, "Never come back") is DECLINED
    assert connection.notes == {"naughty": "Go away", "naughty_reject_type": "temp"}
    assert plugin().is_naughty(connection)


@pytest.mark.parametrize(
    ("connection", "immune"),
    [
        (Connection(), False),
        (Connection(relay_client=True), True),
        (Connection(notes={"whitelisthost": True}), True),
        (Connection(notes={"naughty": "Go away"}), True),
        (Connection(notes={"naughty": ""}), False),
    ],
    ids=["unknown", "relay", "whitelisted", "naughty", "forgiven"],
)
def test_immune(connection: Connection, immune: bool) -> None:
    """Immune are relay clients, those that another plugin let pass, those that are lost."""
    assert plugin().is_immune(connection) is immune


@pytest.mark.parametrize(
    ("reject", "reject_type", "problem"),
    [
        ("yes", "", "^reject=yes: write 0, 1 or naughty$"),
        ("", "", "^reject=: write 0, 1 or naughty$"),
        (
            "1",
            "hard",
            "^reject_type=hard: write one of perm, temp, disconnect, temp_disconnect$",
        ),
    ],
)
def test_options(reject: str, reject_type: str, problem: str) -> None:
    """A wrong option is told, with what would be right."""
    with pytest.raises(ValueError, match=problem):
        plugin(reject, reject_type)
