"""Makes what a plugin's test needs: the plugin, a connection, a transaction; and asks a hook."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any, Final, TypeVar, overload

from qpsdk.address import Address
from qpsdk.constants import DECLINED, LOGINFO
from qpsdk.dispatcher import Dispatcher
from qpsdk.errors import AddressError, PluginError
from qpsdk.finder import PluginLine
from qpsdk.hooks import HOOKS, Hook, hook_name
from qpsdk.host import Host
from qpsdk.message import Connection, Outcome, Transaction
from qpsdk.plugin import Plugin
from qpsdk.spool import Spool, SpoolDirectory
from qpsdk.testing.client import RECIPIENT, SENDER
from qpsdk.testing.smtp import AnyPlugin, is_loaded, load_any, mark_loaded, memory_host

P = TypeVar("P", bound=Plugin)

MESSAGE: Final = "Subject: hello\n\nHow are you?\n"

_MEMORY: Final = 64 * 1024
_MAX_HEADER: Final = 1024 * 1024


class Clock:
    """A clock that moves only when it is told to; lend it to a host.

    >>> clock = Clock(1_000_000)
    >>> clock.advance(60)
    >>> clock()
    1000060.0
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        """`now` is in seconds since the epoch."""
        self._now = float(now)

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self._now += seconds


@overload
def plugin(which: type[P] | P, *words: object, qp: Host | None = None, **options: object) -> P: ...
@overload
def plugin(which: str | Path, *words: object, qp: Host | None = None, **options: object) -> Any: ...
def plugin(
    which: AnyPlugin,
    *words: object,
    qp: Host | None = None,
    **options: object,
) -> Plugin:
    """A plugin as a line in `config/plugins` would load it.

    >>> forward = plugin("queue/qmqp_forward_naive", "192.0.2.1", 628, timeout=60)
    >>> forward.name, str(forward.server), forward.options.timeout
    ('queue/qmqp_forward_naive', '192.0.2.1:628', 60.0)

    Args:
        which: The class, an instance, its name, a whole line, or the path of its file, which may
            have words behind it: ``"./greylist.py 300"``.
        words: The words of the line.
        qp: The host, such as ``memory_host({"me": "mx.example.com"})``; else one with no settings.
        options: What the line would have as ``key=value``.

    Raises:
        PluginError: It cannot be found, is no plugin, or does not take its arguments.
    """
    __tracebackhide__ = True
    texts = tuple(str(word) for word in words)
    pairs = tuple((key, str(value)) for key, value in options.items())
    made = load_any(which, qp or memory_host(), texts, pairs)
    mark_loaded(made)
    return made


def plugin_of_words(which: AnyPlugin, words: Iterable[object], qp: Host) -> Plugin:
    """As `plugin`, with ``key=value`` among the words, as a line has them.

    Raises:
        PluginError: As `plugin`.
    """
    try:
        line = PluginLine.parse(" ".join(["x", *map(str, words)]))
    except ValueError as error:
        raise PluginError(str(error).removeprefix("x: ")) from None
    made: Plugin = plugin(which, *line.words, qp=qp, **dict(line.options))
    return made


def connection(
    remote_ip: str = "192.0.2.1",
    *,
    hello: str = "ehlo",
    hello_host: str | bytes = "client.example.org",
    **attributes: Any,
) -> Connection:
    """A client's connection, which has said EHLO.

    >>> connection(relay_client=True).hello_host
    b'client.example.org'

    Args:
        remote_ip: The client's address.
        hello: ``"helo"``, ``"ehlo"``, or empty for a client that has said neither.
        hello_host: What it calls itself.
        attributes: Others of `Connection`.
    """
    made = Connection(attributes.pop("id", "c1"), remote_ip, 40_000, "192.0.2.2", 25)
    if hello:
        made.hello, made.hello_host = hello, _bytes(hello_host)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def transaction(
    message: str | bytes | Iterable[bytes] | None = MESSAGE,
    sender: str | bytes | Address | None = SENDER,
    recipients: str | bytes | Address | Iterable[str | bytes | Address] = RECIPIENT,
    *,
    connection: Connection | None = None,
    notes: Mapping[str, Any] | None = None,
    size_threshold: int = _MEMORY,
) -> Transaction:
    r"""A message whose header and body have come.

    >>> tx = transaction("Subject: hi\n\nhello\n", recipients=["a@example.com", "b@example.com"])
    >>> tx.header.get("subject"), tx.body_length(), len(tx.recipients)
    (b'hi', 7, 2)

    Args:
        message: Its lines end in LF or CRLF; None for one that has not come yet.
        sender: Empty for the null sender; None where MAIL was not accepted yet.
        recipients: One or several.
        connection: Else it has one of its own.
        notes: What other plugins have left there.
        size_threshold: Bytes that are held in memory; a longer message is in a file, until
            ``transaction.close()`` or the end of the process.

    Raises:
        AddressError: An address is none.
    """
    client = connection or _new_connection()
    made = Transaction(
        client, f"{client.id}.1", Spool(size_threshold, SpoolDirectory()), _MAX_HEADER
    )
    client.transaction = made
    made.smtputf8 = True
    made.sender = None if sender is None else address(sender)
    several = [recipients] if isinstance(recipients, str | bytes | Address) else recipients
    made.recipients = [address(one) for one in several]
    made.notes.update(notes or {})
    if message is not None:
        _receive(made, [_bytes(message)] if isinstance(message, str | bytes) else message)
    return made


