"""The host as plugins see it: its config over time, and what plugins say of a setting."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qpsdk import (
    DECLINED,
    DENY,
    DONE,
    OK,
    Address,
    Connection,
    Host,
    LogLevel,
    Plugin,
    PluginError,
    blocking,
)
from qpsdk.dispatcher import Work
from qpsdk.loader import register
from qpsdk.log import Formatter, Scene, scene, set_level
from qpsdk.testing.smtp import memory_host, smtp
from tests.test_config import change


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config directory."""
    path = tmp_path / "config"
    path.mkdir()
    (path / "me").write_text("mx.example.com\n")
    (path / "databytes").write_text("1000\n")
    return path


@pytest.fixture
def host(folder: Path, clock: Clock) -> Host:
    """A host with that directory and that clock."""
    return memory_host(folder, clock=clock)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What has been logged since it was last asked for, as the log would have it, without time."""
    caplog.set_level(logging.INFO, "qpsdk")
    formatter = Formatter()

    def told() -> list[str]:
        lines = [formatter.format(record).partition("\n")[0][24:] for record in caplog.records]
        caplog.clear()
        return lines

    yield told
    set_level(LogLevel.LOGWARN)


def load(host: Host, *plugins: Plugin) -> None:
    """Register plugins with a host."""
    for plugin in plugins:
        register(plugin, host, (), {})


# Over time


def test_once_a_second(host: Host, folder: Path, clock: Clock) -> None:
    """The directory is looked at again after a second, not before; also if the clock was set."""
    change(folder / "databytes", "2000")
    clock.now += 0.9
    assert host.settings_for(Connection()).limits.message == 1000
    assert host.config("databytes") == ["1000"]
    clock.now += 0.2
    assert host.settings_for(Connection()).limits.message == 2000
    change(folder / "databytes", "3000")
    assert host.config("databytes") == ["2000"]
    clock.now -= 3600
    assert host.config("databytes") == ["3000"]


def test_a_connection_keeps_its_config(host: Host, folder: Path, clock: Clock) -> None:
    """In the hooks of a connection settings are as they were when it began, for all plugins."""
    plugin, late = Plugin(), Plugin()
    load(host, plugin)
    one, other = Connection("one"), Connection("other")
    host.settings_for(one)
    change(folder / "databytes", "2000")
    (folder / "badmailfrom").write_text("x@example.org\n")
    clock.now += 2
    host.settings_for(other)
    load(host, late)
    for connection, databytes, badmailfrom in (
        (one, ["1000"], []),
        (other, ["2000"], ["x@example.org"]),
        (None, ["2000"], ["x@example.org"]),
    ):
        before = scene.get()
        scene.set(Scene(connection))
        try:
            assert plugin.config("databytes") == late.config("databytes") == databytes
            assert plugin.config("badmailfrom") == badmailfrom
        finally:
            scene.set(before)


def test_changes_are_logged(
    host: Host, folder: Path, clock: Clock, logged: Callable[[], list[str]]
) -> None:
    """The log says which settings have changed, and which wait for a reload or a restart."""
    (folder / "plugins").write_text("rcpt_ok")
    (folder / "listen").write_text("127.0.0.1:25")
    change(folder / "databytes", "2000")
    (folder / "badmailfrom").write_text("x@example.org\n")
    clock.now += 1
    host.refresh()
    assert logged() == [
        f"LOGWARN {folder}/listen has changed: that takes a restart",
        f"LOGWARN {folder}/plugins has changed: that takes a reload",
        "LOGNOTICE the config has changed: badmailfrom, databytes",
    ]
    (folder / "badmailfrom").touch()
    clock.now += 1
    host.refresh()
    assert logged() == []


def test_a_broken_edit_changes_nothing(
    host: Host, folder: Path, clock: Clock, logged: Callable[[], list[str]]
) -> None:
    """While one setting is broken all stay as they were; it is told once, until it is right."""
    change(folder / "databytes", "\n2 MB\n")
    (folder / "rcpthosts").write_text("example.com")
    for _ in range(3):
        clock.now += 1
        assert host.settings_for(Connection()).limits.message == 1000
        assert host.config("rcpthosts") == []
    told = "is no number of bytes; write one such as 10485760"
    stay = "all settings stay as they were until this is right"
    assert logged() == [f"LOGERROR {folder}/databytes:2: '2 MB' {told}; {stay}"]
    change(folder / "databytes", "2 GB\n")
    clock.now += 1
    host.refresh()
    assert logged() == [f"LOGERROR {folder}/databytes:1: '2 GB' {told}; {stay}"]
    change(folder / "databytes", "3000\n")
    clock.now += 1
    assert host.settings_for(Connection()).limits.message == 3000
    assert host.config("rcpthosts") == ["example.com"]
    assert logged() == ["LOGNOTICE the config has changed: databytes, rcpthosts"]


def test_a_broken_file_of_a_plugin(
    host: Host, folder: Path, clock: Clock, logged: Callable[[], list[str]]
) -> None:
    """A file that only plugins ask for may not become unreadable either."""
    (folder / "rcpthosts").write_text("example.com")
    clock.now += 1
    assert host.config("rcpthosts") == ["example.com"]
    logged()
    change(folder / "rcpthosts", "example.com\n$include more")
    clock.now += 1
    assert host.config("rcpthosts") == ["example.com"]
    (line,) = logged()
    assert line.startswith(f"LOGERROR {folder}/rcpthosts:2: $include more: {folder}/more: no such")


def test_a_directory_that_is_gone(
    host: Host, folder: Path, clock: Clock, logged: Callable[[], list[str]]
) -> None:
    """When the directory is gone, the settings stay, and it is told once."""
    folder.rename(folder.with_name("gone"))
    for _ in range(2):
        clock.now += 1
        assert host.config("databytes") == ["1000"]
    (line,) = logged()
    assert line.startswith(f"LOGERROR {folder}: not a directory; ")


def test_log_level_without_a_restart(
    host: Host, folder: Path, clock: Clock, logged: Callable[[], list[str]]
) -> None:
    """A change of loglevel holds at once."""
    (folder / "loglevel").write_text("LOGERROR")
    clock.now += 1
    host.refresh()
    assert logged() == ["LOGNOTICE the config has changed: loglevel"]
    assert not logging.getLogger("qpsdk").isEnabledFor(logging.WARNING)


# hook_config


class Config(Plugin):
    """Says what the settings in `values` are."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self.values = values
        self.asked: list[str] = []

    def hook_config(self, name: str) -> Any:
        self.asked.append(name)
        return (OK, self.values[name]) if name in self.values else DECLINED


