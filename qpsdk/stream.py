"""What a connection looks like to everything above the sockets.

`qpsdk.server` makes streams of sockets, `qpsdk.testing` makes them of memory, and the
session, the QMQP client and the fake servers cannot tell which they were lent.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from ssl import SSLContext  # lent by a plugin, and used on the floor of the sockets

_ENDPOINT: Final = re.compile(r"(?:\[([^\[\]\s]+)\]|([^\[\]:/\s]+))(?::([0-9]{1,5}))?")


class TLS(NamedTuple):
    """What the two sides of a TLS connection have agreed on.

    Attributes:
        version: As ``"TLSv1.3"``.
        cipher: As ``"TLS_AES_256_GCM_SHA384"``.
    """

    version: str
    cipher: str


class Endpoint(NamedTuple):
    """Where to listen or to connect to: a host and a TCP port, or the path of a unix socket.

    Attributes:
        tls: To listen there for clients that begin with TLS at once (RFC 8314, 3).

    >>> Endpoint.parse("[::1]:2525"), str(Endpoint.parse("mx.example.com", default_port=25))
    (Endpoint(host='::1', port=2525, path='', tls=False), 'mx.example.com:25')
    """

    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool = False

    @classmethod
    def parse_listen(cls, text: str) -> "Endpoint":
        """Read an address to listen on: as `parse`, or with ``tls:`` before it.

        >>> Endpoint.parse_listen("tls:0.0.0.0:465").tls
        True

        Raises:
            ValueError: It is none of these; the text says what would be.
        """
        plain = cls.parse(text.removeprefix("tls:"))
        return plain._replace(tls=True) if text.startswith("tls:") else plain

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> "Endpoint":
        """Read ``HOST:PORT``, ``[V6]:PORT`` or ``unix:PATH``.

        Args:
            default_port: Lets the port be left out.

        Raises:
            ValueError: It is none of these; the text says what would be.
        """
        if text.startswith("unix:") and len(text) > 5:
            return cls(path=text[5:])
        match = _ENDPOINT.fullmatch(text)
        port = default_port if match is None or match[3] is None else int(match[3])
        valid = match is not None and (_is_v6(match[1]) if match[1] else _is_name(match[2]))
        if match is None or port is None or port > 65535 or not valid:
            raise ValueError(f"{text!r} is no address; write HOST:PORT, [V6]:PORT or unix:PATH")
        return cls(match[1] or match[2], port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        address = f"unix:{self.path}" if self.path else f"{host}:{self.port}"
        return f"tls:{address}" if self.tls else address


def require_endpoint(value: object) -> None:
    """Refuse as an address to connect to what is none, such as a text.

    Raises:
        TypeError: It is no Endpoint; the text says what to write.
    """
    if not isinstance(value, Endpoint):
        write = f"Endpoint.parse({value!r})" if isinstance(value, str) else "Endpoint(HOST, PORT)"
        raise TypeError(f"cannot connect to {value!r}, which is no Endpoint; write {write}")


def _is_v6(text: str) -> bool:
    try:
        return bool(IPv6Address(text))
    except ValueError:
        return False


def _is_name(text: str) -> bool:
    """Whether a resolver would take it: no label is empty or too long (RFC 1035, 2.3.4).

    A host called ``unix`` is refused: with its port it would read as a socket's path. So is a
    number: a resolver reads 2541 as the address 0.0.9.237, and a port was meant.
    """
    try:
        return bool(text.encode("idna")) and text != "unix" and not text.isdigit()
    except UnicodeError:
        return False


class Stream(Protocol):
    """A connection in both directions."""

    @property
    def input_waiting(self) -> bool:
        """True when `read` would return at once: with bytes, the end, or an error."""
        ...

    @property
    def full(self) -> bool:
        """True while the peer does not take what we write: `drain` would wait."""
        ...

    def read(self) -> Awaitable[bytes]:
        """The bytes that have come, at least one; none once the peer has ended its side.

        Raises:
            StreamTimeoutError: Nothing came for too long.
            StreamInterruptedError: Somebody called `interrupt`.
            StreamError: The connection is gone.
        """
        ...

    def write(self, data: bytes) -> None:
        """Queue bytes to be sent; never blocks. Writing to a lost connection is ignored."""
        ...

    def writelines(self, blocks: Iterable[bytes]) -> None:
        """Queue several blocks at once."""
        ...

    async def drain(self, *, until_input: bool = False) -> None:
        """Wait until more may be queued: the peer takes what we send.

        Args:
            until_input: Also return as soon as there is something to read; what has come by
                now is seen, also where there is nothing to wait for.

        Raises:
            StreamTimeoutError: The peer took nothing for too long.
            StreamError: The connection is gone.
        """
        ...

    async def flush(self, *, until_input: bool = False) -> None:
        """Like `drain`, but wait until all that was queued has left our buffer."""
        ...

    async def start_tls(
        self, context: "SSLContext", time_limit: float, /, *, from_start: bool = False
    ) -> TLS:
        """From here on speak TLS, as its server; what was agreed on.

        Bytes that have come and were not read yet are dropped: nobody protected them (RFC 3207,
        4.2). Nothing may be written or read until this returns.

        Args:
            time_limit: Seconds for the handshake.
            from_start: The connection begins with TLS (RFC 8314, 3): what has come is already
                the client's handshake.

        Raises:
            StreamTimeoutError: It took longer.
            StreamError: It failed; the connection is of no more use.
        """
        ...

    def interrupt(self) -> None:
        """Have the read that is under way, if any, raise StreamInterruptedError."""
        ...

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the connection is lost: reset, or a write failed.

        That the peer ended its side is no loss: it may still read.
        """
        ...

    async def finish(self) -> None:
        """Close so that the peer gets all that was queued.

        Our side is ended, what the peer still sends is read and dropped, within bounds of
        time and bytes, then the connection is closed. Closing at once with input unread would
        turn into a reset, which can eat our last reply on its way. Raises nothing.
        """
        ...

    def abort(self) -> None:
        """Drop the connection at once, with all that is queued."""
        ...
