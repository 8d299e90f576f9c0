"""Authentication-Results: what ours says, and what becomes of those that pretend to be ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import Connection, Header, Transaction
from qpsdk.authresults import authentication_results, rename_forged
from qpsdk.spool import Spool, SpoolDirectory


def field(user: bytes = b"", mechanism: str = "", results: list[str] | None = None) -> str:
    """Our field of a message from a user, with these results of plugins."""
    connection = Connection(auth_user=user, auth_mechanism=mechanism)
    transaction = Transaction(connection, "c1.1", Spool(100, SpoolDirectory()), 100)
    transaction.authentication_results += results or []
    return authentication_results(transaction, "mx.example.com")


def test_nobody() -> None:
    """Without AUTH the field says so."""
    assert field() == "mx.example.com;\n\tauth=none"


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (b"tim", "tim"),
        (b"tim@example.org", "tim@example.org"),
        (b"tim o'tee", '"tim o\'tee"'),
        (b'a"b\\c', '"a\\"b\\\\c"'),
        (b"a; dkim=pass", '"a; dkim=pass"'),
        (b"a\r\nX: y", '"a??X: y"'),
        (b"a@b@c", '"a@b@c"'),
        ("jörg".encode(), '"j??rg"'),
        (b"x" * 300, "x" * 255),
        (b" " + b"x" * 300, '" ' + "x" * 254 + '"'),
        (b'"' * 300, '"' + '\\"' * 255 + '"'),
    ],
)
def test_user(user: bytes, said: str) -> None:
    """The user is named, in quotes where it could be taken for something else."""
    assert field(user, "plain") == f"mx.example.com;\n\tauth=pass (plain) smtp.auth={said}"


def test_results_of_plugins() -> None:
    """What plugins have found out follows, each on its line; nothing that they quote ends it."""
    results = ["spf=pass smtp.mailfrom=a@b", "dkim=fail\r\n\r\nevil", "", " \t"]
    assert field(results=results) == (
        "mx.example.com;\n\tauth=none;\n\tspf=pass smtp.mailfrom=a@b;\n\tdkim=fail evil"
    )


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("spf=pass smtp.helo=x;dkim=pass", "spf=pass smtp.helo=x?dkim=pass"),
        ('spf=pass smtp.helo="x', "spf=pass smtp.helo=?x"),
        ("spf=pass smtp.helo=(x", "spf=pass smtp.helo=?x"),
        ("spf=pass smtp.helo=x\\", "spf=pass smtp.helo=x?"),
        ('dkim=fail reason="a; b" (c; d)', 'dkim=fail reason="a; b" (c; d)'),
        (r'spf=pass smtp.mailfrom="a\";b"@x', r'spf=pass smtp.mailfrom="a\";b"@x'),
        (r'spf=pass smtp.mailfrom="a\\";b"@x', "spf=pass smtp.mailfrom=?a????b?@x"),
    ],
)
def test_a_result_is_one(result: str, said: str) -> None:
    """What a plugin quotes of a client cannot begin a result, nor swallow the next."""
    expected = f"mx.example.com;\n\tauth=none;\n\t{said};\n\tdmarc=none"
    assert field(results=[result, "dmarc=none"]) == expected


@given(st.binary(max_size=300), st.lists(st.text()))
def test_any(user: bytes, results: list[str]) -> None:
    """Whoever the user is and whatever plugins say, the field can be written."""
    header = Header()
    header.prepend("Authentication-Results", field(user, "login", results))
    assert [f.name for f in Header.parse(bytes(header))] == [b"Authentication-Results"]


OURS = [
    b"mx.example.com; spf=pass",
    b"MX.Example.COM;spf=pass",
    b"mx.example.com 1; spf=pass",
    b"\n mx.example.com;\n\tspf=pass",
    b"mx.example.com.; spf=pass",
    b"mail.example.com; dkim=pass",
    b"mx.example.com",
    b"(comment) mx.example.com; spf=pass",
    b'"mx.example.com"; spf=pass',
    b'"mx.example.\\com"; spf=pass',
    b"other.example (mx.example.com); spf=pass",
    b"; spf=pass",
    b"",
]

OTHERS = [
    b"mx.example.org; spf=pass",
    b"notmx.example.com; spf=pass",
    b"mx.example.com.example.org; spf=pass",
    b"mx.example.org; spf=pass smtp.helo=mx.example.com (mx.example.com)",
]


@pytest.mark.parametrize("value", OURS)
def test_forged(value: bytes) -> None:
    """A field that names us, or of which one cannot tell, gets another name and keeps its text."""
    rest = b"A: 1\nX-Authentication-Results: mx.example.com; spf=pass\n"
    header = Header.parse(b"Authentication-Results: " + value + b"\n" + rest)
    assert rename_forged(header, ("mx.example.com", "mail.Example.com")) == 1
    assert bytes(header) == b"Original-Authentication-Results: " + value + b"\n" + rest


@pytest.mark.parametrize("value", OTHERS)
def test_not_forged(value: bytes) -> None:
    """A field of somebody else stays as it is."""
    raw = b"authentication-RESULTS : " + value + b"\n"
    header = Header.parse(raw)
    assert rename_forged(header, ("mx.example.com", "mail.example.com")) == 0
    assert bytes(header) == raw
