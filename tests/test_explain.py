"""The renderer: what it finds in any bytes, and how it draws it."""

from html.parser import HTMLParser
from io import BytesIO, TextIOWrapper

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from qpsdk import netstring
from qpsdk.errors import NetstringError
from qpsdk.explain import MAX_DEPTH, Fault, Netstring, explain, show

PACKAGE = b"18:3:hi\n,3:a@b,3:c@d,,"


def test_tree() -> None:
    """The tree is of values, with the offsets of each netstring."""
    explanation = explain(b"9:1:a,2:bc,,0:,")
    assert explanation.netstrings == (
        Netstring(0, 2, 11, True, (Netstring(2, 4, 5, True), Netstring(6, 8, 10, True))),
        Netstring(12, 14, 14, True),
    )
    assert explanation.faults == []
    assert explanation.summary == "well-formed: 2 netstrings in 15 bytes"


DRAWINGS = {
    "a string": (b"5:hello,", ["     0  5:hello,"]),
    "nothing in it": (b"0:,", ["     0  0:,"]),
    "several": (b"1:a,1:b,", ["     0  1:a,", "     4  1:b,"]),
    "lines and odd bytes": (
        b"11:a\\b\r\n\xff\0\n\ncd,",
        [r"     0  11:a\\b\r", r"           \xff\x00", "", "           cd,"],
    ),
    "two levels": (
        b"8:5:2:hi,,,",
        ["     0  8:", "     2  │ 5:", "     4  │ │ 2:hi,", "     9  │ ,", "    10  ,"],
    ),
    "a comma is missing": (
        b"9:1:a,2:bc;,",
        [
            "     0  9:",
            "     2  │ 1:a,",
            "     6  │ 2:bc",
            "    10  │ ;",
            "        │ ^ ';' where a comma is due, at offset 10",
            "    11  ,",
        ],
    ),
    "a letter in a length": (
        b"1:a,1x:b,",
        [
            "     0  1:a,",
            "     4  1x:b,",
            "         ^ 'x' where a digit or a colon is due, at offset 5",
        ],
    ),
    "a leading zero": (
        b"05:hello,",
        ["     0  05:hello,", "         ^ leading zero in a netstring length, at offset 1"],
    ),
    "cut in a string": (
        b"5:he",
        ["     0  5:he", "     4  ^ the input ends 3 bytes and a comma early, at offset 4"],
    ),
    "cut before the last byte": (
        b"5:hell",
        ["     0  5:hell", "     6  ^ the input ends 1 byte and a comma early, at offset 6"],
    ),
    "cut before the comma": (
        b"5:hello",
        ["     0  5:hello", "     7  ^ the input ends where a comma is due, at offset 7"],
    ),
    "cut in a length": (
        b"1:a,5",
        ["     0  1:a,", "     4  5", "         ^ the input ends inside a length, at offset 5"],
    ),
    "cut inside": (
        b"20:1:a,5:he",
        [
            "     0  20:",
            "     3  │ 1:a,",
            "     7  │ 5:he",
            "    11  │ ^ the input ends 3 bytes and a comma early, at offset 11",
            "    11  ^ the input ends 12 bytes and a comma early, at offset 11",
        ],
    ),
    "the outer length is short by one": (
        b"7:1:a,2:bc,,",
        [
            "     0  7:",
            "     2  │ 1:a,",
            "     6  │ 2:b",
            "     9  │ ^ the netstring around it ends 1 byte and a comma early, at offset 9",
            "     9  c,,",
            "        ^ 'c' where a comma is due, at offset 9",
        ],
    ),
    "nothing at all": (b"", ["     0  ^ the input is empty, at offset 0"]),
    "no netstring": (
        b"HELO x\r\n",
        [r"     0  HELO x\r\n", "        ^ 'H' where a netstring length is due, at offset 0"],
    ),
}


@pytest.mark.parametrize(("data", "lines"), DRAWINGS.values(), ids=DRAWINGS.keys())
def test_drawing(data: bytes, lines: list[str]) -> None:
    """What is good is drawn up to the break, and the break marked where it is."""
    assert str(explain(data)).split("\n") == lines


PACKAGES = {
    "good": (
        PACKAGE,
        [
            "     0  18:",
            "     3  │ 3:hi",
            "        │   ,  message",
            "     9  │ 3:a@b,  sender",
            "    15  │ 3:c@d,  recipient",
            "    21  ,",
        ],
    ),
    "no recipient": (
        b"10:1:m,3:a@b,,",
        [
            "     0  10:",
            "     3  │ 1:m,  message",
            "     7  │ 3:a@b,  sender",
            "    13  │ ^ the package ends without a recipient, at offset 13",
            "    13  ,",
        ],
    ),
}