def test_hook_config(host: Host) -> None:
    """The first plugin with an opinion says what a setting is; else the file does."""
    one, two = Config(x=["1"]), Config(x=["2"], y=("a", "b"), z=[])
    load(host, one, two)
    assert [host.config(name) for name in ("x", "y", "z")] == [["1"], ["a", "b"], []]
    assert one.config("databytes") == ["1000"]
    assert (one.asked, two.asked) == (["x", "y", "z", "databytes"], ["y", "z", "databytes"])


def test_hook_config_in_front(host: Host) -> None:
    """A plugin may register in front of the others."""

    class First(Config):
        def register(self, qp: Host) -> None:
            self.register_hook("config", self.hook_config, first=True)

    load(host, Config(x=["1"]), First(x=["2"]))
    assert host.config("x") == ["2"]


def test_out_of_reach(host: Host) -> None:
    """What is read before any plugin is loaded is never asked of one."""
    names = ["me", "plugins", "plugin_dirs", "loglevel", "listen", "spool_dir", "spool_perms"]
    plugin = Config(**{name: ["x"] for name in names})
    load(host, plugin)
    assert [host.config(name) for name in names] == [["mx.example.com"], [], [], [], [], [], []]
    assert plugin.asked == []


def test_settings_of_the_host(host: Host, logged: Callable[[], list[str]]) -> None:
    """The host's own settings may come from a plugin: asked for each client, checked as a file."""
    plugin = Config(databytes=["7"], smtpgreeting=["ESMTP of a plugin"])
    load(host, plugin)
    settings = host.settings_for(Connection("c"))
    assert settings.limits.message == 7
    assert settings.greeting == "mx.example.com ESMTP of a plugin"
    plugin.values["databytes"] = ["8"]
    assert host.settings_for(Connection("c")).limits.message == 8
    assert host.settings.limits.message == 1000
    assert logged() == []
    plugin.values["databytes"] = ["9", "10"]
    assert host.settings_for(Connection("c")).limits.message == 1000
    plugin.values["databytes"] = ["many"]
    assert host.settings_for(Connection("c")).greeting == ""
    assert logged() == [
        "LOGERROR [c] hook_config(databytes):2: one value expected, this is another; not used",
        "LOGERROR [c] hook_config(databytes):1: 'many' is no number of bytes;"
        " write one such as 10485760; not used",
    ]


