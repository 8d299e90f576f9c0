"""Runs one hook over the plugins.

The only loop that does, but for the two that are reached from plain calls: `config` and
`user_config` in `host`, `logging` in `log`.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from time import perf_counter
from typing import Any, Final

from qpsdk.constants import DECLINED, DENYSOFT, DONE, LOGCRIT, LOGERROR, OK, Constant, LogLevel
from qpsdk.errors import BusyError
from qpsdk.hooks import HOOKS, Hook
from qpsdk.host import Method, RunBlocking
from qpsdk.log import HELD_LOOP, LogChain, Reader, Scene, failure, log, scene
from qpsdk.message import Answer, Connection, Outcome, Transaction
from qpsdk.meter import Meter
from qpsdk.plugin import Plugin, PluginOptions, is_blocking

SHUTDOWN_LIMIT: Final = 5.0
"""Seconds that a plugin may take to end what it has begun, when the host stops."""

PATIENCE: Final = 5.0
"""Seconds after which a plugin is reported that goes on when it was cancelled."""

NO_OPINION: Final = Outcome(DECLINED)

_QUEUE: Final = HOOKS["queue"]
_HELD_LOOP: Final = (
    "held up all connections for {:.1f} s: make the hook async, or mark it @blocking"
)

_PLAIN: Final = frozenset({Constant, tuple, type(None)})
"""Types of the usual answers: nothing to wait for."""


class _TimeLimitError(Exception):
    """A plugin took too long."""


class AnswerError(Exception):
    """A plugin answered something that its hook does not take."""


@dataclass(frozen=True, slots=True)
class Step:
    """One plugin's part in a hook.

    Attributes:
        blocking: It runs in a thread.
        time_limit: Seconds.
    """

    plugin: str
    method: Method
    blocking: bool
    time_limit: float
    options: PluginOptions
    maxlevel: LogLevel | None


class Work:
    """What a session waits for: the method of a plugin, which may be called off.

    Attributes:
        task: The method at work, if it is one that can be waited for.
        called_off: True once nobody wants its answer any more.
        late: True once the method at work has had its time.
    """

    __slots__ = ("called_off", "late", "task")

    def __init__(self) -> None:
        self.task: asyncio.Future[Any] | None = None
        self.called_off = False
        self.late = False

    def call_off(self) -> None:
        """Cancel the method at work; the hook ends with CancelledError."""
        if self.task is not None and self.task.cancel():  # else it has just ended
            self.called_off = True


class Dispatcher:
    """The plugins of a host, in the order of `config/plugins`.

    Attributes:
        plugins: All of them.
        hooks: The names of the hooks that one of them has.
        meter: Counts their times, if there is one.
    """

    def __init__(self, plugins: Iterable[Plugin], run_blocking: RunBlocking) -> None:
        """Find each plugin's hooks.

        Raises:
            PluginError: A hook is misspelt, or its method does not take what the hook gives.
        """
        self.plugins = tuple(plugins)
        self._run_blocking = run_blocking
        self._steps: Mapping[str, tuple[Step, ...]] = _steps(self.plugins)
        self.hooks = frozenset(self._steps)
        self._told_answers = not self.hooks.isdisjoint(("deny", "ok"))
        self.meter: Meter | None = None

    def steps(self, hook: str) -> tuple[Step, ...]:
        """What `hook` runs, in that order."""
        return self._steps.get(hook, ())

    def log_chain(self) -> LogChain:
        """The plugins that read the log, for the host to lend while it runs."""
        steps = self.steps("logging")
        return LogChain(Reader(step.plugin, step.method, step.maxlevel) for step in steps)

    async def run(
        self,
        name: str,
        about: Connection | Transaction | None,
        arguments: tuple[Any, ...],
        work: Work | None = None,
    ) -> Outcome:
        """Ask the plugins until one has an opinion.

        After each answer the hook `deny` or `ok` runs; it is told what was answered.

        Args:
            name: A hook that some plugin has.
            about: Whose hook it is, and the answers are kept with it; None if it is the host's.
            arguments: What each plugin is given.
            work: Lets the caller call off what it waits for.

        Raises:
            asyncio.CancelledError: It was called off, or our own task was cancelled.
        """
        hook = HOOKS[name]
        work = work or Work()
        transaction: Transaction | None = None
        connection: Connection | None
        if isinstance(about, Transaction):
            connection, transaction = about.connection, about
        else:
            connection = about
        queued = transaction if hook is _QUEUE else None
        outer_scene = scene.get()
        try:
            for step in self._steps[name]:
                scene.set(Scene(connection, transaction, name, step.plugin))
                started = perf_counter()
                failed = waited = False
                try:
                    result = None if step.blocking else step.method(*arguments)
                    if step.blocking or (type(result) not in _PLAIN and isawaitable(result)):
                        waited = True
                        result = await self._wait(step, result, arguments, queued, work)
                    if type(result) is Constant and result in hook.effects:
                        constant, message = result, None  # as most answers are
                    else:
                        constant, message = read_answer(hook, result)
                except (Exception, asyncio.CancelledError, SystemExit) as error:
                    if isinstance(error, asyncio.CancelledError) and _is_cancelled(work):
                        raise
                    failed = True
                    constant, message = _count_failure(hook, step, error), None
                seconds = perf_counter() - started
                if self.meter is not None:
                    self.meter.hook(step.plugin, name, seconds)
                if seconds > HELD_LOOP and not waited:
                    log(LOGERROR, _HELD_LOOP.format(seconds))
                if hook.ignored or about is None:
                    continue
                about.answers.append(Answer(name, step.plugin, constant, message, seconds))
                if queued is not None:
                    if constant in (OK, DONE):
                        queued.hand_over()  # the plugin has it, and nothing cancels what follows
                    elif constant is DECLINED and queued.handed_over and not failed:
                        log(LOGERROR, "answered DECLINED when it had handed the message over")
                        failed = True
                if self._told_answers:
                    told = (connection, transaction, name, step.plugin, constant, message)
                    follower = "deny" if constant.is_denial else "ok"
                    if follower in self._steps:
                        await self.run(follower, about, told, work)
                if queued is not None and failed:
                    # The plugin may have handed the message over before it failed: nobody else
                    # gets it, and the client, told to come again, keeps it.
                    return Outcome(DECLINED, None, step.plugin)
                if constant is not DECLINED:
                    return Outcome(constant, message, step.plugin)
            return NO_OPINION
        finally:
            scene.set(outer_scene)

    async def shutdown(self) -> None:
        """Have each plugin end what it has begun, the last one first."""
        await shut_down(self.plugins)

    async def _wait(
        self,
        step: Step,
        result: Any,
        arguments: tuple[Any, ...],
        queued: Transaction | None,
        work: Work,
    ) -> Any:
        """What an async or blocking method gives within its time limit.

        It runs as a task of its own, so that to cancel it cancels nothing else.

        Args:
            queued: The transaction, if it is being queued: then the limit ends where the message
                is handed over, and a thread, which cannot be stopped, is waited for.
        """
        if step.blocking:
            result = self._run_blocking(step.method, *arguments)
        loop = asyncio.get_running_loop()
        work.task = task = loop.create_task(_contain(result))
        work.late = False
        limit = loop.call_later(step.time_limit, _time_is_up, loop, step.plugin, task, work)
        if queued is not None:
            queued.on_hand_over(limit.cancel)
            queued.in_thread = step.blocking
            if step.blocking:
                limit.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            # The exception cannot tell: a limit that the plugin has set itself, and that was over
            # in the same turn of the loop, may have been the first to cancel.
            if work.late and not _is_cancelled(work):
                raise _TimeLimitError(f"took longer than {step.time_limit:g} s") from None
            raise
        finally:
            limit.cancel()
            if not task.cancel() and isinstance(result, Coroutine):
                result.close()  # called off before its first step, it was never awaited
            work.task = None
            if queued is not None:
                queued.in_thread = False
                queued.on_hand_over(None)


async def shut_down(plugins: Sequence[Plugin]) -> None:
    """Have each of some plugins end what it has begun, the last one first."""
    for plugin in reversed(plugins):
        scene.set(Scene(hook="shutdown", plugin=plugin.name))
        try:
            ending = plugin.shutdown()
            if ending is None:
                continue
            task = asyncio.get_running_loop().create_task(_contain(ending))
            await asyncio.wait({task}, timeout=SHUTDOWN_LIMIT)
            if task.done():
                task.result()
            else:
                task.cancel()
                log(LOGERROR, f"took longer than {SHUTDOWN_LIMIT:g} s")
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled(Work()):
                raise
            log(LOGCRIT, failure(error), error=error)
    scene.set(Scene())


def _time_is_up(
    loop: asyncio.AbstractEventLoop, plugin: str, task: asyncio.Task[Any], work: Work
) -> None:
    def complain() -> None:
        if not task.done():
            log(LOGERROR, f"{plugin}: does not stop when it is cancelled")

    work.late = True
    task.cancel()
    loop.call_later(PATIENCE, complain)


async def _contain(work: Awaitable[Any]) -> Any:
    """Await `work`, whatever kind of awaitable it is; it cannot end the process."""
    try:
        return await work
    except SystemExit as error:
        raise RuntimeError("the plugin called sys.exit()") from error


def read_answer(hook: Hook, result: Any) -> tuple[Constant, Any]:
    """Constant and message of what a hook method returned.

    Raises:
        AnswerError: The hook does not take this; the text says what it would.
    """
    if type(result) is Constant and result in hook.effects:
        return result, None
    if hook.ignored:
        return DECLINED, None
    constant, message = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if isinstance(constant, Constant) and constant in hook.effects:
        return constant, message
    takes = ", ".join(c.name for c in hook.effects)
    if not isinstance(constant, Constant):
        pair = f"(OK, {hook.value})" if hook.value else "(constant, text)"
        raise AnswerError(
            f"answered {result!r:.200}, which is no constant: return one of {takes}, or {pair}"
        )
    raise AnswerError(f"answered {constant.name}, which {hook.name} does not take ({takes})")


def _count_failure(hook: Hook, step: Step, error: BaseException) -> Constant:
    """Log a failure; the constant that it counts as."""
    if isinstance(error, AnswerError | _TimeLimitError | BusyError):
        log(LOGERROR, str(error))
        soft = not isinstance(error, AnswerError)
    else:
        log(LOGCRIT, failure(error), error=error)
        soft = step.options.on_error == "denysoft"
    return DENYSOFT if soft and DENYSOFT in hook.effects and hook is not _QUEUE else DECLINED


def _is_cancelled(work: Work) -> bool:
    """Whether it is we who are to stop; else a plugin awaited something that was cancelled."""
    if work.called_off:
        return True
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _steps(plugins: Iterable[Plugin]) -> dict[str, tuple[Step, ...]]:
    chains: dict[str, list[Step]] = {}
    for plugin in plugins:
        plugin.register_named_hooks()
        for name, method, first in plugin.registrations:
            blocks, limit = is_blocking(method), plugin.time_limit(name)
            step = Step(plugin.name, method, blocks, limit, plugin.options, plugin.maxlevel)
            chain = chains.setdefault(name, [])
            chain.insert(0 if first else len(chain), step)
    return {name: tuple(chain) for name, chain in chains.items()}
