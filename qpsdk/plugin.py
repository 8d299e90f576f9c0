"""The base class of plugins."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from qpsdk.address import Address
from qpsdk.constants import LOGDEBUG, LOGEMERG, LOGERROR, Constant, LogLevel
from qpsdk.errors import PluginError
from qpsdk.hooks import HOOKS, Hook, hook_name
from qpsdk.host import Host, Method
from qpsdk.log import log, scene

Result = Constant | tuple[Constant, Any]
"""What a hook returns: a constant, alone or with a message."""

_M = TypeVar("_M", bound=Method)
_T = TypeVar("_T")


class Registration(NamedTuple):
    """A method that a plugin has registered for a hook."""

    hook: str
    method: Method
    first: bool


@dataclass(slots=True)
class PluginOptions:
    """What the host keeps for itself of a plugin's line.

    Attributes:
        timeout: Seconds for each hook; None for the hook's own limit.
        on_error: What an exception counts as: ``declined`` or ``denysoft``.
        loglevel: The level of every line that the plugin logs; None for its own choice.
        loglevel_shift: Added to that choice.
    """

    timeout: float | None = None
    on_error: str = "declined"
    loglevel: LogLevel | None = None
    loglevel_shift: int = 0

    def level(self, level: LogLevel) -> LogLevel:
        """The level at which a line of the plugin is logged.

        >>> PluginOptions(loglevel_shift=-2).level(LogLevel.LOGINFO)
        <LogLevel.LOGWARN: 4>
        """
        if self.loglevel is not None:
            return self.loglevel
        if not self.loglevel_shift:
            return level
        return LogLevel(min(max(level + self.loglevel_shift, 0), LogLevel.LOGDEBUG))


class Plugin:
    """A plugin: a class with methods named ``hook_NAME``.

    There is one instance for each line in `config/plugins`, shared by all connections: what
    belongs to a connection or a message is kept in its ``notes``.

    Attributes:
        maxlevel: For a plugin with a `logging` hook, set it in `register`: lines up to this level
            are offered to it, whatever `config/loglevel` says. None: as `config/loglevel` says.
    """

    maxlevel: LogLevel | None = None

    def __init__(self) -> None:
        self.name = type(self).__name__
        self.options = PluginOptions()
        self.registrations: list[Registration] = []
        self._host: Host | None = None

    @property
    def qp(self) -> Host:
        """The host.

        Raises:
            PluginError: The plugin is not loaded into one yet.
        """
        if self._host is None:
            raise PluginError(f"{self.name} has no host yet: it gets one just before register()")
        return self._host

    def attach(self, host: Host) -> None:
        """Give the plugin its host; the loader does this."""
        self._host = host

    # Any parameters: a plugin names the ones that its line in config/plugins has.
    register: Callable[..., None]

    def register(self, qp: Host) -> None:  # type: ignore[no-redef]
        """Called once, with the host and the words of the line in `config/plugins`.

        ``word`` comes as a positional argument, ``key=value`` as a keyword argument. A word
        that this method does not take stops the host from starting, so say in the signature what
        you take.
        """

    def shutdown(self) -> Awaitable[None] | None:
        """Called once when the host stops and all sessions have ended; may be ``async``.

        The place to close what `register` or a hook has opened for all connections.
        """

    def register_hook(self, hook: str, method: Method, *, first: bool = False) -> None:
        """Have `method` run in a hook, after those registered before, or `first` of all.

        Methods that are named after their hook need no registration.

        Raises:
            PluginError: There is no such hook, or the method does not take what it gives.
        """
        name = hook_name(hook)
        if name not in HOOKS:
            near = get_close_matches(name, HOOKS, 1, 0.0)
            told = f"there is no hook {hook!r}; did you mean {near[0]!r}?"
            raise PluginError(f"{self.name}: {told}{place(method)}")
        self._check_arguments(HOOKS[name], method)
        if not any(name == r.hook and method == r.method for r in self.registrations):
            self.registrations.append(Registration(name, method, first))

    def register_named_hooks(self) -> None:
        """Register the methods named ``hook_NAME``, as the host does. Raises as `register_hook`."""
        for name in dir(self):
            if name.startswith("hook_"):
                self.register_hook(name.removeprefix("hook_"), getattr(self, name))

    def _check_arguments(self, hook: Hook, method: Method) -> None:
        name = getattr(method, "__name__", repr(method))
        if not callable(method):
            raise PluginError(f"{self.name}: {name}, for the hook {hook.name}, is no method")
        signature = bound_signature(self.name, method)
        wrong = not _binds(signature, hook)
        hint = "; is self missing?" if wrong and _lacks_self(method, hook) else ""
        if not wrong and _swapped(signature, hook):
            wrong, hint = True, "; write them in the order in which they are given"
        if wrong:
            given = ", ".join(hook.arguments)
            bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
            takes = inspect.Signature(bare)
            raise PluginError(
                f"{self.name}: the hook {hook.name} gives ({given}), but {name} takes {takes}{hint}"
                f"{place(method)}"
            )
        if hook.sync and (inspect.iscoroutinefunction(method) or is_blocking(method)):
            raise PluginError(
                f"{self.name}: {name} is async or @blocking, but the hook {hook.name} is reached"
                f" from plain calls: make it a plain def{place(method)}"
            )

    def time_limit(self, hook: str) -> float:
        """Seconds that the host gives this plugin for a hook: its ``timeout=``, or the hook's own.

        Raises:
            KeyError: There is no such hook.
        """
        return self.options.timeout or HOOKS[hook_name(hook)].time_limit

    def log(self, level: LogLevel, *words: object) -> None:
        """Write a log line; connection, hook and plugin are added to it.

        Without a level all of it is logged at LOGERROR, and that the level is missing: a slip in a
        line of the log decides nothing about mail.
        """
        if not isinstance(level, int) or not LOGEMERG <= level <= LOGDEBUG:
            words = (level, *words, "(the level comes first: self.log(LOGINFO, ...))")
            level = LOGERROR
        else:
            level = self.options.level(level)
        at = scene.get()
        if at.plugin == self.name:
            log(level, *words)
            return
        # Called outside our hooks: by the host for a certificate, in a task of our own.
        before = scene.set(at._replace(hook="", plugin=self.name))
        try:
            log(level, *words)
        finally:
            scene.reset(before)

    def config(self, name: str) -> list[str]:
        """The values of `config/NAME`, as `Host.config`."""
        return self.qp.config(name)

    def parse_config(self, name: str, parse: Callable[[Iterator[str]], _T]) -> _T:
        """The values of a setting, parsed and kept, as `Host.parse_config`."""
        return self.qp.parse_config(name, parse)

    def user_config(self, address: Address, name: str) -> list[str]:
        """The values of a setting for one user, as `Host.user_config`."""
        return self.qp.user_config(address, name)


def bound_signature(plugin: str, method: Method) -> inspect.Signature:
    """What a method takes, but for ``self``.

    Raises:
        PluginError: It does not even take that.
    """
    try:
        return inspect.signature(method)
    except ValueError:
        name = getattr(method, "__name__", repr(method))
        told = f"{plugin}: {name}() takes no self; write def {name}(self, ...){place(method)}"
        raise PluginError(told) from None


def _binds(signature: inspect.Signature, hook: Hook) -> bool:
    try:
        signature.bind(*hook.arguments)
    except TypeError:
        return False
    return True


def _lacks_self(method: Method, hook: Hook) -> bool:
    """Whether a method would take what its hook gives, were it no method."""
    function = getattr(method, "__func__", None)
    if function is None:
        return False
    signature = inspect.signature(function)
    return next(iter(signature.parameters)) != "self" and _binds(signature, hook)


def _swapped(signature: inspect.Signature, hook: Hook) -> bool:
    """Whether a parameter has the name of something that is given in another place."""
    return any(
        parameter.name in hook.arguments and parameter.name != given
        for parameter, given in zip(signature.parameters.values(), hook.arguments, strict=False)
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    )


def place(method: object) -> str:
    """Where a method is written, for the end of a message; empty if it is in no file."""
    code = getattr(inspect.unwrap(method) if callable(method) else method, "__code__", None)
    if not inspect.iscode(code) or not Path(code.co_filename).is_file():
        return ""  # typed at a prompt, or in a cell of a notebook
    return f" ({code.co_filename}:{code.co_firstlineno})"


_OTHER_PREFIX: Final = re.compile(r"\A(on|do|handle|hook)_?")
"""What other programs begin the names of such methods with; some write none."""


def without_hook(plugin: Plugin) -> str:
    """What to tell of a plugin that has no hook; empty if it has one.

    >>> class Gone(Plugin):
    ...     def on_rcpt(self, transaction, recipient, params): ...
    >>> without_hook(Gone())
    'has no hook, so it is never asked; rename on_rcpt to hook_rcpt'
    """
    if plugin.registrations:
        return ""
    told = "has no hook, so it is never asked; "
    for name in sorted(vars(type(plugin)).keys() - vars(Plugin).keys()):
        meant = _OTHER_PREFIX.sub("", name.lower())
        if meant in HOOKS and inspect.isroutine(vars(type(plugin))[name]):
            return f"{told}rename {name} to hook_{meant}"
    return f"{told}name a method after its hook, such as hook_rcpt"


def blocking(method: _M) -> _M:
    """Mark a hook method that blocks: it is run in a thread.

    >>> class Slow(Plugin):
    ...     @blocking
    ...     def hook_rcpt(self, transaction, recipient, params): ...

    Raises:
        TypeError: It is ``async``, and would only be begun there.
    """
    if inspect.iscoroutinefunction(method):
        name = method.__qualname__
        raise TypeError(f"{name} is async: it cannot be @blocking, too; drop one of the two")
    method.__dict__["qpsdk_blocking"] = True
    return method


def is_blocking(method: Method) -> bool:
    """Whether `blocking` marked it."""
    return bool(getattr(method, "qpsdk_blocking", False))
