"""What was imported and has changed on disk, which a reload does not take up."""

import asyncio
import sys
from pathlib import Path
from types import ModuleType

import pytest

from qpsdk.config import Config
from qpsdk.server.host import Server, new_host
from qpsdk.server.imported import MAX_NAMED, Imported

pytestmark = pytest.mark.usefixtures("modules_as_before")

PLUGIN = """\
import greetings
from qpsdk import Plugin

class Greet(Plugin):
    def hook_rcpt(self, transaction, recipient, params): ...
    def hook_queue(self, transaction): ...
"""


def test_a_reload_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A package that was upgraded is told at each reload; a plugin's own file is taken up."""
    monkeypatch.syspath_prepend(tmp_path)
    config, plugins, helper = tmp_path / "config", tmp_path / "plugins", tmp_path / "greetings.py"
    config.mkdir()
    plugins.mkdir()
    (config / "me").write_text("mx.example.com")
    (config / "plugin_dirs").write_text(str(plugins))
    (config / "plugins").write_text("greet")
    (plugins / "greet.py").write_text(PLUGIN)
    helper.write_text("VERSION = 1\n")

    async def main() -> None:
        async with Server(new_host(Config(config)), []) as server:
            (plugins / "greet.py").write_text(f"{PLUGIN}\n# later\n")
            await server.reload()
            assert caplog.text == ""
            helper.write_text("VERSION = 'later'\n")
            await server.reload()

    asyncio.run(main())
    told = "changed on disk, and not taken up before a restart: greetings"
    assert [record.getMessage() for record in caplog.records] == [told]


def test_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package is named once, and again each time; of many only some, and how many more."""
    imported = Imported()
    imported.changed()
    files = []
    for name in ["one", "one.more", *(f"two{n}" for n in range(MAX_NAMED + 1))]:
        module = ModuleType(name)
        module.__file__ = str(tmp_path / name)
        files.append(tmp_path / name)
        files[-1].write_text("")
        monkeypatch.setitem(sys.modules, name, module)
    assert imported.changed() == ""
    files[0].write_text("changed")
    files[1].unlink()
    assert imported.changed() == imported.changed() == "one"
    for file in files:
        file.write_text("changed")
    assert imported.changed() == "one, two0, two1, two2, two3 and 2 more"
