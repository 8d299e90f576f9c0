"""dnsbl: what lists in DNS say of a client, asked of a server that the test starts."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import DECLINED, DENY, Connection
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.plugins import dnsbl
from qpsdk.testing import smtp
from qpsdk.testing.fake_dns import FakeDNSServer
from qpsdk.testing.smtp import memory_host
from tests.dialogue import TakesAll, refusal
from tests.programs import last_word_without

ZONES = {"dnsbl_zones": "# ours\nbl.example\nother.example:Go to https://other.example/?%IP%"}
PASSED = "220 mx.example.com ESMTP qpsdk ready"


def greeted(
    tell: Callable[[FakeDNSServer], None],
    *,
    options: str = "",
    ip: str = "192.0.2.99",
    config: dict[str, str] = ZONES,
) -> tuple[str, list[str]]:
    """How a client is greeted, and what was asked for that."""
    fake = FakeDNSServer()
    tell(fake)

    async def main() -> str:
        server = await fake.listen()
        line = f"dnsbl nameserver={server} {options}"
        connection = Connection("c1", ip)
        try:
            async with smtp("relay", line, config=config, connection=connection) as client:
                return str(client.greeting)
        finally:
            fake.close()

    # Less than the resolver's own patience, which is not to be tried.
    greeting = asyncio.run(asyncio.wait_for(main(), 4.5))
    assert fake.failures == []
    return greeting, sorted(f"{query.name} {query.type}" for query in fake.queries)


ASKED = ["99.2.0.192.bl.example A", "99.2.0.192.other.example A"]


def test_not_listed() -> None:
    """A client that is on no list is greeted."""
    assert greeted(lambda fake: None) == (PASSED, ASKED)


def test_listed_with_text() -> None:
    """The list's own text is what the client is told."""

    def tell(fake: FakeDNSServer) -> None:
        fake.add("99.2.0.192.bl.example", "A", "127.0.0.2")
        fake.add("99.2.0.192.bl.example", "TXT", "You sent spam, see https://bl.example/99")

    said = "550 You sent spam, see https://bl.example/99"
    assert greeted(tell) == (said, [ASKED[0], "99.2.0.192.bl.example TXT", ASKED[1]])


def test_listed_with_message() -> None:
    """A message in dnsbl_zones comes before the list's text, which is not even asked for."""

    def tell(fake: FakeDNSServer) -> None:
        fake.add("99.2.0.192.other.example", "A", "127.0.0.4", "127.0.0.11")

    assert greeted(tell) == ("550 Go to https://other.example/?192.0.2.99", ASKED)


def test_first_zone_counts() -> None:
    """On several lists, the first in the file says why."""

    def tell(fake: FakeDNSServer) -> None:
        fake.add("99.2.0.192.other.example", "A", "127.0.0.4")
        fake.add("99.2.0.192.bl.example", "A", "127.0.0.4")

    assert greeted(tell)[0] == "550 192.0.2.99 is listed by bl.example"


@pytest.mark.parametrize(
    ("ip", "name"),
    [
        ("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"),
        ("::ffff:192.0.2.99", "99.2.0.192"),
        ("fe80::1%eth0", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f"),
    ],
)
def test_v6(ip: str, name: str) -> None:
    """IPv6 clients are looked up by nibble, IPv4 ones behind a mapped address as IPv4."""
    config = {"dnsbl_zones": "bl.example"}
    assert greeted(lambda fake: None, ip=ip, config=config) == (PASSED, [f"{name}.bl.example A"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "550 192.0.2.99 is listed by bl.example"),
        ("reject_type=temp", "450 192.0.2.99 is listed by bl.example"),
        ("reject_type=disconnect", "550 192.0.2.99 is listed by bl.example"),
        ("reject_type=temp_disconnect", "450 192.0.2.99 is listed by bl.example"),
        ("reject=0", PASSED),
        ("reject=naughty", PASSED),
    ],
)
def test_reject(options: str, said: str) -> None:
    """The reject options say what becomes of a client that is listed."""
    assert greeted(listed, options=options)[0] == said


