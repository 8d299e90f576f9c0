"""Running a hook: who is asked, in which order, for how long, and what a failure counts as."""

import asyncio
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from qpsdk import (
    DECLINED,
    DENY,
    DENY_DISCONNECT,
    DENYSOFT,
    DONE,
    LOGINFO,
    OK,
    Connection,
    Constant,
    Outcome,
    Plugin,
    PluginError,
    Transaction,
    blocking,
)
from qpsdk import dispatcher as module
from qpsdk.dispatcher import AnswerError, Dispatcher, Work, read_answer
from qpsdk.errors import BusyError
from qpsdk.hooks import HOOKS
from qpsdk.log import Formatter, Scene, scene
from qpsdk.spool import Spool, SpoolDirectory
from qpsdk.testing import smtp

SOON = 0.05
"""Seconds: the time limit of plugins that are to be over it."""

LONG = 20.0
"""Seconds that nothing here is to take."""


class Says(Plugin):
    """Answers one hook with one thing, or raises it."""

    def __init__(self, name: str, answer: Any, hook: str = "mail", *, first: bool = False) -> None:
        super().__init__()
        self.name = name
        self.asked: list[tuple[Any, ...]] = []
        self._answer = answer
        self.register_hook(hook, self.answer, first=first)

    def answer(self, *arguments: Any) -> Any:
        self.asked.append(arguments)
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


def new_transaction() -> Transaction:
    """A transaction of the connection c1."""
    return Transaction(Connection("c1"), "c1.1", Spool(1000, SpoolDirectory()), 1000)


async def run(hook: str, about: Connection | Transaction, *plugins: Plugin) -> Outcome:
    """Run one hook; what it gives beside connection or transaction is the argument's name."""
    dispatcher = Dispatcher(plugins, asyncio.to_thread)
    arguments = (about, *list(HOOKS[hook].arguments)[1:])
    return await asyncio.wait_for(dispatcher.run(hook, about, arguments), LONG)


def ask(hook: str, *plugins: Plugin, about: Connection | Transaction | None = None) -> Outcome:
    """Run one hook in a loop of its own."""
    return asyncio.run(run(hook, about or new_transaction(), *plugins))


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> "Logged":
    """The log."""
    caplog.set_level(logging.DEBUG, "qpsdk")
    return Logged(caplog)


class Logged:
    """The lines that were logged, as they are written but for the time."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def lines(self) -> list[str]:
        formatter = Formatter()
        text = "\n".join(formatter.format(record) for record in self._caplog.records)
        return [line[24:] if line[:2] == "20" else line for line in text.splitlines()]


# Who is asked


def test_first_opinion_wins() -> None:
    """Plugins are asked in order until one does not decline; the others are not asked."""
    plugins = [Says("a", DECLINED), Says("b", (DENY, "no")), Says("c", OK)]
    assert ask("mail", *plugins) == Outcome(DENY, "no", "b")
    assert [len(plugin.asked) for plugin in plugins] == [1, 1, 0]
    assert plugins[0].asked[0][1:] == ("sender", "params")


def test_nobody_has_an_opinion() -> None:
    """When all decline, the outcome is DECLINED, and no plugin's."""
    assert ask("mail", Says("a", DECLINED), Says("b", (DECLINED, "hm"))) == Outcome(DECLINED)


def test_hooks_that_no_plugin_has() -> None:
    """A hook that no plugin has is not in the dispatcher, and needs no run."""
    dispatcher = Dispatcher([Says("a", OK)], asyncio.to_thread)
    assert dispatcher.hooks == {"mail"}
    assert dispatcher.steps("rcpt") == ()


def order(*plugins: Plugin, hook: str = "mail") -> list[str]:
    """Whom a hook asks, in that order."""
    return [step.plugin for step in Dispatcher(plugins, asyncio.to_thread).steps(hook)]


def test_first_goes_in_front() -> None:
    """first=True is asked before all that came before it; the others follow config/plugins."""
    plugins = [Says("a", OK), Says("b", OK, first=True), Says("c", OK), Says("d", OK, first=True)]
    assert order(*plugins) == ["d", "b", "a", "c"]


