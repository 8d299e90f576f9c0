"""The Received field that we put on top of each message (RFC 5321, 4.4)."""

import re
import time
from functools import lru_cache
from typing import Final

from qpsdk.message import Connection, Transaction

MAX_FOR: Final = 900
"""Octets of an address that is named in the field: a line may have 998 (RFC 5322, 2.1.1)."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_UNSAFE_USER: Final = re.compile(r"[^A-Za-z0-9.:_@+=-]")


def received(transaction: Transaction, me: str, now: float) -> str:
    r"""The field's value, folded.

    Args:
        transaction: Its recipient is named in the field if there is only one: of several, each
            would learn of the others (RFC 5321, 7.6).
        me: This host's name.
        now: Seconds since the epoch.
    """
    connection = transaction.connection
    return (
        f"from {_said(connection.hello_host)} ({_seen(connection)})"
        f"\n\tby {me} (qpsdk) with {protocol(transaction)}{_tls(connection)}"
        f" id {transaction.id}"
        f"{_for(transaction)};\n\t{date(int(now))}"
    )


def protocol(transaction: Transaction) -> str:
    """What stands after ``with``: SMTP, ESMTP (RFC 3848), or UTF8SMTP (RFC 6531, 4.3).

    The latter two have an S behind them under TLS, and then an A where the client authenticated.
    """
    connection = transaction.connection
    if connection.hello != "ehlo" and not transaction.smtputf8:
        return "SMTP"
    name = "UTF8SMTP" if transaction.smtputf8 else "ESMTP"
    return name + "S" * (connection.tls is not None) + "A" * bool(connection.auth_user)


def tls_comment(connection: Connection) -> str:
    """TLS as a comment, which our field has: ``(TLSv1.3 TLS_AES_256_GCM_SHA384)``, or nothing."""
    return f"({connection.tls.version} {connection.tls.cipher})" if connection.tls else ""


def auth_comment(connection: Connection) -> str:
    """The user as a comment, as qpsmtpd writes it, or nothing.

    Our field does not have it: it would tell every reader of the message how to log in.
    """
    if not connection.auth_user:
        return ""
    user = _UNSAFE_USER.sub("?", connection.auth_user.decode("ascii", "replace"))[:255]
    return f"(smtp-auth username {user}, mechanism {connection.auth_mechanism})"


@lru_cache(maxsize=2)
def date(seconds: int) -> str:
    """A time since the epoch as RFC 5322, 3.3 writes it.

    >>> date(1_700_000_000)
    'Tue, 14 Nov 2023 22:13:20 +0000'
    """
    # In English, whatever the locale is.
    day, month, number, clock, year = time.asctime(time.gmtime(seconds)).split()
    return f"{day}, {number:0>2} {month} {year} {clock} +0000"


def _tls(connection: Connection) -> str:
    return f"\n\t{tls_comment(connection)}" if connection.tls else ""


def _for(transaction: Transaction) -> str:
    if len(transaction.recipients) != 1:
        return ""
    recipient = transaction.recipients[0].format()
    # A plugin may have added one that only SMTPUTF8 could name, or that fits on no line (RFC
    # 5322, 2.1.1); the clause is optional.
    if len(recipient) > MAX_FOR or not (transaction.smtputf8 or recipient.isascii()):
        return ""
    return f"\n\tfor {recipient.decode()}"


def _said(host: bytes) -> str:
    # The client chooses this text, so it may hold no comment, quote or white space of its own.
    return _UNSAFE.sub("?", host.decode("ascii", "replace"))[:255] or "unknown"


def _seen(connection: Connection) -> str:
    address = connection.remote_ip.partition("%")[0]  # a zone means nothing on another host
    if not address:
        return "local"
    name = f"{_UNSAFE.sub('?', connection.remote_host)} " if connection.remote_host else ""
    return f"{name}[IPv6:{address}]" if ":" in address else f"{name}[{address}]"
