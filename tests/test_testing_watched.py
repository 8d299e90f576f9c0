"""A plugin under the eyes of a witness."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from qpsdk import DECLINED, DENY, OK, Plugin, blocking
from qpsdk.plugin import is_blocking
from qpsdk.testing import plugin, smtp
from qpsdk.testing.watch import waiting
from qpsdk.testing.watched import Watched, Witness


class Subject(Plugin):
    """Hooks of each kind."""

    def hook_connect(self, connection: Any) -> Any:
        return DECLINED

    async def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Any:
        await asyncio.sleep(0)
        return DECLINED

    @blocking
    def hook_vrfy(self, connection: Any, text: bytes) -> Any:
        return OK, "known"

    def hook_noop(self, connection: Any, text: bytes) -> Any:
        raise LookupError("noop")

    def hook_help(self, connection: Any, text: bytes) -> Any:
        return asyncio.sleep(0, (DENY, "no help"))


class Notes(Witness):
    """Writes down all that it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def called(self, hook: str, arguments: tuple[Any, ...]) -> None:
        self.told.append(f"{hook} called")

    def entered(self, hook: str) -> None:
        self.told.append("in")

    def left(self, hook: str) -> None:
        self.told.append("out")

    def waits(self, hook: str) -> None:
        self.told.append("waits")

    def returned(self, hook: str, method: Callable[..., Any], result: object) -> None:
        self.told.append(f"returned {result!r}")

    def failed(self, hook: str, method: Callable[..., Any], error: BaseException) -> None:
        self.told.append(f"failed {error!r}")


@pytest.mark.parametrize(
    ("line", "reply", "told"),
    [
        (
            "MAIL FROM:<>",
            "250 2.1.0 Sender OK",
            "mail called|in|out|waits|in|out|returned DECLINED",
        ),
        ("VRFY x", "250 2.0.0 known", "vrfy called|returned (OK, 'known')"),
        ("NOOP", "250 2.0.0 OK", "noop called|in|out|failed LookupError('noop')"),
        (
            "HELP",
            "500 5.5.1 no help",
            "help called|in|out|in|out|waits|in|out|returned (DENY, 'no help')",
        ),
    ],
)
def test_each_kind(line: str, reply: str, told: str) -> None:
    """The witness is told each step; the client notices nothing."""
    notes = Notes()
    with smtp(Watched(plugin(Subject), notes)) as client:
        client.hello()
        notes.told.clear()
        assert str(client.command(line)) == reply
    text = "|".join(notes.told).replace("<Constant.", "")
    for number in ("OK: 900>", "DENY: 901>", "DECLINED: 909>"):
        text = text.replace(number, number.partition(":")[0])
    assert text == told


def test_stands_for_it() -> None:
    """It has the name, the options and the signatures of the plugin it stands for."""
    subject = plugin(Subject, timeout=7)
    watched = Watched(subject, Witness())
    assert (watched.name, watched.options.timeout, watched.qp) == ("Subject", 7.0, subject.qp)
    methods = {r.hook: r.method for r in watched.registrations}
    assert str(inspect.signature(methods["vrfy"])) == "(connection: Any, text: bytes) -> Any"
    assert is_blocking(methods["vrfy"])
    assert inspect.iscoroutinefunction(methods["mail"])


def test_cancelled() -> None:
    """A hook that is cancelled says so, and until then it is seen where it waits."""
    notes = Notes()

    class Waits(Plugin):
        async def hook_noop(self, connection: Any, text: bytes) -> Any:
            await asyncio.sleep(100)

    async def main() -> None:
        (registration,) = Watched(plugin(Waits), notes).registrations
        task = asyncio.create_task(registration.method(None, b""))
        await asyncio.sleep(0)
        (place,) = waiting(task.get_coro())
        assert place.function.endswith("Waits.hook_noop")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        registration.method(None, b"").close()  # never begun: then there is nothing to tell

    asyncio.run(main())
    assert notes.told == [
        "noop called",
        "in",
        "out",
        "waits",
        "in",
        "out",
        "failed CancelledError()",
    ]
