r"""What a fake QMQP server can be told to do: one act for each connection.

>>> defer("busy"), close_at(4096), accept("ok", at=100, drip=1)
(defer('busy'), close_at(4096), accept('ok', at=100, drip=1))
>>> parse("accept, defer(try again), close_at(4096)")
(accept(), defer('try again'), close_at(4096))

An act is a small frozen value. Two are equal if the server does the same for both; what they
print is how they are written, here and on the command line.
"""

import ast
import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum, auto
from typing import Final, ParamSpec, TypedDict, Unpack

from qpsdk import netstring
from qpsdk.qmqp import Response, Verdict


class End(Enum):
    """What becomes of the connection when all is said."""

    CLOSE = auto()
    RESET = auto()
    READ_ON = auto()
    """It stays open until the client closes; what comes is read, and nothing is said."""
    STALL = auto()
    """It stays open, and nothing more is read: the client's writes come to a stop."""


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Act:
    """What the server does with one connection.

    It reads up to an offset or the end of the package, replies, and ends.

    Attributes:
        name: How it is written.
        reply: The reply on the wire, right or wrong; empty for none. None for what the server
            says by itself.
        at: After how many bytes it acts; None for a whole package. A package that ends earlier
            counts as reached.
        delay: Seconds to wait before each piece of the reply.
        drip: Bytes in each of the reply's pieces; 0 for one piece.
        cut: Bytes of the reply that are sent; None for all.
        end: What follows the reply.
        refused: There is no connection at all.
    """

    name: str = field(default="", compare=False)
    reply: bytes | None = None
    at: int | None = None
    delay: float = 0.0
    drip: int = 0
    cut: int | None = None
    end: End = End.CLOSE
    refused: bool = False

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: One is no number, or negative.
        """
        for name in ("at", "drip", "cut"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 0):
                raise ValueError(f"{name} is a number of bytes, not {value!r}")
        if type(self.delay) not in (int, float) or not 0 <= self.delay <= 86_400:
            raise ValueError(f"delay is a number of seconds, a day at most, not {self.delay!r}")

    def __repr__(self) -> str:
        return self.name


class How(TypedDict, total=False):
    """What every reply can be given: see `Act`. With `rst` a reset follows the reply."""

    at: int | None
    delay: float
    drip: int
    cut: int | None
    rst: bool


_P = ParamSpec("_P")

WORDS: Final[dict[str, Callable[..., Act]]] = {}
"""The vocabulary."""


def _word(function: Callable[_P, Act]) -> Callable[_P, Act]:
    """Put a function into the vocabulary, and have its acts print as the call that made them."""

    @functools.wraps(function)
    def word(*arguments: _P.args, **keywords: _P.kwargs) -> Act:
        written = [*map(_written, arguments)]
        written += [f"{name}={_written(value)}" for name, value in keywords.items()]
        act = function(*arguments, **keywords)
        return replace(act, name=f"{function.__name__}({', '.join(written)})")

    WORDS[function.__name__] = word
    return word


def _written(value: object) -> str:
    """An argument as it is written here and on the command line: bytes and text are the same."""
    if isinstance(value, str | bytes):
        return repr(_bytes(value))[1:]
    return f"{Decimal(repr(value)):f}" if isinstance(value, float) else repr(value)  # no exponent


def _replies(reply: bytes | None, how: How) -> Act:
    unknown = how.keys() - How.__annotations__.keys()
    if unknown:
        raise TypeError(f"there is no {min(unknown)}=")
    if type(how.get("rst", False)) is not bool:
        raise ValueError(f"rst is true or false, not {how['rst']!r}")
    return Act(
        reply=reply,
        at=how.get("at"),
        delay=how.get("delay", 0.0),
        drip=how.get("drip", 0),
        cut=how.get("cut"),
        end=End.RESET if how.get("rst") else End.CLOSE,
    )


def _says(verdict: Verdict, text: str | bytes, how: How) -> Act:
    return _replies(Response(verdict, _bytes(text)).encode(), how)


def _bytes(text: object) -> bytes:
    if isinstance(text, bytes):
        return text
    return (_written(text) if isinstance(text, float) else str(text)).encode()


# Right replies


@_word
def accept(text: str | bytes | None = None, **how: Unpack[How]) -> Act:
    """K: take the message; without a text, whatever the server says by itself."""
    return _replies(None, how) if text is None else _says(Verdict.ACCEPTED, text, how)


@_word
def defer(text: str | bytes = "try again later", **how: Unpack[How]) -> Act:
    """Z: not now."""
    return _says(Verdict.DEFERRED, text, how)


@_word
def reject(text: str | bytes = "no", **how: Unpack[How]) -> Act:
    """D: never."""
    return _says(Verdict.REJECTED, text, how)


@_word
def unauthorized(client: str | bytes = "unknown[127.0.0.1]") -> Act:
    """D before anything is read, in Postfix's words to a client that it does not know."""
    text = b"Error: %b is not authorized to use this service" % _bytes(client)
    return _says(Verdict.REJECTED, text, {"at": 0})


@_word
def eight_bit(**how: Unpack[How]) -> Act:
    """K with a text of all the bytes above 127."""
    return _says(Verdict.ACCEPTED, bytes(range(128, 256)), how)


@_word
def drip(size: int = 1, delay: float = 0.005) -> Act:
    """K in pieces of `size` bytes, `delay` seconds before each."""
    return _replies(None, {"drip": size, "delay": delay})


