"""Lists in config files: what is on them, and what cannot stand there."""

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qpsdk import Address, AddressList, NetworkList

BAD = AddressList(
    [
        "Sue@Example.org",
        "@example.com   Go away, all of you ",
        "bob+news@example.net",
        "bang!user@example.net\tA tab parts, too",
        r"^bounce.*@.*\.example\.net$ We know that you are no mailing list",
        "% No percent hack here",
        "@BÜCHER.example no books",
        "bob+news@example.net the first line counts",
    ]
)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("sue@example.org", ("Sue@Example.org", "")),
        ("SUE@EXAMPLE.ORG", ("Sue@Example.org", "")),
        ('"sue"@example.org', ("Sue@Example.org", "")),
        ("anyone@example.com", ("@example.com", "Go away, all of you")),
        ("bob+news@example.net", ("bob+news@example.net", "")),
        ("bang!user@example.net", ("bang!user@example.net", "A tab parts, too")),
        (
            "Bounce-7@a.Example.NET",
            (r"^bounce.*@.*\.example\.net$", "We know that you are no mailing list"),
        ),
        ("a%b@example.info", ("%", "No percent hack here")),
        ("a@bücher.example", ("@BÜCHER.example", "no books")),
        ("a@sub.example.com", None),  # @domain is that domain alone
        ("bobbbnews@example.net", None),  # an address with a plus is no expression
        ("bob@example.net", None),
        ("<>", None),
        ("postmaster", None),
    ],
)
def test_addresses(address: str, found: tuple[str, str] | None) -> None:
    """An address is found by itself, its domain, or an expression, in any case."""
    assert BAD.find(Address.parse(address, smtputf8=True)) == found


def test_order() -> None:
    """The exact entry comes before the domain, and both before any expression."""
    bad = AddressList([".*@.* expression", "@b.example domain", "a@b.example exact"])
    found = [bad.find(Address.parse(a)) for a in ("a@b.example", "c@b.example", "c@d.example")]
    assert [f.reason for f in found if f] == ["exact", "domain", "expression"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("example.com", "'example.com' is no address; write user@example.com, @example.com or a"),
        ("@", "'@' is no address"),
        ("@exa..mple", "'@exa..mple' is no address"),
        ("# a comment", "'#' is no address"),
        ("", "'' is no address"),
        ("^(a$", "'^(a$' is no regular expression: missing ), unterminated subpattern"),
        ("a{4294967296}$", "'a{4294967296}$' is no regular expression: the repetition number is"),
        ("(" * 2000 + ")" * 2000, ")' is no regular expression: maximum recursion depth exceeded"),
    ],
)
def test_no_address(line: str, problem: str) -> None:
    """What is neither address, domain nor expression is told, with what would be right."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        AddressList(["a@example.com", line])


@given(st.from_regex(r"\A[a-z0-9!#%&'*+/=?_`{|}~-]{1,10}@[a-z]{1,5}\.[a-z]{2,3}\Z"))
def test_every_address_is_itself(text: str) -> None:
    """Whatever may stand in an address: listed, it is found, and nothing beside it."""
    bad = AddressList([text])
    assert bad.find(Address.parse(text.upper())) == (text, "")
    assert bad.find(Address.parse("x" + text)) is None
    assert bad.find(Address.parse(text + "x")) is None


@pytest.mark.parametrize(
    ("line", "inside", "outside"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.", "192.0.2.255", "192.0.3.0"),
        ("172.16.0.0/12", "172.31.255.255", "172.32.0.0"),
        ("10.", "10.255.0.1", "11.0.0.1"),
        ("10.1.", "10.1.255.1", "10.2.0.1"),
        ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
        ("2001:db8::1", "2001:DB8:0::1", "2001:db8::2"),
        ("2001:db8:", "2001:db8:ffff::1", "2001:db9::1"),
        ("2001:db8:1:2:", "2001:db8:1:2:3::", "2001:db8:1:3::"),
        ("1:2:3:4:5:6:7:", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:8:8"),
        ("2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
        ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.8"),
        ("::ffff:192.0.2.0/120", "192.0.2.7", "192.0.3.7"),
        ("fe80::/10", "fe80::1%eth0", "fec0::1%eth0"),
        ("::/0", "::1", ""),
        ("127.", "127.0.0.1", "unix"),
    ],
)
def test_networks(line: str, inside: str, outside: str) -> None:
    """A client is in an address, a network or behind the beginning of an address, or it is not."""
    networks = NetworkList(["198.51.100.1", line])
    assert (inside in networks, outside in networks) == (True, False)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("192.0.2.1/24", "'192.0.2.1/24' is inside 192.0.2.0/24; write that"),
        ("10", "'10' is no address or network; write one such as 192.0.2.7, 192.0.2.0/24, 192."),
        ("300.", "'300.' is no address or network"),
        ("192.0.2.1.", "'192.0.2.1.' is no address or network"),
        ("192.0.2.0/33", "'192.0.2.0/33' is no address or network"),
        ("example.com", "'example.com' is no address or network"),
        ("192.0.2.1 # mine", "'192.0.2.1 # mine' is no address or network"),
        ("", "'' is no address or network"),
        ("fe80::1%eth0", "'fe80::1%eth0' is no address or network"),  # it would match nobody
    ],
)
def test_no_network(line: str, problem: str) -> None:
    """What is none of these is told, with what would be right."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        NetworkList([line])


