"""The host as plugins see it: `qp`."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar, cast
from weakref import WeakValueDictionary

from qpsdk.address import Address
from qpsdk.attempts import Attempts
from qpsdk.config import Config
from qpsdk.constants import DECLINED, LOGCRIT, LOGERROR, LOGNOTICE, LOGWARN, OK
from qpsdk.errors import ConfigError, StreamConnectError
from qpsdk.gate import Gate
from qpsdk.log import HELD_LOOP, Scene, failure, log, scene, set_level, text_of
from qpsdk.message import Connection, HostOf
from qpsdk.meter import Meter
from qpsdk.settings import SETTINGS, Settings
from qpsdk.spool import SpoolDirectory
from qpsdk.store import MemoryStore, Store
from qpsdk.stream import Endpoint, Stream, require_endpoint

if TYPE_CHECKING:
    from ssl import SSLContext

Method = Callable[..., Any]
_T = TypeVar("_T")
_ParsedKey = tuple[str, Callable[[Iterator[str]], Any], bool]

RECHECK: Final = 1.0
"""Seconds until the config directory is looked at again."""

MAX_PARSED: Final = 200
"""Settings that are kept parsed, of more the latest: a plugin may ask for one by a name that a
client gave, or with a lambda, which is another function each time."""

_at_work: Final[ContextVar[frozenset[str]]] = ContextVar("qpsdk_at_work", default=frozenset())
"""The hooks below whose methods we are: asked from inside, the built-in answers."""


class Connect(Protocol):
    """How to reach another server: sockets, or memory in a test."""

    async def __call__(
        self,
        endpoint: Endpoint,
        /,
        *,
        connect_timeout: float,
        io_timeout: float,
        session_timeout: float | None = None,
    ) -> Stream:
        """A stream to `endpoint`.

        Args:
            connect_timeout: Seconds until the connection must stand.
            io_timeout: Seconds that the peer may neither take nor give a byte.
            session_timeout: Seconds for the whole of it.

        Raises:
            StreamConnectError: It could not be made.
        """
        ...


def connect_nowhere(told: str) -> Connect:
    """A `Connect` of a host that reaches nobody: held to the same signature, it then says why.

    Args:
        told: ``{}`` in it becomes the endpoint.
    """

    async def connect(
        endpoint: Endpoint,
        /,
        *,
        connect_timeout: float,  # noqa: ARG001 - the signature of the real one
        io_timeout: float,  # noqa: ARG001
        session_timeout: float | None = None,  # noqa: ARG001
    ) -> Stream:
        require_endpoint(endpoint)
        raise StreamConnectError(told.format(endpoint))

    return connect


class RunBlocking(Protocol):
    """How to run a function that blocks without holding up the others: in a thread."""

    def __call__(self, function: Method, /, *arguments: Any) -> Awaitable[Any]:
        """What `function` returns.

        Raises:
            BusyError: No thread was free in time. In a hook it counts as DENYSOFT.
        """
        ...


class _Step(NamedTuple):
    """One plugin's part in a hook."""

    plugin: str
    method: Method