@_word
def late(seconds: float) -> Act:
    """K after so many seconds."""
    return _replies(None, {"delay": seconds})


# Wrong replies


@_word
def answer(raw: str | bytes, **how: Unpack[How]) -> Act:
    """These bytes, whatever they are."""
    return _replies(_bytes(raw), how)


@_word
def empty(**how: Unpack[How]) -> Act:
    """An empty netstring, so no letter."""
    return _replies(b"0:,", how)


@_word
def unknown(letter: str | bytes = "X", **how: Unpack[How]) -> Act:
    """A letter that is none of K, Z and D."""
    return _replies(netstring.encode(_bytes(letter) + b"ok"), how)


@_word
def no_comma(**how: Unpack[How]) -> Act:
    """A K whose netstring ends in another byte than a comma."""
    return _replies(b"3:Kok;", how)


@_word
def leading_zeros(**how: Unpack[How]) -> Act:
    """A K whose length has leading zeros, which netstrings forbid."""
    return _replies(b"003:Kok,", how)


@_word
def huge_length(**how: Unpack[How]) -> Act:
    """A K whose length fits no machine."""
    return _replies(b"99999999999999999999:Kok,", how)


@_word
def trailing(garbage: str | bytes = b"3:Dno,", **how: Unpack[How]) -> Act:
    """A right K, and more bytes after it."""
    return _replies(b"3:Kok," + _bytes(garbage), how)


@_word
def cut_reply(size: int = 3) -> Act:
    """The first bytes of a K, then a close."""
    return _replies(None, {"cut": size})


# No reply


@_word
def refuse() -> Act:
    """Connection refused. On a socket nobody listens any more until there is a new script."""
    return Act(refused=True)


@_word
def close_at(offset: int = 0) -> Act:
    """Close after so many bytes of the package; 0 as soon as the connection stands."""
    return Act(reply=b"", at=offset)


@_word
def no_reply() -> Act:
    """Read the whole package, then close."""
    return Act(reply=b"")


@_word
def rst(at: int | None = None) -> Act:
    """Reset the connection after so many bytes; without a number, after the whole package."""
    return Act(reply=b"", at=at, end=End.RESET)


@_word
def silence(at: int | None = None) -> Act:
    """Never reply and never close, but read all."""
    return Act(reply=b"", at=at, end=End.READ_ON)


@_word
def stall(at: int = 0) -> Act:
    """Stop reading after so many bytes, and never close."""
    return Act(reply=b"", at=at, end=End.STALL)


# The same, as text

_QUOTED: Final = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_VALUE: Final = rf"(?:{_QUOTED}|[^,()'\"=]*)"
_ITEM: Final = re.compile(
    rf"\s*(?P<word>\w+)\s*(?:\((?P<arguments>(?:{_QUOTED}|[^()'\"])*)\))?\s*(?P<end>,|\Z)"
)
_ARGUMENT: Final = re.compile(rf"\s*(?:(?P<name>\w+)\s*=)?\s*(?P<value>{_VALUE})\s*(?:,|\Z)")


def parse(text: str) -> tuple[Act, ...]:
    r"""Read acts from text, such as ``accept, defer(busy), answer("0:,", delay=1.5)``.

    A word without arguments needs no parentheses, a text without commas, equals signs, quotes
    and parentheses no quotes. In quotes, ``\n`` and ``\xff`` are what they are in Python.

    Raises:
        ValueError: What is wrong, at which character, and what would be right.
    """
    text = text.rstrip()
    acts: list[Act] = []
    at = 0
    while at < len(text) or not acts:
        match = _ITEM.match(text, at)
        if match is None:
            raise ValueError(
                f"{text[at:].strip()!r} at character {at + 1} is no act; "
                "write some such as: accept, defer(busy), close_at(4096)"
            )
        where = match.start("word") + 1
        try:
            acts.append(_act(match["word"], (match["arguments"] or "").strip()))
        except ValueError as error:
            raise ValueError(f"{match['word']} at character {where}: {error}") from None
        at = match.end()
    return tuple(acts)


def _act(name: str, arguments: str) -> Act:
    word = WORDS.get(name)
    if word is None:
        close = get_close_matches(name, WORDS, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(WORDS)}"
        raise ValueError(f"no such act; {hint}")
    positional: list[object] = []
    keywords: dict[str, object] = {}
    at = 0
    while at < len(arguments):
        match = _ARGUMENT.match(arguments, at)
        if match is None or (match["name"] is None and keywords):
            raise ValueError(f"cannot read {arguments[at:].strip()!r}; {_usage(name)}")
        if match["name"] is None:
            positional.append(_value(match["value"]))
        else:
            keywords[match["name"]] = _value(match["value"])
        at = match.end()
    try:
        return word(*positional, **keywords)
    except TypeError as error:
        raise ValueError(f"{error}; {_usage(name)}") from None


def _value(text: str) -> object:
    text = text.strip()
    if text[:1] in ("'", '"'):
        try:
            return ast.literal_eval("b" + text)
        except SyntaxError:
            raise ValueError(f"{text} has more than ASCII; write bytes as \\xNN") from None
    if re.fullmatch(r"[0-9]+", text):
        return int(text)
    if re.fullmatch(r"[0-9]*\.[0-9]+", text):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def _usage(name: str) -> str:
    parameters = []
    for parameter in inspect.signature(WORDS[name]).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            parameters += [f"{key}=" for key in How.__annotations__]
        else:
            parameters.append(parameter.name)
    return f"write {name}({', '.join(parameters)})"