def test_asked_from_inside(host: Host) -> None:
    """A plugin that asks for a setting inside hook_config is answered by the file."""

    class Double(Plugin):
        def hook_config(self, name: str) -> Any:
            return OK, [*self.config(name), *self.config("databytes"), "more"]

    load(host, Double())
    assert host.config("x") == ["1000", "more"]


@pytest.mark.parametrize(
    "answer", [None, DENY, DONE, (OK, "text"), (OK, [1]), (OK, None), OK, "x", (OK, ["x"], 3)]
)
def test_no_answer(answer: Any, host: Host, logged: Callable[[], list[str]]) -> None:
    """What is no answer is told, and the next plugin asked."""

    class Odd(Plugin):
        def hook_config(self, name: str) -> Any:
            return answer

    load(host, Odd(), Config(x=["1"]))
    assert host.config("x") == ["1"]
    (line,) = logged()
    assert line.startswith("LOGERROR (config) Odd: answered ")
    assert line.endswith(": return DECLINED, or OK and a list of str")


@pytest.mark.parametrize("error", [ValueError("oh\nno"), SystemExit(3)])
def test_failure(error: BaseException, host: Host, logged: Callable[[], list[str]]) -> None:
    """A plugin that fails is told with its connection, and the next plugin asked."""

    class Broken(Plugin):
        def hook_config(self, name: str) -> Any:
            raise error

    load(host, Broken(), Config(x=["1"]))
    before = scene.get()
    scene.set(Scene(Connection("c7"), None, "rcpt", "rcpt_ok"))
    try:
        assert host.config("x") == ["1"]
        assert scene.get().plugin == "rcpt_ok"
    finally:
        scene.set(before)
    (line,) = logged()
    assert line.startswith(f"LOGCRIT [c7] (config) Broken: failed: {type(error).__name__}: ")


def test_async_is_refused(host: Host) -> None:
    """These hooks are plain: async def and @blocking are refused at load."""

    class Slow(Plugin):
        async def hook_config(self, name: str) -> Any: ...

    class Elsewhere(Plugin):
        @blocking
        def hook_user_config(self, address: Address, name: str) -> Any: ...

    for plugin, hook in ((Slow(), "config"), (Elsewhere(), "user_config")):
        with pytest.raises(PluginError, match=f"the hook {hook} is reached from plain calls"):
            load(host, plugin)
    assert host.config("x") == []


# user_config


class Users(Plugin):
    """Knows the settings of one user."""

    def hook_user_config(self, address: Address, name: str) -> Any:
        if address.user == b"fred":
            return OK, [name, *self.config("databytes"), *self.user_config(address, "quota")]
        return DECLINED


def test_settings_that_are_asked_for(host: Host) -> None:
    """The host knows what plugins ask for in register(); not what they make of a client's words."""

    class Asks(Plugin):
        """Asks in every way."""

        def register(self, qp: Host) -> None:
            """Ask."""
            self.config("one")
            self.parse_config("two", list)
            self.user_config(Address.parse("a@example.com"), "three")

    register(Asks(), host, (), {})
    host.config("four")
    assert host.asked == {"one", "two", "three"}


def test_user_config(host: Host) -> None:
    """A plugin says what a setting is for one user; else it is everybody's. It may itself ask."""
    fred, other = Address.parse(b"<fred@example.com>"), Address.parse(b"<x@example.com>")
    users = Users()
    assert host.user_config(fred, "databytes") == ["1000"]
    load(host, users, Config(quota=["5"]))
    assert host.user_config(fred, "x") == users.user_config(fred, "x") == ["x", "1000", "5"]
    assert users.user_config(other, "databytes") == ["1000"]
    assert users.user_config(other, "quota") == ["5"]


# In a conversation


class Shows(Plugin):
    """Tells the client what the setting x is."""

    async def hook_noop(self, connection: Connection, text: bytes) -> Any:
        await asyncio.sleep(0)
        return DENY, " ".join(self.config("x")) or "none"

    @blocking
    def hook_help(self, connection: Connection, text: bytes) -> Any:
        return DENY, " ".join(self.config("x")) or "none"


def test_conversation(folder: Path) -> None:
    """Each hook of a connection sees the config of its beginning; a greeting is the setting's."""
    (folder / "smtpgreeting").write_text("ESMTP no spam please")
    (folder / "x").write_text("one")

    async def main() -> None:
        async with smtp(Shows(), config=folder) as client:
            assert str(client.greeting) == "220 mx.example.com ESMTP no spam please"
            change(folder / "x", "two")
            assert str(await client.command("NOOP")) == "500 5.5.1 one"
            assert str(await client.command("HELP")) == "500 5.5.1 one"
        async with smtp(Shows(), config=folder) as client:
            assert str(await client.command("HELP")) == "500 5.5.1 two"

    asyncio.run(main())


def test_greeting_of_a_plugin(folder: Path) -> None:
    """A plugin's own greeting and a refusal stand in place of the setting's text."""
    (folder / "smtpgreeting").write_text("ESMTP no spam please")

    class Own(Plugin):
        def hook_connect(self, connection: Connection) -> Any:
            connection.respond(220, "mine")
            return DONE

    class Refuses(Plugin):
        def hook_connect(self, connection: Connection) -> Any:
            return DENY, "go away"

    async def greeting(plugin: Plugin) -> str:
        async with smtp(plugin, config=folder) as client:
            return str(client.greeting)

    assert asyncio.run(greeting(Own())) == "220 mine"
    assert asyncio.run(greeting(Refuses())) == "550 go away"


def test_a_reload_counts_on() -> None:
    """After a reload failed attempts and messages in hand still count, by the new limits."""
    before, after = memory_host({"max_forwards": "5"}), memory_host({"max_forwards": "7"})
    before.failed_auth.add("192.0.2.1")
    assert before.queue_gate.enter()
    after.follow(before)
    assert after.failed_auth.count("192.0.2.1") == 1
    assert after.auth_gates is before.auth_gates
    assert (after.queue_gate.inside, after.queue_gate.limit) == (1, 7)


def test_max_forwards_is_raised(folder: Path, clock: Clock) -> None:
    """Messages that wait go on as soon as the limit has room for them, not when one is done."""
    (folder / "max_forwards").write_text("1")
    host = memory_host(folder, clock=clock)

    async def main() -> None:
        assert host.queue_gate.enter()
        waiting = asyncio.create_task(host.queue_gate.wait(Work(), 10))
        await asyncio.sleep(0)
        change(folder / "max_forwards", "2")
        clock.now += 2
        host.refresh()
        assert await waiting

    asyncio.run(main())
