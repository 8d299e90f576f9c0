"""The lists that config files hold, one entry a line: of addresses, and of networks.

Each is made of the lines and is immutable, so that `Plugin.parse_config` can make it::

    bad = self.parse_config("badmailfrom", AddressList)
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from qpsdk.address import Address
from qpsdk.errors import AddressError

Network = IPv4Network | IPv6Network


class Listed(NamedTuple):
    """An entry of an `AddressList`.

    Attributes:
        entry: The address, ``@domain`` or pattern, as written.
        reason: What stands behind it on the line; may be empty.
    """

    entry: str
    reason: str


class AddressList:
    r"""Addresses, as in qmail's and qpsmtpd's `badmailfrom`: ``ENTRY [REASON]`` on each line.

    An entry is an address, ``@domain`` for all addresses there, or a regular expression that is
    searched for in the address. One that could be an address is an expression only if it begins
    with ``^`` or ends with ``$``. Case never matters.

    >>> bad = AddressList(["sue@example.org", "@example.com Go away", r"^bounce.*@.*\.net$ Oh no"])
    >>> bad.find(Address.parse("anyone@Example.COM"))
    Listed(entry='@example.com', reason='Go away')
    >>> bad.find(Address.parse("bounce-7@a.example.net")).reason
    'Oh no'
    >>> bad.find(Address.parse("bob@example.org")) is None
    True
    """

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the lines.

        Raises:
            ValueError: The last line taken has no such entry; the text says what would be right.
        """
        self._exact: dict[str, Listed] = {}
        self._patterns: list[tuple[re.Pattern[str], Listed]] = []
        for line in lines:
            entry, *reason = line.split(maxsplit=1) or [""]
            listed = Listed(entry, reason[0].strip() if reason else "")
            if _is_address(entry):
                address = Address.parse(entry, smtputf8=True)
                self._exact.setdefault(_folded(address), listed)
            elif entry.startswith("@") and _is_address("x" + entry):
                self._exact.setdefault(entry.lower(), listed)
            else:
                self._patterns.append((_pattern(entry), listed))

    def find(self, address: Address) -> Listed | None:
        """The entry that an address matches: itself, its domain, else the first expression."""
        text = _folded(address)
        found = self._exact.get(text) or self._exact.get("@" + text.rpartition("@")[2])
        if found is not None:
            return found
        return next((listed for pattern, listed in self._patterns if pattern.search(text)), None)


_PATTERN_CHARACTERS: Final = frozenset(r"^$*+?!%\/|()[]{}")


def _folded(address: Address) -> str:
    return address.address.decode("utf-8", "replace").lower()


def _is_address(entry: str) -> bool:
    if entry.startswith("^") or entry.endswith("$"):
        return False
    try:
        return bool(Address.parse(entry, smtputf8=True).host)
    except AddressError:
        return False


def _pattern(entry: str) -> re.Pattern[str]:
    if _PATTERN_CHARACTERS.isdisjoint(entry):
        raise ValueError(
            f"{entry!r} is no address; write user@example.com, @example.com"
            r" or a regular expression such as ^.*@.*\.example$"
        )
    try:
        return re.compile(entry, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{entry!r} is no regular expression: {error}") from None


@lru_cache(maxsize=1024)  # of each client it is asked several times
def network_of(ip: str, v4_bits: int = 32) -> str:
    """What stands for one client where clients are counted: the 64 bits of its IPv6 network.

    One customer of a provider has a whole network of that size.

    >>> network_of("192.0.2.7"), network_of("2001:db8:7:8:9::1"), network_of("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8:7:8::/64', '192.0.2.7')
    >>> network_of("192.0.2.7", 24)
    '192.0.2.0/24'

    Args:
        ip: As in `Connection.remote_ip`; empty for a client that came by a unix socket.
        v4_bits: How much of an IPv4 address counts.

    Returns:
        The address or network; empty where there is none.
    """
    if not ip:
        return ""
    address = _address(ip)
    bits = v4_bits if address.version == 4 else 64
    network = ip_network((address, bits), strict=False)
    return str(address if bits == 32 else network)


class NetworkList:
    """Addresses of clients, as in qpsmtpd's `relayclients`.

    Each line is an address, a network in CIDR notation, or the beginning of addresses: whole
    numbers, with the dot or colon behind them.

    >>> ours = NetworkList(["192.0.2.7", "10.", "2001:db8:7:", "198.51.100.0/25"])
    >>> [ip in ours for ip in ("192.0.2.7", "10.9.8.7", "2001:db8:7::1", "198.51.100.200")]
    [True, True, True, False]
    """

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the lines.

        Raises:
            ValueError: The last line taken is none of these; the text says what would be right.
        """
        self._networks = frozenset(_network(line) for line in lines)
        self._lengths = {
            version: {n.prefixlen for n in self._networks if n.version == version}
            for version in (4, 6)
        }

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NetworkList) and self._networks == other._networks

    def __hash__(self) -> int:
        return hash(self._networks)

    def __contains__(self, ip: str) -> bool:
        """Whether an address is in one of the networks; no text that is none ever is."""
        try:
            address = _address(ip)
        except ValueError:
            return False
        return any(
            ip_network((address, length), strict=False) in self._networks
            for length in self._lengths[address.version]
        )


def _address(ip: str) -> IPv4Address | IPv6Address:
    """The address of a client, but for the zone of a link-local one.

    That of an IPv4 client also where a socket for both shows it as an IPv6 one.
    """
    address = ip_address(ip.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


_V4_BEGINNING: Final = re.compile(r"(?:[0-9]{1,3}\.){1,3}")
_V6_BEGINNING: Final = re.compile(r"(?:[0-9A-Fa-f]{1,4}:){1,7}")


def _network(text: str) -> Network:
    try:
        if _V4_BEGINNING.fullmatch(text):
            numbers = text.count(".")
            return IPv4Network(f"{text}{'0.' * (3 - numbers)}0/{8 * numbers}")
        if _V6_BEGINNING.fullmatch(text):
            numbers = text.count(":")
            zeros = "0" if numbers == 7 else ":"
            return IPv6Network(f"{text}{zeros}/{16 * numbers}")
        if "%" in text:  # a zone, which no client's address has here
            raise ValueError
        network = ip_network(text)
        if isinstance(network, IPv6Network) and network.prefixlen >= 96:
            mapped = network.network_address.ipv4_mapped
            return IPv4Network((mapped, network.prefixlen - 96)) if mapped else network
        return network
    except ValueError as error:
        if "host bits" in str(error):
            network = ip_network(text, strict=False)
            raise ValueError(f"{text!r} is inside {network}; write that") from None
        raise ValueError(
            f"{text!r} is no address or network; write one such as 192.0.2.7, 192.0.2.0/24,"
            " 192.0.2. or 2001:db8::/32"
        ) from None