def test_packages() -> None:
    """Of a package, it is said what each part is for and what is missing."""
    for data, lines in PACKAGES.values():
        assert str(explain(data, package=True)).split("\n") == lines


def test_a_message_is_no_netstring() -> None:
    """The message of a package is a string, whatever it looks like; otherwise it is read on."""
    data = b"15:4:1:a,,1:s,1:r,,"
    assert "3  │ 4:1:a,,  message" in str(explain(data, package=True))
    assert "5  │ │ 1:a," in str(explain(data))


def test_more_after_a_package() -> None:
    """One package is a package; what follows is not."""
    explanation = explain(PACKAGE + b"3:Kok,", package=True)
    assert explanation.faults == [Fault(22, "unexpected bytes after the package", 22)]
    assert str(explanation).endswith(
        "    22  3:Kok,\n        ^ unexpected bytes after the package, at offset 22"
    )


def test_large_values_are_shortened() -> None:
    """Of long lines, many lines and many netstrings the rest is counted."""
    value = b"x" * 1000 + b"\n" + b"line\n" * 5000
    lines = str(explain(netstring.encode(value))).split("\n")
    assert len(lines) == 21
    assert lines[0] == "     0  26001:" + "x" * 200 + "... 800 more bytes"
    assert lines[-1].strip() == "... 4,981 more lines,"
    lines = str(explain(b"1:a," * 1000)).split("\n")
    assert len(lines) == 21
    assert lines[-2:] == ["    76  ... 980 more netstrings", "  3996  1:a,"]
    lines = str(explain(b"?" + b"x" * 1000)).split("\n")
    assert lines[0] == "     0  ?" + "x" * 199 + "... 801 more bytes"


def test_a_break_far_inside_is_seen() -> None:
    """However long what precedes it, the byte at fault is drawn, and the caret is under it."""
    first, second = str(explain(b"1" * 1000)).split("\n")
    assert first[second.index("^")] == "1"
    assert len(first) < 300


def test_depth_is_bounded() -> None:
    """A bomb of netstrings in netstrings is drawn down to a depth, and no further."""
    data = b""
    for _ in range(500):
        data = netstring.encode(data)
    drawing = str(explain(data))
    assert "│ " * MAX_DEPTH in drawing
    assert "│ " * (MAX_DEPTH + 1) not in drawing


def test_rich() -> None:
    """A terminal gets colours; one without Unicode gets other bars."""
    for encoding, bar in (("utf-8", "│"), ("ascii", "|")):
        data = BytesIO()
        file = TextIOWrapper(data, encoding, write_through=True)
        console = Console(file=file, force_terminal=True, color_system="standard", soft_wrap=True)
        console.print(explain(b"9:0:,3:[b];,"))
        drawn = data.getvalue().decode(encoding)
        assert "\x1b[1;31m;" in drawn
        assert bar in drawn
        assert "[b]" in drawn


class Text(HTMLParser):
    """Takes the text out of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note which tags there are."""
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text += data


@given(st.binary(max_size=80) | st.sampled_from([PACKAGE, b"17:<b>&amp;\"'</b>\n\n\n,"]))
def test_html(data: bytes) -> None:
    """HTML says the same as plain text, and nothing in the input becomes a tag."""
    explanation = explain(data)
    parser = Text()
    parser.feed(explanation._repr_html_())
    parser.close()
    assert parser.tags <= {"pre", "span"}
    drawn = "\n".join(line.rstrip() for line in parser.text.split("\n"))
    assert drawn == str(explanation)


NESTED = st.recursive(
    st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4).map(lambda vs: b"".join(map(netstring.encode, vs))),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=60), NESTED, NESTED.map(lambda d: d[: len(d) // 2])))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are explained; they are a fault at the top if and only if they do not decode."""
    explanation = explain(data)
    try:
        netstring.decode_all(data)
    except NetstringError as error:
        offset = error.offset
    else:
        offset = -1 if data else 0
    assert (-1 if explanation.fault is None else explanation.fault.offset) == offset
    drawn = str(explanation)
    assert all(letter.isprintable() for letter in drawn.replace("\n", ""))
    str(explain(data, package=True))


def test_show() -> None:
    """Bytes are shown so that no two look alike."""
    assert show(bytes(range(9, 14)) + b"\\n \x7f\xff") == r"\t\n\x0b\x0c\r\\n \x7f\xff"
    assert len({show(bytes([byte])) for byte in range(256)}) == 256