def test_order_within_a_plugin() -> None:
    """What a plugin registers runs in that order, the method named after the hook last."""
    ran: list[str] = []

    class Several(Plugin):
        def register(self, qp: Any) -> None:
            self.register_hook("data", self.one)
            self.register_hook("data", self.zero, first=True)

        def one(self, transaction: Any) -> Constant:
            ran.append("one")
            return DECLINED

        def zero(self, transaction: Any) -> Constant:
            ran.append("zero")
            return DECLINED

        def hook_data(self, transaction: Any) -> Constant:
            ran.append("named")
            return DECLINED

    plugin = Several()
    plugin.register(None)
    ask("data", plugin)
    assert ran == ["zero", "one", "named"]


def test_named_and_registered_runs_once() -> None:
    """A method named hook_x that is also registered for x runs once, where it was registered."""

    class Twice(Plugin):
        def register(self, qp: Any) -> None:
            self.register_hook("mail", self.hook_mail, first=True)
            self.register_hook("mail", self.hook_mail)

        def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            return DECLINED

    plugin = Twice()
    plugin.register(None)
    assert order(Says("a", OK), plugin) == ["Twice", "a"]


def test_one_method_for_several_hooks() -> None:
    """One method may serve several hooks, and a hook's name be written with dashes."""

    class Both(Plugin):
        def register(self, qp: Any) -> None:
            self.register_hook("post-connection", self.note)
            self.register_hook("disconnect", self.note)

        def note(self, connection: Any) -> None: ...

    plugin = Both()
    plugin.register(None)
    assert order(plugin, hook="post_connection") == order(plugin, hook="disconnect") == ["Both"]


def test_async_and_plain_alike() -> None:
    """A hook is a def, an async def, or a def that returns something to await."""

    class Mixed(Plugin):
        def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Any:
            async def later() -> Constant:
                await asyncio.sleep(0)
                return DECLINED

            return later()

        async def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
            await asyncio.sleep(0)
            return DENYSOFT, "later"

    assert ask("mail", Mixed(), Says("b", OK)) == Outcome(OK, None, "b")
    assert ask("rcpt", Mixed()) == Outcome(DENYSOFT, "later", "Mixed")


def test_misspelt_hook() -> None:
    """A hook that is none is refused at once, and the nearest is named."""

    class Misspelt(Plugin):
        def hook_recpt(self, transaction: Any) -> None: ...

    with pytest.raises(PluginError) as refusal:
        Dispatcher([Misspelt()], asyncio.to_thread)
    line = Misspelt.hook_recpt.__code__.co_firstlineno
    assert str(refusal.value) == (
        f"Misspelt: there is no hook 'recpt'; did you mean 'rcpt'? ({__file__}:{line})"
    )


# What is kept of it


def test_answers_are_kept() -> None:
    """Each answer is kept with the transaction: hook, plugin, constant, message, seconds."""
    transaction = new_transaction()
    ask("mail", Says("a", DECLINED), Says("b", (DENY, "no")), about=transaction)
    assert [answer[:4] for answer in transaction.answers] == [
        ("mail", "a", DECLINED, None),
        ("mail", "b", DENY, "no"),
    ]
    assert all(0 <= answer.seconds < LONG for answer in transaction.answers)
    assert transaction.connection.answers == []


def test_answers_outside_a_transaction() -> None:
    """Where there is no transaction, the connection keeps them."""
    connection = Connection("c1")
    ask("helo", Says("a", OK, "helo"), about=connection)
    assert [answer[:4] for answer in connection.answers] == [("helo", "a", OK, None)]


def test_seconds_are_measured() -> None:
    """The seconds of an answer are those that the plugin took."""

    class Slow(Plugin):
        async def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            await asyncio.sleep(SOON)
            return OK

    transaction = new_transaction()
    ask("mail", Slow(), about=transaction)
    assert transaction.answers[0].seconds >= SOON * 0.9


@pytest.mark.parametrize("answer", [None, OK, DENY, DONE, "text", RuntimeError("oops")], ids=repr)
def test_ignored_hooks(answer: Any) -> None:
    """In a hook whose answers are ignored all plugins run, whatever they answer; none is kept."""
    connection = Connection("c1")
    plugins = [Says("a", answer, "disconnect"), Says("b", DECLINED, "disconnect")]
    assert ask("disconnect", *plugins, about=connection) == Outcome(DECLINED)
    assert [len(plugin.asked) for plugin in plugins] == [1, 1]
    assert connection.answers == []