@dataclass(slots=True)
class Host:
    """What a plugin may use of the host: `qp`, which `Plugin.register` is given.

    Attributes:
        configuration: The config directory as it is now. A connection keeps the one that it
            began with.
        settings: The host's own settings in it.
        connect: Reaches other servers.
        run_blocking: Runs what blocks.
        clock: Seconds since the epoch.
        new_id: A short name for a connection, which no other of this process has.
        host_of: Finds the name of an IP address; None where nobody can.
        spool: Where large messages have their files.
        tls: Gives the context for one TLS connection; None until a plugin sets it. Listeners that
            begin with TLS at once need it.
        random: Chance, which a test can repeat.
        queue_gate: Where messages wait while queue plugins have enough of them in hand.
        failed_auth: The clients that have failed to authenticate.
        auth_gates: Where those of one address wait while others of it are about to.
        store: State that this host shares with others.
        meter: Counts what happens; None where nobody watches.
        asked: The settings that plugins have asked for while they were registered.
    """

    configuration: Config
    settings: Settings
    connect: Connect
    run_blocking: RunBlocking
    new_id: Callable[[], str]
    spool: SpoolDirectory
    clock: Callable[[], float] = time.time
    host_of: HostOf | None = None
    tls: "Callable[[], SSLContext] | None" = None
    random: Random = field(default_factory=Random)
    queue_gate: Gate = field(init=False, repr=False, default_factory=Gate)
    failed_auth: Attempts = field(init=False, repr=False)
    auth_gates: WeakValueDictionary[str, Gate] = field(
        init=False, repr=False, default_factory=WeakValueDictionary
    )
    store: Store = field(default_factory=MemoryStore)
    meter: Meter | None = None
    asked: set[str] = field(init=False, repr=False, default_factory=set)
    _hooks: defaultdict[str, list[_Step]] = field(init=False, repr=False)
    _latest: Config = field(init=False, repr=False)
    _looked: float = field(init=False, repr=False)
    _told: str = field(init=False, repr=False)
    _parsed: dict[_ParsedKey, tuple[Config, list[str], Any]] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self._hooks = defaultdict(list)
        self._latest = self.configuration  # or a later one that is broken
        self._looked = self.clock()
        self._told = ""
        self.failed_auth = Attempts(self.clock)
        self._set_limits()

    def follow(self, before: "Host") -> None:
        """Count on from the host that was here before a reload."""
        self.failed_auth, self.queue_gate = before.failed_auth, before.queue_gate
        self.auth_gates = before.auth_gates
        self._set_limits()

    def _set_limits(self) -> None:
        settings = self.settings
        self.queue_gate.set_limit(settings.max_forwards)
        self.spool.max_size, self.spool.min_free = settings.max_spool, settings.min_free_disk

    def config(self, name: str) -> list[str]:
        """The values of a setting; none if there is no such file.

        A plugin's `hook_config` may know others than `config/NAME`. In a hook they are those of
        the moment when the client came.

        Raises:
            ConfigError: The file cannot be read.
        """
        if scene.get().hook == "register":  # later a name may come from a client, without end
            self.asked.add(name)
        within_reach = name not in SETTINGS or SETTINGS[name].hook
        values = self._ask("config", name) if within_reach else None
        if values is not None:
            return values
        return self._snapshot().get(name)

    def parse_config(self, name: str, parse: Callable[[Iterator[str]], _T]) -> _T:
        """What `parse` makes of the values of a setting; made again only when they change.

        Call it in `register`, so that wrong values stop the host from starting, and again wherever
        they are used. A change that is wrong is logged, and what was before stays.

        Args:
            parse: Takes the values in order, as many as it needs; a class such as `AddressList`,
                or a function, the same at each call. It raises ValueError to say what is wrong
                with the last one taken.

        Raises:
            ConfigError: A value is wrong, with file and line, or the file cannot be read.
        """
        source = self._snapshot()
        # What a client from before a change still asks for is kept beside the latest: a change that
        # is wrong must not bring it back for all.
        key = name, parse, source is self.configuration
        known = self._parsed.get(key)
        if known is not None and known[0] is source and "config" not in self._hooks:
            kept: _T = known[2]
            return kept  # without a plugin in between, the files decide alone
        values = self.config(name)
        latest = self._parsed.get((name, parse, True))
        known = known or latest or self._parsed.get((name, parse, False))
        if known is not None and known[1] == values:
            self._keep(key, (source, values, known[2]))
            return cast(_T, known[2])
        taken = 0

        def take() -> Iterator[str]:
            nonlocal taken
            for value in values:
                taken += 1
                yield value

        try:
            result = parse(take())
        except ValueError as problem:
            given = source
            if given.get(name) != values:
                given = given.replaced({name: values}, "hook_config")
            line = given.lines(name)[taken - 1] if taken else None
            error = given.error(name, line, str(problem))
            if known is None:
                raise error from None
            log(LOGERROR, f"{error}; the values before this change stay in use")
            result = (latest or known)[2]
        self._keep(key, (source, values, result))
        return result

    def _keep(self, key: _ParsedKey, found: tuple[Config, list[str], Any]) -> None:
        self._parsed[key] = found
        if len(self._parsed) > MAX_PARSED:
            del self._parsed[next(iter(self._parsed))]

    def _snapshot(self) -> Config:
        """The config of the connection that we are at work for; else the one of now."""
        connection = scene.get().connection
        if connection is not None and connection.config is not None:
            return connection.config
        self.refresh()
        return self.configuration

    def user_config(self, address: Address, name: str) -> list[str]:
        """The values of a setting for one user: what a `hook_user_config` knows, else `config`.

        Raises:
            ConfigError: The file cannot be read.
        """
        values = self._ask("user_config", address, name)
        return self.config(name) if values is None else values

    def forwarded(self, server: Endpoint, answer: str, began: float) -> None:
        """Tell the metrics that a message was handed, or was not, to another server.

        Args:
            answer: What came of it, in a word of your own; few of them.
            began: When, by `clock`.
        """
        if self.meter is not None:
            self.meter.forward(str(server), answer, max(self.clock() - began, 0.0))

    def settings_for(self, connection: Connection) -> Settings:
        """The settings for a client that has come, which keeps them until it goes."""
        self.refresh()
        connection.config = self.configuration
        if "config" not in self._hooks:
            return self.settings
        before = scene.get()
        scene.set(Scene(connection))
        try:
            answers = {n: self._ask("config", n) for n, s in SETTINGS.items() if s.hook and s.host}
            given = {name: values for name, values in answers.items() if values is not None}
            return Settings.read(self.configuration.replaced(given, "hook_config"))
        except ConfigError as error:
            log(LOGERROR, f"{error}; not used")
            return self.settings
        finally:
            scene.set(before)

    def add_hook(self, hook: str, plugin: str, method: Method, *, first: bool = False) -> None:
        """Ask a plugin for settings: the loader registers `config` and `user_config` here."""
        steps = self._hooks[hook]
        steps.insert(0 if first else len(steps), _Step(plugin, method))

    def refresh(self) -> None:
        """Take up what has changed in the config directory, looked at once a second at most.

        A broken edit is reported, and changes nothing.
        """
        now = self.clock()
        if abs(now - self._looked) < RECHECK:  # a clock may be set back
            return
        self._looked = now
        before = scene.get()
        scene.set(Scene())
        try:
            found = self._latest.reread()
            if found is not self._latest:
                self._latest = found
                self._take(found)
                self._told = ""
        except ConfigError as error:
            if str(error) != self._told:
                self._told = str(error)
                log(LOGERROR, f"{error}; all settings stay as they were until this is right")
        finally:
            scene.set(before)

    def _take(self, found: Config) -> None:
        if (broken := found.broken_since(self.configuration)) is not None:
            raise broken
        settings = Settings.read(found)
        changed = found.changed_since(self.configuration)
        late = [name for name in changed if name in SETTINGS and SETTINGS[name].taken_up_by]
        for name in late:
            told = f"{found.path(name)} has changed: that takes a {SETTINGS[name].taken_up_by}"
            log(LOGWARN, told)
        if len(changed) > len(late):
            names = ", ".join(name for name in changed if name not in late)
            log(LOGNOTICE, f"the config has changed: {names}")
        if settings.loglevel != self.settings.loglevel:
            set_level(settings.loglevel)
        self.configuration, self.settings = found, settings
        self._set_limits()

    def _ask(self, hook: str, *arguments: Any) -> list[str] | None:
        """The values that the first plugin with an opinion gives."""
        steps = self._hooks.get(hook)
        if not steps or hook in _at_work.get():
            return None
        at_work = _at_work.set(_at_work.get() | {hook})
        before = scene.get()
        try:
            for plugin, method in steps:
                scene.set(Scene(before.connection, before.transaction, hook, plugin))
                started = perf_counter()
                values = None
                try:
                    values = _values(method(*arguments))
                except _AnswerError as error:
                    log(LOGERROR, str(error))
                except (Exception, SystemExit) as error:
                    log(LOGCRIT, failure(error), error=error)
                if (seconds := perf_counter() - started) > HELD_LOOP:
                    log(LOGERROR, f"held up all connections for {seconds:.1f} s")
                if values is not None:
                    return values
            return None
        finally:
            scene.set(before)
            _at_work.reset(at_work)


class _AnswerError(Exception):
    """A plugin answered something that is no answer to `config`."""


def _values(answer: object) -> list[str] | None:
    """The values in what a hook method returned; None if it declined."""
    if answer is DECLINED:
        return None
    if isinstance(answer, tuple) and len(answer) == 2:
        constant, values = answer
        if constant is DECLINED:
            return None
        if constant is OK and isinstance(values, list | tuple):
            texts = [value for value in values if isinstance(value, str)]
            if len(texts) == len(values):
                return texts
    raise _AnswerError(f"answered {text_of(answer):.200}: return DECLINED, or OK and a list of str")
