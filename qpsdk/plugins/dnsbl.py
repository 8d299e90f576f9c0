"""Refuses clients that DNS blocklists have (RFC 5782).

In `config/plugins`, after `relay`::

    dnsbl [lookup_timeout=SECONDS] [nameserver=IP[:PORT]]
          [reject=0|1|naughty] [reject_type=...]

Needs dnspython, which `pip install 'qpsdk[dns]'` brings. Each line of `config/dnsbl_zones` is a
list's zone, and behind a colon the message to refuse with, in which %IP% is the client's address;
without one the list's own TXT record is used::

    zen.dnsbl.example
    bl.example.net:You are listed, see https://bl.example.net/?%IP%

Clients in `config/dnsbl_allow` are not looked up: its lines are as in `relayclients`.

- `lookup_timeout`: seconds that all lists have together, asked at once; 5 if it is left out. No
  failure of DNS refuses mail: a list that does not answer has nobody on it, and the log says so.
- `nameserver`: whom to ask; those of the system if it is left out. Answers are kept as long as
  their TTL says.
- `reject`, `reject_type`: as in `RejectMixin`. With `reject=naughty` and the plugin `naughty`,
  clients still get to authenticate, and to write to postmaster.

It teaches how to ask the network: all at once, within a time limit, with an answer ready for when
none comes.
"""

import asyncio
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from qpsdk import (
    DECLINED,
    LOGINFO,
    LOGWARN,
    Address,
    AddressError,
    Connection,
    Endpoint,
    Host,
    NetworkList,
    PluginError,
    RejectMixin,
    Result,
)

try:
    import dns.asyncresolver
    import dns.exception
    import dns.resolver
    from dns.rdtypes.ANY.TXT import TXT
except ImportError:
    raise PluginError("dnsbl needs dnspython: pip install 'qpsdk[dns]'") from None

MAX_CACHED = 10_000  # answers
MAX_TTL = 24 * 60 * 60  # seconds; no list means a client's address for longer
MAX_NO_TTL = 60 * 60  # seconds that a client which was not listed need not be looked up again
MAX_ZONE = 180  # characters; with an IPv6 address before it a name has at most 253


class Zone(NamedTuple):
    """A line of `config/dnsbl_zones`: a list, and what to tell the clients that it has."""

    name: str
    message: str


class Cached(NamedTuple):
    """What a name server said, and until when it holds."""

    expires: float
    texts: list[str]


