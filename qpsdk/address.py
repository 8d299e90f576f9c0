"""An envelope address: what stands between the angle brackets of MAIL and RCPT.

Everything is kept as bytes, as it came; the grammar is RFC 5321, 4.1.2 (Mailbox), with the
UTF-8 of RFC 6531, 3.3, and one concession to deployed mail: underscores in a domain.
"""

import re
import warnings
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from .errors import AddressError, NonASCIIAddressError

MAX_ADDRESS: Final = 999
"""Longest address accepted, in octets, without its angle brackets.

RFC 5321, 4.5.3.1 obliges us to take 64 octets of local part and 256 of path, and asks for more;
VERP and SRS addresses do exceed them. qmail's QMQP and QMTP servers refuse 1,000.
"""

MAX_DOMAIN: Final = 255
"""Longest domain or address literal, in octets (RFC 5321, 4.5.3.1.2)."""

MAX_LABEL: Final = 63
"""Longest label of a domain, in octets (RFC 1035, 2.3.4)."""

_NO_TEXT: Final = "an Address equals no text; compare with Address.parse(...), or its parts"

# Bytes above 127 are in the grammar; parse() has checked before that they may be there.
# Runs of bytes are possessive, groups are not: before Python 3.11.5 a possessive group that fails
# half-way keeps what it ate (gh-106052). No byte has two ways to match, so all stays linear.
_ATEXT = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-]"
_ATOMS = rb"%b++(?:\.%b++)*" % (_ATEXT, _ATEXT)
_QUOTED = rb'"((?:[ !#-\[\]-~\x80-\xff]++|\\[ -~])*)"'
_LABEL = rb"[A-Za-z0-9_\x80-\xff]++(?:-++[A-Za-z0-9_\x80-\xff]++)*"
_DOMAIN = rb"%b(?:\.%b)*" % (_LABEL, _LABEL)
_LITERAL = rb"\[[!-Z^-~]++\]"
_ROUTE = rb"@%b(?:,@%b)*:" % (_DOMAIN, _DOMAIN)

_mailbox = re.compile(
    rb"(%b)?(?:(%b)|%b)@(%b|%b)" % (_ROUTE, _ATOMS, _QUOTED, _DOMAIN, _LITERAL)
).fullmatch
_atoms = re.compile(_ATOMS).fullmatch
_quoted = re.compile(_QUOTED).match
_route = re.compile(_ROUTE).match
_tagged = re.compile(rb"[A-Za-z0-9-]*[A-Za-z0-9]:.+").fullmatch
_control = re.compile(rb"[\0-\x1f\x7f]|\xc2[\x80-\x9f]").search
_not_local = re.compile(rb"[^.%b" % _ATEXT[1:]).search
_not_domain = re.compile(rb"[^.A-Za-z0-9_\x80-\xff-]").search
_escape = re.compile(rb'["\\]').sub
_unescape = re.compile(rb"\\(.)").sub
_set = object.__setattr__


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Address:
    r"""An envelope address, or the null sender ``<>``.

    >>> address = Address.parse("<Ask@Example.org>")
    >>> address.user, address.host
    (b'Ask', b'Example.org')
    >>> address == Address.parse(b"Ask@example.ORG")
    True

    Two addresses are equal when their users are the same bytes (RFC 5321, 2.4: only the
    receiving host may fold case there) and their hosts differ at most in ASCII case. To a text
    none is equal, and Python warns of who compares the two.
    An address is always true: ask `is_null` for the null sender. `Address(user, host)` raises
    AddressError when the two make no address.
    """

    user: bytes
    """The local part as the mailbox is called: without quotes and backslashes."""
    host: bytes = b""
    """The domain or address literal as given; empty for ``<>`` and ``<postmaster>``."""
    address: bytes = field(init=False)
    """``user@host`` as it goes over the wire, quoted only if it must be; empty for ``<>``."""

    def __post_init__(self) -> None:
        _set(self, "address", _wire(self.user, self.host))
        Address.parse(self.address, smtputf8=True)

    @classmethod
    def parse(cls, text: bytes | str, *, smtputf8: bool = False) -> "Address":
        r"""Read an address, with or without its angle brackets.

        A source route is dropped, as RFC 5321, appendix C allows; ``postmaster`` needs no
        domain (4.1.1.3).

        >>> Address.parse(r'<@relay.example:"a \"b\""@[192.0.2.1]>').user
        b'a "b"'

        Args:
            text: The address; a str is encoded as UTF-8.
            smtputf8: Whether bytes above 127 are accepted (RFC 6531).

        Raises:
            NonASCIIAddressError: There are bytes above 127, and `smtputf8` is False.
            AddressError: It is no address; the text, one line of ASCII, says why.
        """
        if isinstance(text, str):
            text = text.encode("utf-8", "surrogatepass")  # refused below, as any bad UTF-8
        if text.startswith(b"<") and text.endswith(b">"):
            text = text[1:-1]
        if not text.isascii():
            _check_utf8(text, smtputf8)
        if len(text) > MAX_ADDRESS:
            raise AddressError(f"address is longer than {MAX_ADDRESS} octets")
        if (match := _mailbox(text)) is not None:
            route, user, quoted, host = match.groups()
            if quoted is not None:
                user = _unescape(rb"\1", quoted)
                text = _wire(user, host)
            elif route is not None:
                text = b"%b@%b" % (user, host)
            if len(host) > MAX_LABEL or host[:1] == b"[":
                _check_host(host)
        elif not text or text.lower() == b"postmaster":
            user, host = text, b""
        else:
            raise AddressError(_fault(text))
        # Past __init__, which would parse again.
        address = object.__new__(cls)
        _set(address, "user", user)
        _set(address, "host", host)
        _set(address, "address", text)
        return address

    @property
    def is_null(self) -> bool:
        """Whether this is ``<>``, the sender of bounces (RFC 5321, 4.5.5)."""
        return not self.address

    @property
    def unquoted(self) -> bytes:
        r"""``user@host`` without quotes and backslashes, as QMQP and qmail's programs have it.

        >>> Address.parse(r'"a \"b\""@example.org').unquoted
        b'a "b"@example.org'
        """
        return b"%b@%b" % (self.user, self.host) if self.host else self.user

    def format(self) -> bytes:
        """Return `address` in angle brackets, as in MAIL and RCPT."""
        return b"<%b>" % self.address

    def __bytes__(self) -> bytes:
        return self.address

    def __str__(self) -> str:
        return self.format().decode("utf-8", "backslashreplace")

    def __repr__(self) -> str:
        return f"Address.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Address):
            if isinstance(other, str | bytes):
                warnings.warn(_NO_TEXT, stacklevel=2)
            return NotImplemented
        return self.user == other.user and self.host.lower() == other.host.lower()

    def __hash__(self) -> int:
        return hash((self.user, self.host.lower()))


def _wire(user: bytes, host: bytes) -> bytes:
    if not user and not host:
        return b""
    if _atoms(user) is None:
        user = b'"%b"' % _escape(rb"\\\g<0>", user)
    return b"%b@%b" % (user, host) if host else user


def _check_utf8(text: bytes, smtputf8: bool) -> None:
    if not smtputf8:
        raise NonASCIIAddressError("address has non-ASCII characters, which need SMTPUTF8")
    try:
        text.decode()
    except UnicodeDecodeError:
        raise AddressError("address is not valid UTF-8") from None
    if _control(text):
        raise AddressError("address has a control character")


def _check_host(host: bytes) -> None:
    """Check what the grammar cannot say: lengths, and the addresses inside literals."""
    if len(host) > MAX_DOMAIN:
        raise AddressError(f"domain is longer than {MAX_DOMAIN} octets")
    if not host.startswith(b"["):
        # A label in UTF-8 may be longer: its limit is that of its A-label (RFC 5890, 4.2).
        if any(len(label) > MAX_LABEL and label.isascii() for label in host.split(b".")):
            raise AddressError(f"domain has a label longer than {MAX_LABEL} octets")
        return
    literal = host[1:-1].decode("ascii")
    try:
        if literal[:5].lower() == "ipv6:":
            if "%" in literal:  # a zone, which means nothing on another host
                raise AddressValueError
            IPv6Address(literal[5:])
        elif _tagged(host[1:-1]) is None:
            IPv4Address(literal)
    except AddressValueError:
        raise AddressError("address literal is no IPv4, IPv6: or tagged address") from None


def _fault(text: bytes) -> str:
    """Say what is wrong with an address that the grammar does not match."""
    if _control(text):
        return "address has a control character"
    if text.startswith(b"@"):
        if (route := _route(text)) is None:
            return "source route is malformed"
        text = text[route.end() :]
    if text.startswith(b'"'):
        local = _quoted(text)
        if local is None or text[local.end() :][:1] not in (b"@", b""):
            return "quoted local part is malformed"
        text = b"quoted" + text[local.end() :]
    user, at, host = text.partition(b"@")
    if bad := _not_local(user):
        return f"local part has {bad[0].decode()!a}, which must be quoted"
    if not at:
        return "address has no domain"
    if not user:
        return "local part is empty"
    if _atoms(user) is None:
        return "local part has a misplaced dot"
    if not host:
        return "domain is empty"
    if host.startswith(b"["):
        return "address literal is malformed"
    if bad := _not_domain(host):
        return f"domain has {bad[0].decode()!a}"
    return "domain has a misplaced dot or hyphen"
