"""One SMTP reply: a code and its lines of text (RFC 5321, 4.2)."""

import re
from dataclasses import dataclass, field

from qpsdk.errors import ReplyError

MAX_LINE = 512
"""Octets of a reply line, code and CRLF included (RFC 5321, 4.5.3.1.5)."""

MAX_LINES = 50
"""A text that needs more lines is cut: a reply is a remark, not a document."""

_ENHANCED = re.compile(rb"\A([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ ]+|\Z)")
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\r\n]*))?\r?\n")
_PLAIN = re.compile(rb"(?![245]\.)[!-~][ -~]{0,398}[!-~]")
_UNSAFE = re.compile(rb"[^ -~]")
_set = object.__setattr__


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server says to one command, ready for the wire.

    Attributes:
        code: The three digits.
        lines: The text of each line as sent, enhanced status code included.

    >>> bytes(Reply.make(550, "no such user here", "5.1.1"))
    b'550 5.1.1 no such user here\\r\\n'
    """

    code: int
    lines: tuple[bytes, ...]
    wire: bytes = field(init=False, repr=False, compare=False)
    """All of it as it is sent."""

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            raise ReplyError(f"{self.code} is no SMTP reply code: these are 200 to 599")
        if not self.lines:
            raise ReplyError("a reply has at least one line")
        *more, last = self.lines
        wire = b"%d %b\r\n" % (self.code, last)
        if more:
            wire = b"".join([b"%d-%b\r\n" % (self.code, line) for line in more]) + wire
        if wire.count(b"\n") != len(self.lines) or wire.count(b"\r") != len(self.lines):
            raise ReplyError(f"a line has a line end in it: {self.lines!r}")
        _set(self, "wire", wire)

    @classmethod
    def make(cls, code: int, text: str | bytes, enhanced: str = "") -> "Reply":
        r"""A reply that is safe to send, whatever the text.

        Line feeds part the lines, control and non-ASCII bytes become question marks, and
        lines over `MAX_LINE` are continued on the next. So no text can end the reply early
        and begin another.

        >>> Reply.make(452, "4.2.2 full\r\n250 OK", "4.3.0").lines
        (b'4.2.2 full', b'4.2.2 250 OK')

        Args:
            code: 200 to 599.
            text: One or more lines, without the code.
            enhanced: The status code that each line begins with, always the same (RFC 2034, 4):
                this one, or the first in the text whose class fits `code`; what other codes
                the lines begin with is dropped. Empty: none is added, and the text stays.

        Raises:
            ReplyError: The code is out of range.
        """
        if isinstance(text, str):
            text = text.encode("ascii", "replace")
        if 200 <= code <= 599 and _PLAIN.fullmatch(text):  # as nearly always; nothing to repair
            return cls._of_line(code, b"%b %b" % (enhanced.encode(), text) if enhanced else text)
        texts = [
            _UNSAFE.sub(b"?", line.replace(b"\t", b" "))
            for line in text.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n", MAX_LINES)
        ]
        prefix = b""
        if enhanced:
            own = [found[1] for line in texts if (found := _ENHANCED.match(line))]
            fitting = [status for status in own if status[:1] == b"%d" % (code // 100)]
            prefix = (fitting[0] if fitting else enhanced.encode("ascii")) + b" "
            texts = [_ENHANCED.sub(b"", line) for line in texts]
        room = MAX_LINE - len(b"250 \r\n") - len(prefix)
        lines = [
            (prefix + line[at : at + room]).rstrip()
            for line in texts
            for at in range(0, len(line) or 1, room)
        ]
        return cls(code, tuple(lines[:MAX_LINES]))

    @classmethod
    def _of_line(cls, code: int, line: bytes) -> "Reply":
        """A reply of one line that needs no check."""
        reply = object.__new__(cls)
        _set(reply, "code", code)
        _set(reply, "lines", (line,))
        _set(reply, "wire", b"%d %b\r\n" % (code, line))
        return reply

    @classmethod
    def parse(cls, data: bytes) -> "Reply":
        r"""The one reply that `data` is.

        >>> Reply.parse(b"250-mx.example\r\n250 SIZE\r\n")
        Reply(code=250, lines=(b'mx.example', b'SIZE'))

        Raises:
            ReplyError: It is not exactly one whole reply.
        """
        found = cls.parse_first(data)
        if found is None or found[1] != len(data):
            raise ReplyError(f"not one whole SMTP reply: {data[:80]!r}")
        return found[0]

    @classmethod
    def parse_first(cls, data: bytes) -> "tuple[Reply, int] | None":
        """The first reply in `data` and where it ends, or None while it is incomplete.

        Raises:
            ReplyError: What is there is no SMTP reply.
        """
        lines: list[bytes] = []
        code = b""
        position = 0
        while line := _LINE.match(data, position):
            if lines and line[1] != code:
                raise ReplyError(f"the code changes inside a reply: {data[:80]!r}")
            code = line[1]
            lines.append(line[3] or b"")
            position = line.end()
            if line[2] != b"-":
                return cls(int(code), tuple(lines)), position
        if b"\n" in data[position:]:
            raise ReplyError(f"not an SMTP reply: {data[position : position + 80]!r}")
        return None

    @property
    def accepted(self) -> bool:
        """True for 2xx and 3xx: the step was taken."""
        return self.code < 400

    @property
    def text(self) -> str:
        """The lines without code, parted by line feeds, to be shown."""
        return "\n".join(line.decode("ascii", "backslashreplace") for line in self.lines)

    def __bytes__(self) -> bytes:
        return self.wire

    def __str__(self) -> str:
        return f"{self.code} {self.text}"
