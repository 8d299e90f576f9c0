"""The PROXY protocol, versions 1 and 2: a proxy in front of us says who the client is.

As https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt has it, of which the sections are
named here. The header comes before anything else on the connection, before TLS too.
"""

import asyncio
import re
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple, cast

from qpsdk.server.stream import SocketStream

MAX_LINE: Final = 107
"""Bytes of the longest header of version 1, its CRLF included (2.1)."""

MAX_SIZE: Final = 16 + 4096
"""Bytes of the longest header of version 2 that is read: addresses take 36, and the rest are notes
such as the client's certificate, of which none concerns us."""

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_BY_FAMILY: Final = {0x11: struct.Struct("!4s4sHH"), 0x21: struct.Struct("!16s16sHH")}
"""By address family and protocol: TCP over IPv4, over IPv6."""

_NOT_TOLD: Final = frozenset({0x00, 0x31})
"""Families of clients that have no address: unknown to the proxy, or on a unix socket of it."""

_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?"
    rb"|TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
)


class Addresses(NamedTuple):
    """The two ends of a connection, as texts and ports."""

    remote_ip: str
    remote_port: int
    local_ip: str
    local_port: int


NO_ADDRESSES: Final = Addresses("", 0, "", 0)


class ProxyHeader(NamedTuple):
    """A header that was read.

    Attributes:
        size: Its bytes: what is behind them is the client's.
        addresses: Of the client's connection to the proxy; None if the proxy speaks for itself
            (LOCAL) or does not know (UNKNOWN), and those of the socket hold.
    """

    size: int
    addresses: Addresses | None


def read_header(data: bytes) -> ProxyHeader | None:
    r"""The header that `data` begins with; None as long as more of it has to come.

    >>> read_header(b"PROXY TCP4 192.0.2.1 198.51.100.25 56324 25\r\nEHLO").addresses.remote_ip
    '192.0.2.1'
    >>> read_header(b"PROXY TCP4 192.0.2.1") is None
    True

    Raises:
        ValueError: It is none; the text says why.
    """
    if data[:1] == _SIGNATURE[:1]:
        return _read_v2(data)
    return _read_v1(data)


def _read_v1(data: bytes) -> ProxyHeader | None:
    """Read ``PROXY TCP4 FROM TO PORT PORT`` (2.1)."""
    if not data.startswith(b"PROXY "[: len(data)]):
        raise ValueError("it sent no PROXY header")
    end = data.find(b"\n", 0, MAX_LINE) + 1
    if not end:
        if len(data) >= MAX_LINE:
            raise ValueError(f"its PROXY line is longer than {MAX_LINE} bytes")
        return None
    match = _LINE.fullmatch(data[:end])
    if match is None:
        raise ValueError(f"its PROXY line is malformed: {data[:end]!r}")
    if match[1] is None:
        return ProxyHeader(end, None)
    parse = IPv4Address if match[1] == b"4" else IPv6Address
    try:
        remote, local = parse(match[2].decode()), parse(match[3].decode())
        ports = int(match[4]), int(match[5])
    except ValueError as error:
        raise ValueError(f"its PROXY line is malformed: {error}") from None
    if max(ports) > 65535:
        raise ValueError(f"its PROXY line has a port that is none: {max(ports)}")
    addresses = Addresses(_plain(remote), ports[0], _plain(local), ports[1])
    return ProxyHeader(end, addresses)


def _read_v2(data: bytes) -> ProxyHeader | None:
    """Read the binary header (2.2)."""
    if not data.startswith(_SIGNATURE[: len(data)]):
        raise ValueError("it sent no PROXY header")
    if len(data) < 16:
        return None
    command, family = data[12], data[13]
    if command not in (0x20, 0x21):
        raise ValueError(f"its PROXY header has version and command {command:#x}, which are none")
    size = 16 + int.from_bytes(data[14:16], "big")
    if size > MAX_SIZE:
        raise ValueError(f"its PROXY header is {size} bytes long; {MAX_SIZE} are read")
    addresses = _BY_FAMILY.get(family)
    if command == 0x21 and addresses is None and family not in _NOT_TOLD:
        raise ValueError(f"its PROXY header is not about TCP: family and protocol {family:#x}")
    if command == 0x20 or addresses is None:
        return None if len(data) < size else ProxyHeader(size, None)
    if size < 16 + addresses.size:
        raise ValueError(f"its PROXY header is {size} bytes long, too few for its addresses")
    if len(data) < size:
        return None
    remote, local, remote_port, local_port = addresses.unpack_from(data, 16)
    told = Addresses(_plain(ip_address(remote)), remote_port, _plain(ip_address(local)), local_port)
    return ProxyHeader(size, told)


def _plain(address: IPv4Address | IPv6Address) -> str:
    """As text; an IPv4 client that came by an IPv6 socket of the proxy has its own address."""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return str(address)


class AwaitHeader(asyncio.Protocol):
    """Takes a connection's first bytes, up to the end of its header, in place of its stream.

    The stream then goes on as if the connection had begun there.
    """

    def __init__(
        self,
        stream: SocketStream,
        addresses: Addresses,
        time_limit: float,
        end: Callable[[Addresses | None, str], None],
    ) -> None:
        """Begin to wait.

        Args:
            addresses: Those of the socket.
            time_limit: Seconds that the peer has for its header.
            end: Called once, with the addresses that hold; or with None, and with what was wrong
                unless the peer has gone without a byte: it only looked whether somebody listens.
        """
        self.transport = stream.transport
        self._stream = stream
        self._addresses = addresses
        self._end = end
        self._data = bytearray()
        text = f"it sent no PROXY header within {time_limit:g} s"
        self._limit = asyncio.get_running_loop().call_later(time_limit, self._refuse, text)
        self._problem = ""
        self.transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            header = read_header(bytes(self._data))
        except ValueError as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._limit.cancel()
            self.transport.set_protocol(self._stream)
            self._end(header.addresses or self._addresses, "")
            if rest := bytes(self._data[header.size :]):
                self._stream.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit.cancel()
        if self._data and not self._problem:
            self._problem = "it closed the connection within its PROXY header"
        self._end(None, self._problem)
        self._stream.connection_lost(exc)

    def _refuse(self, problem: str) -> None:
        self._problem = problem
        self.transport.abort()


def socket_addresses(transport: asyncio.Transport) -> Addresses:
    """The two ends of a TCP connection; empty on a unix socket, which has none."""
    remote = transport.get_extra_info("peername")
    if not isinstance(remote, tuple):
        return NO_ADDRESSES
    local = cast(tuple[str, int], transport.get_extra_info("sockname"))
    return Addresses(_unmapped(remote[0]), remote[1], _unmapped(local[0]), local[1])


def _unmapped(ip: str) -> str:
    """An address without what a socket for both families puts before an IPv4 one.

    >>> _unmapped("::ffff:192.0.2.1"), _unmapped("::1")
    ('192.0.2.1', '::1')
    """
    return ip.removeprefix("::ffff:") if "." in ip else ip
