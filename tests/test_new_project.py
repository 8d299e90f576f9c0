"""A new project as its author uses it: made, installed, tested, checked, served, in fresh venvs."""

import os
import re
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.programs import missing
from tests.test_readme import free_port

ROOT = Path(__file__).parent.parent

A_MINUTE = 60.0
"""Seconds from `qpsdk new` to green tests, the installation into a new environment included."""


class Done(NamedTuple):
    """A command that has run."""

    status: int
    output: str


def outside() -> dict[str, str]:
    """The environment of somebody who has never heard of this tree or its virtual environment."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "CI")
    return {name: value for name, value in os.environ.items() if name not in ours}


def run(folder: Path, *words: str | Path) -> Done:
    """Run a command there."""
    result = subprocess.run(
        words,
        cwd=folder,
        env=outside(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Done(result.returncode, result.stdout)


def new(folder: Path, name: str, *words: str) -> Path:
    """Make a project with the tree's own command; its folder."""
    command = [sys.executable, "-m", "qpsdk", "new", name, "--yes", "--qpsdk", str(ROOT), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return folder / name


def make(project: Path, *words: str) -> Done:
    """Run make in a project."""
    return run(project, "make", f"PYTHON={sys.executable}", *words)


class First(NamedTuple):
    """A project whose tests have run, and the seconds from nothing to there."""

    folder: Path
    tests: Done
    seconds: float


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> First:
    """From nothing: `qpsdk new`, then `make test`, which makes the environment."""
    folder = tmp_path_factory.mktemp("new")
    pip = (
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        folder / "pip",
    )
    if (found := run(folder, *pip, "hatchling")).status != 0:
        missing(f"pip cannot fetch the build backend: {found.output}")
    start = time.perf_counter()
    project = new(folder, "greylist-by-domain")
    tests = make(project, "test")
    return First(project, tests, time.perf_counter() - start)


@pytest.mark.timeout(240)
def test_green_within_a_minute(first: First) -> None:
    """From `qpsdk new` to green tests in a fresh environment takes a minute at most."""
    assert first.tests.status == 0, first.tests.output
    assert re.search(r"\b2 passed", first.tests.output)
    print(f"from `qpsdk new` to green tests: {first.seconds:.1f} s")
    assert first.seconds < A_MINUTE


@pytest.mark.timeout(240)
def test_lint_and_types(first: First) -> None:
    """Style and strict types have nothing to say about a new project."""
    lint = make(first.folder, "lint")
    assert lint.status == 0, lint.output
    assert "Success: no issues found in 2 source files" in lint.output


@pytest.mark.timeout(240)
def test_the_host_finds_it(first: First) -> None:
    """The commands that list plugins have it, by its entry point; its config has no fault."""
    qpsdk = first.folder / ".venv/bin/qpsdk"
    listed = run(first.folder, qpsdk, "plugins")
    assert re.search(r"^greylist_by_domain .*\brcpt\b", listed.output, re.MULTILINE), listed.output
    checked = make(first.folder, "check")
    assert checked.status == 0, checked.output
    assert "config: no errors, no warnings\n" in checked.output
    assert re.search(r"^rcpt +1 +greylist_by_domain ", checked.output, re.MULTILINE)


@contextmanager
def served(project: Path) -> Iterator[tuple[int, list[str]]]:
    """`make run` on ports of its own: the port, and what it has shown, once it has ended."""
    qmqp = free_port()
    plugins = project / "config/plugins"
    plugins.write_text(plugins.read_text().replace(" 6280", f" {qmqp}"))
    words = ["make", "run", f"ARGS=--listen 127.0.0.1:0 --qmqp 127.0.0.1:{qmqp}"]
    shown: list[str] = []
    with subprocess.Popen(
        words,
        cwd=project,
        env=outside(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            welcome = process.stdout.readline()
            listening = re.match(r"A mail host listens on 127\.0\.0\.1:(\d+); a fake", welcome)
            assert listening is not None, welcome + process.stdout.read()
            yield int(listening[1]), shown
        finally:
            os.killpg(process.pid, signal.SIGINT)
            shown += process.communicate(timeout=20)[0].splitlines()


@pytest.mark.timeout(240)
def test_real_mail(first: First) -> None:
    """`make run` takes real mail: a message passes to the QMQP server, the plugin refuses one."""
    with served(first.folder) as (port, shown), smtplib.SMTP("127.0.0.1", port) as client:
        refused = client.sendmail(
            "me@example.org", ["friend@example.com", "nobody@example.com"], "Subject: hi\n\nHi!\n"
        )
    assert refused == {"nobody@example.com": (550, b"5.7.1 Nobody lives here")}
    text = "\n".join(shown)
    assert "rcpt: greylist_by_domain answered DENY, 'Nobody lives here'" in text
    assert "queue: queue/qmqp_forward answered OK" in text
    assert "18:friend@example.com," in text


@pytest.mark.timeout(240)
@pytest.mark.parametrize("hooks", [["queue"], ["ehlo", "data_post", "disconnect"]], ids="+".join)
def test_other_choices(hooks: list[str], first: First, tmp_path: Path) -> None:
    """Other hooks are installed into the same environment; tests, style and types are as good."""
    name = f"other-{hooks[0]}"
    project = new(tmp_path, name, *(word for hook in hooks for word in ("--hook", hook)))
    python = first.folder / ".venv/bin/python"
    start = time.perf_counter()
    installed = run(project, python, "-m", "pip", "install", "--quiet", "-e", ".[test,lint]")
    assert installed.status == 0, installed.output
    tests = run(project, python, "-m", "pytest")
    assert tests.status == 0, tests.output
    print(f"to green tests: {time.perf_counter() - start:.1f} s")
    for words in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        found = run(project, python, "-m", *words)
        assert found.status == 0, found.output
