"""`qpsdk settings`: the table, and one setting in full."""

import pytest
from typer.testing import CliRunner

from qpsdk.cli import app
from qpsdk.errors import SetupError
from qpsdk.settings import SETTINGS


def run(*arguments: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, ["settings", *arguments])
    if isinstance(result.exception, SetupError):
        raise result.exception
    assert result.exit_code == 0
    return result.stdout


def test_table() -> None:
    """A line for each setting, in the order of the table on the site."""
    header, *lines = run().splitlines()
    assert header.split() == ["SETTING", "DEFAULT", "TAKEN", "UP", "BY", "MEANING"]
    assert [line.split()[0] for line in lines] == list(SETTINGS)
    (timeout,) = (line for line in lines if line.startswith("timeout "))
    assert timeout.split(maxsplit=2)[:2] == ["timeout", "300"]
    assert timeout.endswith(f"  the next client  {SETTINGS['timeout'].meaning}")


def test_one_in_full() -> None:
    """One in full; its name is taken in every spelling."""
    assert run("SPOOL-perms") == (
        "spool_perms: The mode of that folder, in octal.\n"
        "\n"
        "Lines: one\n"
        "Default: 0700\n"
        "A change is taken up by: reload\n"
    )
    assert run("me_auth_results").startswith("me-auth-results: What this host calls itself")


def test_plugins() -> None:
    """Of plugins it also shows what the host takes on each line."""
    text = run("plugins")
    assert "\nLines: any number\nA change is taken up by: reload\n" in text
    assert "\n  timeout=   a number of seconds, such as 60; else the hook's own limit\n" in text


def test_no_setting() -> None:
    """A name that is none is refused with the nearest."""
    with pytest.raises(SetupError) as refusal:
        run("netstring")
    assert str(refusal.value) == "there is no setting 'netstring'; did you mean 'metrics'?"
    with pytest.raises(SetupError, match="did you mean 'me-auth-results'"):
        run("me-auth-result")
