"""A plugin in one file: written where it was asked for, found by the host, and it works."""

import asyncio
import resource
from pathlib import Path

import pytest

from qpsdk.check import check
from qpsdk.errors import SetupError
from qpsdk.finder import PluginLine, find
from qpsdk.hooks import HOOKS
from qpsdk.scaffold.names import Names
from qpsdk.scaffold.project import Answers
from qpsdk.scaffold.single import single_file
from qpsdk.testing import smtp

GONE = Names.of("long-gone")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook(hook: str, tmp_path: Path) -> None:
    """The loader finds the plugin in its file, with the hook that was asked for."""
    path = single_file(Answers(GONE, hooks=(hook,)), tmp_path)
    assert path == tmp_path / "long_gone.py"
    assert "\n\n\n\n" not in path.read_text()  # no formatter has anything to say
    plugin = find(PluginLine.parse("long_gone"), [tmp_path])
    assert plugin.__name__ == "LongGone"
    assert hasattr(plugin, f"hook_{hook}")


def test_it_works(tmp_path: Path) -> None:
    """Without a word about hooks it has rcpt, and refuses a recipient."""
    path = single_file(Answers(GONE, "Refuses mail for those who have left"), tmp_path)
    assert path.read_text().startswith('"""Refuses mail for those who have left.\n\nName this')
    plugin = find(PluginLine.parse("long_gone"), [tmp_path])()

    async def main() -> str:
        async with smtp(plugin) as client:
            return str(await client.send("hi", recipients="nobody@example.com"))

    assert asyncio.run(main()) == "550 5.7.1 Nobody lives here"


def test_a_host_finds_it(tmp_path: Path) -> None:
    """A config directory with the lines that its docstring says has no fault."""
    path = single_file(Answers(GONE), tmp_path)
    assert "\n    long_gone\n" in path.read_text()
    config = tmp_path / "config"
    config.mkdir()
    (config / "plugin_dirs").write_text("..\n")
    (config / "plugins").write_text("long_gone\nrcpt_ok\nqueue/discard\n")
    (config / "listen").write_text("127.0.0.1:2525\n")
    (config / "me").write_text("mx.example.com\n")
    assert [finding for finding in check(config) if finding.is_error] == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there already is left as it is."""
    (tmp_path / "long_gone.py").write_text("mine")
    with pytest.raises(SetupError, match=r"long_gone\.py is there already, and is left as it is"):
        single_file(Answers(GONE), tmp_path)
    assert (tmp_path / "long_gone.py").read_text() == "mine"


def test_full_disk(tmp_path: Path) -> None:
    """What cannot be written whole is not there: a cut plugin would be loaded, or in the way."""
    path, answers = tmp_path / "long_gone.py", Answers(GONE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            single_file(answers, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not path.exists()
    single_file(answers, tmp_path)
    assert path.stat().st_size > 500
