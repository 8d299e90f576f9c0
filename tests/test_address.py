"""Envelope addresses: what is taken, what is refused and why, and that nothing is changed."""

import copy
import dataclasses
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.address import MAX_ADDRESS, Address
from qpsdk.errors import AddressError, NonASCIIAddressError

ACCEPTED = [
    # text, user, host, address
    (b"user@example.com", b"user", b"example.com", b"user@example.com"),
    (b"<user@example.com>", b"user", b"example.com", b"user@example.com"),
    (b"User@Example.COM", b"User", b"Example.COM", b"User@Example.COM"),
    (b"a.b+c=d@x", b"a.b+c=d", b"x", b"a.b+c=d@x"),
    (b"!#$%&'*+/=?^_`{|}~-@x", b"!#$%&'*+/=?^_`{|}~-", b"x", b"!#$%&'*+/=?^_`{|}~-@x"),
    (b"a@under_score._dmarc.example", b"a", b"under_score._dmarc.example", None),
    (b"a@xn--bcher-kva.example", b"a", b"xn--bcher-kva.example", None),
    (b"a@1.2.3.4", b"a", b"1.2.3.4", None),
    (b"postmaster", b"postmaster", b"", b"postmaster"),
    (b"<PostMaster>", b"PostMaster", b"", b"PostMaster"),
    (b"<@a.example:user@host>", b"user", b"host", b"user@host"),
    (b"@a,@b.example:user@host", b"user", b"host", b"user@host"),
    (b'@a:"q"@host', b"q", b"host", b"q@host"),
    (b'"a b"@host', b"a b", b"host", b'"a b"@host'),
    (rb'"a b\"c"@host', b'a b"c', b"host", rb'"a b\"c"@host'),
    (rb'"\a\\"@host', b"a\\", b"host", rb'"a\\"@host'),
    (b'<">"@host>', b">", b"host", b'">"@host'),
    (b'"<@a:b@c>"@host', b"<@a:b@c>", b"host", b'"<@a:b@c>"@host'),
    (b'"plain.word"@host', b"plain.word", b"host", b"plain.word@host"),
    (b'"a..b"@host', b"a..b", b"host", b'"a..b"@host'),
    (b'""@host', b"", b"host", b'""@host'),
    (b"a@[192.0.2.1]", b"a", b"[192.0.2.1]", None),
    (b"a@[IPv6:2001:db8::1]", b"a", b"[IPv6:2001:db8::1]", None),
    (b"a@[ipv6:::1]", b"a", b"[ipv6:::1]", None),
    (b"a@[x400:c=de;o=x]", b"a", b"[x400:c=de;o=x]", None),
    (b"a" * 300 + b"@host", b"a" * 300, b"host", None),
    (b"a@" + b"b" * 63 + b".example", b"a", b"b" * 63 + b".example", None),
    (b"a@" + b"b." * 127 + b"c", b"a", b"b." * 127 + b"c", None),
    (b"<" + b"a" * (MAX_ADDRESS - 2) + b"@b>", b"a" * (MAX_ADDRESS - 2), b"b", None),
]

REFUSED = [
    (b"user", "no domain"),
    (b"postmasters", "no domain"),
    (b'"user"', "no domain"),
    (b'""', "no domain"),
    (b"@host", "source route"),
    (b"@a,b:user@host", "source route"),
    (b"@a:", "no domain"),
    (b"@a:@host", "local part is empty"),
    (b"user@", "domain is empty"),
    (b"a b@host", "local part has ' '"),
    (b"<user@host", "local part has '<'"),
    (b"user@host>", "domain has '>'"),
    (b"<<user@host>>", "local part has '<'"),
    (b"user@a@b", "domain has '@'"),
    (b"user@host, other@host", "domain has ','"),
    (b"user@ho st", "domain has ' '"),
    (b" user@host", "local part has ' '"),
    (b"user@host ", "domain has ' '"),
    (b'"user@host', "quoted local part"),
    (b'"user\\"@host', "quoted local part"),
    (b'"a"b"@host', "quoted local part"),
    (b'"a".b@host', "quoted local part"),
    (b'"a"b@host', "quoted local part"),
    (b".a@host", "local part has a misplaced dot"),
    (b"a.@host", "local part has a misplaced dot"),
    (b"a..b@host", "local part has a misplaced dot"),
    (b"a@host.", "domain has a misplaced dot"),
    (b"a@.host", "domain has a misplaced dot"),
    (b"a@b..host", "domain has a misplaced dot"),
    (b"a@-host", "domain has a misplaced dot or hyphen"),
    (b"a@host-.example", "domain has a misplaced dot or hyphen"),
    (b"a@" + b"b" * 64 + b".example", "label longer than 63"),
    (b"a@" + b"b." * 127 + b"cc", "domain is longer than 255"),
    (b"a" * (MAX_ADDRESS - 1) + b"@b", "longer than 999"),
    (b"a@[192.0.2.256]", "literal"),
    (b"a@[192.0.2]", "literal"),
    (b"a@[2001]", "literal"),
    (b"a@[IPv6:2001:db8::g]", "literal"),
    (b"a@[ipv6:192.0.2.1]", "literal"),
    (b"a@[IPv6:fe80::1%eth0]", "literal"),
    (b"a@[:x]", "literal"),
    (b"a@[tag-:x]", "literal"),
    (b"a@[tag:x y]", "literal"),
    (b"a@[]", "literal"),
    (b"a@[192.0.2.1", "literal"),
    (b"a@[192.0.2.1].example", "literal"),
    (b"a\0@host", "control character"),
    (b"a@host\0", "control character"),
    (b"a@host\r\nRCPT TO:<b@host>", "control character"),
    (b"a@host\n", "control character"),
    (b"\xe4@host", "non-ASCII"),
    (b'"a\tb"@host', "control character"),
    (b'"a\\\nb"@host', "control character"),
    (b'"a\x7f"@host', "control character"),
]


