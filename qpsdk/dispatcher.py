"""Runs one hook over the plugins: the only loop that does."""

import asyncio
import inspect
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any, Final, NamedTuple

from qpsdk.constants import DECLINED, DENYSOFT, LOGCRIT, LOGERROR, Constant
from qpsdk.errors import PluginError
from qpsdk.hooks import HOOKS, Hook
from qpsdk.log import Scene, log, scene
from qpsdk.message import Answer, Connection, Transaction
from qpsdk.plugin import Method, Plugin, PluginOptions, RunBlocking, is_blocking

HELD_LOOP: Final = 1.0
"""Seconds after which a plain ``def`` hook is reported for holding up all connections."""


class Outcome(NamedTuple):
    """How a hook ended.

    Attributes:
        constant: DECLINED if no plugin had an opinion.
        message: What the deciding plugin gave with it, or None.
        plugin: The plugin that decided; empty if none did.
    """

    constant: Constant
    message: Any = None
    plugin: str = ""


NO_OPINION: Final = Outcome(DECLINED)


class _Step(NamedTuple):
    """One plugin's part in a hook."""

    plugin: str
    method: Method
    blocking: bool
    time_limit: float
    options: PluginOptions


class Dispatcher:
    """The plugins of a host, in the order of `config/plugins`.

    Attributes:
        plugins: All of them.
    """

    def __init__(self, plugins: Iterable[Plugin], run_blocking: RunBlocking) -> None:
        """Find each plugin's hooks.

        Raises:
            PluginError: A hook is misspelt, or its method does not take what the hook gives.
        """
        self.plugins = tuple(plugins)
        self._run_blocking = run_blocking
        self._steps: Mapping[str, tuple[_Step, ...]] = _steps(self.plugins)

    def order(self, hook: str) -> list[str]:
        """The names of the plugins that `hook` runs, in that order."""
        return [step.plugin for step in self._steps.get(hook, ())]

    def __contains__(self, hook: str) -> bool:
        return hook in self._steps

    async def run(
        self, name: str, about: Connection | Transaction, arguments: tuple[Any, ...]
    ) -> Outcome:
        """Ask the plugins until one has an opinion.

        Args:
            name: A hook that some plugin has.
            about: Whose hook it is; the answers are kept with it.
            arguments: What each plugin is given.
        """
        hook = HOOKS[name]
        connection = about.connection if isinstance(about, Transaction) else about
        for step in self._steps[name]:
            scene.set(Scene(connection.id, name, step.plugin))
            started = perf_counter()
            failed = False
            try:
                result = None if step.blocking else step.method(*arguments)
                if step.blocking or inspect.isawaitable(result):
                    result = await self._wait(hook, step, result, about, arguments)
                elif perf_counter() - started > HELD_LOOP:
                    log(LOGERROR, _HELD_LOOP.format(perf_counter() - started))
                if hook.ignored:
                    continue
                constant, message = _read(hook, result)
            except Exception as error:
                failed = True
                constant, message = _count_failure(hook, step, error), None
            about.answers.append(
                Answer(name, step.plugin, constant, message, perf_counter() - started)
            )
            if failed and hook is _QUEUE:
                # The plugin may have handed the message over before it failed: nobody else
                # gets it, and the client, told to come again, keeps it.
                return Outcome(DECLINED, None, step.plugin)
            if constant is not DECLINED:
                return Outcome(constant, message, step.plugin)
        return NO_OPINION

    async def _wait(
        self,
        hook: Hook,
        step: _Step,
        result: Any,
        about: Connection | Transaction,
        arguments: tuple[Any, ...],
    ) -> Any:
        """What an async or blocking method gives within its time limit."""
        try:
            async with asyncio.timeout(step.time_limit) as timer:
                if hook is _QUEUE and isinstance(about, Transaction):
                    about.on_hand_over(lambda: timer.reschedule(None))
                    if step.blocking:  # a thread cannot be stopped, so it is waited for
                        about.hand_over()
                if step.blocking:
                    result = self._run_blocking(step.method, *arguments)
                return await result
        except TimeoutError as error:
            if timer.expired():
                raise _TimeLimitError(f"took longer than {step.time_limit:g} s") from error
            raise


_QUEUE: Final = HOOKS["queue"]
_HELD_LOOP: Final = (
    "held up all connections for {:.1f} s: make the hook async, or mark it @blocking"
)


class _TimeLimitError(Exception):
    """A plugin took too long."""


class _AnswerError(Exception):
    """A plugin answered something that its hook does not take."""


def _read(hook: Hook, result: Any) -> tuple[Constant, Any]:
    """Constant and message of what a hook method returned."""
    constant, message = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if not isinstance(constant, Constant):
        raise _AnswerError(
            f"answered {result!r}, which is no constant: return one such as DECLINED"
        )
    if constant not in hook.effects:
        takes = ", ".join(c.name for c in hook.effects)
        raise _AnswerError(f"answered {constant.name}, which {hook.name} does not take ({takes})")
    return constant, message


def _count_failure(hook: Hook, step: _Step, error: Exception) -> Constant:
    """Log a failure; the constant that it counts as."""
    if isinstance(error, _AnswerError):
        log(LOGERROR, str(error))
        return DECLINED
    if isinstance(error, _TimeLimitError):
        log(LOGERROR, str(error))
        soft = True
    else:
        log(LOGCRIT, f"failed: {type(error).__name__}: {error}", error=error)
        soft = step.options.on_error == "denysoft"
    return DENYSOFT if soft and DENYSOFT in hook.effects else DECLINED


def _steps(plugins: Iterable[Plugin]) -> dict[str, tuple[_Step, ...]]:
    chains: dict[str, list[_Step]] = {}
    for plugin in plugins:
        for method_name in dir(plugin):
            if method_name.startswith("hook_"):
                plugin.register_hook(
                    method_name.removeprefix("hook_"), getattr(plugin, method_name)
                )
        for hook_name, method, first in plugin.registrations:
            hook = HOOKS[hook_name]
            _check_arguments(plugin, hook, method)
            limit = plugin.options.timeout or hook.time_limit
            step = _Step(plugin.name, method, is_blocking(method), limit, plugin.options)
            chain = chains.setdefault(hook_name, [])
            chain.insert(0 if first else len(chain), step)
    return {name: tuple(chain) for name, chain in chains.items()}


def _check_arguments(plugin: Plugin, hook: Hook, method: Method) -> None:
    signature = inspect.signature(method)
    try:
        signature.bind(*hook.arguments)
    except TypeError:
        given = ", ".join(hook.arguments)
        name = getattr(method, "__name__", repr(method))
        raise PluginError(
            f"{plugin.name}: the hook {hook.name} gives ({given}), but {name} takes {signature}"
        ) from None
