"""The PROXY header: what is read, however it is cut, and what is none."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.server.proxy import Addresses, ProxyHeader, read_header
from tests.slices import slicings

V2 = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = bytes([192, 0, 2, 1, 198, 51, 100, 25]) + b"\xdc\x04\x00\x19"
V6 = IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::25").packed + b"\xdc\x04\x00\x19"
MAPPED = IPv6Address("::ffff:192.0.2.1").packed + IPv6Address("::ffff:198.51.100.25").packed

IN_V4 = Addresses("192.0.2.1", 56324, "198.51.100.25", 25)
IN_V6 = Addresses("2001:db8::1", 56324, "2001:db8::25", 25)

HEADERS = {
    "v1 TCP4": (b"PROXY TCP4 192.0.2.1 198.51.100.25 56324 25\r\n", IN_V4),
    "v1 TCP6": (b"PROXY TCP6 2001:db8::1 2001:DB8:0:0::25 56324 25\r\n", IN_V6),
    "v1 mapped": (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.25 56324 25\r\n", IN_V4),
    "v1 port 0": (b"PROXY TCP4 192.0.2.1 198.51.100.25 0 25\r\n", IN_V4._replace(remote_port=0)),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", None),
    "v1 UNKNOWN at its longest": (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", None),
    "v2 TCP4": (V2 + b"\x21\x11\x00\x0c" + V4, IN_V4),
    "v2 TCP6": (V2 + b"\x21\x21\x00\x24" + V6, IN_V6),
    "v2 mapped": (V2 + b"\x21\x21\x00\x24" + MAPPED + b"\xdc\x04\x00\x19", IN_V4),
    "v2 with notes behind": (V2 + b"\x21\x11\x00\x12" + V4 + b"\x04\x00\x03abc", IN_V4),
    "v2 LOCAL": (V2 + b"\x20\x00\x00\x00", None),
    "v2 LOCAL with an address": (V2 + b"\x20\x11\x00\x0c" + V4, None),
    "v2 unknown client": (V2 + b"\x21\x00\x00\x03abc", None),
    "v2 unix socket": (V2 + b"\x21\x31\x00\xd8" + b"a" * 216, None),
}


@pytest.mark.parametrize(("data", "addresses"), HEADERS.values(), ids=HEADERS.keys())
def test_headers(data: bytes, addresses: Addresses | None) -> None:
    """Each is read at its last byte, not before, and takes nothing of what is behind it."""
    for at in range(len(data)):
        assert read_header(data[:at]) is None
    for behind in (b"", b"E", b"EHLO client.example\r\n", data):
        assert read_header(data + behind) == ProxyHeader(len(data), addresses)


LINE = "its PROXY line is malformed"
WRONG = {
    "SMTP": (b"EHLO client.example\r\n", "no PROXY header"),
    "TLS": (b"\x16\x03\x01", "no PROXY header"),
    "a blank line": (b"\r\nEHLO", "no PROXY header"),
    "lower case": (b"proxy TCP4", "no PROXY header"),
    "no space": (b"PROXY\r\n", "no PROXY header"),
    "another family": (b"PROXY UDP4 192.0.2.1 198.51.100.25 56324 25\r\n", LINE),
    "LF alone": (b"PROXY TCP4 192.0.2.1 198.51.100.25 56324 25\n", LINE),
    "CR within": (b"PROXY UNKNOWN a\rb\r\n", LINE),
    "a word more": (b"PROXY TCP4 192.0.2.1 198.51.100.25 56324 25 1\r\n", LINE),
    "two spaces": (b"PROXY TCP4  192.0.2.1 198.51.100.25 56324 25\r\n", LINE),
    "v6 as v4": (b"PROXY TCP4 ::1 ::1 56324 25\r\n", LINE),
    "v4 as v6": (b"PROXY TCP6 192.0.2.1 198.51.100.25 56324 25\r\n", LINE),
    "no address": (b"PROXY TCP4 192.0.2.256 198.51.100.25 56324 25\r\n", LINE),
    "a zone": (b"PROXY TCP6 fe80::1%eth0 ::1 56324 25\r\n", LINE),
    "a name": (b"PROXY TCP4 localhost 198.51.100.25 56324 25\r\n", LINE),
    "a leading zero": (b"PROXY TCP4 192.0.2.1 198.51.100.25 056 25\r\n", LINE),
    "a sign": (b"PROXY TCP4 192.0.2.1 198.51.100.25 +56 25\r\n", LINE),
    "port 65536": (b"PROXY TCP4 192.0.2.1 198.51.100.25 25 65536\r\n", "port that is none: 65536"),
    "a long line": (b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n", "longer than 107 bytes"),
    "a line without end": (b"PROXY UNKNOWN " + b"f" * 93, "longer than 107 bytes"),
    "version 3": (V2 + b"\x31\x11\x00\x0c" + V4, "command 0x31"),
    "a command that is none": (V2 + b"\x22\x11\x00\x0c" + V4, "command 0x22"),
    "UDP": (V2 + b"\x21\x12\x00\x0c" + V4, "not about TCP: family and protocol 0x12"),
    "a family that is none": (V2 + b"\x21\x41\x00\x0c" + V4, "0x41"),
    "too short for v4": (V2 + b"\x21\x11\x00\x0b" + V4, "too few for its addresses"),
    "too short for v6": (V2 + b"\x21\x21\x00\x0c" + V4, "too few for its addresses"),
    "too long": (V2 + b"\x21\x11\x10\x01" + V4, "4113 bytes long; 4112 are read"),
}


@pytest.mark.parametrize(("data", "problem"), WRONG.values(), ids=WRONG.keys())
def test_no_headers(data: bytes, problem: str) -> None:
    """Each is refused, also when it comes byte by byte; then at the first byte that tells."""
    with pytest.raises(ValueError, match=problem):
        read_header(data)
    found: list[str] = []
    for at in range(len(data) + 1):
        try:
            assert read_header(data[:at]) is None
        except ValueError as error:
            found.append(str(error))
    assert found
    assert problem in found[-1]


def v1(remote: IPv4Address | IPv6Address, local: IPv4Address | IPv6Address, port: int) -> bytes:
    """A header of version 1."""
    return f"PROXY TCP{remote.version} {remote} {local} {port} 25\r\n".encode()


def v2(remote: IPv4Address | IPv6Address, local: IPv4Address | IPv6Address, port: int) -> bytes:
    """A header of version 2, with a note."""
    body = remote.packed + local.packed + port.to_bytes(2, "big") + b"\x00\x19\x05\x00\x02id"
    family = b"\x11" if remote.version == 4 else b"\x21"
    return V2 + b"\x21" + family + len(body).to_bytes(2, "big") + body


ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)


@given(ADDRESSES, st.integers(0, 65535), st.sampled_from([v1, v2]), st.binary(max_size=20))
def test_any_address(
    ips: tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address],
    port: int,
    write: Callable[[IPv4Address | IPv6Address, IPv4Address | IPv6Address, int], bytes],
    behind: bytes,
) -> None:
    """Whatever the addresses, they are told as they are, and what is behind is left alone."""
    data = write(*ips, port)
    remote, local = [str(getattr(ip, "ipv4_mapped", None) or ip) for ip in ips]
    expected = ProxyHeader(len(data), Addresses(remote, port, local, 25))
    for parts in slicings(data + behind):
        taken = b""
        for part in parts:
            taken += part
            header = read_header(taken)
            assert header == (expected if len(taken) >= len(data) else None)


@given(st.one_of(st.binary(max_size=130), st.binary(max_size=60).map(lambda b: V2 + b)))
def test_anything(data: bytes) -> None:
    """Any bytes are a header, the beginning of one, or refused; nothing else happens."""
    try:
        header = read_header(data)
    except ValueError:
        return
    assert header is None or header.size <= len(data)
