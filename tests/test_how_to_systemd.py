"""What docs/how-to/run-under-systemd.md shows: its commands, in other folders."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qpsdk.cli.systemd_units import WATCHDOG
from qpsdk.server import workers
from qpsdk.server.host import GRACE

PAGE = Path(__file__).parents[1].joinpath("docs/how-to/run-under-systemd.md").read_text("utf-8")


def test_commands(tmp_path: Path) -> None:
    """The config directory is made as shown, it is right, and the units are written for it."""
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    commands = [
        line
        for line in blocks.splitlines()
        # What installs and what starts is for another machine.
        if not re.match(r"python3 -m venv|systemctl|systemd-analyze|\S+/pip ", line)
    ]
    assert sum("/opt/qpsdk/bin/qpsdk " in line for line in commands) == 2
    units = tmp_path / "units"
    units.mkdir()
    script = (
        "\n".join(["set -e", *commands])
        .replace("systemd-units", f"systemd-units {units}")
        .replace("/etc/qpsdk", str(tmp_path / "config"))
        .replace("/opt/qpsdk/bin/qpsdk", f"{sys.executable} -m qpsdk")
    )
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(os.listdir(units)) == ["qpsdk.service", "qpsdk.socket"]


def test_every_block_is_known() -> None:
    """Beside those commands the page shows pieces of a unit: the text says the path of each."""
    found = re.findall(r"^```(?!sh$)(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in found] == ["ini", "ini"]
    for _, unit in found:
        sections = configparser.ConfigParser()
        sections.read_string(unit)
        name, _, path = sections["Service"]["LoadCredential"].partition(":")
        assert f"/run/credentials/qpsdk.service/{name}" in PAGE
        assert path.startswith("/etc/")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("for up to 30 seconds", GRACE),
        ("grows up to 30 seconds", workers.LONGEST_DELAY),
        ("does so for 60 seconds", WATCHDOG),
    ],
)
def test_numbers(text: str, seconds: float) -> None:
    """The numbers that the page names are those of the code."""
    assert text in PAGE.replace("\n", " ")
    assert f" {seconds:g} seconds" in text
