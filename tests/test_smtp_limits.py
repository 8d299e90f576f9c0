"""The limits that hold unless the host is told otherwise."""

import dataclasses

import pytest

from qpsdk.smtp.limits import Limits


def test_defaults() -> None:
    """The defaults take all that RFC 5321, 4.5.3.1 and 6.3 have a server take."""
    assert dataclasses.asdict(Limits()) == {
        "message": 0,
        "command_line": 2048,
        "recipients": 1000,
        "header": 262_144,
        "commands": 10_000,
        "bad_commands": 20,
        "refusals": 100,
        "received": 100,
        "auth_line": 12_288,
        "failed_auth": 3,
    }


def test_nobody_changes_them() -> None:
    """The limits of a connection are the same to its end."""
    limits = Limits(message=10)
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.message = 20  # type: ignore[misc]