def test_ignored_answers_are_not_complained_about(logged: Logged) -> None:
    """What an ignored hook answers is no fault, a crash in it is."""
    plugins = [Says("a", None, "disconnect"), Says("b", RuntimeError("oops"), "disconnect")]
    ask("disconnect", *plugins, about=Connection("c1"))
    assert logged.lines[0] == "LOGCRIT [c1] (disconnect) b: failed: RuntimeError: oops"
    assert "(disconnect) a:" not in "".join(logged.lines)


# The hooks deny and ok


@pytest.mark.parametrize(
    ("answer", "follower"),
    [
        (OK, "ok"),
        (DONE, "ok"),
        (DECLINED, "ok"),
        (None, "ok"),
        (DENY, "deny"),
        (DENYSOFT, "deny"),
        (DENY_DISCONNECT, "deny"),
        (Constant.DENYSOFT_DISCONNECT, "deny"),
    ],
    ids=str,
)
def test_deny_and_ok(answer: Any, follower: str) -> None:
    """After a denial `deny` runs, after any other answer `ok`; they are told what it was."""
    watchers = {hook: Says("watcher", DENY, hook) for hook in ("deny", "ok")}
    transaction = new_transaction()
    outcome = ask("mail", Says("a", (answer, "why")), *watchers.values(), about=transaction)
    constant, message, by = (answer, "why", "a") if answer else (DECLINED, None, "")
    assert outcome == (
        Outcome(constant, message, by) if constant != DECLINED else Outcome(DECLINED)
    )
    told = (transaction.connection, transaction, "mail", "a", constant, message)
    assert watchers.pop(follower).asked == [told]
    assert watchers.popitem()[1].asked == []


def test_ok_after_each_answer() -> None:
    """They run after every plugin's answer, without a transaction where there is none."""
    watcher = Says("watcher", None, "ok")
    connection = Connection("c1")
    ask("helo", Says("a", DECLINED, "helo"), Says("b", OK, "helo"), watcher, about=connection)
    assert watcher.asked == [
        (connection, None, "helo", "a", DECLINED, None),
        (connection, None, "helo", "b", OK, None),
    ]


def test_followers_are_not_followed() -> None:
    """Neither they nor other ignored hooks have followers, and they change no outcome."""
    watchers = [Says("crash", RuntimeError("oops"), "ok"), Says("b", DENY, "ok")]
    denied = Says("deny", None, "deny")
    connection = Connection("c1")
    assert ask("helo", Says("a", OK, "helo"), *watchers, denied, about=connection).constant is OK
    assert [len(watcher.asked) for watcher in watchers] == [1, 1]
    assert denied.asked == []
    assert [answer.hook for answer in connection.answers] == ["helo"]
    ask("disconnect", Says("a", DENY, "disconnect"), denied, about=connection)
    assert denied.asked == []


def test_scene() -> None:
    """A log line names the plugin at work, during a nested hook and after it, too."""
    scenes: list[Scene] = []

    class Looks(Plugin):
        async def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            scenes.append(scene.get())
            await asyncio.sleep(0)
            scenes.append(scene.get())
            return DECLINED

        async def hook_ok(self, *arguments: Any) -> None:
            scenes.append(scene.get())

    async def main() -> None:
        scene.set(outer)
        await Dispatcher([Looks()], asyncio.to_thread).run("mail", about, (about, "a", "params"))
        scenes.append(scene.get())

    about = new_transaction()
    outer = Scene(about.connection, about, "outer", "b")
    asyncio.run(main())
    mail = Scene(about.connection, about, "mail", "Looks")
    assert scenes == [mail, mail, mail._replace(hook="ok"), outer]


# Failures


