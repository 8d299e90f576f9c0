r"""Draws any bytes as nested netstrings, with offsets, and says where and why they break.

>>> print(explain(b"18:3:hi\n,3:a@b,3:c@d,,"))
     0  18:
     3  │ 3:hi
        │   ,
     9  │ 3:a@b,
    15  │ 3:c@d,
    21  ,
>>> print(explain(b"12:3:hi\n,3:a@b;,"))
     0  12:
     3  │ 3:hi
        │   ,
     9  │ 3:a@b
    14  │ ;
        │ ^ ';' where a comma is due, at offset 14
    15  ,

The tree is of frozen values and needs nothing. It is drawn as plain text by `str`, in colours by
Rich, and in HTML by notebooks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from qpsdk import netstring
from qpsdk.errors import NetstringError, NetstringTruncatedError

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

SHOWN_LINES: Final = 20
"""Lines of a string, and netstrings in a netstring, that are drawn; of the rest, how many."""

SHOWN_BYTES: Final = 200
"""Bytes of a line that are drawn."""

MAX_DEPTH: Final = 16
"""Deeper netstrings are drawn as strings: no sender nests so deeply in good faith."""


class Fault(NamedTuple):
    """Where reading had to stop, and why.

    Attributes:
        offset: How many bytes of the input are before the byte at fault.
        problem: What is wrong with it.
        unread: The offset of the first byte that is part of nothing that was understood.
    """

    offset: int
    problem: str
    unread: int

    def __str__(self) -> str:
        return f"{self.problem}, at offset {self.offset}"


@dataclass(frozen=True, slots=True)
class Netstring:
    """A netstring in the input, or as much of it as there is.

    Attributes:
        offset: Where its length begins.
        start: Where its string begins.
        end: Where its string ends: its last byte is before this.
        closed: Its comma is there.
        children: The netstrings that the string is made of; none if it is just a string.
        fault: Why not all of the string could be read as netstrings.
        label: What it is for, where that is known.
    """

    offset: int
    start: int
    end: int
    closed: bool = False
    children: tuple["Netstring", ...] = ()
    fault: Fault | None = None
    label: str = ""


class Span(NamedTuple):
    """A piece of a drawn line; `kind` says how it is to look."""

    kind: str
    text: str


Row = list[Span]

_RICH: Final = {
    "offset": "dim",
    "bar": "dim",
    "length": "yellow",
    "value": "",
    "comma": "yellow",
    "more": "dim italic",
    "label": "dim",
    "fault": "bold red",
}
"""How each kind of span looks in a terminal."""

_HTML: Final = {
    "offset": "opacity:.8",
    "bar": "opacity:.45",
    "length": "font-weight:bold",
    "value": "background:rgba(127,127,127,.16)",
    "comma": "font-weight:bold",
    "more": "opacity:.8;font-style:italic",
    "label": "opacity:.8;font-style:italic",
    "fault": "font-weight:bold;background:rgba(230,40,40,.3)",
}
"""And in HTML: the page's own colours on see-through ones, so that it suits light and dark
pages."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `explain` has found out.

    Attributes:
        data: The input.
        netstrings: What it is made of, up to the first fault.
        fault: Why the rest of the input is no netstring. What is wrong inside a netstring is
            said there; `faults` has all.
    """

    data: bytes
    netstrings: tuple[Netstring, ...]
    fault: Fault | None = None

    @property
    def faults(self) -> list[Fault]:
        """All that is wrong, in the order of the input."""
        return sorted(_faults(self.netstrings, self.fault))

    @property
    def summary(self) -> str:
        """One line: whether it is well-formed, or its first fault."""
        if faults := self.faults:
            return f"malformed: {faults[0]}"
        number = len(self.netstrings)
        what = "1 netstring" if number == 1 else f"{number:,} netstrings"
        return f"well-formed: {what} in {len(self.data):,} bytes"

    def rows(self) -> Iterator[Row]:
        """The lines of the drawing."""
        width = max(6, len(str(len(self.data))))
        for offset, row in self._rows(self.netstrings, self.fault, len(self.data), 0):
            at = "" if offset is None else str(offset)
            yield [Span("offset", f"{at:>{width}}  "), *[span for span in row if span.text]]

    def __str__(self) -> str:
        rows = ("".join(span.text for span in row).rstrip() for row in self.rows())
        return "\n".join(rows)

    def __rich_console__(self, _console: "Console", options: "ConsoleOptions") -> "Iterator[Text]":
        """Rich asks for this."""
        from rich.text import Text

        for row in self.rows():
            text = Text(no_wrap=True, overflow="ignore")
            for span in row:
                ascii_only = options.ascii_only and span.kind == "bar"
                text.append(
                    span.text.replace("│", "|") if ascii_only else span.text, _RICH[span.kind]
                )
            yield text

    def _repr_html_(self) -> str:
        """Notebooks ask for this."""
        lines = (
            "".join(f'<span style="{_HTML[span.kind]}">{escape(span.text)}</span>' for span in row)
            for row in self.rows()
        )
        return '<pre style="line-height:1.35">{}</pre>'.format("\n".join(lines))

    def _rows(
        self, netstrings: tuple[Netstring, ...], fault: Fault | None, end: int, depth: int
    ) -> Iterator[tuple[int | None, Row]]:
        bars = [Span("bar", "│ " * depth)] if depth else []
        hidden = range(SHOWN_LINES - 1, len(netstrings) - 1)  # the last is near a fault
        for number, item in enumerate(netstrings):
            if len(hidden) > 1 and number in hidden:
                if number == hidden[0]:
                    more = f"... {len(hidden):,} more netstrings"
                    yield item.offset, [*bars, Span("more", more)]
                continue
            yield from self._netstring(item, bars, depth)
        if fault is not None:
            yield from self._fault(fault, bars, end)

    def _netstring(
        self, item: Netstring, bars: Row, depth: int
    ) -> Iterator[tuple[int | None, Row]]:
        head = self.data[item.offset : item.start].decode("ascii")
        row = [*bars, Span("length", head)]
        close = [Span("comma", ",")] if item.closed else []
        if item.label:
            close.append(Span("label", f"  {item.label}"))
        if item.children or item.fault is not None:
            yield item.offset, row
            yield from self._rows(item.children, item.fault, item.end, depth + 1)
            if close:
                yield (item.end if item.closed else None), [*bars, *close]
            return
        offset: int | None = item.offset
        for number, line in enumerate(_lines(self.data, item.start, item.end)):
            if number:
                yield offset, row
                offset, row = None, [*bars, Span("bar", " " * len(head))]
            row += line
        yield offset, row + close

    def _fault(self, fault: Fault, bars: Row, end: int) -> Iterator[tuple[int | None, Row]]:
        begin = max(fault.unread, fault.offset - SHOWN_BYTES // 2)
        culprit = min(fault.offset + 1, end)
        stop = max(culprit, min(end, begin + SHOWN_BYTES))
        before = show(self.data[begin : fault.offset])
        row = [
            *bars,
            Span("value", before),
            Span("fault", show(self.data[fault.offset : culprit])),
            Span("value", show(self.data[culprit:stop])),
        ]
        if stop < end:
            row.append(Span("more", f"... {end - stop:,} more bytes"))
        offset: int | None = begin
        if begin < end:
            yield offset, row
            offset = None
        yield offset, [*bars, Span("fault", f"{' ' * len(before)}^ {fault}")]


def explain(data: bytes, *, package: bool = False) -> Explanation:
    """Read bytes as netstrings, and those as netstrings again, as deep as it goes.

    A string counts as made of netstrings if it begins with a whole one.

    Args:
        package: It is meant to be a QMQP package, so its message is a string whatever it looks
            like, and a sender and a recipient must be there.
    """
    if package:
        return _package(data)
    netstrings, fault = _read(data, 0, len(data), 0)
    if not data:
        fault = Fault(0, "the input is empty", 0)
    return Explanation(data, netstrings, fault)


_ESCAPES: Final = {9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\"}
_SHOWN: Final = [
    _ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
    for byte in range(256)
]


def show(data: bytes) -> str:
    r"""Bytes as printable ASCII, escaped as in a bytes literal.

    >>> print(show(b"caf\xc3\xa9\r\n"))
    caf\xc3\xa9\r\n
    """
    return "".join([_SHOWN[byte] for byte in data])


def _read(
    data: bytes, start: int, end: int, depth: int, limit: int = MAX_DEPTH
) -> tuple[tuple[Netstring, ...], Fault | None]:
    """The netstrings from `start` to `end`, the last perhaps cut short, and why they stop.

    Args:
        depth: How many netstrings are around them.
        limit: Down to which depth netstrings are looked for in their strings.
    """
    scanner = netstring.Scanner()
    found: list[Netstring] = []
    opened: Netstring | None = None  # its length has been read
    at = start  # where the current one begins
    try:
        for token in scanner.feed(data[start:end]):
            match token:
                case netstring.Start(length):
                    begin = start + scanner.offset
                    opened = Netstring(at, begin, begin + length)
                case netstring.End():
                    assert opened is not None
                    found.append(_descend(data, replace(opened, closed=True), depth, limit))
                    opened, at = None, start + scanner.offset
        scanner.finish()
    except NetstringError as error:
        problem = error.problem
        if isinstance(error, NetstringTruncatedError):
            problem = _truncated(scanner, opened, at_end_of_input=end == len(data))
        offset = start + error.offset
        if opened is None:
            return tuple(found), Fault(offset, problem, at)
        found.append(_descend(data, replace(opened, end=min(opened.end, end)), depth, limit))
        return tuple(found), Fault(offset, problem, offset)
    return tuple(found), None


def _truncated(
    scanner: netstring.Scanner, opened: Netstring | None, *, at_end_of_input: bool
) -> str:
    what = "the input ends" if at_end_of_input else "the netstring around it ends"
    if opened is None:
        return f"{what} inside a length"
    match scanner.missing:
        case 0:
            return f"{what} where a comma is due"
        case 1:
            return f"{what} 1 byte and a comma early"
        case missing:
            return f"{what} {missing:,} bytes and a comma early"


def _descend(data: bytes, item: Netstring, depth: int, limit: int) -> Netstring:
    """The same netstring, with those that its string is made of."""
    if depth >= limit or netstring.first(data[item.start : item.end]) is None:
        return item
    children, fault = _read(data, item.start, item.end, depth + 1, limit)
    return replace(item, children=children, fault=fault)


def _package(data: bytes) -> Explanation:
    outers, fault = _read(data, 0, len(data), 0, 0)
    if not outers:
        return Explanation(data, (), fault or Fault(0, "the input is empty", 0))
    outer = outers[0]
    if outer.closed and outer.end + 1 < len(data):
        fault = Fault(outer.end + 1, "unexpected bytes after the package", outer.end + 1)
    found, inner = _read(data, outer.start, outer.end, 1, 1)
    names = ("message", "sender", *["recipient"] * (len(found) - 2))
    children = tuple(replace(c, label=n) for c, n in zip(found, names, strict=False))
    if inner is None and outer.closed and len(found) < 3:
        missing = ("the message", "the sender", "a recipient")[len(found)]
        inner = Fault(outer.end, f"the package ends without {missing}", outer.end)
    return Explanation(data, (replace(outer, children=children, fault=inner),), fault)


def _faults(netstrings: tuple[Netstring, ...], fault: Fault | None) -> Iterator[Fault]:
    if fault is not None:
        yield fault
    for item in netstrings:
        yield from _faults(item.children, item.fault)


def _lines(data: bytes, start: int, end: int) -> Iterator[Row]:
    """The lines of a string, the long ones and all above so many shortened."""
    for _ in range(SHOWN_LINES):
        stop = data.find(b"\n", start, end)
        size = (end if stop < 0 else stop) - start
        row = [Span("value", show(data[start : start + min(size, SHOWN_BYTES)]))]
        if size > SHOWN_BYTES:
            row.append(Span("more", f"... {size - SHOWN_BYTES:,} more bytes"))
        yield row
        if stop < 0:
            return
        start = stop + 1
    lines = data.count(b"\n", start, end) + (data[end - 1] != 0x0A)
    yield [Span("more", f"... {lines:,} more lines")] if lines else []