@pytest.mark.parametrize(("text", "user", "host", "address"), ACCEPTED)
def test_accepted(text: bytes, user: bytes, host: bytes, address: bytes | None) -> None:
    """Each form of an address is read into its parts, and written in one canonical form."""
    parsed = Address.parse(text)
    assert (parsed.user, parsed.host) == (user, host)
    assert parsed.address == bytes(parsed) == (text.strip(b"<>") if address is None else address)
    assert parsed.format() == b"<" + parsed.address + b">"
    assert not parsed.is_null


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_refused(text: bytes, why: str) -> None:
    """What is no address is refused with a text that names the part at fault."""
    with pytest.raises(AddressError, match=why) as refusal:
        Address.parse(text)
    assert str(refusal.value).isascii()
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("text", [b"<>", b"", "<>"], ids=repr)
def test_null_sender(text: bytes | str) -> None:
    """The null sender is read with or without brackets, and is an address like others."""
    null = Address.parse(text)
    assert null.is_null
    assert (null.user, null.host, null.address, null.format()) == (b"", b"", b"", b"<>")
    assert null == Address(b"")


def test_utf8_needs_smtputf8() -> None:
    """UTF-8 in either part is refused with its own error, and taken when asked for."""
    text = "<jörg@bücher.example>"
    with pytest.raises(NonASCIIAddressError):
        Address.parse(text)
    address = Address.parse(text, smtputf8=True)
    assert (address.user, address.host) == ("jörg".encode(), "bücher.example".encode())
    assert address == Address.parse(text.encode(), smtputf8=True)


def test_quoted_utf8() -> None:
    """A quoted local part may hold UTF-8 too, and keeps it."""
    address = Address.parse('"jörg a"@host', smtputf8=True)
    assert (address.user, address.address) == ("jörg a".encode(), '"jörg a"@host'.encode())


@pytest.mark.parametrize("text", [b"\xe4@host", b"a@\xff", b"a\xc3@host", "a\udc80@host"])
def test_invalid_utf8(text: bytes | str) -> None:
    """Bytes above 127 that are no UTF-8 are refused even with SMTPUTF8."""
    with pytest.raises(AddressError, match="not valid UTF-8"):
        Address.parse(text, smtputf8=True)


def test_c1_controls_refused() -> None:
    """The control characters above 127 are control characters."""
    with pytest.raises(AddressError, match="control"):
        Address.parse("a\x85b@host", smtputf8=True)


def test_long_utf8_label() -> None:
    """A label in UTF-8 may take more than 63 octets; the domain keeps its limit."""
    label = "ä" * 40
    assert Address.parse(f"a@{label}.example", smtputf8=True).host == f"{label}.example".encode()
    with pytest.raises(AddressError, match="255"):
        Address.parse(f"a@{label}.{label}.{label}.{label}", smtputf8=True)


def test_equality() -> None:
    """The host is compared without ASCII case, the user as it is, and the hash agrees."""
    address = Address.parse(b"User@Example.org")
    same = Address.parse(b'<"User"@EXAMPLE.org>')
    assert address == same
    assert hash(address) == hash(same)
    assert address != Address.parse(b"user@example.org")
    assert address != Address.parse(b"User@example.com")
    assert Address.parse("a@É.example", smtputf8=True) != Address.parse(
        "a@é.example", smtputf8=True
    )