def listed(fake: FakeDNSServer) -> None:
    """One list has the client, and no text."""
    fake.add("99.2.0.192.bl.example", "A", "127.0.0.2")


async def load(fake: FakeDNSServer, config: dict[str, str]) -> dnsbl.Dnsbl:
    """The plugin, set to ask this server."""
    line = PluginLine.parse(f"dnsbl nameserver={await fake.listen()}")
    plugin = load_one(line, memory_host(config))
    assert isinstance(plugin, dnsbl.Dnsbl)
    return plugin


def test_naughty() -> None:
    """With reject=naughty a listed client gets as far as RCPT, and through to postmaster."""
    fake = FakeDNSServer()
    listed(fake)

    async def main() -> str:
        plugins = (f"dnsbl nameserver={await fake.listen()} reject=naughty", "naughty", TakesAll())
        connection = Connection("c1", "192.0.2.99")
        async with smtp(*plugins, config=ZONES, connection=connection) as client:
            for recipient in ("postmaster@example.com", "a@example.com"):
                if recipient.startswith("p"):
                    await client.command("HELO client.example")
                    await client.command("MAIL FROM:<a@example.org>")
                await client.command(f"RCPT TO:<{recipient}>")
            transcript = client.transcript
        fake.close()
        return transcript

    assert asyncio.run(main()).splitlines()[-4:] == [
        "C: RCPT TO:<postmaster@example.com>",
        "S: 250 2.1.5 Recipient OK",
        "C: RCPT TO:<a@example.com>",
        "S: 550 5.7.1 192.0.2.99 is listed by bl.example",
    ]


@pytest.mark.parametrize(
    "config",
    [
        ZONES | {"dnsbl_allow": "198.51.100.1\n192.0.2."},
        ZONES | {"relayclients": "192.0.2.99"},
        {},
    ],
    ids=["allowed", "relay client", "no zones"],
)
def test_nobody_is_asked(config: dict[str, str]) -> None:
    """Nothing is asked about clients in dnsbl_allow, relay clients, or where there is no list."""
    assert greeted(listed, config=config) == (PASSED, [])


def test_unix_socket() -> None:
    """Nor about a client that has no address."""
    assert greeted(listed, ip="") == (PASSED, [])


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED"])
def test_dns_fails(code: str, caplog: pytest.LogCaptureFixture) -> None:
    """A list that answers with a failure has nobody on it; the log says so."""
    assert greeted(lambda fake: fake.fail("bl.example", code))[0] == PASSED
    assert "bl.example does not answer: All nameservers" in caplog.text
    assert "other.example" not in caplog.text


@pytest.mark.parametrize(
    "tell",
    [lambda fake: fake.drop("bl.example"), lambda fake: fake.delay("bl.example", 9)],
    ids=["drop", "delay"],
)
def test_dns_does_not_answer(
    tell: Callable[[FakeDNSServer], None], caplog: pytest.LogCaptureFixture
) -> None:
    """So has one that does not answer in time; the others are still heard."""

    def tell_both(fake: FakeDNSServer) -> None:
        tell(fake)
        fake.add("99.2.0.192.other.example", "A", "127.0.0.4")

    said = "550 Go to https://other.example/?192.0.2.99"
    assert greeted(tell_both, options="lookup_timeout=1")[0] == said
    assert "bl.example does not answer: The resolution lifetime" in caplog.text
    assert "other.example" not in caplog.text


def test_text_fails() -> None:
    """A list whose text cannot be had still lists the client."""

    fake = FakeDNSServer()
    listed(fake)

    async def main() -> object:
        plugin = await load(fake, {"dnsbl_zones": "bl.example"})
        await plugin.hook_connect(Connection("c1", "192.0.2.99"))
        fake.fail("bl.example")  # the A record is in the cache, the text is not
        plugin.cache.popitem()
        answer = await plugin.hook_connect(Connection("c2", "192.0.2.99"))
        fake.close()
        return answer

    assert asyncio.run(main()) == (DENY, "192.0.2.99 is listed by bl.example")


