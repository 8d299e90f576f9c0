"""`qpsdk check` and `qpsdk order` on the command line."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qpsdk.cli import app
from qpsdk.errors import SetupError

SLOW = """\
from qpsdk import Plugin, blocking

class Slow(Plugin):
    def register(self, qp):
        self.register_hook("rcpt", self.early, first=True)

    def early(self, transaction, recipient, params): ...

    @blocking
    def hook_rcpt(self, transaction, recipient, params): ...

    async def hook_quit(self, connection): ...

    def hook_config(self, name): ...
"""


@pytest.fixture(autouse=True)
def _logger() -> Iterator[None]:
    """Put the logger back as it was: the commands write to standard error."""
    logger = logging.getLogger("qpsdk")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate, level = before
    logger.setLevel(level)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config directory in order."""
    path = tmp_path / "config"
    path.mkdir()
    (path / "me").write_text("mx.example.com\n")
    (path / "listen").write_text("127.0.0.1:2525\n")
    (path / "rcpthosts").write_text("example.com\n")
    (path / "plugin_dirs").write_text(".\n")
    (path / "slow.py").write_text(SLOW)
    (path / "plugins").write_text("rcpt_ok timeout=5\nslow\nqueue/discard:1\nqueue/discard:2\n")
    return path


def run(*arguments: str | Path, status: int = 0, **environment: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], env=environment)
    if isinstance(result.exception, SetupError):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


def test_nothing_is_wrong(folder: Path) -> None:
    """A directory in order: one line, exit status 0."""
    assert run("check", "--config", folder) == f"{folder}: no errors, no warnings\n"


def test_errors(folder: Path) -> None:
    """A line for each thing that is wrong, how many there are, exit status 2."""
    (folder / "databytes").write_text("10M\n")
    (folder / "timeout").write_text("0\n")
    (folder / "me").unlink()
    (folder / "plugins").write_text("rcpt_ok\n")
    lines = run("check", "--config", folder, status=2).splitlines()
    assert lines[0].startswith(f"error: {folder}/timeout:1: '0' is no number of seconds")
    assert lines[1].startswith(f"error: {folder}/databytes:1: '10M' is no number of bytes")
    assert lines[2].startswith(f"warning: {folder}/me: not there")
    assert lines[3].startswith(f"warning: {folder}/plugins: no plugin has the hook queue")
    assert lines[4:] == [f"{folder}: 2 errors, 2 warnings"]


def test_warnings_only(folder: Path) -> None:
    """Warnings alone leave exit status 0."""
    (folder / "listen").write_text("")
    lines = run("check", "--config", folder).splitlines()
    assert lines[0].startswith(f"warning: {folder}/listen: no address to listen on")
    assert lines[1:] == [f"{folder}: no errors, 1 warning"]


def test_directory_from_the_environment(folder: Path) -> None:
    """QPSDK_CONFIG names the directory where --config does not."""
    told = f"{folder}: no errors, no warnings\n"
    assert run("check", QPSDK_CONFIG=str(folder)) == told
    assert run("check", "--config", folder, QPSDK_CONFIG="/nowhere") == told
    with pytest.raises(SetupError, match=r"^/nowhere: not a directory"):
        run("check", QPSDK_CONFIG="/nowhere")


def test_order(folder: Path) -> None:
    """Hook by hook: which plugins, in which order, and how long each may take."""
    assert run("order", "--config", folder) == (
        "HOOK    NR  PLUGIN           LIMIT  METHOD       RUNS\n"
        "rcpt    1   slow             30s    early        at once\n"
        "rcpt    2   rcpt_ok          5s     hook_rcpt    at once\n"
        "rcpt    3   slow             30s    hook_rcpt    in a thread\n"
        "queue   1   queue/discard:1  540s   hook_queue   at once\n"
        "queue   2   queue/discard:2  540s   hook_queue   at once\n"
        "quit    1   slow             30s    hook_quit    async\n"
        "config  1   slow             -      hook_config  at once\n"
    )


def test_order_of_one_hook(folder: Path) -> None:
    """Of one hook only its own lines; a hook that nobody has is told beside the output."""
    assert run("order", "--config", folder, "quit") == (
        "HOOK  NR  PLUGIN  LIMIT  METHOD     RUNS\nquit  1   slow    30s    hook_quit  async\n"
    )
    assert run("order", "--config", folder, "data-post") == ""


def test_order_of_no_hook(folder: Path) -> None:
    """A hook that is none is refused with the nearest."""
    with pytest.raises(SetupError) as refusal:
        run("order", "--config", folder, "qeue")
    assert str(refusal.value) == "there is no hook 'qeue'; did you mean 'queue'?"


def test_order_of_what_cannot_be_loaded(folder: Path) -> None:
    """Where the host would not start there is no order."""
    (folder / "plugins").write_text("nothing")
    with pytest.raises(SetupError, match="plugins:1: nothing: no such plugin"):
        run("order", "--config", folder)
