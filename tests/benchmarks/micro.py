"""What one hook costs beside pluggy's, and a netstring beside pynetstring's."""

from collections.abc import Callable, Coroutine, Mapping
from timeit import Timer
from typing import Any

import pluggy
import pynetstring
from rich.table import Table

from qpsdk import DECLINED, Address, Plugin, Result, Transaction, netstring
from qpsdk.dispatcher import Dispatcher
from qpsdk.testing import make

PLUGINS = (1, 2, 5, 10)
REPEATS = 40  # the best counts: a busy machine makes runs slower, never quicker
SECONDS = 0.005  # for one of them: the shorter, the likelier it is that nobody else was at work
BLOCK = 64 * 1024

SMALL = [b"x" * 100] * 100
LARGE = [b"x" * 1_000_000]


class NoOpinion(Plugin):
    """Answers DECLINED."""

    def hook_rcpt(
        self, transaction: Transaction, recipient: Address, params: Mapping[str, str]
    ) -> Result:
        """The usual answer."""
        return DECLINED


_spec = pluggy.HookspecMarker("bench")
_impl = pluggy.HookimplMarker("bench")


class Specification:
    """The same hook, as pluggy has it declared."""

    @_spec(firstresult=True)
    def rcpt(self, transaction: Transaction, recipient: Address, params: Any) -> object:
        """None is no opinion."""


class PluggyNoOpinion:
    """The same plugin."""

    @_impl
    def rcpt(self, transaction: Transaction, recipient: Address, params: Any) -> object:
        """The usual answer."""


def microseconds(call: Callable[[], object], seconds: float = SECONDS) -> float:
    """The best time of one call."""
    timer = Timer(call)
    number = 1
    while (took := timer.timeit(number)) < seconds / 4:
        number *= 4
    number = max(1, round(number * seconds / took))
    return min(timer.repeat(REPEATS, number)) / number * 1e6


def finish(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run one that waits for nothing, as the host does: without a task."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for something")


def _ours(plugins: int) -> Callable[[], None]:
    dispatcher = Dispatcher([make.plugin(NoOpinion) for _ in range(plugins)], _no_thread)
    transaction = make.transaction()
    arguments: tuple[Any, ...] = (transaction, Address(b"friend", b"example.com"), {})

    def call() -> None:
        finish(dispatcher.run("rcpt", transaction, arguments))
        transaction.answers.clear()

    return call


async def _no_thread(function: Callable[..., Any], /, *arguments: Any) -> Any:
    raise AssertionError("nothing here blocks")


def _pluggy(plugins: int) -> Callable[[], object]:
    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(Specification)
    for _ in range(plugins):
        manager.register(PluggyNoOpinion())
    transaction, recipient = make.transaction(), Address(b"friend", b"example.com")
    hook = manager.hook.rcpt
    return lambda: hook(transaction=transaction, recipient=recipient, params={})


def _netstrings() -> dict[str, dict[str, Callable[[], object]]]:
    """By what is done, ours and theirs."""
    small = b"".join(map(netstring.encode, SMALL))
    large = netstring.encode(LARGE[0])
    blocks = [large[start : start + BLOCK] for start in range(0, len(large), BLOCK)]

    def decode_ours(data: list[bytes], expected: list[bytes]) -> None:
        decoder = netstring.Decoder()
        found = [value for block in data for value in decoder.feed(block)]
        assert len(found) == len(expected)

    def decode_theirs(data: list[bytes], expected: list[bytes]) -> None:
        decoder = pynetstring.Decoder()
        found = [value for block in data for value in decoder.feed(block)]
        assert len(found) == len(expected)

    return {
        "encode 100 of 100 bytes": {
            "qpsdk": lambda: [netstring.encode(value) for value in SMALL],
            "pynetstring": lambda: pynetstring.encode(SMALL),
        },
        "decode 100 of 100 bytes, from one block": {
            "qpsdk": lambda: decode_ours([small], SMALL),
            "pynetstring": lambda: decode_theirs([small], SMALL),
        },
        "decode one of 1 MB, from blocks of 64 KB": {
            "qpsdk": lambda: decode_ours(blocks, LARGE),
            "pynetstring": lambda: decode_theirs(blocks, LARGE),
        },
    }


def measure(seconds: float = SECONDS) -> dict[str, Any]:
    """All of it, as it goes into the file: microseconds."""

    def time(call: Callable[[], object]) -> float:
        return float(f"{microseconds(call, seconds):.3g}")

    return {
        "hook_us": {
            "qpsdk": {str(count): time(_ours(count)) for count in PLUGINS},
            "pluggy": {str(count): time(_pluggy(count)) for count in PLUGINS},
        },
        "netstring_us": {
            what: {name: time(call) for name, call in both.items()}
            for what, both in _netstrings().items()
        },
    }


def tables(micro: dict[str, Any]) -> list[Table]:
    """The same to read in a terminal."""
    hooks = Table(title="one hook, microseconds, by number of plugins", title_justify="left")
    hooks.add_column("")
    for count in PLUGINS:
        hooks.add_column(str(count), justify="right")
    for name, by_count in micro["hook_us"].items():
        hooks.add_row(name, *map(str, by_count.values()))
    strings = Table(title="netstrings, microseconds", title_justify="left")
    for heading in ("", "qpsdk", "pynetstring"):
        strings.add_column(heading, justify="right" if heading else "left")
    for what, both in micro["netstring_us"].items():
        strings.add_row(what, *map(str, both.values()))
    return [hooks, strings]
