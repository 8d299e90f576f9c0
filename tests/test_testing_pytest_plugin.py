"""The fixtures, as pytest finds them by the entry point that pyproject.toml declares."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"

pytestmark = pytest.mark.timeout(160)  # a pytest of their own, and the whole contract in it

TESTS = '''
"""An author's tests."""

import unittest

from qpsdk import DENY, DENYSOFT, LOGINFO, OK, Plugin
from qpsdk.testing import PluginContract, assert_answer, ask, memory_host, plugin, run


class Grey(Plugin):
    """Puts off each recipient once, and is the plugin that all the tests are about."""

    def register(self, qp, wait="300"):
        self.wait = int(wait)
        self.seen = {}

    def hook_rcpt(self, transaction, recipient, params):
        first = self.seen.setdefault(recipient, self.qp.clock())
        self.log(LOGINFO, "seen", recipient)
        if self.qp.clock() - first < self.wait:
            return DENYSOFT, "come back later"
        return OK


def test_smtp(smtp, clock, fake_qmqp, log):
    client = smtp(Grey(), "queue/qmqp_forward 192.0.2.1", connect=fake_qmqp.connect, clock=clock)
    assert str(client.send("Subject: hi\\n\\n")) == "450 4.7.1 come back later"
    clock.advance(301)
    assert str(client.send("Subject: hi\\n\\n")).startswith("250 2.0.0 ")
    assert fake_qmqp.only_message().recipients == (b"recipient@example.com",)
    seen = log.lines(level=LOGINFO, plugin="Grey", hook="rcpt")
    assert seen == ["seen <recipient@example.com>"] * 2


def test_hook(clock):
    grey = plugin(Grey, 60, qp=memory_host(clock=clock))
    assert_answer(run(ask(grey, "rcpt")), DENYSOFT, match="later")
    clock.advance(61)
    assert_answer(run(ask(grey, "rcpt")), OK)


def test_fake_smtp(fake_smtp, smtp):
    fake_smtp.answer("RCPT", 550, "no")
    assert fake_smtp.messages == []


def test_fake_dns(fake_dns):
    assert fake_dns.endpoint.port


def test_with(smtp, log):
    with smtp(Grey) as client:
        assert client.mail().accepted
        assert "connection closed" not in log
    assert "connection closed" in log


class TestContract(PluginContract):
    plugin = Grey, 60
    examples = 2


class TestContractToo(PluginContract, unittest.TestCase):
    plugin = Grey
    examples = 2
    test_large_message = test_many_recipients = test_leaves_nothing_behind = None
    test_disconnects = test_holds_no_loop = None


def test_that_fails(log):
    assert "nothing of the kind" in log
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an author's tests, and the package as if it were installed beside it."""
    scripts = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]["pytest11"]
    installed = tmp_path / "site" / "kit-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: kit\nVersion: 1\n")
    lines = [f"{name} = {value}" for name, value in scripts.items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    (tmp_path / "test_grey.py").write_text(TESTS)
    return tmp_path


def run_pytest(project: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the author's tests in a process of their own."""
    path = os.pathsep.join([str(project / "site"), str(PYPROJECT.parent)])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "passed"),
    [([], 20), (["-n", "2", "-k", "not Contract or null_sender"], 7)],
    ids=["alone", "xdist"],
)
def test_authors_tests(project: Path, options: list[str], passed: int) -> None:
    """An author's tests pass without any configuration, one after the other and in parallel."""
    result = run_pytest(
        project, *options, "-W", "error", "--deselect", "test_grey.py::test_that_fails"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{passed} passed" in result.stdout


WRONG = """
from qpsdk import LOGWARN, Plugin
from qpsdk.testing import ask, run, smtp as client_of


class Word(Plugin):
    def register(self, qp, word):
        self.log(LOGWARN, "is loaded")

    def hook_quit(self, connection): ...


def test_fixture(smtp):
    smtp(Word)

def test_with():
    with client_of(Word):
        pass

def test_ask():
    run(ask(Word, "quit"))

def test_async_with():
    async def main():
        async with client_of(Word):
            pass

    run(main())

def test_no_with():
    client_of(Word).send("x")

def test_of_the_log(smtp):
    smtp("./word.py x")
    assert 0
"""


def test_a_failure_is_told_at_the_test(project: Path) -> None:
    """What is wrong when a test begins is shown at its own line, and the log says whose it is."""
    (project / "test_grey.py").write_text(WRONG)
    (project / "word.py").write_text(WRONG.partition("def test_")[0])
    result = run_pytest(project)
    assert "6 failed" in result.stdout
    assert result.stdout.count("it takes: Word WORD; in a test: plugin(Word, ...)") >= 4
    assert "send: there is no client yet" in result.stdout
    assert not re.search(r"^\S*(qpsdk|asyncio|contextlib)\S*\.py:\d+: ", result.stdout, re.M)
    assert re.search(r"^WARNING +qpsdk:word:0 is loaded$", result.stdout, re.M)


def test_a_failure_shows_the_log(project: Path) -> None:
    """A test that misses something in the log shows what there is."""
    result = run_pytest(project, "-k", "that_fails")
    assert result.returncode == 1
    assert "'nothing of the kind' in <the log: empty>" in result.stdout