@pytest.mark.parametrize("other", [(b"a", b"b"), None], ids=repr)
def test_equals_no_other_type(other: object) -> None:
    """An address equals nothing but an address."""
    assert Address.parse(b"a@b") != other
    assert Address.parse(b"a@b").__eq__(other) is NotImplemented


@pytest.mark.parametrize("text", [b"a@b", "a@b", "<a@b>"], ids=repr)
def test_equals_no_text(text: object) -> None:
    """Nor a text: which of its spellings would that be? Where one tries, a warning says so."""
    address = Address.parse(b"a@b")
    with pytest.warns(UserWarning, match="compare with Address.parse") as told:
        assert address != text
    with pytest.warns(UserWarning, match="compare with Address.parse"):
        assert address not in [text]
    assert told[0].filename == __file__


def test_text_forms() -> None:
    """str is readable, with brackets; repr is code that makes the address again."""
    assert str(Address.parse(b"a@b")) == "<a@b>"
    assert str(Address.parse(b"<>")) == "<>"
    assert str(Address.parse("jörg@b", smtputf8=True)) == "<jörg@b>"
    assert repr(Address.parse(b'"a b"@c')) == "Address.parse('<\"a b\"@c>')"


def test_unquoted() -> None:
    """Without quotes the host still stands behind the last @; some addresses have no host."""
    assert Address.parse(rb'"a \"b\"@c"@d').unquoted == b'a "b"@c@d'
    assert Address.parse(b'"a..b"@c').unquoted == b"a..b@c"
    assert Address.parse(b"a@b").unquoted == b"a@b"
    assert Address.parse(b"Postmaster").unquoted == b"Postmaster"
    assert Address.parse(b"<>").unquoted == b""


def test_null_is_true() -> None:
    """An address is always true, so that `if sender` cannot mistake a bounce for no sender."""
    assert Address.parse(b"<>")


def test_frozen() -> None:
    """An address cannot be changed, nor given attributes."""
    address = Address.parse(b"a@b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        address.user = b"c"  # type: ignore[misc]
    assert not hasattr(address, "__dict__")


def test_copies() -> None:
    """An address can be copied, pickled, and made anew with another host."""
    address = Address.parse(b"a@b")
    assert copy.deepcopy(address) == address
    assert pickle.loads(pickle.dumps(address)) == address
    assert dataclasses.replace(address, host=b"c") == Address.parse(b"a@c")


@pytest.mark.parametrize(
    ("user", "host"),
    [(b"a", b""), (b"a", b"b>\r\nRCPT TO:<c@d"), (b"a\n", b"b"), (b"a", b"b c"), (b"a", b"b@c")],
)
def test_constructor_checks(user: bytes, host: bytes) -> None:
    """Parts that make no address are refused by the constructor, too."""
    with pytest.raises(AddressError):
        Address(user, host)


DOMAINS = st.from_regex(
    rb"[A-Za-z0-9_]{1,20}(-[a-z0-9]{1,5})?(\.[a-z0-9]{1,9}){0,3}", fullmatch=True
)
USERS = st.binary(max_size=30) | st.text(max_size=20).map(
    lambda text: text.encode("utf-8", "replace")
)


@given(USERS, DOMAINS | st.sampled_from([b"[192.0.2.1]", b"[IPv6:::1]", "bücher".encode()]))
def test_any_user_round_trip(user: bytes, host: bytes) -> None:
    """Any user of printable text goes over the wire and back unchanged; any other is refused."""
    try:
        printable = all(ch >= " " and not "\x7f" <= ch < "\xa0" for ch in user.decode())
    except UnicodeDecodeError:
        printable = False
    if not printable:
        with pytest.raises(AddressError):
            Address(user, host)
        return
    address = Address(user, host)
    assert (address.user, address.host) == (user, host)
    assert address.unquoted == user + b"@" + host
    for wire in (address.address, address.format()):
        again = Address.parse(wire, smtputf8=True)
        assert (again.user, again.host) == (user, host)


@given(st.binary(max_size=40) | st.text('ab@."\\<>[]:,1 -\0é', max_size=12), st.booleans())
def test_any_input(text: bytes | str, smtputf8: bool) -> None:
    """Any input is an address that survives the wire, or is refused with a line fit for a reply."""
    address, reason = None, ""
    try:
        address = Address.parse(text, smtputf8=smtputf8)
    except AddressError as refusal:
        reason = str(refusal)
    if address is None:
        assert re.fullmatch(r"[ -~]{10,80}", reason)
    else:
        wire = address.format()
        assert not any(control in wire for control in (b"\r", b"\n", b"\0"))
        assert smtputf8 or wire.isascii()
        assert Address.parse(wire, smtputf8=smtputf8) == address
