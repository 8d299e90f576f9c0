"""The fake DNS server: it answers what it is told to, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qpsdk.testing.fake_dns import FakeDNSServer, Query

Ask = Callable[[str, str], Awaitable[Any]]


def serve(fake: FakeDNSServer, talk: Callable[[Ask], Awaitable[None]], timeout: float = 5) -> None:
    """Hold a talk with the server: `ask` gives the response to a name and a type."""

    async def main() -> None:
        server = await fake.listen()

        async def ask(name: str, type: str) -> dns.message.Message:
            query = dns.message.make_query(name, type)
            return await dns.asyncquery.udp(query, server.host, timeout=timeout, port=server.port)

        try:
            await talk(ask)
        finally:
            fake.close()

    asyncio.run(asyncio.wait_for(main(), 20))


def lines(response: dns.message.Message) -> list[str]:
    """Code and records of a response; on the wire their order is random."""
    records = "\n".join(str(rrset) for rrset in (*response.answer, *response.authority))
    return [dns.rcode.to_text(response.rcode()), *sorted(records.splitlines())]


def test_records() -> None:
    """What was added is answered, in any case of the name, with its TTL; queries are kept."""
    fake = FakeDNSServer()
    fake.add("a.example", "A", "192.0.2.1", "192.0.2.2", ttl=7)
    fake.add("a.example.", "TXT", 'a "quoted" text')
    fake.add("b.example", "CNAME", "a.example.")

    async def talk(ask: Ask) -> None:
        both = ["a.example. 7 IN A 192.0.2.1", "a.example. 7 IN A 192.0.2.2"]
        assert lines(await ask("a.example", "A")) == ["NOERROR", *both]
        text = 'A.Example. 300 IN TXT "a \\"quoted\\" text"'
        assert lines(await ask("A.Example", "TXT")) == ["NOERROR", text]
        alias = ["NOERROR", "b.example. 300 IN CNAME a.example."]
        assert lines(await ask("b.example", "A")) == alias

    serve(fake, talk)
    assert fake.queries == [
        Query("a.example", "A"),
        Query("A.Example", "TXT"),
        Query("b.example", "A"),
    ]


def test_no() -> None:
    """No such name is NXDOMAIN, no such type an empty answer; a SOA says how long that holds."""
    fake = FakeDNSServer(negative_ttl=9)
    fake.add("a.example", "A", "192.0.2.1")
    soa = ". 9 IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 9"

    async def talk(ask: Ask) -> None:
        assert lines(await ask("a.example", "TXT")) == ["NOERROR", soa]
        assert lines(await ask("b.example", "A")) == ["NXDOMAIN", soa]
        fake.remove("a.example")
        assert lines(await ask("a.example", "A")) == ["NXDOMAIN", soa]

    serve(fake, talk)


def test_no_without_soa() -> None:
    """With None nothing says how long a no holds."""

    async def talk(ask: Ask) -> None:
        assert lines(await ask("b.example", "A")) == ["NXDOMAIN"]

    serve(FakeDNSServer(negative_ttl=None), talk)


def test_fail() -> None:
    """A failure is for a name and all below it, whatever records there are."""
    fake = FakeDNSServer()
    fake.add("a.b.example", "A", "192.0.2.1")
    fake.fail("b.example")
    fake.fail("example", "REFUSED")

    async def talk(ask: Ask) -> None:
        assert lines(await ask("a.b.example", "A")) == ["SERVFAIL"]
        assert lines(await ask("b.example", "A")) == ["SERVFAIL"]
        assert lines(await ask("xb.example", "A")) == ["REFUSED"]

    serve(fake, talk)


def test_drop_and_delay() -> None:
    """What is dropped is never answered, what is delayed not yet; both were asked."""
    fake = FakeDNSServer()
    fake.drop("silent.example")
    fake.delay("slow.example", 30)
    fake.delay("quick.example", 0.01)

    async def in_vain(ask: Ask) -> None:
        for name in ("a.silent.example", "slow.example"):
            with pytest.raises(dns.exception.Timeout):
                await ask(name, "A")
        while len(fake.queries) < 2:
            await asyncio.sleep(0.01)

    async def in_time(ask: Ask) -> None:
        assert lines(await ask("a.quick.example", "A"))[0] == "NXDOMAIN"

    serve(fake, in_vain, timeout=0.1)
    serve(fake, in_time)
    assert len(fake.queries) == 3


@pytest.mark.parametrize(
    ("datagram", "problem"),
    [
        (b"", "The DNS packet passed to from_wire() is too short."),
        (dns.message.Message().to_wire(), "it is no query with one question"),
        (
            dns.message.make_response(dns.message.make_query("a", "A")).to_wire(),
            "it is no query with one question",
        ),
    ],
    ids=["nothing", "no question", "a response"],
)
def test_no_query(datagram: bytes, problem: str) -> None:
    """What is no query is kept as a failure."""
    fake = FakeDNSServer()
    fake.receive(datagram, ("127.0.0.1", 1))
    assert (fake.failures, fake.queries) == ([problem], [])


@given(st.binary(max_size=64))
@example(b"\0" * 12)
def test_any_datagram(datagram: bytes) -> None:
    """No datagram makes the server fail."""
    fake = FakeDNSServer()
    fake.receive(datagram, ("127.0.0.1", 1))
    assert len(fake.failures) + len(fake.queries) == 1


@given(st.text(max_size=400))
def test_any_text(text: str) -> None:
    """A TXT record holds any text, in strings of at most 255 octets."""
    fake = FakeDNSServer()
    fake.add("a.example", "TXT", text)
    query = dns.message.make_query("a.example", "TXT")
    sent: list[bytes] = []
    fake._send = lambda wire, receiver: sent.append(wire)  # type: ignore[method-assign]
    fake.receive(query.to_wire(), ("127.0.0.1", 1))
    (record,) = dns.message.from_wire(sent[0]).answer[0]
    assert b"".join(record.strings) == text.encode()
    assert all(len(string) <= 255 for string in record.strings)
