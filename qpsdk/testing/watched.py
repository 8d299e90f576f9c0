"""A plugin that stands for another one, and reports what its hooks do."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from qpsdk.plugin import Plugin, is_blocking


class Witness:
    """Told what the hooks of a plugin do; override what you need."""

    def called(self, hook: str, arguments: tuple[Any, ...]) -> None:
        """A hook is about to run."""

    def entered(self, hook: str) -> None:
        """Its code runs from here: from its start, or from where it waited."""

    def left(self, hook: str) -> None:
        """Its code has stopped: at its end, or to wait."""

    def waits(self, hook: str) -> None:
        """It waits for something."""

    def returned(self, hook: str, method: Callable[..., Any], result: object) -> None:
        """It has answered."""

    def failed(self, hook: str, method: Callable[..., Any], error: BaseException) -> None:
        """It raised an exception, or was cancelled."""


class Watched(Plugin):
    """A loaded plugin under the eyes of a witness; it has its name, its options and its host."""

    def __init__(self, plugin: Plugin, witness: Witness) -> None:
        super().__init__()
        self.name = plugin.name
        self.options = plugin.options
        self.maxlevel = plugin.maxlevel
        self.attach(plugin.qp)
        for hook, method, first in plugin.registrations:
            self.register_hook(hook, _watch(hook, method, witness), first=first)


def _watch(hook: str, method: Callable[..., Any], witness: Witness) -> Callable[..., Any]:
    def run(arguments: tuple[Any, ...]) -> Any:
        witness.entered(hook)
        try:
            return method(*arguments)
        finally:
            witness.left(hook)

    def watched(*arguments: Any) -> Any:
        witness.called(hook, arguments)
        try:
            result = method(*arguments) if is_blocking(method) else run(arguments)
        except BaseException as error:
            witness.failed(hook, method, error)
            raise
        if inspect.isawaitable(result):
            return _Watching(_await(hook, method, witness, result), result)
        witness.returned(hook, method, result)
        return result

    async def watched_async(*arguments: Any) -> Any:
        witness.called(hook, arguments)
        return await _await(hook, method, witness, method(*arguments))

    is_async = inspect.iscoroutinefunction(method)
    return functools.wraps(method)(watched_async if is_async else watched)


async def _await(
    hook: str, method: Callable[..., Any], witness: Witness, result: Awaitable[Any]
) -> Any:
    async def plain() -> Any:
        return await result

    work = result if inspect.iscoroutine(result) else plain()
    try:
        answer = await _Steps(hook, witness, work)
    except BaseException as error:
        witness.failed(hook, method, error)
        raise
    witness.returned(hook, method, answer)
    return answer


class _Watching(Generator[Any, Any, Any]):
    """A coroutine that awaits another: closed before its first step, it closes that one, too.

    Attributes:
        watched: The coroutine.
    """

    def __init__(self, watched: Coroutine[Any, Any, Any], awaits: Awaitable[Any]) -> None:
        self.watched = watched
        self._awaits = awaits

    def __await__(self) -> "_Watching":
        return self

    def send(self, value: Any) -> Any:
        """Go on with a value."""
        return self.watched.send(value)

    def throw(self, *error: Any) -> Any:
        """Go on with an exception."""
        return self.watched.throw(*error)

    def close(self) -> None:
        """End both."""
        self.watched.close()
        if isinstance(self._awaits, Coroutine):
            self._awaits.close()


class _Steps(Generator[Any, Any, Any]):
    """Awaits a coroutine, and reports each time that it goes on or waits.

    Attributes:
        watched: The coroutine.
    """

    def __init__(self, hook: str, witness: Witness, work: Coroutine[Any, Any, Any]) -> None:
        self.watched = work
        self._hook = hook
        self._witness = witness

    def __await__(self) -> "_Steps":
        return self

    def send(self, value: Any) -> Any:
        """Go on with a value."""
        return self._step(self.watched.send, value)

    def throw(self, *error: Any) -> Any:
        """Go on with an exception: it was cancelled, or what it waited for has failed."""
        return self._step(self.watched.throw, *error)

    def close(self) -> None:
        """End it where it waits."""
        self.watched.close()

    def _step(self, go_on: Callable[..., Any], *given: Any) -> Any:
        self._witness.entered(self._hook)
        try:
            future = go_on(*given)
        finally:
            self._witness.left(self._hook)
        self._witness.waits(self._hook)
        return future
