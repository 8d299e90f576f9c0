"""The Received field that we put on top of each message (RFC 5321, 4.4)."""

import re
import time
from functools import lru_cache
from typing import Final

from qpsdk.message import Connection, Transaction

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.:_\[\]-]")


def received(transaction: Transaction, me: str, now: float) -> str:
    r"""The field's value, folded.

    Args:
        transaction: A single recipient is named in it; several are not, since each would learn
            of the others (RFC 5321, 7.6).
        me: This host's name.
        now: Seconds since the epoch.
    """
    connection = transaction.connection
    recipients = transaction.recipients
    recipient = f"\n\tfor {recipients[0]}" if len(recipients) == 1 else ""
    return (
        f"from {_said(connection.hello_host)} ({_seen(connection)})"
        f"\n\tby {me} (qpsdk) with {protocol(transaction)} id {transaction.id}"
        f"{recipient};\n\t{date(int(now))}"
    )


def protocol(transaction: Transaction) -> str:
    """What stands after ``with``: SMTP, ESMTP (RFC 3848), or UTF8SMTP (RFC 6531, 4.3)."""
    if transaction.smtputf8:
        return "UTF8SMTP"
    return "ESMTP" if transaction.connection.hello == "ehlo" else "SMTP"


@lru_cache(maxsize=2)
def date(seconds: int) -> str:
    """A time since the epoch as RFC 5322, 3.3 writes it.

    >>> date(1_700_000_000)
    'Tue, 14 Nov 2023 22:13:20 +0000'
    """
    at = time.gmtime(seconds)
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year}"
        f" {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"
    )


def _said(host: bytes) -> str:
    # The client chooses this text, so it may hold no comment, quote or white space of its own.
    return _UNSAFE.sub("?", host.decode("ascii", "replace"))[:255] or "unknown"


def _seen(connection: Connection) -> str:
    address = connection.remote_ip
    if not address:
        return "local"
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
