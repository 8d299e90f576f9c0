"""A DNS server for tests: answers what it is told to, and keeps what it was asked.

It needs dnspython, the extra ``qpsdk[dns]``, so it is not among the names of `qpsdk.testing`.
"""

import asyncio
from typing import Any, Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from qpsdk.stream import Endpoint

ANY_PORT: Final = Endpoint("127.0.0.1", 0)


class Query(NamedTuple):
    """What was asked: a name without its last dot, and a type such as ``"TXT"``."""

    name: str
    type: str


class FakeDNSServer:
    r"""An authority for everything, over UDP: what it was not told about does not exist.

    Attributes:
        queries: All that was asked, in order of arrival.
        failures: Datagrams that were no query, and why; they get no answer.
        endpoint: Where it listens, once it does.

    >>> import dns.asyncresolver
    >>> async def main():
    ...     fake = FakeDNSServer()
    ...     fake.add("2.2.0.192.bl.example", "A", "127.0.0.2", ttl=60)
    ...     fake.fail("dead.example", "SERVFAIL")
    ...     fake.drop("silent.example")
    ...     server = await fake.listen()
    ...     resolver = dns.asyncresolver.Resolver(configure=False)
    ...     resolver.nameservers, resolver.port = [server.host], server.port
    ...     answer = await resolver.resolve("2.2.0.192.bl.example.", "A")
    ...     print(answer.rrset, fake.queries)
    ...     fake.close()
    >>> asyncio.run(main())
    2.2.0.192.bl.example. 60 IN A 127.0.0.2 [Query(name='2.2.0.192.bl.example', type='A')]
    """

    def __init__(self, negative_ttl: int | None = 300) -> None:
        """`negative_ttl` is for how many seconds a "no" holds; with None nothing says so."""
        self.queries: list[Query] = []
        self.failures: list[str] = []
        self.endpoint = ANY_PORT
        self._negative_ttl = negative_ttl
        self._records: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rrset.RRset]] = {}
        self._rcodes: dict[dns.name.Name, dns.rcode.Rcode] = {}
        self._delays: dict[dns.name.Name, float] = {}
        self._dropped: set[dns.name.Name] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self._late: list[asyncio.TimerHandle] = []

    def add(self, name: str, type: str, *values: str, ttl: int = 300) -> None:
        """Give a name records of one type, instead of those it had.

        Args:
            values: As in a zone file, but a TXT record is its text alone.
            ttl: Seconds.

        Raises:
            DNSException: There is no such type, or a value is none of it.
        """
        owner = _name(name)
        kind = dns.rdatatype.from_text(type)
        if kind == dns.rdatatype.TXT:
            values = tuple(_quoted(value) for value in values)
        rrset = dns.rrset.from_text(owner, ttl, "IN", kind, *values)
        self._records.setdefault(owner, {})[kind] = rrset

    def remove(self, name: str) -> None:
        """Let a name exist no more, and everything else that was said of it be forgotten."""
        owner = _name(name)
        for said in (self._records, self._rcodes, self._delays):
            said.pop(owner, None)
        self._dropped.discard(owner)

    def fail(self, name: str, rcode: str = "SERVFAIL") -> None:
        """Answer with this code what is asked about a name, and about all below it."""
        self._rcodes[_name(name)] = dns.rcode.from_text(rcode)

    def delay(self, name: str, seconds: float) -> None:
        """Let answers about a name, and about all below it, come late."""
        self._delays[_name(name)] = seconds

    def drop(self, name: str) -> None:
        """Never answer about a name, and about all below it."""
        self._dropped.add(_name(name))

    async def listen(self, endpoint: Endpoint = ANY_PORT) -> Endpoint:
        """Answer on a UDP socket; the address, with the port that port 0 became.

        Raises:
            OSError: The address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Protocol(self), local_addr=(endpoint.host, endpoint.port)
        )
        host, port = self._transport.get_extra_info("sockname")[:2]
        self.endpoint = Endpoint(host, port)
        return self.endpoint

    def close(self) -> None:
        """Stop answering."""
        for timer in self._late:
            timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def receive(self, datagram: bytes, sender: tuple[str, int]) -> None:
        """Take a query, and answer it when it is time."""
        try:
            query = dns.message.from_wire(datagram)
        except dns.exception.DNSException as error:
            self.failures.append(str(error))
            return
        if query.flags & dns.flags.QR or len(query.question) != 1:
            self.failures.append("it is no query with one question")
            return
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        self.queries.append(Query(question.name.to_text(omit_final_dot=True), kind))
        above = _above(question.name)
        if not self._dropped.isdisjoint(above):
            return
        wire = self._response(query, above).to_wire()
        delay = max((self._delays.get(name, 0.0) for name in above), default=0.0)
        if delay:
            loop = asyncio.get_running_loop()
            self._late.append(loop.call_later(delay, self._send, wire, sender))
        else:
            self._send(wire, sender)

    def _send(self, wire: bytes, receiver: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(wire, receiver)

    def _response(
        self, query: dns.message.Message, above: list[dns.name.Name]
    ) -> dns.message.Message:
        question = query.question[0]
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        for name in above:
            if name in self._rcodes:
                response.set_rcode(self._rcodes[name])
                return response
        records = self._records.get(question.name, {})
        found = records.get(question.rdtype) or records.get(dns.rdatatype.CNAME)
        if found is not None:
            response.answer.append(found)
            return response
        if not records:
            response.set_rcode(dns.rcode.NXDOMAIN)
        if self._negative_ttl is not None:  # the TTL of a "no" is in a SOA record (RFC 2308, 5)
            ttl = self._negative_ttl
            soa = f"ns.invalid. hostmaster.invalid. 1 3600 600 86400 {ttl}"
            response.authority.append(dns.rrset.from_text(dns.name.root, ttl, "IN", "SOA", soa))
        return response


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, server: FakeDNSServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._server.receive(data, addr)


def _name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)


def _above(name: dns.name.Name) -> list[dns.name.Name]:
    """A name and those above it, nearest first; the hash of a name ignores case."""
    return [dns.name.Name(name.labels[n:]) for n in range(len(name.labels))]


def _quoted(text: str) -> str:
    """A text as strings of at most 255 octets, each in quotes (RFC 1035, 3.3.14)."""
    data = text.encode()
    pieces = [data[at : at + 255] for at in range(0, len(data) or 1, 255)]
    return " ".join('"' + "".join(f"\\{byte:03d}" for byte in piece) + '"' for piece in pieces)
