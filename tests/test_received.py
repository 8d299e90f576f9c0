"""The Received field: what it says of whom, and that no client can write into it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import TLS, Address, Connection, Header, Transaction
from qpsdk.received import auth_comment, date, protocol, received, tls_comment
from qpsdk.spool import Spool, SpoolDirectory

NOW = 1_700_000_000.75


def new_transaction(
    hello: str = "ehlo", host: bytes = b"client.example.org", ip: str = "192.0.2.1"
) -> Transaction:
    """A transaction for one recipient."""
    connection = Connection("c1", ip, hello=hello, hello_host=host)
    transaction = Transaction(connection, "c1.1", Spool(100, SpoolDirectory()), 100)
    transaction.add_recipient(Address.parse(b"you@example.com"))
    return transaction


def test_field() -> None:
    """The field says who sent, to whom, how, under which name, and when; folded."""
    assert received(new_transaction(), "mx.example.com", NOW) == (
        "from client.example.org ([192.0.2.1])\n"
        "\tby mx.example.com (qpsdk) with ESMTP id c1.1\n"
        "\tfor <you@example.com>;\n"
        "\tTue, 14 Nov 2023 22:13:20 +0000"
    )


@pytest.mark.parametrize(
    ("hello", "smtputf8", "tls", "user", "name"),
    [
        ("helo", False, False, b"", "SMTP"),
        ("", False, False, b"", "SMTP"),
        ("helo", False, True, b"u", "SMTP"),  # it has no such names (RFC 3848)
        ("ehlo", False, False, b"", "ESMTP"),
        ("ehlo", False, True, b"", "ESMTPS"),
        ("ehlo", False, False, b"u", "ESMTPA"),
        ("ehlo", False, True, b"u", "ESMTPSA"),
        ("ehlo", True, False, b"", "UTF8SMTP"),
        ("ehlo", True, True, b"", "UTF8SMTPS"),
        ("ehlo", True, False, b"u", "UTF8SMTPA"),
        ("ehlo", True, True, b"u", "UTF8SMTPSA"),
        ("helo", True, False, b"", "UTF8SMTP"),
    ],
)
def test_protocol(hello: str, smtputf8: bool, tls: bool, user: bytes, name: str) -> None:
    """The protocol is what the client spoke, with S under TLS and A for one that authenticated."""
    transaction = new_transaction(hello)
    transaction.smtputf8 = smtputf8
    transaction.connection.auth_user = user
    if tls:
        transaction.connection.tls = TLS("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert protocol(transaction) == name
    comment = "\n\t(TLSv1.3 TLS_AES_256_GCM_SHA384)" * tls
    assert f" with {name}{comment} id c1.1\n" in received(transaction, "me", NOW)


def test_comments_for_plugins() -> None:
    """A plugin that writes its own field is given TLS and user, harmless whatever they hold."""
    connection = Connection()
    assert (auth_comment(connection), tls_comment(connection)) == ("", "")
    connection.tls = TLS("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")
    connection.auth_user, connection.auth_mechanism = b"me@example.org) by (\r\nevil", "login"
    assert tls_comment(connection) == "(TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384)"
    assert auth_comment(connection) == (
        "(smtp-auth username me@example.org??by????evil, mechanism login)"
    )


def test_users_are_not_named() -> None:
    """Our field does not tell the readers of a message how its sender logs in."""
    transaction = new_transaction()
    transaction.connection.auth_user = b"login@example.org"
    assert "login" not in received(transaction, "me", NOW)


@pytest.mark.parametrize(
    ("ip", "seen"),
    [
        ("192.0.2.1", "[192.0.2.1]"),
        ("2001:db8::1", "[IPv6:2001:db8::1]"),
        ("fe80::1%eth0", "[IPv6:fe80::1]"),
        ("::ffff:192.0.2.1", "[IPv6:::ffff:192.0.2.1]"),
        ("", "local"),
    ],
)
def test_address_seen(ip: str, seen: str) -> None:
    """The client's address stands behind the name that it gave itself; a unix socket has none."""
    line = received(new_transaction(ip=ip), "me", NOW).split("\n")[0]
    assert line == f"from client.example.org ({seen})"


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (b"client.example.org", "client.example.org"),
        (b"[192.0.2.7]", "[192.0.2.7]"),
        (b"[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        (b"my_host-1", "my_host-1"),
        (b"", "unknown"),
        (b"a) by evil (b", "a??by?evil??b"),
        (b"a; Mon, 1 Jan", "a??Mon??1?Jan"),
        (b"a\r\nX-Evil: yes", "a??X-Evil:?yes"),
        (b'"a<b>\\', "?a?b??"),
        ("bücher".encode(), "b??cher"),
        (b"\xff\0", "??"),
        (b"a" * 300, "a" * 255),
    ],
)
def test_name_said(host: bytes, said: str) -> None:
    """The client chooses the name it gives; what could end it or comment it is replaced."""
    line = received(new_transaction(host=host), "me", NOW).split("\n")[0]
    assert line == f"from {said} ([192.0.2.1])"


