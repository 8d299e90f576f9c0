"""What shall go wrong: for each forward a plan, all of it from the seed.

A forward's plan depends on the seed, the lane and its number only. So a lane can be run again
alone, and its forwards meet the same acts, clients and kills.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from qpsdk import netstring
from qpsdk.testing import qmqp_script as script
from qpsdk.testing.qmqp_script import Act

IO_TIMEOUT: Final = 1.0
"""Seconds that the forwarding plugin waits in these campaigns."""

TOO_EARLY: Final = "too early"
"""What a server says that answers K to a package that it has not seen whole."""


class Leave(Enum):
    """How a client goes away."""

    CLOSE = "closes"
    RESET = "resets"
    HALF_CLOSE = "half-closes"


@dataclass(frozen=True)
class Client:
    """What the SMTP client does.

    Attributes:
        leaves: How it goes away, if it does; who half-closes after the final dot still listens.
        at: Where it does: the part of the message that it has sent, 1 for all with the final dot.
        delay: Seconds that it then waits.
        block: Bytes that it writes at once.
        pipelines: It sends MAIL, RCPT and DATA together.
        keeps: It sends the next message over the same connection.
    """

    leaves: Leave | None = None
    at: float = 1.0
    delay: float = 0.0
    block: int = 1 << 16
    pipelines: bool = False
    keeps: bool = False

    @property
    def hears(self) -> bool:
        """Whether it is there for the answer."""
        return self.leaves is None or (self.leaves is Leave.HALF_CLOSE and self.at == 1.0)


@dataclass(frozen=True)
class Kill:
    """A kill -9, so many seconds after the client began to send its message."""

    victim: str
    """``host`` or ``server``: then the first one."""
    after: float


@dataclass(frozen=True)
class Forward:
    """One message on its way through the host.

    Attributes:
        number: In its lane, from 0.
        size: Bytes of the message, if it is a new one.
        recipients: How many.
        acts: What each of the lane's servers does.
    """

    number: int
    size: int
    recipients: int
    acts: tuple[Act, ...]
    client: Client
    kill: Kill | None = None


def plan(seed: int, lane: str, number: int, servers: int, *, crowd: bool = False) -> Forward:
    """The plan of one forward."""
    dice = random.Random(f"{seed} {lane} {number}")
    size = _size(dice)
    kill = _kill(dice)
    return Forward(
        number,
        size,
        dice.choice((1, 1, 1, 2, 5)),
        tuple(_act(dice, size, crowd=crowd) for _ in range(servers)),
        Client() if kill else _client(dice),
        kill,
    )


def _size(dice: random.Random) -> int:
    kind = dice.random()
    if kind < 0.8:
        return dice.randrange(100, 4000)
    if kind < 0.88:
        return dice.randrange(4000, 64 * 1024)
    if kind < 0.9:  # about where a package is no longer written in one piece
        return 64 * 1024 + dice.randrange(-600, 600)
    if kind < 0.997:
        return dice.randrange(64 * 1024, 256 * 1024)
    return dice.randrange(3_000_000, 8_000_000)  # more than the sockets' buffers hold


def _kill(dice: random.Random) -> Kill | None:
    kind = dice.random()
    if kind < 0.005:
        return Kill("host", dice.choice((0.0, 0.002, 0.01, 0.04)) * dice.random())
    if kind < 0.012:
        return Kill("server", dice.choice((0.0, 0.002, 0.01, 0.04)) * dice.random())
    return None


def _client(dice: random.Random) -> Client:
    leaves = dice.choice(list(Leave)) if dice.random() < 0.12 else None
    return Client(
        leaves,
        dice.choice((1.0, dice.random())) if leaves else 1.0,
        dice.choice((0.0, 0.0, 0.005 * dice.random())),
        dice.choice((1 << 16, 1 << 16, 1400, 100_000, 20 + dice.randrange(300))),
        dice.random() < 0.3,
        leaves is None and dice.random() < 0.5,
    )


def _offset(dice: random.Random, size: int) -> int:
    """Anywhere in the package, often in its head, its tail, and where a block of it ends."""
    return max(
        0,
        dice.choice(
            (
                dice.randrange(30),
                dice.randrange(size + 400),
                size + dice.randrange(-40, 400),
                dice.randrange(1, 5) * 64 * 1024 + dice.randrange(-3, 4),
            )
        ),
    )


def _how(dice: random.Random, size: int) -> script.How:
    """What a reply can be given, now and then."""
    how = script.How()
    if dice.random() < 0.3:
        how["at"] = _offset(dice, size)
    if dice.random() < 0.2:
        how["drip"] = dice.randrange(1, 8)
    if dice.random() < 0.15:
        how["delay"] = round(0.004 * dice.random(), 4)
    if dice.random() < 0.15:
        how["cut"] = dice.randrange(12)
    if dice.random() < 0.2:
        how["rst"] = True
    return how


def _whole(how: script.How) -> script.How:
    how.pop("at", None)  # a K to half a package is an act of its own
    return how


Maker = Callable[[random.Random, int], Act]

_ACTS: Final[dict[str, tuple[float, Maker]]] = {
    "accept": (30, lambda dice, size: script.accept()),
    "accept, somehow": (8, lambda d, size: script.accept(f"{d.random()}", **_whole(_how(d, size)))),
    "accept, too early": (2, lambda d, size: script.accept(TOO_EARLY, at=_offset(d, size))),
    "defer": (4, lambda dice, size: script.defer("busy", **_how(dice, size))),
    "reject": (4, lambda dice, size: script.reject("no such luck", **_how(dice, size))),
    "unauthorized": (2, lambda dice, size: script.unauthorized()),
    "eight_bit": (2, lambda dice, size: script.eight_bit(**_whole(_how(dice, size)))),
    "drip": (2, lambda dice, size: script.drip(dice.randrange(1, 9), 0.001)),
    "late": (2, lambda dice, size: script.late(round(dice.choice((0.02, 0.1)) * dice.random(), 4))),
    "late, too late": (0.2, lambda dice, size: script.late(round(IO_TIMEOUT * 1.3, 2))),
    "answer": (2, lambda d, size: script.answer(_garbage(d), **_how(d, size))),
    "empty": (1, lambda dice, size: script.empty(**_how(dice, size))),
    "unknown": (1, lambda dice, size: script.unknown(dice.choice("XkA "), **_how(dice, size))),
    "no_comma": (1, lambda dice, size: script.no_comma(**_how(dice, size))),
    "leading_zeros": (1, lambda dice, size: script.leading_zeros(**_how(dice, size))),
    "huge_length": (1, lambda dice, size: script.huge_length(**_how(dice, size))),
    "trailing": (1, lambda dice, size: script.trailing(**_whole(_how(dice, size)))),
    "cut_reply": (3, lambda dice, size: script.cut_reply(dice.randrange(28))),
    "refuse": (3, lambda dice, size: script.refuse()),
    "close_at": (10, lambda dice, size: script.close_at(_offset(dice, size))),
    "no_reply": (4, lambda dice, size: script.no_reply()),
    "rst": (3, lambda dice, size: script.rst()),
    "rst, at": (6, lambda dice, size: script.rst(_offset(dice, size))),
    "silence": (0.4, lambda dice, size: script.silence()),
    "silence, at": (0.4, lambda dice, size: script.silence(_offset(dice, size))),
    "stall": (0.6, lambda dice, size: script.stall(_offset(dice, size))),
}
"""All that a server can do, with how often in about a hundred."""

_NOT_IN_A_CROWD: Final = ("refuse", "accept, too early")
"""Where many sessions meet, a shut door shuts them all out, and who was lied to is not known."""


def _garbage(dice: random.Random) -> bytes:
    garbage = bytes(dice.choice(b"0123:,KZD\0\n\xffx") for _ in range(dice.randrange(1, 30)))
    return garbage if netstring.first(garbage) is None else b"x" + garbage


def _act(dice: random.Random, size: int, *, crowd: bool) -> Act:
    names = [name for name in _ACTS if not (crowd and name in _NOT_IN_A_CROWD)]
    (name,) = dice.choices(names, [_ACTS[name][0] for name in names])
    return _ACTS[name][1](dice, size)
