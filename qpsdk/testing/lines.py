"""Bytes of a dialogue as lines of text, and back."""

import re
from typing import Final

_ESCAPES: Final = {"\\": "\\\\", "\r": "\\r", "\n": "\\n", "\t": "\\t"}
_MEANINGS: Final = {escape[1].encode(): char.encode() for char, escape in _ESCAPES.items()}
_ESCAPE: Final = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.|\Z)", re.DOTALL)
_EVENT: Final = re.compile(r"<[a-z-]+>")


def shown(data: bytes) -> str:
    r"""A line without its end, as text in which nothing is lost or hidden.

    UTF-8 stands for itself. A backslash, what cannot be printed, a space at the end, and the
    ``<`` of what would look like an event, are escaped.

    >>> shown(b"caf\xc3\xa9 \x80\\ "), shown(b"<closes>")
    ('café \\x80\\\\\\x20', '\\x3ccloses>')
    """
    text = data.decode("utf-8", "surrogateescape")
    if not text.isprintable() or "\\" in text:
        text = "".join(map(_shown_char, text))
    if text.endswith(" "):
        text = text[:-1] + "\\x20"
    return "\\x3c" + text[1:] if is_event(text) else text


def _shown_char(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def meant(text: str) -> bytes:
    r"""The bytes that a line of text stands for: the inverse of `shown`.

    >>> meant(r"café \x80\\")
    b'caf\xc3\xa9 \x80\\'

    Raises:
        ValueError: A backslash begins no escape.
    """

    def meaning(escape: re.Match[bytes]) -> bytes:
        word = escape[1]
        if len(word) == 3:
            return bytes.fromhex(word[1:].decode())
        if word not in _MEANINGS:
            raise ValueError(
                f"{escape[0].decode('utf-8', 'replace')} is no escape; write \\\\, \\r, \\n, \\t"
                " or \\x and two hexadecimal digits"
            )
        return _MEANINGS[word]

    return _ESCAPE.sub(meaning, text.encode())


def wire(text: str) -> bytes:
    r"""What a line of text sends: with CRLF, unless it ends in a backslash of its own.

    >>> wire("RSET"), wire("RS\\"), wire("a\\\\")
    (b'RSET\r\n', b'RS', b'a\\\r\n')

    Raises:
        ValueError: As `meant`.
    """
    backslashes = len(text) - len(text.rstrip("\\"))
    return meant(text[:-1]) if backslashes % 2 else meant(text) + b"\r\n"


def is_event(text: str) -> bool:
    """Whether a line says what happened, as ``<closes>``, and not what was said."""
    return _EVENT.fullmatch(text) is not None
