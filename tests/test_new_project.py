"""A new project as its author uses it: made, installed, tested, checked, served.

What is run are the blocks of docs/how-to/new-plugin.md, in their order, in a fresh environment.
"""

import os
import re
import resource
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

PAGE = (ROOT / "docs/how-to/new-plugin.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```.*\n((?:(?!```).*\n)*)^```$", PAGE, re.MULTILINE)

A_MINUTE = 60.0
"""Seconds from `qpsdk new` to green tests, the installation into a new environment included."""


class Done(NamedTuple):
    """A command that has run."""

    status: int
    output: str


def outside() -> dict[str, str]:
    """The environment of somebody who has never heard of this tree or its virtual environment."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "CI", "ARGS")
    theirs = {name: value for name, value in os.environ.items() if name not in ours}
    return theirs | {"PYTHON": sys.executable}  # which make then takes


def run(folder: Path, *words: str | Path) -> Done:
    """Run a command there."""
    result = subprocess.run(
        words,
        cwd=folder,
        env=outside(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=220,
        check=False,
    )
    return Done(result.returncode, result.stdout)


def block(words: str) -> str:
    """The one block of the page with these words in it."""
    (found,) = [text for text in BLOCKS if words in text]
    return str(found)


def shell(folder: Path, commands: str) -> Done:
    """Run a block of the page, with a `qpsdk` that is this tree's."""
    programs = folder.parent / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "qpsdk").write_text(
        f"#!/bin/sh\n[ $1 != new ] || set -- \"$@\" --qpsdk '{ROOT}'\n"
        f"PYTHONPATH='{ROOT}' exec '{sys.executable}' -m qpsdk \"$@\"\n"
    )
    (programs / "qpsdk").chmod(0o755)
    return run(folder, "sh", "-ec", f'PATH="{programs}:$PATH"\n{commands}')


class First(NamedTuple):
    """A project whose tests have run, and the seconds from nothing to there.

    Attributes:
        busy: Of them, those of the processor: other tests run beside this one, and slow it down.
    """

    folder: Path
    tests: Done
    seconds: float
    busy: float


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> First:
    """The page's first commands: `qpsdk new`, then `make test`, which makes the environment."""
    folder = tmp_path_factory.mktemp("new") / "work"
    folder.mkdir()
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
    start, busy = time.perf_counter(), _processor_seconds()
    tests = shell(folder, block("make test\n"))
    return First(
        folder / "greylist-by-domain",
        tests,
        time.perf_counter() - start,
        _processor_seconds() - busy,
    )