def test_hostile_text() -> None:
    """A list's text is one line, however it is written, and cannot end the reply."""

    def tell(fake: FakeDNSServer) -> None:
        listed(fake)
        fake.add("99.2.0.192.bl.example", "TXT", "line one\r\n250 line two\x1b\xff" + "x" * 300)

    assert greeted(tell)[0] == "550 line one 250 line two???" + "x" * 300


@pytest.mark.parametrize("code", ["127.255.255.254", "203.0.113.80"])
def test_no_listing(code: str, caplog: pytest.LogCaptureFixture) -> None:
    """A list that refuses to serve us, or whose domain is parked, has nobody on it."""

    def tell(fake: FakeDNSServer) -> None:
        fake.add("99.2.0.192.bl.example", "A", code)

    assert greeted(tell)[0] == PASSED
    assert f"bl.example is out of use, or does not serve us: ['{code}']" in caplog.text


def test_all_at_once() -> None:
    """All lists are asked before any has answered."""
    zones = {"dnsbl_zones": "\n".join(f"bl{n}.example" for n in range(8))}
    fake = FakeDNSServer()
    fake.drop("example")

    async def main() -> None:
        plugin = await load(fake, zones)
        task = asyncio.ensure_future(plugin.hook_connect(Connection("c1", "192.0.2.99")))
        while len(fake.queries) < 8:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        fake.close()

    asyncio.run(asyncio.wait_for(main(), 1.5))  # less than the resolver's first repetition
    assert len(fake.queries) == 8


def test_cache() -> None:
    """An answer, yes or no, is asked for again once its TTL is over, by the host's clock."""
    fake = FakeDNSServer(negative_ttl=60)
    fake.add("99.2.0.192.bl.example", "A", "127.0.0.2", ttl=100)
    now = 0
    asked: list[tuple[int, list[str]]] = []

    async def main() -> None:
        nonlocal now
        plugin = await load(fake, {"dnsbl_zones": "bl.example:listed\nother.example"})
        plugin.qp.clock = lambda: 1_000.0 + now
        for now in (0, 59, 60, 99, 100, 160):
            fake.queries.clear()
            await plugin.hook_connect(Connection("c1", "192.0.2.99"))
            asked.append((now, sorted(query.name.split(".")[4] for query in fake.queries)))
        fake.close()

    asyncio.run(asyncio.wait_for(main(), 20))
    assert asked == [
        (0, ["bl", "other"]),
        (59, []),
        (60, ["other"]),
        (99, []),
        (100, ["bl"]),
        (160, ["other"]),
    ]


def test_ttl_is_bounded() -> None:
    """A day is the longest that a client is listed by one answer, an hour that it is not."""
    fake = FakeDNSServer(negative_ttl=10**6)
    fake.add("99.2.0.192.bl.example", "A", "127.0.0.2", ttl=10**6)

    async def main() -> list[tuple[str, float]]:
        plugin = await load(fake, {"dnsbl_zones": "bl.example\nother.example"})
        plugin.qp.clock = lambda: 1_000.0
        await plugin.hook_connect(Connection("c1", "192.0.2.99"))
        fake.close()
        return sorted((f"{n} {kind}", c.expires) for (n, kind), c in plugin.cache.items())

    assert asyncio.run(main()) == [
        ("99.2.0.192.bl.example. A", 1_000 + 86_400),
        ("99.2.0.192.bl.example. TXT", 1_000 + 3_600),  # the name is there, the type is not
        ("99.2.0.192.other.example. A", 1_000 + 3_600),
    ]


