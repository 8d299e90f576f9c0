"""What is packed for others: all of the package, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_wheel(tmp_path: Path) -> None:
    """The wheel holds each file of the package that git does not ignore, and its own papers."""
    command = "-m pip wheel --quiet --no-deps --no-build-isolation --disable-pip-version-check -w"
    subprocess.run([sys.executable, *command.split(), tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    listed = subprocess.run(
        ["git", "-c", "core.quotePath=off", "ls-files", "-co", "--exclude-standard", "qpsdk"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        papers = {name for name in names if ".dist-info/" in name}
        assert names - papers == set(listed)
        assert all(archive.read(name) == (ROOT / name).read_bytes() for name in listed)
    assert {name.partition("/")[2] for name in papers} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }
