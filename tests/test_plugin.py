"""What a plugin is given: its host, its hooks, its log."""

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

import pytest

from qpsdk import (
    DECLINED,
    LOGDEBUG,
    LOGERROR,
    LOGINFO,
    LOGWARN,
    OK,
    AddressList,
    ConfigError,
    Connection,
    LogLevel,
    Plugin,
    PluginError,
    blocking,
)
from qpsdk.config import Config
from qpsdk.host import MAX_PARSED
from qpsdk.log import Scene, scene
from qpsdk.plugin import PluginOptions, is_blocking, place, without_hook
from qpsdk.testing.smtp import memory_host


class Greeter(Plugin):
    """A plugin like many."""

    def hook_connect(self, connection: Any) -> None: ...

    def other(self, connection: Any) -> None: ...


def test_no_host_yet() -> None:
    """A plugin that asks for its host before it has one is told when it will."""
    with pytest.raises(PluginError, match=r"Greeter has no host yet: .* just before register\(\)"):
        _ = Greeter().qp


def test_host_and_config() -> None:
    """The host is there once the plugin is attached, and its config by name."""
    host = memory_host({"greeting": "hello\nyou"})
    plugin = Greeter()
    plugin.attach(host)
    assert plugin.qp is host
    assert plugin.config("greeting") == host.config("greeting") == ["hello", "you"]
    assert plugin.config("nothing") == []


def numbers(lines: Iterator[str]) -> tuple[int, ...]:
    """What a plugin makes of a setting."""
    return tuple(int(line) for line in lines)


def test_parse_config() -> None:
    """Values are parsed once, and again when they have changed; each parser has its own."""
    plugin = Plugin()
    host = memory_host({"sizes": "# small\n1\n2"})
    plugin.attach(host)
    first = plugin.parse_config("sizes", numbers)
    assert first == (1, 2)
    assert plugin.parse_config("sizes", numbers) is first
    assert plugin.parse_config("sizes", list) == ["1", "2"]
    assert plugin.parse_config("nothing", numbers) == ()
    host.configuration = Config({"sizes": "1\n3"})
    assert plugin.parse_config("sizes", numbers) == (1, 3)


def test_parse_config_keeps_no_more_than_it_may() -> None:
    """A setting that a client names, and one parsed by a lambda, is not kept for ever."""
    host = memory_host({})
    kept: WeakSet[AddressList] = WeakSet()
    for number in range(2 * MAX_PARSED):
        kept.add(host.parse_config(f"badmailfrom-{number}", AddressList))
    for _ in range(2 * MAX_PARSED):
        kept.add(host.parse_config("badmailfrom", lambda lines: AddressList([*lines])))
    assert len(kept) == MAX_PARSED


def test_parse_config_tells_where() -> None:
    """What a parser refuses is told with file and line: the last that it took."""
    problem = r"^config/sizes:4: invalid literal for int\(\) with base 10: 'two'$"
    with pytest.raises(ConfigError, match=problem):
        memory_host({"sizes": "# small\n\n1\ntwo\nthree"}).parse_config("sizes", numbers)


def test_parse_config_by_a_hook() -> None:
    """A value that another plugin's hook_config gave is told as its."""
    host = memory_host({"sizes": "1"})
    host.add_hook("config", "other", lambda name: (OK, ["1", "x"]) if name == "sizes" else DECLINED)
    with pytest.raises(ConfigError, match=r"^hook_config\(sizes\):2: invalid literal for int"):
        host.parse_config("sizes", numbers)


def test_parse_config_without_values() -> None:
    """A parser that misses something in an empty file has no line to name."""

    def one(lines: Iterator[str]) -> str:
        for line in lines:
            return line
        raise ValueError("a value is needed")

    with pytest.raises(ConfigError, match=r"^config/sizes: a value is needed$"):
        memory_host({}).parse_config("sizes", one)


def test_parse_config_keeps_what_was_right(caplog: pytest.LogCaptureFixture) -> None:
    """A change for the worse is logged once, and what was before stays in use."""
    host = memory_host({"sizes": "1"})
    assert host.parse_config("sizes", numbers) == (1,)
    host.configuration = Config({"sizes": "1\nx"})
    for _ in range(2):
        assert host.parse_config("sizes", numbers) == (1,)
    (record,) = caplog.records
    assert record.getMessage() == (
        "config/sizes:2: invalid literal for int() with base 10: 'x';"
        " the values before this change stay in use"
    )
    host.configuration = Config({"sizes": "2"})
    assert host.parse_config("sizes", numbers) == (2,)


def test_parse_config_of_a_client_from_before(caplog: pytest.LogCaptureFixture) -> None:
    """One that still has older values gets those, and no wrong change makes them anybody else's."""
    host = memory_host({"sizes": "1"})
    early = Connection("c1")
    early.config = host.configuration

    def asked(connection: Connection | None = None) -> tuple[int, ...]:
        scene.set(Scene(connection))
        return host.parse_config("sizes", numbers)

    def read() -> tuple[tuple[int, ...], tuple[int, ...]]:
        return asked(early), asked()

    assert read() == ((1,), (1,))
    host.configuration = Config({"sizes": "2"})
    assert read() == ((1,), (2,))
    host.configuration = Config({"sizes": "x"})
    late = Connection("c2")
    late.config = host.configuration
    assert [read(), read()] == [((1,), (2,))] * 2
    assert len(caplog.records) == 1
    host.configuration = Config({"sizes": "3"})
    assert (*read(), asked(late)) == ((1,), (3,), (3,))


def test_register_takes_no_words() -> None:
    """A plugin without a register of its own takes no arguments."""
    plugin = Greeter()
    plugin.register(memory_host({}))
    with pytest.raises(TypeError):
        plugin.register(memory_host({}), "word")


def test_register_hook() -> None:
    """A registration has the hook's own name; the same method is registered for it once."""
    plugin = Greeter()
    plugin.register_hook("post-connection", plugin.other)
    plugin.register_hook("post_connection", plugin.other, first=True)
    plugin.register_hook("connect", plugin.other, first=True)
    plugin.register_named_hooks()
    plugin.register_named_hooks()
    assert plugin.registrations == [
        ("post_connection", plugin.other, False),
        ("connect", plugin.other, True),
        ("connect", plugin.hook_connect, False),
    ]


@pytest.mark.parametrize(
    ("misspelt", "nearest"), [("recpt", "rcpt"), ("data-pots", "data_post"), ("zzz", "[a-z_]+")]
)
def test_misspelt_hook(misspelt: str, nearest: str) -> None:
    """A hook that is none is refused, and the nearest is named."""
    with pytest.raises(PluginError) as refusal:
        Greeter().register_hook(misspelt, Greeter().other)
    where = re.escape(f" ({__file__}:{Greeter.other.__code__.co_firstlineno})")
    pattern = f"Greeter: there is no hook '{misspelt}'; did you mean '{nearest}'\\?{where}"
    assert re.fullmatch(pattern, str(refusal.value))


def two(transaction: Any, sender: Any) -> None: ...
def four(transaction: Any, sender: Any, params: Any, more: Any) -> None: ...
def keyword(transaction: Any, sender: Any, params: Any = None, *, more: Any) -> None: ...


@pytest.mark.parametrize(
    ("method", "takes"),
    [
        (two, "two takes (transaction, sender)"),
        (four, "four takes (transaction, sender, params, more)"),
        (keyword, "keyword takes (transaction, sender, params=None, *, more)"),
    ],
    ids=["two", "four", "keyword"],
)
def test_wrong_arguments(method: Callable[..., None], takes: str) -> None:
    """A method that does not take what the hook gives is refused: who, what, and what it takes."""
    with pytest.raises(PluginError) as refusal:
        Greeter().register_hook("mail", method)
    assert str(refusal.value) == (
        f"Greeter: the hook mail gives (transaction, sender, params), but {takes}"
        f" ({__file__}:{method.__code__.co_firstlineno})"
    )


def test_wrong_arguments_of_a_named_hook() -> None:
    """The same holds for methods named after their hook; self is not counted."""

    class Old(Plugin):
        def hook_quit(self, connection, text): ...  # type: ignore[no-untyped-def]

    with pytest.raises(PluginError) as refusal:
        Old().register_named_hooks()
    assert str(refusal.value) == (
        "Old: the hook quit gives (connection), but hook_quit takes (connection, text)"
        f" ({__file__}:{Old.hook_quit.__code__.co_firstlineno})"
    )


def test_self_forgotten() -> None:
    """A method that would take what is given, but for self, is told what is missing."""

    class Selfless(Plugin):
        def hook_rcpt(transaction, recipient, params): ...  # type: ignore[no-untyped-def]

    with pytest.raises(PluginError, match=r"takes \(recipient, params\); is self missing"):
        Selfless().register_named_hooks()

    class Short(Plugin):
        def hook_rcpt(self, transaction, params): ...  # type: ignore[no-untyped-def]

    with pytest.raises(PluginError, match=r"hook_rcpt takes \(transaction, params\) \("):
        Short().register_named_hooks()


def swapped(recipient: Any, transaction: Any, params: Any) -> None: ...
def later(transaction: Any, params: Any = None, more: Any = None) -> None: ...


@pytest.mark.parametrize("method", [swapped, later])
def test_swapped_arguments(method: Callable[..., None]) -> None:
    """What has the name of another argument would be given the wrong thing: it is refused."""
    with pytest.raises(PluginError, match="; write them in the order in which they are given"):
        Greeter().register_hook("rcpt", method)


def test_place() -> None:
    """A method is told with file and line; one that is in no file, typed at a prompt, is not."""
    line = Greeter.other.__code__.co_firstlineno
    assert place(Greeter().other) == place(Greeter.other) == f" ({__file__}:{line})"
    typed: dict[str, Any] = {}
    exec("def hook_quit(self, connection): ...", typed)
    assert place(typed["hook_quit"]) == place("sender") == place(len) == ""


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("on_rcpt", "rename on_rcpt to hook_rcpt"),
        ("rcpt", "rename rcpt to hook_rcpt"),
        ("handle_DATA", "rename handle_DATA to hook_data"),
        ("lookup_data", "name a method after its hook, such as hook_rcpt"),
    ],
)
def test_without_hook(name: str, told: str) -> None:
    """A plugin without a hook is told what its method has to be called."""
    kind = type("Lost", (Plugin,), {name: Greeter.other})
    assert issubclass(kind, Plugin)
    assert without_hook(kind()) == f"has no hook, so it is never asked; {told}"
    greeter = Greeter()
    greeter.register_named_hooks()
    assert without_hook(greeter) == ""


@pytest.mark.parametrize(
    ("hook", "method"),
    [
        ("mail", lambda *arguments: None),
        ("mail", lambda a, b, c, d="default": None),
        ("quit", lambda a, *, b=0, **_: None),
    ],
    ids=["any", "default", "keywords"],
)
def test_flexible_arguments(hook: str, method: Callable[..., None]) -> None:
    """A method may take more than it is given, as long as it can do without."""
    plugin = Greeter()
    plugin.register_hook(hook, method)
    assert plugin.registrations == [(hook, method, False)]


def test_no_method() -> None:
    """What cannot be called is refused."""

    class Odd(Plugin):
        hook_mail = "sender"

    with pytest.raises(PluginError, match="Odd: 'sender', for the hook mail, is no method"):
        Odd().register_named_hooks()


def test_blocking() -> None:
    """A method marked @blocking is known by it, as method and as function; others are not."""

    class Slow(Plugin):
        @blocking
        def hook_quit(self, connection: Any) -> None: ...

        def hook_connect(self, connection: Any) -> None: ...

    assert is_blocking(Slow().hook_quit)
    assert is_blocking(Slow.hook_quit)
    assert not is_blocking(Slow().hook_connect)


@pytest.mark.parametrize("hook", ["logging", "config", "user_config"])
def test_plain_hooks(hook: str) -> None:
    """The hooks that plain calls reach cannot be async or blocking."""

    async def later(*arguments: Any) -> None: ...

    @blocking
    def elsewhere(*arguments: Any) -> None: ...

    for method in (later, elsewhere):
        with pytest.raises(PluginError, match=f"but the hook {hook} is reached from plain calls"):
            Plugin().register_hook(hook, method)


def test_blocking_and_async() -> None:
    """An async def cannot be @blocking: in a thread it would only be begun."""
    with pytest.raises(TypeError, match="hook_quit is async: it cannot be @blocking, too; drop"):

        class Confused(Plugin):
            @blocking
            async def hook_quit(self, connection: Any) -> None: ...


@pytest.mark.parametrize(
    ("options", "level", "logged"),
    [
        (PluginOptions(), LOGINFO, 6),
        (PluginOptions(loglevel=LOGERROR), LOGINFO, 3),
        (PluginOptions(loglevel=LogLevel.LOGEMERG), LOGINFO, 0),
        (PluginOptions(loglevel_shift=1), LOGINFO, 7),
        (PluginOptions(loglevel_shift=-2), LOGINFO, 4),
        (PluginOptions(loglevel_shift=3), LOGINFO, 7),
        (PluginOptions(loglevel_shift=-7), LOGDEBUG, 0),
        (PluginOptions(loglevel_shift=-7), LOGWARN, 0),
    ],
    ids=str,
)
def test_log_level(
    options: PluginOptions, level: LogLevel, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    """With loglevel= each line of a plugin has that level, or is shifted by so much within 0..7."""
    plugin = Greeter()
    plugin.options = options
    caplog.set_level(logging.DEBUG, "qpsdk")
    plugin.log(level, "hello", 7)
    numbers = [70, 60, 50, 40, 30, 25, 20, 10]
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (numbers[logged], "hello 7")
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [(("hello",), "hello"), (("INFO", "x", 7), "INFO x 7"), ((8, "x"), "8 x"), (([],), "[]")],
)
def test_log_without_level(
    words: tuple[Any, ...], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A line without a level is logged at LOGERROR, and what is missing is told; nothing fails."""
    plugin = Greeter()
    plugin.options = PluginOptions(loglevel=LOGDEBUG)
    plugin.log(*words)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", f"{text} (the level comes first: self.log(LOGINFO, ...))")
    ]


def test_time_limit() -> None:
    """A plugin can ask how long it has: the hook's own limit, or what its line says."""
    plugin = Plugin()
    assert plugin.time_limit("queue") == 540
    assert plugin.time_limit("mail-pre") == 30
    plugin.options.timeout = 7
    assert plugin.time_limit("queue") == 7