class Dnsbl(RejectMixin):
    """Ask the lists in `config/dnsbl_zones` about each client."""

    def register(
        self,
        qp: Host,
        *,
        lookup_timeout: str = "5",
        nameserver: str = "",
        reject: str = "1",
        reject_type: str = "",
    ) -> None:
        """Check options and settings."""
        self.set_reject(reject, reject_type)
        # Cut off by the host, we would count as DENYSOFT.
        self.lookup_timeout = seconds(lookup_timeout, self.time_limit("connect"))
        self.resolver = resolver(nameserver)
        self.cache: dict[tuple[str, str], Cached] = {}
        self.parse_config("dnsbl_allow", NetworkList)
        if not self.parse_config("dnsbl_zones", zones):
            self.log(LOGWARN, "config/dnsbl_zones names no list: nobody is looked up")

    async def hook_connect(self, connection: Connection) -> Result:
        """Look the client up."""
        ip = connection.remote_ip
        name = reversed_name(ip)
        if not name or self.is_immune(connection):
            return DECLINED
        if ip in self.parse_config("dnsbl_allow", NetworkList):
            return DECLINED
        until = asyncio.get_running_loop().time() + self.lookup_timeout
        lists = self.parse_config("dnsbl_zones", zones)
        found = await asyncio.gather(*(self.ask(zone, name, ip, until) for zone in lists))
        for zone, message in zip(lists, found, strict=True):
            if message:
                return self.get_reject(connection, message, f"{ip} is on {zone.name}")
        return DECLINED

    async def ask(self, zone: Zone, name: str, ip: str, until: float) -> str:
        """What to refuse a client with; empty if the list does not have it."""
        try:
            codes = await self.lookup(f"{name}.{zone.name}.", "A", until)
        except dns.exception.DNSException as error:
            self.log(LOGWARN, f"{zone.name} does not answer: {error}")
            return ""
        # Lists answer with 127.0.0.0/8 (RFC 5782, 2.1). Anything else is a parked domain, and
        # 127.255.255.0/24 by custom says that they do not talk to our name server.
        good = [c for c in codes if c.startswith("127.") and not c.startswith("127.255.255.")]
        if not good:
            if codes:
                self.log(LOGWARN, f"{zone.name} is out of use, or does not serve us: {codes}")
            return ""
        if zone.message:
            return zone.message.replace("%IP%", ip)
        try:
            texts = await self.lookup(f"{name}.{zone.name}.", "TXT", until)
        except dns.exception.DNSException as error:
            self.log(LOGINFO, f"{zone.name} does not say why: {error}")
            texts = []
        # The list's text is one line to us, whatever is in it.
        return " ".join(" ".join(texts).split()) or f"{ip} is listed by {zone.name}"

    async def lookup(self, name: str, kind: str, until: float) -> list[str]:
        """The records of a name as texts; none if there are none.

        Args:
            until: The loop's time at which we lose patience.

        Raises:
            DNSException: No usable answer came.
        """
        now = self.qp.clock()
        known = self.cache.pop((name, kind), None)
        if known is None or known.expires <= now:
            known = await self.resolve(name, kind, until, now)
        if len(self.cache) >= MAX_CACHED:
            del self.cache[next(iter(self.cache))]  # the one that was used longest ago
        self.cache[name, kind] = known
        return known.texts

    async def resolve(self, name: str, kind: str, until: float, now: float) -> Cached:
        """Ask the name server. Arguments and errors as in `lookup`."""
        patience = max(until - asyncio.get_running_loop().time(), 0.0)
        try:
            answer = await self.resolver.resolve(
                name, kind, lifetime=patience, search=False, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN as error:
            (response,) = error.responses().values()  # type: ignore[no-untyped-call] # dnspython's
            return Cached(now + min(response.resolve_chaining().minimum_ttl, MAX_NO_TTL), [])
        ttl = answer.chaining_result.minimum_ttl
        if answer.rrset is None:
            return Cached(now + min(ttl, MAX_NO_TTL), [])
        return Cached(now + min(ttl, MAX_TTL), [record_text(record) for record in answer.rrset])


def record_text(record: Any) -> str:
    """An A record's address, or the text of a TXT record."""
    if isinstance(record, TXT):
        return b"".join(record.strings).decode("ascii", "replace")
    return str(record)


def reversed_name(ip: str) -> str:
    """An address as it stands before a list's zone; empty for a unix socket, which has none.

    >>> reversed_name("192.0.2.99"), reversed_name("2001:db8::1")[:19]
    ('99.2.0.192', '1.0.0.0.0.0.0.0.0.0')
    """
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return address.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def zones(lines: Iterator[str]) -> tuple[Zone, ...]:
    """Read the lines of `config/dnsbl_zones`."""
    return tuple(zone(line) for line in lines)


def zone(line: str) -> Zone:
    """Read one.

    >>> zone("bl.example.net: Go away, %IP%")
    Zone(name='bl.example.net', message='Go away, %IP%')
    """
    name, _, message = (part.strip() for part in line.partition(":"))
    try:
        Address.parse(f"x@{name}")
        valid = not name.startswith("[") and len(name) <= MAX_ZONE
    except AddressError:
        valid = False
    if not valid:
        raise ValueError(f"{name!r} is no zone; write one such as bl.example.net, or ZONE:MESSAGE")
    return Zone(name.lower(), message)


def resolver(nameserver: str) -> dns.asyncresolver.Resolver:
    """A resolver that asks this name server, or those of the system."""
    if not nameserver:
        try:
            return dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration as error:
            raise ValueError(f"{error}; write nameserver=IP") from None
    found = dns.asyncresolver.Resolver(configure=False)
    try:
        server = Endpoint.parse(nameserver, default_port=53)
        found.nameservers = [str(ip_address(server.host))]
    except ValueError:
        raise ValueError(f"nameserver={nameserver}: write IP, IPV4:PORT or [IPV6]:PORT") from None
    found.port = server.port
    return found


def seconds(text: str, limit: float) -> float:
    """Read `lookup_timeout`, which has to be below the hook's limit."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < limit:
        raise ValueError(f"lookup_timeout={text}: write a number of seconds below {limit:g}")
    return value