def test_exception_counts_as_declined(logged: Logged) -> None:
    """A crash is logged at LOGCRIT with plugin and traceback; the next plugin is asked."""
    transaction = new_transaction()
    plugins = [Says("a", RuntimeError("oops\nLOGINFO fine")), Says("b", OK)]
    assert ask("mail", *plugins, about=transaction) == Outcome(OK, None, "b")
    first, *trace = logged.lines
    assert first == r"LOGCRIT [c1] (mail) a: failed: RuntimeError: oops\nLOGINFO fine"
    assert trace[0] == "    Traceback (most recent call last):"
    assert "        raise self._answer" in trace
    assert transaction.answers[0][:4] == ("mail", "a", DECLINED, None)


@pytest.mark.parametrize(
    ("hook", "constant"), [("mail", DENYSOFT), ("data_post", DENYSOFT), ("queue_pre", DECLINED)]
)
def test_on_error_denysoft(hook: str, constant: Constant) -> None:
    """With on_error=denysoft a crash counts as DENYSOFT where the hook has it."""
    plugin = Says("a", RuntimeError("oops"), hook)
    plugin.options.on_error = "denysoft"
    assert ask(hook, plugin).constant is constant


@pytest.mark.parametrize("hook", ["mail", "queue"])
@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (None, "answered None, which is no constant: return one of OK, DECLINED, DENY, DENYSOFT,"),
        (900, "answered 900, which is no constant: return one of OK, DECLINED, DENY"),
        (True, "answered True, which is no constant"),
        ((550, "no"), "answered (550, 'no'), which is no constant"),
        ([], "answered [], which is no constant"),
        (LOGINFO, "answered <LogLevel.LOGINFO: 6>, which is no constant"),
        ((None, "x"), "answered (None, 'x'), which is no constant"),
        ((OK, "x", "y"), "answered (<Constant.OK: 900>, 'x', 'y'), which is no constant"),
        ("x" * 9999, "answered '" + "x" * 199 + ", which is no constant"),
    ],
)
def test_no_constant(hook: str, answer: Any, text: str, logged: Logged) -> None:
    """An answer that is no constant is logged at LOGERROR and counts as DECLINED."""
    plugin = Says("a", answer, hook)
    plugin.options.on_error = "denysoft"  # which is for exceptions alone
    assert ask(hook, plugin).constant is DECLINED
    assert logged.lines[0].startswith(f"LOGERROR [c1] ({hook}) a: {text}")
    assert len(logged.lines) == 1


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ("queue", "OK, DECLINED, DENY, DENYSOFT, DONE, or (constant, text)"),
        ("data_headers_end", "OK, DECLINED, DENY_DISCONNECT, DENYSOFT_DISCONNECT, or (con"),
        ("mail_pre", "OK, DECLINED, or (OK, bytes)"),
    ],
)
def test_what_is_taken(hook: str, told: str) -> None:
    """What is no constant is told with what this very hook takes."""
    with pytest.raises(AnswerError) as error:
        read_answer(HOOKS[hook], True)
    assert str(error.value).startswith(f"answered True, which is no constant: return one of {told}")


def test_constant_not_taken(logged: Logged) -> None:
    """A constant that the hook does not take counts as DECLINED; the log says which it takes."""
    assert ask("queue_pre", Says("a", (DENY, "no"), "queue_pre")) == Outcome(DECLINED)
    assert logged.lines == [
        "LOGERROR [c1] (queue_pre) a:"
        " answered DENY, which queue_pre does not take (OK, DECLINED, DONE)"
    ]


@pytest.mark.parametrize(
    "answer", [RuntimeError("oops"), TimeoutError(), None, DENY_DISCONNECT, "taken"], ids=repr
)
@pytest.mark.parametrize("on_error", ["declined", "denysoft"])
def test_failed_queue_plugin_ends_the_hook(answer: Any, on_error: str) -> None:
    """A queue plugin that failed is not followed, whatever on_error says: nobody has an opinion."""
    fails, next_one = Says("a", answer, "queue"), Says("b", OK, "queue")
    fails.options.on_error = on_error
    assert ask("queue", fails, next_one) == Outcome(DECLINED, None, "a")
    assert next_one.asked == []


def test_declined_queue_plugin_is_followed() -> None:
    """A queue plugin that declines, and has not handed the message over, is followed."""
    outcome = ask("queue", Says("a", DECLINED, "queue"), Says("b", OK, "queue"))
    assert outcome == Outcome(OK, None, "b")


