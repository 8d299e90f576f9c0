"""The Authentication-Results field that we add to each message (RFC 8601)."""

import re
from collections.abc import Collection
from typing import Final

from qpsdk.header import Header
from qpsdk.log import text_of
from qpsdk.message import Connection, Transaction

NAME: Final = "Authentication-Results"
FORGED: Final = "Original-Authentication-Results"
"""The name that a field gets which only we could have written; it is qpsmtpd's."""

MAX_USER: Final = 255
"""Characters of a user's name that are shown."""

_ADDRESS_OR_TOKEN: Final = re.compile(r"[\w!#$&'*+.^`{|}~-]+(?:@[A-Za-z0-9.-]+)?", re.ASCII)
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f]+")
# Atomic where it is repeated: else an open quote would pass before Python 3.11.5 (gh-106052).
_ONE_RESULT: Final = re.compile(r'(?>[^;"()\\]|"(?>[^"\\]|\\.)*+"|\((?>[^()\\]|\\.)*+\))*+')
"""Text in which each quote and comment is closed, and a semicolon stands in these alone."""
_DELIMITER: Final = re.compile(r'[;"()\\]')
_UNPRINTABLE: Final = re.compile(r"[^ -~]")


def authentication_results(transaction: Transaction, authserv_id: str) -> str:
    r"""The field's value, folded: what AUTH has shown, then what plugins have found out.

    Args:
        authserv_id: Our name in it, by which others know that it is ours.
    """
    auth = _auth(transaction.connection)
    if not transaction.authentication_results:
        return f"{authserv_id};\n\t{auth}"
    results = [auth]
    for result in transaction.authentication_results:
        # A plugin may quote what a client said, in EHLO for example: that begins no result.
        text = _UNSAFE.sub(" ", text_of(result)).encode("utf-8", "replace").decode().strip()
        if not _ONE_RESULT.fullmatch(text):
            text = _DELIMITER.sub("?", text)
        if text:
            results.append(text)
    return authserv_id + "".join([f";\n\t{result}" for result in results])


def rename_forged(header: Header, names: Collection[str]) -> int:
    """Rename the fields that say they are ours; how many they were (RFC 8601, 5).

    Those of others stay: their reader has to know whom to trust. A field whose author is not
    clear at a glance may be read as ours by somebody, so it is renamed, too.

    Args:
        names: What we are called.
    """
    if bytes(header).lower().find(b"authentication-results") < 0:
        return 0  # as with most messages
    ours = {name.lower().encode("ascii", "replace") for name in names}

    def is_forged(value: bytes) -> bool:
        author = value.partition(b";")[0]
        words = author.lower().split()
        return not words or words[0].rstrip(b".") in ours or any(c in author for c in b'("\\')

    return header.rename(NAME, FORGED, is_forged)


def _auth(connection: Connection) -> str:
    if not connection.auth_user:
        return "auth=none"
    # Cut before it is quoted: without its closing quote it would swallow the results behind it.
    user = connection.auth_user.decode("ascii", "replace")[:MAX_USER]
    if not _ADDRESS_OR_TOKEN.fullmatch(user):
        quoted = re.sub(r'(["\\])', r"\\\1", _UNPRINTABLE.sub("?", user))
        user = f'"{quoted}"'
    return f"auth=pass ({connection.auth_mechanism}) smtp.auth={user}"
