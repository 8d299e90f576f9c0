r"""A message header that keeps every byte it did not change (RFC 5322, 2.2).

Line ends are LF, as in the spool. A header is only its field lines: the blank line that ends
it belongs to what follows, so ``bytes(header) + rest`` is always the message.

A field is a name of printable ASCII, a colon, a value, and continuation lines, which start with
a space or tab. Space before the colon is taken too (RFC 5322, 4.5.8), and any byte but LF may
stand in a value that we read. What we write is held to more.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, overload

from .errors import HeaderError

# Repetition is possessive, so no input can make a match backtrack. What is repeated is atomic,
# too: a group that fails half-way would keep what it ate before Python 3.11.5 (gh-106052).
_NUL, _LF, _CR = b"\0\n\r"  # one byte is sought as a number: as bytes it takes ten times as long
_NAME: Final = rb"[!-9;-~]"
_LINES: Final = re.compile(rb"(?>(?:%b++[ \t]*+:|(?!\A)[ \t])[^\n]*+\n)*+" % _NAME)
# What comes behind them matches, from its start or from the last byte looked at before, as long
# as it is an unfinished line that may be a field's; a group is set once it is, whatever follows.
_UNFINISHED: Final = re.compile(rb"\Z|(?<=\n)([ \t])|(?:%b++|(?<=[^\n]))[ \t]*+(?:(:)|\Z)" % _NAME)
# Fields are searched for in LF + header, each from the LF before it up to its own: a pattern
# that begins with a literal byte finds the next line in C.
_AFTER_NAME: Final = rb"([ \t]*+:[^\n]*+(?>\n[ \t][^\n]*+)*+)"
_FIELD: Final = re.compile(rb"\n(%b++)%b" % (_NAME, _AFTER_NAME))
_VALID_NAME: Final = re.compile(rb"%b++" % _NAME)
# A continuation of white space alone is obsolete (RFC 5322, 4.2), and some take it for the end.
_NO_FOLD: Final = re.compile(rb"\n(?![ \t]++[^\n])")

# Encoded words of a value, with nothing but white space between them, which is not shown (RFC 2047,
# 6.2). They are given to the standard library together: some programs part a character there.
_WORD: Final = r"=\?[^?\s]++\?[bBqQ]\?[^?\s]*+\?="
_ENCODED: Final = re.compile(rf"{_WORD}(?>[ \t]++{_WORD})*+")


@dataclass(frozen=True, slots=True)
class Field:
    r"""One field of a header.

    >>> Field(b"Subject", b"Subject: a long\n story\n").value
    b'a long story'
    """

    name: bytes
    """The name as written."""
    raw: bytes
    """The whole field: name, folding and last LF included."""

    @property
    def value(self) -> bytes:
        """The value, unfolded (RFC 5322, 2.2.3), without the spaces and tabs around it."""
        return _value(self.raw[len(self.name) :])

    @property
    def text(self) -> str:
        """The value as people read it: see `Header.text`."""
        return _text(self.value)


class Header:
    r"""The fields of a message header, in order.

    Names are str or bytes, and compared ignoring ASCII case; every method that takes one raises
    HeaderError when no field can have it. A value to write is bytes or a str, which is written
    as UTF-8; it may be folded with LF and a space or tab, and is never folded by us.

    >>> header = Header.parse(b"Subject: Hi\nTo: ask@example.org\n")
    >>> header.prepend("Received", "from mx.example.net\n\tby mail.example.org")
    >>> header.get("received")
    b'from mx.example.net\tby mail.example.org'
    >>> [field.name for field in header]
    [b'Received', b'Subject', b'To']
    """

    # The bytes are the only state: to search them costs less than to build an index.
    __slots__ = ("_raw",)

    def __init__(self) -> None:
        self._raw = b""

    @classmethod
    def parse(cls, raw: bytes) -> "Header":
        """Make a header of `raw`: field lines only, each with its LF.

        Raises:
            HeaderError: There is something else; the text says in which line.
        """
        end = _end_of_fields(raw, 0)
        if end != len(raw):
            line = raw.count(b"\n", 0, end) + 1
            raise HeaderError(f"line {line} is not a whole line of a header field")
        header = cls()
        header._raw = raw
        return header

    def __bytes__(self) -> bytes:
        return self._raw

    def __len__(self) -> int:
        return sum(1 for _ in _FIELD.finditer(b"\n" + self._raw))

    def __iter__(self) -> Iterator[Field]:
        for match in _FIELD.finditer(b"\n" + self._raw):
            yield Field(match[1], match[0][1:] + b"\n")

    def __contains__(self, name: str | bytes) -> bool:
        return self.get(name) is not None

    def __repr__(self) -> str:
        return f"<Header: {len(self)} fields, {self.size} bytes>"

    @property
    def size(self) -> int:
        """Length in bytes, each line end counted as one."""
        return len(self._raw)

    @overload
    def get(self, name: str | bytes) -> bytes | None: ...
    @overload
    def get(self, name: str | bytes, default: bytes) -> bytes: ...
    def get(self, name: str | bytes, default: bytes | None = None) -> bytes | None:
        """Return the unfolded value of the first field of this name, or `default`."""
        match = _pattern(name).search(b"\n" + self._raw)
        return default if match is None else _value(match[1])

    def get_all(self, name: str | bytes) -> list[bytes]:
        """Return the unfolded values of all fields of this name, in order."""
        return [_value(after) for after in _pattern(name).findall(b"\n" + self._raw)]

    def count(self, name: str | bytes) -> int:
        """Return how many fields have this name."""
        return len(_pattern(name).findall(b"\n" + self._raw))

    def text(self, name: str | bytes, default: str = "") -> str:
        r"""The value of the first field of this name, as people read it.

        Encoded words (RFC 2047) and UTF-8 (RFC 6532) are decoded; what cannot be is shown by
        U+FFFD, or as it stands. For looking at only: who wrote the field may have meant to
        mislead whoever reads it.

        >>> Header.parse(b"Subject: =?utf-8?q?caf=C3=A9?= =?iso-8859-1?b?6Q==?=\n").text("subject")
        'caféé'
        """
        value = self.get(name)
        return default if value is None else _text(value)

    def add(self, name: str | bytes, value: str | bytes) -> None:
        """Write a field at the end.

        Raises:
            HeaderError: The value has a NUL, a CR, or an LF that folds nothing.
        """
        self._raw += _line(name, value)

    def prepend(self, name: str | bytes, value: str | bytes) -> None:
        """Write a field on top, where trace fields go (RFC 5321, 4.4). Raises as `add`."""
        self._raw = _line(name, value) + self._raw

    def replace(self, name: str | bytes, value: str | bytes) -> None:
        """Rewrite the first field of this name where it stands, and delete the others.

        Added at the end if there is none. Raises as `add`.
        """
        line = _line(name, value)
        pattern, text = _pattern(name), b"\n" + self._raw
        if (first := pattern.search(text)) is None:
            self._raw += line
        else:
            others = pattern.sub(b"", text[first.end() :])
            self._raw = text[1 : first.start() + 1] + line + others[1:]

    def delete(self, name: str | bytes) -> int:
        """Delete all fields of this name, and return how many they were."""
        text, deleted = _pattern(name).subn(b"", b"\n" + self._raw)
        self._raw = text[1:]
        return deleted

    def rename(
        self,
        name: str | bytes,
        new_name: str | bytes,
        where: Callable[[bytes], bool] | None = None,
    ) -> int:
        """Give all fields of this name another, and return how many they were.

        What follows the name, space before the colon and folding included, stays as it is.

        Args:
            where: Given a field's unfolded value, says whether it is one of them.
        """
        start = b"\n" + _name(new_name)
        renamed = 0

        def rename(match: re.Match[bytes]) -> bytes:
            nonlocal renamed
            if where is not None and not where(_value(match[1])):
                return match[0]
            renamed += 1
            return start + match[1]

        self._raw = _pattern(name).sub(rename, b"\n" + self._raw)[1:]
        return renamed


class HeaderReader:
    r"""Finds the end of the header in a message that arrives in blocks.

    The header is the longest run of whole field lines from the start of the message; it may be
    empty. Each byte is looked at a bounded number of times, however small the blocks.

    >>> reader = HeaderReader()
    >>> reader.feed(b"Subject: Hi\nTo:")
    >>> header, rest = reader.feed(b" ask@example.org\n\nHello\n")
    >>> header.get("to"), rest
    (b'ask@example.org', b'\nHello\n')
    """

    __slots__ = ("_buffer", "_in_field", "_line", "_looked")

    def __init__(self) -> None:
        self._buffer: bytes | bytearray = b""
        self._line = 0  # where the first line starts that is not known to be the header's
        self._looked = 0  # up to where that line, if unfinished, was looked at
        self._in_field = False  # and whether it is a field's, whatever follows

    @property
    def size(self) -> int:
        """How many bytes are gathered. There is no limit but the caller's."""
        return len(self._buffer)

    def feed(self, block: bytes | bytearray) -> tuple[Header, bytes] | None:
        """Take the next bytes of the message.

        Returns:
            None while the header may go on; once it has ended, the header and what follows it,
            from the blank line on. Nothing may be fed after that.
        """
        if not self._buffer:
            self._buffer = bytes(block)  # most headers come in one block, and are not copied
        else:
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer)
            self._buffer += block
        buffer = self._buffer
        if _LF in block:
            self._line = self._looked = _end_of_fields(buffer, self._line)
            self._in_field = False
        if not self._in_field:
            match = _UNFINISHED.match(buffer, max(self._line, self._looked - 1))
            if match is None:
                return self.finish()
            self._in_field = match.lastindex is not None
            self._looked = len(buffer)
        return None

    def finish(self) -> tuple[Header, bytes]:
        """Return the header and what follows it, at the end of the message.

        A last line without LF is none of the header's.
        """
        header = Header()
        header._raw = bytes(self._buffer[: self._line])
        return header, bytes(self._buffer[self._line :])


