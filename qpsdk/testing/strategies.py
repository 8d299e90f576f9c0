r"""Hypothesis strategies: addresses, envelopes, messages and sessions as clients send them.

The package ``hypothesis`` has to be installed; nothing else in the test kit needs it, but
`PluginContract`.

    from hypothesis import given
    from qpsdk.testing import smtp, strategies

    @given(strategies.sessions())
    def test_survives(steps):
        with smtp(MyPlugin()) as client:
            client.play(steps)
"""

import base64
import string
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qpsdk.address import Address
from qpsdk.testing.client import Step

__all__ = ["Envelope", "addresses", "envelopes", "headers", "messages", "senders", "sessions"]


class Envelope(NamedTuple):
    """Who a message is from, and for whom."""

    sender: Address
    recipients: list[Address]


_ATEXT = string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~"
_LABEL = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(
    lambda label: "--" not in label
)
_ATOM = st.text(_ATEXT, min_size=1, max_size=20)
_QUOTED = st.text(string.printable[:95], max_size=20)
_FOREIGN = st.sampled_from(["müller", "用户", "почта", "x" * 60 + "ß"])


def addresses(*, smtputf8: bool = False) -> st.SearchStrategy[Address]:
    """Addresses (RFC 5321, 4.1.2): dotted, quoted, long, in literals.

    Args:
        smtputf8: Also those with UTF-8 in them (RFC 6531).
    """
    dotted = st.lists(_ATOM, min_size=1, max_size=3).map(".".join)
    users = st.one_of(dotted, _QUOTED, st.just("x" * 64))
    hosts = st.one_of(
        st.lists(_LABEL, min_size=1, max_size=4).map(".".join),
        st.sampled_from(["example.com", "EXAMPLE.org", "[192.0.2.1]", "[IPv6:2001:db8::1]"]),
    )
    if smtputf8:
        users, hosts = st.one_of(users, _FOREIGN), st.one_of(hosts, st.just("bücher.example"))
    return st.builds(lambda u, h: Address(u.encode(), h.encode()), users, hosts)


def senders(*, smtputf8: bool = False) -> st.SearchStrategy[Address]:
    """What stands in MAIL: an address, or the null sender of bounces."""
    return st.one_of(addresses(smtputf8=smtputf8), st.just(Address.parse("<>")))


def envelopes(*, max_recipients: int = 5, smtputf8: bool = False) -> st.SearchStrategy[Envelope]:
    """A sender and one or more recipients, some of them perhaps twice."""
    recipients = st.lists(addresses(smtputf8=smtputf8), min_size=1, max_size=max_recipients)
    return st.builds(Envelope, senders(smtputf8=smtputf8), recipients)


_NAMES = st.sampled_from(
    [b"Subject", b"From", b"To", b"Date", b"Message-ID", b"X-Odd", b"received", b"DKIM-Signature"]
)
_WORD = st.binary(max_size=30).map(lambda word: word.translate(None, b"\r\n\0"))
_LONG = st.sampled_from([998, 999, 5_000, 70_000]).map(lambda size: b"x" * size)


def headers() -> st.SearchStrategy[bytes]:
    """Header fields with LF line ends: 8-bit, folded, empty, very long, repeated, or none."""
    folded = st.lists(_WORD, min_size=1, max_size=3).map(b"\n\t x".join)
    field = st.builds(lambda n, v: n + b": " + v + b"\n", _NAMES, st.one_of(folded, _LONG))
    return st.lists(field, max_size=5).map(b"".join)


_LINES = st.one_of(
    _WORD,
    _LONG,
    st.sampled_from([b"", b".", b"..", b".quit", b"From here on", b" ", b"\xff\xfe", b"--x--"]),
)


def messages() -> st.SearchStrategy[bytes]:
    """Messages with LF line ends, as clients send them and as they should not.

    8-bit text, lines over any limit, lines of dots, broken MIME, no header, no body, no line end
    at the end, nothing at all.
    """
    bodies = st.lists(_LINES, max_size=6).map(b"\n".join)
    plain = st.builds(lambda h, b: h + b"\n" + b, headers(), bodies)
    odd = st.sampled_from([b"", b"\n", b"Subject: only a header\n", b"no header at all\n", b" x\n"])
    return st.one_of(plain, _mime(), odd)


@st.composite
def _mime(draw: st.DrawFn) -> bytes:
    """A message in parts: nested, not closed, with encodings that are wrong."""
    boundary = draw(st.sampled_from([b"b", b"=_1", b'"a b"', b""]))
    coding = draw(st.sampled_from([b"base64", b"quoted-printable", b"8bit", b"x-none", b""]))
    charset = draw(st.sampled_from([b"utf-8", b"iso-8859-1", b"no-such-charset", b'"']))
    content = draw(st.one_of(_WORD, _WORD.map(base64.encodebytes), st.just(b"=zz=\n==")))
    mark = boundary.strip(b'"')
    lines = [
        b"MIME-Version: 1.0",
        b"Content-Type: multipart/mixed; boundary=" + boundary,
        b"",
        b"--" + mark,
        b"Content-Type: text/plain; charset=" + charset,
        b"Content-Transfer-Encoding: " + coding,
        b"",
        content,
    ]
    if draw(st.booleans()):
        lines += [b"--" + mark, b"Content-Type: message/rfc822", b"", b"Subject: inner", b"", b"x"]
    if draw(st.booleans()):
        lines.append(b"--" + mark + b"--")
    return b"\n".join(lines) + b"\n"


_ASIDES = st.sampled_from([b"NOOP", b"NOOP x", b"VRFY someone", b"HELP", b"RSET", b"WIZ", b"noop"])


@st.composite
def sessions(draw: st.DrawFn, *, max_messages: int = 2) -> list[Step]:
    """What one client says, in the order that RFC 5321 wants, for `SMTPClient.play`.

    It says EHLO or HELO, sends some messages, now and then something aside, and may end without
    QUIT or in the midst of a transaction.
    """
    verb = draw(st.sampled_from([b"EHLO", b"HELO", b"ehlo"]))
    utf8 = verb.upper() == b"EHLO" and draw(st.booleans())
    steps = [Step(verb + b" client.example.org")]
    for _ in range(draw(st.integers(0, max_messages))):
        steps += _aside(draw)
        sender, recipients = draw(envelopes(smtputf8=utf8))
        steps.append(Step(b"MAIL FROM:" + sender.format() + (b" SMTPUTF8" if utf8 else b"")))
        for recipient in recipients:
            steps.append(Step(b"RCPT TO:" + recipient.format()))
        if draw(st.integers(0, 5)):  # else it goes, or begins anew
            steps += _noop(draw)
            steps.append(Step(b"DATA", draw(messages())))
    if draw(st.booleans()):
        steps.append(Step(b"QUIT"))
    return steps


def _aside(draw: st.DrawFn) -> list[Step]:
    return [Step(line) for line in draw(st.lists(_ASIDES, max_size=2))]


def _noop(draw: st.DrawFn) -> list[Step]:
    return [Step(b"NOOP")] if draw(st.booleans()) else []


def for_each(strategy: st.SearchStrategy[Any], check: Callable[[Any], None], examples: int) -> None:
    """Check so many values of a strategy; raises what the first that fails does.

    Not searched for is the smallest that fails: that would take minutes.
    """
    failures: list[Exception] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(value: Any) -> None:
        if not failures:
            try:
                check(value)
            except Exception as error:
                failures.append(error)

    run()
    if failures:
        raise failures[0]