def test_equal_networks() -> None:
    """Two lists are equal that hold the same networks; an empty one counts as False."""
    assert NetworkList(["192.0.2."]) == NetworkList(["192.0.2.0/24", "192.0.2.0/24"])
    assert hash(NetworkList(["192.0.2."])) == hash(NetworkList(["192.0.2.0/24"]))
    assert NetworkList(["192.0.2."]) != NetworkList(["192.0.2.1"])
    assert NetworkList(["192.0.2."])
    assert not NetworkList([])


@given(st.ip_addresses(v=4), st.integers(1, 3), st.ip_addresses(v=4))
def test_beginning_of_v4(ip: IPv4Address, numbers: int, other: IPv4Address) -> None:
    """Whole numbers and a dot have all the addresses that begin so, and no other."""
    beginning = ".".join(str(ip).split(".")[:numbers]) + "."
    networks = NetworkList([beginning])
    assert str(ip) in networks
    assert (str(other) in networks) == str(other).startswith(beginning)


@given(st.ip_addresses(v=6), st.integers(1, 7), st.ip_addresses(v=6))
def test_beginning_of_v6(ip: IPv6Address, numbers: int, other: IPv6Address) -> None:
    """The same with colons, however the address is written; a mapped IPv4 client is none."""
    assume(ip.ipv4_mapped is None and other.ipv4_mapped is None)
    beginning = ":".join(ip.exploded.split(":")[:numbers]) + ":"
    networks = NetworkList([beginning])
    assert ip.compressed in networks
    assert (str(other) in networks) == other.exploded.startswith(beginning)


@given(st.ip_addresses(), st.integers(0, 128), st.ip_addresses())
def test_cidr(ip: IPv4Address | IPv6Address, bits: int, other: IPv4Address | IPv6Address) -> None:
    """A network has the addresses that agree with it in its first bits."""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        bits = max(bits, 96)  # it is the IPv4 client that is meant
    length = min(bits, ip.max_prefixlen)
    shift = ip.max_prefixlen - length
    first = ip_address(ip.packed) if shift == 0 else type(ip)(int(ip) >> shift << shift)
    networks = NetworkList([f"{first}/{length}"])
    assert str(ip) in networks
    if getattr(other, "ipv4_mapped", None) is getattr(ip, "ipv4_mapped", None) is None:
        same = ip.version == other.version and int(ip) >> shift == int(other) >> shift
        assert (str(other) in networks) == same


@given(st.text(max_size=20))
def test_any_line(line: str) -> None:
    """Any line makes a list or a ValueError, and any text is looked up."""
    for kind in (NetworkList, AddressList):
        with suppress(ValueError):
            kind([line])
    assert line not in NetworkList([])
