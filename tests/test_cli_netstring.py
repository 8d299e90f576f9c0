"""`qpsdk netstring`: what it prints, and its exit status."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str | Path, data: bytes = b"") -> tuple[int, str, str]:
    """Run the command: its status, its output, its errors."""
    done = subprocess.run(
        [sys.executable, "-m", "qpsdk", "netstring", *map(str, arguments)],
        input=data,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_standard_input() -> None:
    """Without a file, standard input is read; well-formed is exit status 0."""
    drawing = "     0  2:hi,\nwell-formed: 1 netstring in 5 bytes\n"
    assert run(data=b"2:hi,") == (0, drawing, "")
    assert run("-", data=b"2:hi,") == (0, drawing, "")


def test_file_and_text(tmp_path: Path) -> None:
    """A file may be named, or the text given; malformed is exit status 1, and says where."""
    (tmp_path / "file").write_bytes(b"2:hi;")
    drawing = (
        "     0  2:hi\n"
        "     4  ;\n"
        "        ^ ';' where a comma is due, at offset 4\n"
        "malformed: ';' where a comma is due, at offset 4\n"
    )
    assert run(tmp_path / "file") == (1, drawing, "")
    assert run("--text", "2:hi;") == (1, drawing, "")


def test_package() -> None:
    """With --package the parts are named, and a recipient is wanted."""
    status, drawn, _ = run("--package", "--text", "8:1:m,1:s,,")
    assert status == 1
    assert "malformed: the package ends without a recipient, at offset 10\n" in drawn


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "qpsdk: nowhere: cannot be read: No such file or directory\n"),
        (["x", "--text", "y"], "qpsdk: netstring: write a FILE or --text, not both\n"),
    ],
    ids=["no such file", "both"],
)
def test_wrong_use(arguments: list[str], told: str) -> None:
    """What cannot be read is told in one line, with exit status 2."""
    assert run(*arguments) == (2, "", told)