@given(st.binary(max_size=300))
def test_any_name(host: bytes) -> None:
    """Whatever the client calls itself, the field has its four lines and can be written."""
    value = received(new_transaction(host=host), "mx.example.com", NOW)
    first, *others = value.split("\n")
    assert others == received(new_transaction(), "mx.example.com", NOW).split("\n")[1:]
    assert first.isascii()
    assert first.isprintable()
    assert (first.count("("), first.count(")"), first.count(" ")) == (1, 1, 2)
    assert all(len(line) <= 998 for line in value.split("\n"))
    Header().prepend("Received", value)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_several_recipients(count: int) -> None:
    """Several recipients are not told of each other."""
    transaction = new_transaction()
    transaction.recipients = [Address.parse(f"user{n}@example.com") for n in range(count)]
    value = received(transaction, "me", NOW)
    assert "for" not in value
    assert "user" not in value
    assert value.endswith(" id c1.1;\n\tTue, 14 Nov 2023 22:13:20 +0000")


@pytest.mark.parametrize(
    ("address", "smtputf8", "clause"),
    [
        ('"a b"@example.com', False, '\n\tfor <"a b"@example.com>;'),
        ("postmaster", False, "\n\tfor <postmaster>;"),
        ("jörg@bücher.example", True, "\n\tfor <jörg@bücher.example>;"),
        # A plugin added it: what is no UTF8SMTP may hold no UTF-8 (RFC 6531, 3.7.3).
        ("jörg@bücher.example", False, ";"),
        ("a" * 880 + "@example.com", False, "\n\tfor <" + "a" * 880 + "@example.com>;"),
        ("a" * 980 + "@example.com", False, ";"),  # a line has at most 998 (RFC 5322, 2.1.1)
        ("ä" * 480 + "@example.com", True, ";"),
    ],
)
def test_recipient(address: str, smtputf8: bool, clause: str) -> None:
    """A single recipient is named where the field can hold it."""
    transaction = new_transaction()
    transaction.smtputf8 = smtputf8
    transaction.recipients = [Address.parse(address, smtputf8=True)]
    value = received(transaction, "me", NOW)
    assert f" id c1.1{clause}\n\tTue" in value
    header = Header()
    header.prepend("Received", value)
    assert all(len(line) <= 998 for line in bytes(header).split(b"\n"))
    assert smtputf8 or bytes(header).isascii()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
        (951_782_399, "Mon, 28 Feb 2000 23:59:59 +0000"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
        (1_733_011_200, "Sun, 01 Dec 2024 00:00:00 +0000"),
        (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 +0000"),
    ],
)
def test_date(seconds: int, text: str) -> None:
    """A date is written in English and in UTC, whatever the machine is set to."""
    assert date(seconds) == text


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        (None, "[192.0.2.1]"),
        ("", "[192.0.2.1]"),
        ("mx.example.org", "mx.example.org [192.0.2.1]"),
        ("a) by me (b\nX: y", "a??by?me??b?X:?y [192.0.2.1]"),
    ],
)
def test_name_of_the_client(name: str | None, seen: str) -> None:
    """A name that a plugin has asked for is in the field, and cannot write into it either."""
    transaction = new_transaction()
    transaction.connection.remote_host = name
    field = received(transaction, "mx.example.com", NOW)
    assert field.startswith(f"from client.example.org ({seen})\n")