_new_connection = connection


def _receive(transaction: Transaction, blocks: Iterable[bytes]) -> None:
    size = 0
    for block in blocks:
        lines = block.replace(b"\r\n", b"\n")
        size += len(lines) + lines.count(b"\n")
        transaction.receive(lines)
    transaction.receive_end(size)


def address(text: str | bytes | Address) -> Address:
    """An address; UTF-8 is taken.

    Raises:
        AddressError: It is none.
    """
    if isinstance(text, Address):
        return text
    __tracebackhide__ = True
    try:
        return Address.parse(text, smtputf8=True)
    except AddressError as error:
        raise AddressError(f"{text!r}: {error}") from None


async def ask(which: AnyPlugin, hook: str, **arguments: Any) -> Outcome:
    """Run one hook of a plugin as the host does: its time limit, its failures, its log.

    >>> import asyncio
    >>> rcpt_ok = plugin("rcpt_ok", qp=memory_host({"rcpthosts": "example.com"}))
    >>> asyncio.run(ask(rcpt_ok, "rcpt", recipient="someone@example.net"))
    Outcome(constant=<Constant.DENY: 901>, message='Relaying denied', plugin='rcpt_ok')

    Args:
        which: A plugin that `plugin` has loaded, or what `plugin` takes.
        hook: As the method is named after ``hook_``.
        arguments: What the hook is given, by the names of the hook table; text stands for bytes
            and addresses. What is not here is taken from the transaction or connection that is,
            or made: a sender, a recipient, no parameters.

    Raises:
        PluginError: The plugin does not have this hook.
        TypeError: The hook is not given this argument.
    """
    __tracebackhide__ = True
    # One that was in `smtp` has the host that it got there.
    if not isinstance(which, Plugin) or not (is_loaded(which) or which.registrations):
        which = plugin(which)
    name = hook_name(hook).removeprefix("hook_")
    has = list(dict.fromkeys(registration.hook for registration in which.registrations))
    if name not in has:
        near = get_close_matches(name, has, 1)
        meant = f"; did you mean {near[0]!r}?" if near else f" (it has: {', '.join(has) or 'none'})"
        raise PluginError(f"{which.name}: it has no hook {hook!r}{meant}")
    values = hook_arguments(HOOKS[name], arguments)
    about = next((v for v in values if isinstance(v, Transaction)), None)
    about_connection = next((v for v in values if isinstance(v, Connection)), None)
    dispatcher = Dispatcher([which], which.qp.run_blocking)
    return await dispatcher.run(name, about or about_connection or connection(), values)


def hook_arguments(hook: Hook, given: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a hook is given, in order: see `ask`.

    Raises:
        TypeError: It is not given one of these.
    """
    __tracebackhide__ = True
    for name in given:
        if name not in hook.arguments and name not in ("transaction", "connection"):
            takes = ", ".join(hook.arguments) or "nothing"
            told = f"the hook {hook.name} is given {takes}, but no {name}"
            for made, maker in (("transaction", transaction), ("connection", connection)):
                if made in hook.arguments and name in signature(maker).parameters:
                    told += f"; write {made}=qpsdk.testing.{made}({name}=...)"
            raise TypeError(told)
    about: Transaction | None = given.get("transaction")
    client: Connection | None = given.get("connection")
    if about is None and "transaction" in hook.arguments:
        about = transaction(connection=client)
    if client is None:
        client = about.connection if about is not None else connection()
    return tuple(
        _fit(kind, given[name]) if name in given else _default(name, kind, about, client)
        for name, kind in hook.arguments.items()
    )


def _fit(kind: str, value: Any) -> Any:
    if kind == "Address" and not isinstance(value, Address):
        return address(value)
    if kind == "bytes" and isinstance(value, str):
        return value.encode()
    return value


def _default(name: str, kind: str, about: Transaction | None, client: Connection) -> Any:
    if kind.startswith("Transaction"):
        return about
    if kind.startswith("Connection"):
        return client
    if kind == "Address":
        if name == "sender":
            return about.sender if about is not None and about.sender else address(SENDER)
        return about.recipients[0] if about is not None and about.recipients else address(RECIPIENT)
    if name == "host":
        return client.hello_host or b"client.example.org"
    if name == "address":
        return RECIPIENT.encode()
    return _DEFAULTS.get(kind)


_DEFAULTS: Final[Mapping[str, Any]] = {
    "bytes": b"",
    "str": "",
    "Mapping[str, str]": {},
    "Constant": DECLINED,
    "LogLevel": LOGINFO,
    "Outcome": Outcome(DECLINED),
}


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