def test_declined_after_hand_over(logged: Logged) -> None:
    """A queue plugin that handed the message over cannot decline it any more."""

    class Forgets(Plugin):
        def hook_queue(self, transaction: Transaction) -> Constant:
            transaction.hand_over()
            return DECLINED

    next_one = Says("b", OK, "queue")
    assert ask("queue", Forgets(), next_one) == Outcome(DECLINED, None, "Forgets")
    assert next_one.asked == []
    assert "answered DECLINED when it had handed the message over" in logged.lines[0]


@pytest.mark.parametrize("answer", [OK, DONE, DENY, DENYSOFT])
def test_taken_is_handed_over(answer: Constant) -> None:
    """When a queue plugin has taken the message, nothing cancels what follows, such as `ok`."""
    seen: list[bool] = []

    class Watches(Plugin):
        def hook_ok(self, connection: Any, transaction: Transaction, *rest: Any) -> None:
            seen.append(transaction.handed_over)

        hook_deny = hook_ok

    ask("queue", Says("a", answer, "queue"), Watches())
    assert seen == [answer in (OK, DONE)]


def test_cancelled_from_outside() -> None:
    """A task that is cancelled, as when the client is lost, takes its hook with it."""
    seen: list[str] = []

    class Waits(Plugin):
        async def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            started.set()
            try:
                await asyncio.sleep(LONG)
            finally:
                seen.append("cancelled")
            return OK

    async def main() -> None:
        transaction = new_transaction()
        task = asyncio.create_task(run("mail", transaction, Waits()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert transaction.answers == []

    started = asyncio.Event()
    asyncio.run(main())
    assert seen == ["cancelled"]


def test_called_off() -> None:
    """The caller may call off what it waits for, and stays what it was; the plugin is cancelled."""

    async def main() -> None:
        work, plugin, transaction = Work(), Sleeps("mail"), new_transaction()
        work.call_off()
        assert not work.called_off  # nothing was at work
        plugin.options.timeout = None
        dispatcher = Dispatcher([plugin, Says("b", OK)], asyncio.to_thread)
        plugin.on_begin = lambda: asyncio.get_running_loop().call_soon(work.call_off)
        with pytest.raises(asyncio.CancelledError):
            await dispatcher.run("mail", transaction, (transaction, "sender", "params"), work)
        assert plugin.cancelled
        assert transaction.answers == []

    asyncio.run(main())


def test_called_off_as_it_ends() -> None:
    """A method that has just ended cannot be called off any more: its answer counts."""
    work = Work()

    class Ends(Plugin):
        async def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            asyncio.get_running_loop().call_soon(work.call_off)
            return OK

    async def main() -> None:
        transaction = new_transaction()
        dispatcher = Dispatcher([Ends()], asyncio.to_thread)
        arguments = (transaction, "sender", "params")
        outcome = await dispatcher.run("mail", transaction, arguments, work)
        assert (outcome.constant, work.called_off) == (OK, False)

    asyncio.run(main())


def test_cancelled_from_inside(logged: Logged) -> None:
    """A plugin that awaits what somebody else cancelled has crashed; the client stays."""

    class Waits(Plugin):
        async def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            other = asyncio.ensure_future(asyncio.sleep(LONG))
            other.cancel()
            await other
            return OK

    assert ask("mail", Waits(), Says("b", OK)) == Outcome(OK, None, "b")
    assert logged.lines[0].startswith("LOGCRIT [c1] (mail) Waits: failed: CancelledError")


# Time limits


class Sleeps(Plugin):
    """Would answer after a long time; its limit is short."""

    def __init__(self, hook: str, *, hand_over: bool = False, seconds: float = LONG) -> None:
        super().__init__()
        self.options.timeout = SOON
        self.cancelled = False
        self.on_begin: Callable[[], object] = lambda: None
        self._hand_over = hand_over
        self._seconds = seconds
        self.register_hook(hook, self.sleep)

    async def sleep(self, transaction: Transaction, *arguments: Any) -> Any:
        self.on_begin()
        if self._hand_over:
            transaction.hand_over()
        try:
            await asyncio.sleep(self._seconds)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return OK, "slept"


@pytest.mark.parametrize(
    ("hook", "outcome"),
    [
        ("mail", Outcome(DENYSOFT, None, "Sleeps")),
        ("data_post_headers", Outcome(DENYSOFT, None, "Sleeps")),
        ("queue_pre", Outcome(OK, None, "b")),
        ("data_headers_end", Outcome(OK, None, "b")),
    ],
)
def test_over_its_time_limit(hook: str, outcome: Outcome, logged: Logged) -> None:
    """An async hook over its limit is cancelled: DENYSOFT where the hook has it, else DECLINED."""
    plugin = Sleeps(hook)
    assert ask(hook, plugin, Says("b", OK, hook)) == outcome
    assert plugin.cancelled
    assert logged.lines == [f"LOGERROR [c1] ({hook}) Sleeps: took longer than 0.05 s"]


def test_time_limit_in_queue() -> None:
    """In queue the time limit ends the hook: the plugin may have handed the message over."""
    transaction, next_one = new_transaction(), Says("b", OK, "queue")
    assert ask("queue", Sleeps("queue"), next_one, about=transaction).constant is DECLINED
    assert next_one.asked == []
    assert transaction.answers[0].constant is DECLINED


def test_no_time_limit_once_handed_over() -> None:
    """Once the message is handed over, the time limit cancels nothing any more."""
    plugin = Sleeps("queue", hand_over=True, seconds=SOON * 4)
    assert ask("queue", plugin) == Outcome(OK, "slept", "Sleeps")


def test_hand_over_ends_no_other_time_limit() -> None:
    """Calling hand_over in any other hook, or after a plugin that declined, is no error."""
    assert ask("mail", Sleeps("mail", hand_over=True)).constant is DENYSOFT

    class Declines(Plugin):
        async def hook_queue(self, transaction: Any) -> Constant:
            return DECLINED

    class Takes(Plugin):
        def hook_queue(self, transaction: Transaction) -> Constant:
            transaction.hand_over()
            return OK

    assert ask("queue", Declines(), Takes()) == Outcome(OK, None, "Takes")


def test_hand_over_after_the_time_limit() -> None:
    """A plugin that resists its cancellation may still hand over, and is heard."""

    class Resists(Plugin):
        async def hook_queue(self, transaction: Transaction) -> Constant:
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                transaction.hand_over()
            return OK

    plugin = Resists()
    plugin.options.timeout = SOON
    assert ask("queue", plugin) == Outcome(OK, None, "Resists")


@pytest.mark.parametrize(
    ("hook", "timeout", "limit"),
    [("mail", None, 30), ("queue", None, 540), ("mail", 60, 60), ("queue", 60, 60)],
)
def test_time_limits(hook: str, timeout: float | None, limit: int) -> None:
    """The limits are 30 s, and 540 s in queue; timeout= overrides both."""
    timers: dict[int, asyncio.TimerHandle] = {}

    class Recording(asyncio.SelectorEventLoop):
        def call_at(self, when: float, *rest: Any, **context: Any) -> Any:  # type: ignore[override]
            timer = super().call_at(when, *rest, **context)
            timers[round(when - self.time())] = timer
            return timer

    plugin = Sleeps(hook, seconds=SOON)
    plugin.options.timeout = timeout
    with asyncio.Runner(loop_factory=Recording) as runner:
        assert runner.run(run(hook, new_transaction(), plugin)).constant is OK
        assert sorted(timers) == [0, LONG, limit]  # the plugin's sleep, our patience, the limit
        assert timers[limit].cancelled()


@pytest.mark.parametrize("awaiting", [False, True])
def test_own_timeout_error(awaiting: bool, logged: Logged) -> None:
    """A TimeoutError of the plugin's own is an exception like others."""

    class Times(Plugin):
        async def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            if awaiting:
                await asyncio.wait_for(asyncio.sleep(LONG), SOON)
            raise TimeoutError("resolver")

    assert ask("mail", Times()).constant is DECLINED
    assert logged.lines[0].startswith("LOGCRIT [c1] (mail) Times: failed: TimeoutError:")


@pytest.mark.parametrize("share", [0.9, 1.1], ids=["first", "later"])
def test_own_time_limit_in_the_same_moment(share: float, logged: Logged) -> None:
    """A limit of the plugin's own that is over in the same turn of the loop hides not ours."""

    class Times(Plugin):
        async def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            asyncio.get_running_loop().call_later(SOON / 2, time.sleep, SOON)
            async with asyncio.timeout(SOON * share):
                await asyncio.sleep(LONG)
            return OK

    plugin = Times()
    plugin.options.timeout = SOON
    assert ask("mail", plugin) == Outcome(DENYSOFT, None, "Times")
    assert "LOGERROR [c1] (mail) Times: took longer than 0.05 s" in logged.lines


def test_held_loop(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain def that held up the loop is logged at LOGERROR, and its answer counts."""
    monkeypatch.setattr(module, "HELD_LOOP", SOON / 2)

    class Holds(Plugin):
        def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            time.sleep(SOON)
            return DECLINED

        def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Constant:
            time.sleep(SOON)
            raise RuntimeError("oops")

    assert ask("mail", Holds(), Says("b", OK)).constant is OK
    assert re.fullmatch(
        r"LOGERROR \[c1\] \(mail\) Holds: held up all connections for [0-9]+\.[0-9] s:"
        " make the hook async, or mark it @blocking",
        logged.lines[0],
    )
    ask("rcpt", Holds())
    assert "(rcpt) Holds: held up all connections" in logged.lines[-1]


def test_waiting_holds_nothing_up(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Async and blocking hooks may take their time."""
    monkeypatch.setattr(module, "HELD_LOOP", SOON / 2)

    class Waits(Plugin):
        async def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            await asyncio.sleep(SOON)
            return OK

        @blocking
        def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Constant:
            time.sleep(SOON)
            return OK

    assert ask("mail", Waits()).constant is ask("rcpt", Waits()).constant is OK
    assert logged.lines == []


# Threads


def test_blocking_runs_in_a_thread(logged: Logged) -> None:
    """A @blocking hook runs beside the loop; its log lines know where they belong."""
    threads: list[int] = []

    class Blocks(Plugin):
        @blocking
        def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Any:
            threads.append(threading.get_ident())
            self.log(LOGINFO, "from a thread:", sender)
            return DENY, "no"

    assert ask("mail", Blocks()) == Outcome(DENY, "no", "Blocks")
    assert threads != [threading.get_ident()]
    assert logged.lines == ["LOGINFO [c1] (mail) Blocks: from a thread: sender"]


def test_blocking_is_abandoned(logged: Logged) -> None:
    """A @blocking hook over its limit is not waited for; its answer comes too late."""
    release = threading.Event()

    class Blocks(Plugin):
        @blocking
        def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            release.wait(LONG)
            return OK

    async def main() -> Outcome:
        try:
            return await run("mail", new_transaction(), plugin)
        finally:
            assert not release.is_set()
            release.set()

    plugin = Blocks()
    plugin.options.timeout = SOON
    assert asyncio.run(main()) == Outcome(DENYSOFT, None, "Blocks")
    assert logged.lines == ["LOGERROR [c1] (mail) Blocks: took longer than 0.05 s"]


@pytest.mark.parametrize(("hook", "constant"), [("mail", DENYSOFT), ("queue", DECLINED)])
def test_no_thread_is_free(hook: str, constant: Constant, logged: Logged) -> None:
    """Where all threads are busy for too long it is a temporary failure, and no traceback."""

    async def busy(function: Any, /, *arguments: Any) -> Any:
        raise BusyError("no thread was free")

    class Blocks(Plugin):
        @blocking
        def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            return OK

        @blocking
        def hook_queue(self, transaction: Any) -> Constant:
            return OK

    async def main() -> Outcome:
        about = new_transaction()
        arguments: tuple[Any, ...] = (about, "sender", {}) if hook == "mail" else (about,)
        return await Dispatcher([Blocks()], busy).run(hook, about, arguments)

    assert asyncio.run(main()) == Outcome(constant, None, "Blocks")
    assert logged.lines == [f"LOGERROR [c1] ({hook}) Blocks: no thread was free"]


@pytest.mark.parametrize(("answer", "outcome"), [(OK, "Blocks"), (DECLINED, "b")])
def test_blocking_is_waited_for_in_queue(answer: Constant, outcome: str) -> None:
    """In queue a thread is waited for, as it may hand over at any moment; then all is as ever."""
    during: list[bool] = []
    after: list[bool] = []

    class Blocks(Plugin):
        @blocking
        def hook_queue(self, transaction: Transaction) -> Constant:
            during.append(transaction.handed_over)
            time.sleep(SOON * 3)
            return answer

    class Next(Plugin):
        def hook_queue(self, transaction: Transaction) -> Constant:
            after.append(transaction.handed_over)
            return OK

    plugin, next_one = Blocks(), Next()
    plugin.options.timeout = SOON
    next_one.name = "b"
    assert ask("queue", plugin, next_one) == Outcome(OK, None, outcome)
    assert during == [True]
    assert after == ([False] if answer is DECLINED else [])


def test_blocking_that_hands_over_and_fails() -> None:
    """A thread that says itself that it handed over, and fails then, is not followed either."""

    class Blocks(Plugin):
        @blocking
        def hook_queue(self, transaction: Transaction) -> Constant:
            transaction.hand_over()
            return DECLINED

    transaction, next_one = new_transaction(), Says("b", OK, "queue")
    assert ask("queue", Blocks(), next_one, about=transaction).constant is DECLINED
    assert transaction.handed_over
    assert next_one.asked == []


def test_blocking_is_lent() -> None:
    """Threads are the host's: the dispatcher runs what blocks by what it was lent."""
    ran: list[Any] = []

    async def run_blocking(function: Any, /, *arguments: Any) -> Any:
        ran.append(arguments[1:])
        return function(*arguments)

    class Blocks(Plugin):
        @blocking
        def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Constant:
            return OK

    dispatcher = Dispatcher([Blocks()], run_blocking)
    arguments = (new_transaction(), "sender", "params")
    assert asyncio.run(dispatcher.run("mail", arguments[0], arguments)).constant is OK
    assert ran == [("sender", "params")]


# The life of a host


def test_post_fork_and_shutdown() -> None:
    """A host begins with post_fork, in order, and ends with each plugin's shutdown, last first."""
    said: list[str] = []

    class Plain(Plugin):
        def hook_post_fork(self) -> None:
            said.append("plain begins")

        def shutdown(self) -> None:
            said.append("plain ends")

    class Later(Plugin):
        async def hook_post_fork(self) -> None:
            said.append("later begins")

        async def shutdown(self) -> None:
            await asyncio.sleep(0)
            said.append("later ends")

    async def main() -> None:
        async with smtp(Plain(), Later()):
            said.append("greeted")

    asyncio.run(main())
    assert said == ["plain begins", "later begins", "greeted", "later ends", "plain ends"]


def test_shutdown_that_fails(logged: "Logged", monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that fails at its end, or does not come to one, keeps no other from ending."""
    monkeypatch.setattr("qpsdk.dispatcher.SHUTDOWN_LIMIT", 0.01)
    ended: list[str] = []

    class First(Plugin):
        def shutdown(self) -> None:
            ended.append("first")

    class Crashes(Plugin):
        def shutdown(self) -> None:
            raise KeyError("oops")

    class CrashesLater(Plugin):
        async def shutdown(self) -> None:
            raise SystemExit(3)

    class Quits(Plugin):
        def shutdown(self) -> None:
            sys.exit(3)

    class Hangs(Plugin):
        async def shutdown(self) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        plugins = (First(), Crashes(), CrashesLater(), Quits(), Hangs())
        await Dispatcher(plugins, asyncio.to_thread).shutdown()

    asyncio.run(main())
    assert ended == ["first"]
    lines = [line for line in logged.lines if not line.startswith(" ")]
    assert lines == [
        "LOGERROR (shutdown) Hangs: took longer than 0.01 s",
        "LOGCRIT (shutdown) Quits: failed: SystemExit: 3",
        "LOGCRIT (shutdown) CrashesLater: failed: RuntimeError: the plugin called sys.exit()",
        "LOGCRIT (shutdown) Crashes: failed: KeyError: 'oops'",
    ]
