"""Which QMQP server gets the next message, when there are several."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from qpsdk.qmqp.protocol import DEFAULT_PORT
from qpsdk.stream import Endpoint

LONGEST_REST: Final = 600.0
"""Seconds: a server that is back is not left alone for longer than that."""


def parse_server(text: str, port: str = "") -> Endpoint:
    """Read ``HOST``, ``HOST:PORT``, ``V6``, ``[V6]:PORT`` or ``unix:PATH``.

    >>> str(parse_server("192.0.2.1")), str(parse_server("[::1]:6280"))
    ('192.0.2.1:628', '[::1]:6280')

    Args:
        port: Where it stands apart from the host; else it is 628 where none is in `text`.

    Raises:
        ValueError: It is none of these.
    """
    bare_v6 = text.count(":") > 1 and not text.startswith(("[", "unix:"))
    host = f"[{text}]" if bare_v6 else text
    server = f"{host}:{port}" if port else host
    try:
        if port if text.startswith("unix:") else "," in text:
            raise ValueError("a unix socket has no port, a host no comma")
        return Endpoint.parse(server, default_port=DEFAULT_PORT)
    except ValueError:
        raise ValueError(
            f"{server!r} is no QMQP server; write HOST, HOST:PORT, [V6]:PORT or unix:PATH"
        ) from None


def parse_servers(text: str, port: str = "") -> list[Endpoint]:
    """Read servers with commas between them.

    Args:
        port: Of all of them; none may have its own then.

    Raises:
        ValueError: One is none, or is there twice.
    """
    if port and not port.isdigit():
        told = f"{port!r} is no port; several servers have commas between them: {text},{port}"
        raise ValueError(told)
    servers = [parse_server(word, port) for word in text.split(",")]
    for server in servers:
        if servers.count(server) > 1:
            raise ValueError(f"the QMQP server {server} is named twice")
    return servers


class ServerList:
    """Servers of one standing; those that failed rest a while.

    A server that failed is left alone for `rest` seconds. Then one message tries it again, and the
    others still go elsewhere: unless it answers, it rests for twice as long. When nobody else is
    left, those that rest are tried all the same.

    Attributes:
        servers: All of them.

    >>> a, b = parse_servers("192.0.2.1,192.0.2.2")
    >>> now = 1000.0
    >>> servers = ServerList([a, b], clock=lambda: now)
    >>> servers.failed(a)
    >>> [server.host for server in servers.candidates()]
    ['192.0.2.2', '192.0.2.1']
    """

    def __init__(
        self,
        servers: Sequence[Endpoint],
        clock: Callable[[], float],
        *,
        rotate: bool = False,
        rest: float = 10.0,
    ) -> None:
        """List the servers.

        Args:
            servers: The preferred one first.
            clock: Seconds since any moment.
            rotate: Begin with the next one for each message.
            rest: Seconds, the first time; never more than `LONGEST_REST`.
        """
        self.servers = tuple(servers)
        self._clock = clock
        self._rotate = rotate
        self._rest = min(rest, LONGEST_REST)
        self._resting: dict[Endpoint, _Rest] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self.servers)

    def candidates(self) -> Iterator[Endpoint]:
        """The servers to try for one message, in order; ask for the next when one has failed."""
        now = self._clock()
        awake = list(self.servers)
        if self._resting:
            awake = [server for server in self.servers if not self._rests(server, now)]
        if self._rotate and awake:
            first = self._turn % len(awake)
            awake = awake[first:] + awake[:first]
            self._turn += 1
        for server in awake:
            if (rest := self._resting.get(server)) is not None:
                # Not only when this try has failed: that may take a minute, in which others come.
                rest.since = now
                rest.seconds = min(2 * rest.seconds, LONGEST_REST)
            yield server
        # All have failed: whoever did so longest ago is the likeliest to be back.
        asleep = [server for server in self.servers if server not in awake]
        yield from sorted(asleep, key=self._failed_at)

    def failed(self, server: Endpoint) -> None:
        """Say that the server gave no answer."""
        # No longer a rest: many messages may be on their way to a server when it goes away.
        self._resting.setdefault(server, _Rest(self._rest)).since = self._clock()

    def answered(self, server: Endpoint) -> None:
        """Say that the server answered, whatever it said."""
        if self._resting:
            self._resting.pop(server, None)

    def _rests(self, server: Endpoint, now: float) -> bool:
        rest = self._resting.get(server)
        # A clock that was set back must not make a rest longer.
        return rest is not None and rest.since <= now < rest.since + rest.seconds

    def _failed_at(self, server: Endpoint) -> float:
        rest = self._resting.get(server)
        return rest.since if rest is not None else 0.0


@dataclass(slots=True)
class _Rest:
    """How long a server rests, and since when."""

    seconds: float
    since: float = 0.0