def _processor_seconds() -> float:
    """What our child processes, and theirs, have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.timeout(240)
def test_green_within_a_minute(first: First) -> None:
    """From `qpsdk new` to green tests in a fresh environment takes a minute at most."""
    assert first.tests.status == 0, first.tests.output
    assert re.search(r"\b12 passed", first.tests.output)
    print(f"`qpsdk new` to green tests: {first.seconds:.1f} s, {first.busy:.1f} s of a processor")
    assert first.busy < A_MINUTE


@pytest.mark.timeout(240)
def test_lint_and_types(first: First) -> None:
    """Style and strict types have nothing to say about a new project."""
    lint = run(first.folder, "make", "lint")
    assert lint.status == 0, lint.output
    assert "Success: no issues found in 2 source files" in lint.output


@pytest.mark.timeout(240)
def test_the_host_finds_it(first: First) -> None:
    """The commands that list plugins have it, by its entry point; its config has no fault."""
    qpsdk = first.folder / ".venv/bin/qpsdk"
    listed = run(first.folder, qpsdk, "plugins")
    assert re.search(r"^greylist_by_domain .*\brcpt\b", listed.output, re.MULTILINE), listed.output
    checked = run(first.folder, "make", "check")
    assert checked.status == 0, checked.output
    assert "config: no errors, no warnings\n" in checked.output
    assert re.search(r"^rcpt +1 +greylist_by_domain ", checked.output, re.MULTILINE)


@pytest.mark.timeout(240)
def test_the_template_is_installed(first: First) -> None:
    """The package that was installed has every file of the template, those with a dot too."""
    (there,) = (first.folder / ".venv/lib").glob("python*/site-packages/qpsdk/scaffold/template")
    here = ROOT / "qpsdk/scaffold/template"
    assert {p.relative_to(there) for p in there.rglob("*")} == {
        p.relative_to(here) for p in here.rglob("*")
    }


@contextmanager
def served(project: Path) -> Iterator[tuple[int, list[str]]]:
    """`make run` on ports of its own: the port, and what it has shown, once it has ended."""
    qmqp = free_port()
    plugins = project / "config/plugins"
    forward = f"queue/qmqp_forward 127.0.0.1 {qmqp}"
    plugins.write_text(re.sub(r"^queue/qmqp_forward .*$", forward, plugins.read_text(), flags=re.M))
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
def test_the_idea(first: First) -> None:
    """The plugin and the tests of the page are green and clean, and it puts real mail off."""
    module = first.folder / "src/greylist_by_domain/__init__.py"
    module.write_text(block("class GreylistByDomain"))
    tests = first.folder / "tests/test_greylist_by_domain.py"
    before, _, rest = tests.read_text().partition("def test_")
    _, contract, last = rest.partition("\n\nclass TestContract")
    tests.write_text(before + block("def test_a_new_domain_has_to_wait") + contract + last)
    (first.folder / "tests/test_waiting.py").write_text(block("def test_a_minute"))
    checked = shell(first.folder, block("make test lint\n"))
    assert checked.status == 0, checked.output
    assert re.search(r"\b14 passed", checked.output)
    plugins = first.folder / "config/plugins"
    plugins.write_text(
        plugins.read_text().replace("\ngreylist_by_domain\n", "\ngreylist_by_domain 1\n")
    )
    send = block("sendmail")
    with served(first.folder) as (port, shown):
        refused = shell(first.folder, send.replace("2525", str(port)))
        deadline = time.monotonic() + 20
        while (sent := shell(first.folder, send.replace("2525", str(port)))).status != 0:
            assert time.monotonic() < deadline, sent.output
            time.sleep(0.1)
    assert refused.status != 0
    assert "450, b'4.7.1 We do not know you yet, come again in a while'" in refused.output
    assert "18:friend@example.com," in "\n".join(shown)


@pytest.mark.timeout(240)
def test_make_update(first: First) -> None:
    """`make update` gets qpsdk from where qpsdk.txt says, also with the pip of Python 3.11."""
    assert run(first.folder, "git", "add", "--all").status == 0
    author = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    run(first.folder, "git", *author, "commit", "--quiet", "--message", "Mine")
    updated = run(first.folder, "make", "update")
    assert updated.status == 0, updated.output
    assert updated.output.endswith("up to date\n")


def test_a_file_instead(tmp_path: Path) -> None:
    """The one file is written by the command that the page shows."""
    folder = tmp_path / "work"
    folder.mkdir()
    made = shell(folder, block("--single-file"))
    assert made.status == 0, made.output
    assert [path.name for path in folder.iterdir()] == ["greylist_by_domain.py"]


def test_every_block_is_known() -> None:
    """The page shows no command that is not run here; `make run` is, with other ports.

    What is about more than this project is tested in `test_how_to_new_plugin.py`, and as a sample.
    """
    words = ["make test\n", "class Greylist", "def test_a_new", "def test_a_minute"]
    words += [
        "make test lint",
        "make run\n",
        "sendmail",
        "greylist_by_domain 60\n```",
        "--single-file",
    ]
    known = [block(word) for word in words if "```" not in word] + ["greylist_by_domain 60\n"]
    known += [block("on_error=denysoft"), *(text for text in BLOCKS if "--8<--" in text)]
    assert sorted(known) == sorted(BLOCKS)
    tested = r"^tests/(test_how_to_new_plugin\.py:\w+|samples/plugins/\w+\.py)$"
    cut = re.findall(tested, PAGE, re.MULTILINE)
    assert len(cut) == PAGE.count("--8<--") / 2