def _end_of_fields(data: bytes | bytearray, line: int) -> int:
    """Return where the run of whole field lines ends that starts at `line`."""
    match = _LINES.match(data, line)
    assert match is not None  # it matches nothing, too
    return match.end()


@lru_cache(maxsize=256, typed=True)
def _pattern(name: str | bytes) -> re.Pattern[bytes]:
    """Match the fields of this name in LF + header; group 1 is what follows the name."""
    return re.compile(rb"\n(?i:%b)%b" % (re.escape(_name(name)), _AFTER_NAME))


def _text(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return _ENCODED.sub(_decoded, text) if "=?" in text else text


def _decoded(words: re.Match[str]) -> str:
    from email.errors import HeaderParseError  # there are plugins that look at no header
    from email.header import decode_header

    text = ""
    try:
        for part, charset in decode_header(words[0]):
            try:
                text += part if isinstance(part, str) else part.decode(charset, "replace")
            except (LookupError, ValueError):  # no charset that we know, or none for text
                text += part.decode("ascii", "replace")
    except HeaderParseError:  # base64 that is none
        return words[0]
    return text


def _value(after_name: bytes) -> bytes:
    return after_name.partition(b":")[2].replace(b"\n", b"").strip(b" \t")


@lru_cache(maxsize=256, typed=True)
def _name(name: str | bytes) -> bytes:
    encoded = name.encode("utf-8", "surrogatepass") if isinstance(name, str) else name
    if _VALID_NAME.fullmatch(encoded) is None:
        raise HeaderError(f"{name!a} is no name of a header field")
    return encoded


def _line(name: str | bytes, value: str | bytes) -> bytes:
    """Return a field as it is written: the one way in for names and values from outside."""
    if isinstance(value, str):
        try:
            value = value.encode()
        except UnicodeEncodeError:
            raise HeaderError(f"value of {name!a} cannot be encoded in UTF-8") from None
    if _CR in value or _NUL in value or _NO_FOLD.search(value):
        raise HeaderError(f"value of {name!a} has a NUL, a CR, or an LF that folds nothing")
    return b"%b: %b\n" % (_name(name), value)