def test_failures_are_not_kept() -> None:
    """A list that failed is asked again by the next client."""
    fake = FakeDNSServer()
    fake.fail("bl.example")

    async def main() -> list[object]:
        plugin = await load(fake, {"dnsbl_zones": "bl.example:listed"})
        first = await plugin.hook_connect(Connection("c1", "192.0.2.99"))
        fake.remove("bl.example")
        listed(fake)
        second = await plugin.hook_connect(Connection("c2", "192.0.2.99"))
        fake.close()
        return [first, second]

    assert asyncio.run(main()) == [DECLINED, (DENY, "listed")]


def test_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is full, the answer goes that was used longest ago."""
    monkeypatch.setattr(dnsbl, "MAX_CACHED", 2)
    fake = FakeDNSServer()

    async def main() -> list[tuple[str, str]]:
        plugin = await load(fake, {"dnsbl_zones": "bl.example"})
        for last in (1, 2, 2, 1):
            await plugin.hook_connect(Connection("c1", f"192.0.2.{last}"))
        assert len(fake.queries) == 2
        await plugin.hook_connect(Connection("c1", "192.0.2.3"))
        fake.close()
        return list(plugin.cache)

    assert asyncio.run(main()) == [
        ("1.2.0.192.bl.example.", "A"),
        ("3.2.0.192.bl.example.", "A"),
    ]


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("lookup_timeout=0", "lookup_timeout=0: write a number of seconds below 30"),
        ("lookup_timeout=30", "lookup_timeout=30: write a number of seconds below 30"),
        ("lookup_timeout=x", "lookup_timeout=x: write a number of seconds below 30"),
        ("timeout=5", "lookup_timeout=5: write a number of seconds below 5"),
        ("nameserver=ns.example", "nameserver=ns.example: write IP, IPV4:PORT or [IPV6]:PORT"),
        ("nameserver=unix:/a", "nameserver=unix:/a: write IP, IPV4:PORT or [IPV6]:PORT"),
        ("reject=2", "reject=2: write 0, 1 or naughty"),
    ],
)
def test_options(option: str, problem: str) -> None:
    """A wrong option is told."""
    assert refusal(f"dnsbl {option}") == f"dnsbl: {problem}"


@pytest.mark.parametrize("line", ["bl..example", "[192.0.2.1]", "x" * 64 + ".example", ":hello"])
def test_zones(line: str) -> None:
    """A zone that is none is told."""
    name = line.partition(":")[0]
    assert refusal("dnsbl", {"dnsbl_zones": f"# lists\n{line}"}) == (
        f"config/dnsbl_zones:2: {name!r} is no zone; write one such as bl.example.net,"
        " or ZONE:MESSAGE"
    )


def test_allow() -> None:
    """So is a line of dnsbl_allow."""
    assert refusal("dnsbl", {"dnsbl_allow": "192.0.2"}).startswith(
        "config/dnsbl_allow:1: '192.0.2' is no address or network"
    )


@given(st.ip_addresses())
def test_reversed_name(ip: object) -> None:
    """The name is the address backwards: read again from its end, it is the address."""
    labels = dnsbl.reversed_name(str(ip)).split(".")[::-1]
    text = ".".join(labels)
    if len(labels) == 32:
        text = ":".join("".join(labels[at : at + 4]) for at in range(0, 32, 4))
    assert text == getattr(getattr(ip, "ipv4_mapped", None) or ip, "exploded", "")


def test_without_dnspython() -> None:
    """Where dnspython is missing the plugin says what to install."""
    script = (
        "from qpsdk.finder import PluginLine\n"
        "from qpsdk.loader import load_one\n"
        "from qpsdk.testing.smtp import memory_host\n"
        "load_one(PluginLine.parse('dnsbl'), memory_host({}))"
    )
    assert last_word_without("dns", script) == (
        "qpsdk.errors.PluginError: dnsbl needs dnspython: pip install 'qpsdk[dns]'"
    )
