"""`qpsdk systemd-units`: the units, which systemd itself reads and judges."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qpsdk.cli import app
from qpsdk.errors import ConfigError, SetupError
from tests.programs import needs

LISTEN = "0.0.0.0:25\n[::]:25\nunix:/run/qpsdk/100%\ntls:192.0.2.1:465\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the units go."""
    path = tmp_path / "units"
    path.mkdir()
    return path


def write(config: Path, folder: Path, *options: str, listen: str = LISTEN) -> list[Path]:
    """Write the units; the paths that the command has told."""
    config.mkdir(exist_ok=True)
    (config / "listen").write_text(listen)
    words = ["systemd-units", "--config", str(config), *options, str(folder)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    return [Path(line) for line in result.stdout.splitlines()]


def test_path_that_is_no_utf8(tmp_path: Path, folder: Path) -> None:
    """A config directory may have any name; the unit has the same bytes."""
    config = tmp_path / os.fsdecode(b"\xff")
    write(config, folder)
    assert b"--config " + b'"%b"' % bytes(config) in (folder / "qpsdk.service").read_bytes()


def test_units(tmp_path: Path, folder: Path) -> None:
    """The service, a unit for the plain sockets, one for those by TLS: by its name it is known."""
    assert write(tmp_path / "config", folder, "--workers", "4") == [
        folder / "qpsdk.socket",
        folder / "qpsdk-tls.socket",
        folder / "qpsdk.service",
    ]
    plain, tls, service = [
        (folder / name).read_text()
        for name in ("qpsdk.socket", "qpsdk-tls.socket", "qpsdk.service")
    ]
    assert re.findall(r"^ListenStream=.*|^FileDescriptorName=.*", plain, re.MULTILINE) == [
        "ListenStream=0.0.0.0:25",
        "ListenStream=[::]:25",
        "ListenStream=/run/qpsdk/100%%",
        "FileDescriptorName=smtp",
    ]
    assert re.findall(r"^ListenStream=.*|^FileDescriptorName=.*", tls, re.MULTILINE) == [
        "ListenStream=192.0.2.1:465",
        "FileDescriptorName=tls",
    ]
    command = f"{sys.executable} -m qpsdk serve --config {tmp_path}/config --workers 4"
    assert f"\nExecStart={command}\n" in service
    assert "\nSockets=qpsdk.socket qpsdk-tls.socket\n" in service
    assert "\nSyslogIdentifier=qpsdk\n" in service  # else it logs as python3


@pytest.mark.parametrize("name", ["config", "a b", 'a"b\\c', "a%i$HOME"])
def test_systemd_reads_them(tmp_path: Path, folder: Path, name: str) -> None:
    """`systemd-analyze verify` has nothing to say, whatever the config directory is called."""
    program = needs("systemd-analyze")
    units = write(tmp_path / name, folder)
    done = subprocess.run(
        [program, "verify", *units], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_sandbox(tmp_path: Path, folder: Path) -> None:
    """`systemd-analyze security` calls the exposure OK: at most 2.0 of 10."""
    program = needs("systemd-analyze")
    write(tmp_path / "config", folder)
    done = subprocess.run(
        [program, "security", "--offline=true", "--threshold=20", folder / "qpsdk.service"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"Overall exposure level for qpsdk\.service: [01]\.[0-9] OK", done.stdout)


WRONG = {
    "none": ("", "no address to listen on; write one such as 0.0.0.0:25"),
    "a name": ("mx.example.com:25", "'mx.example.com:25': systemd takes no names"),
    "none that is one": ("nowhere", "'nowhere' is no address"),
}


@pytest.mark.parametrize(("listen", "problem"), WRONG.values(), ids=WRONG.keys())
def test_wrong_addresses(tmp_path: Path, folder: Path, listen: str, problem: str) -> None:
    """What systemd could not listen on is refused, and nothing is written."""
    with pytest.raises(ConfigError) as refusal:
        write(tmp_path / "config", folder, listen=listen)
    assert f"{tmp_path}/config/listen" in str(refusal.value)
    assert problem in str(refusal.value)
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A folder that is not there is named, and what to do; a slip of the pen makes none."""
    with pytest.raises(SetupError) as refusal:
        write(tmp_path / "config", tmp_path / "no")
    assert str(refusal.value) == (
        f"{tmp_path}/no: no such folder; make it, or name one where systemd looks for units"
    )
    assert not (tmp_path / "no").exists()


def test_a_file_that_cannot_be_written(tmp_path: Path, folder: Path) -> None:
    """A unit that cannot be written is named, with the system's reason."""
    (folder / "qpsdk.socket").mkdir()
    with pytest.raises(ConfigError, match=r"units/qpsdk\.socket: cannot be written: Is a direc"):
        write(tmp_path / "config", folder)
