"""Headers: the bytes nobody changed stay, the end is found early, and nothing is injected."""

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qpsdk import header as module
from qpsdk.errors import HeaderError
from qpsdk.header import Field, Header, HeaderReader

RAW = (
    b"Received: from a\n\tby b;\n  today\n"
    b"subject:no space\n"
    b"X-Odd \t: 8-bit \xe4, NUL \0, CR \r in it \r \n"
    b"RECEIVED: from c\n"
    b"Empty:\n"
    b"To: ask@example.org\n"
)

MESSAGES = [
    # message, how many bytes of it are the header
    (b"", 0),
    (b"\n", 0),
    (b"A: b\n", 5),
    (b"A: b\n\n", 5),
    (b"A: b\n\nbody\n", 5),
    (b"A: b\n c\n\td\n\nbody\n", 11),
    (b"A: b\n \n\nbody\n", 7),
    (b"A : b\n\n", 6),
    (b"A:\nB:\n\n", 6),
    (b"A: b\nno field\nC: d\n\n", 5),
    (b"A: b\n: no name\n\n", 5),
    (b"A: b\nsp ace: c\n\n", 5),
    (b"A: b\n\xe4: c\n\n", 5),
    (b"A: b\nC", 5),
    (b"A: b\nC: d", 5),
    (b"A: b\n c", 5),
    (b" continues nothing\nA: b\n", 0),
    (b"\tcontinues nothing", 0),
    (b": no name\n", 0),
    (b"From ask Mon Jan  1\nA: b\n", 0),
    (b"A\nB: c\n", 0),
    (b"A\n: c\n", 0),
    (b"A \n: c\n", 0),
    (b"A\r: c\n", 0),
    (RAW + b"\nbody: not a field\n", len(RAW)),
]


def read(blocks: Iterable[bytes]) -> tuple[bytes, bytes]:
    """Feed a reader until the header has ended; return the header and all that follows it."""
    reader, blocks = HeaderReader(), iter(blocks)
    header, rest = next(filter(None, map(reader.feed, blocks)), None) or reader.finish()
    return bytes(header), rest + b"".join(blocks)


# -- Finding the end ---------------------------------------------------------------------------


@pytest.mark.parametrize(("message", "end"), MESSAGES)
def test_end_of_header(message: bytes, end: int) -> None:
    """The header is the longest run of whole field lines; the rest begins with the blank line."""
    assert read([message]) == (message[:end], message[end:])


@pytest.mark.parametrize(("message", "end"), MESSAGES)
def test_end_of_header_in_any_two_blocks(message: bytes, end: int) -> None:
    """Where the blocks are cut makes no difference."""
    for cut in range(len(message) + 1):
        assert read([message[:cut], message[cut:]]) == (message[:end], message[end:])


@pytest.mark.parametrize(("message", "end"), MESSAGES)
def test_end_of_header_byte_by_byte(message: bytes, end: int) -> None:
    """Nor does a message that comes a byte at a time."""
    blocks = [message[i : i + 1] for i in range(len(message))]
    assert read(blocks) == (message[:end], message[end:])


@given(
    st.lists(st.sampled_from([b"A", b"b", b":", b" ", b"\t", b"\n", b"\r", b"\xe4"]), max_size=24),
    st.data(),
)
@example([b"A", b" ", b" ", b":", b"\n"], None)
def test_reading_is_the_same_however_cut(parts: list[bytes], data: st.DataObject | None) -> None:
    """Any message, cut anywhere, is read as in one piece, and no byte is lost."""
    message = b"".join(parts)
    cuts = data.draw(st.sets(st.integers(0, len(message)))) if data else set(range(len(message)))
    bounds = [0, *sorted(cuts), len(message)]
    blocks = [message[a:b] for a, b in pairwise(bounds)]
    header, rest = read(blocks)
    assert header + rest == message
    assert header == end_of_header_line_by_line(message)


def end_of_header_line_by_line(message: bytes) -> bytes:
    """The rule once more, as one would write it without hurry."""
    header = b""
    for line in message.split(b"\n")[:-1]:
        continues = header and line[:1] in (b" ", b"\t")
        if not continues and not re.match(rb"[!-9;-~]+[ \t]*:", line):
            break
        header += line + b"\n"
    return header


@pytest.mark.parametrize(
    "message", [b":", b" ", b"A\xe4", b"A  b", b"A: b\nC d", b"A: b\nC: d\n:", b"A: b\n\n"]
)
def test_ends_as_soon_as_it_can(message: bytes) -> None:
    """A byte that no field can have ends the header at once: its line is never gathered."""
    for cut in range(len(message)):
        reader = HeaderReader()
        assert reader.feed(message[:cut]) is None
        assert reader.feed(message[cut:]) is not None
    reader = HeaderReader()
    ended = [reader.feed(message[i : i + 1]) is not None for i in range(len(message))]
    assert ended == [False] * (len(message) - 1) + [True]


@pytest.mark.parametrize(
    "message", [b"", b"A", b"A \t", b"A:", b"A: b c", b"A: b\n", b"A: b\n \xe4"]
)
def test_waits_while_undecided(message: bytes) -> None:
    """What may still be a field, or be continued, is waited for."""
    reader = HeaderReader()
    assert reader.feed(message) is None
    assert reader.size == len(message)


@pytest.mark.parametrize(
    "message",
    [b"N" * 5000 + b": v\n\n", b"N" + b" " * 5000 + b": v\n\n", b"N: " + b"v" * 5000 + b"\n\n",
     b"N: v\n" * 1000 + b"\n", b"N:\n" + b" v\n" * 1500 + b"\n"],
    ids=["long-name", "long-space", "long-value", "many-fields", "many-continuations"],
)  # fmt: skip
def test_reading_is_linear(message: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fed byte by byte, every byte is given to a pattern a bounded number of times."""
    given_bytes = 0

    class Counting:
        def __init__(self, pattern: re.Pattern[bytes]) -> None:
            self.pattern = pattern

        def match(self, data: bytes, start: int) -> re.Match[bytes] | None:
            nonlocal given_bytes
            given_bytes += len(data) - start
            return self.pattern.match(data, start)

    for name in ("_LINES", "_UNFINISHED"):
        monkeypatch.setattr(module, name, Counting(getattr(module, name)))
    header, rest = read(message[i : i + 1] for i in range(len(message)))
    assert header + rest == message
    assert rest == b"\n"
    assert len(message) <= given_bytes <= 4 * len(message)


# -- Reading -----------------------------------------------------------------------------------


def test_bytes_exact() -> None:
    """A header that was parsed and not changed gives back every byte."""
    header = Header.parse(RAW)
    assert bytes(header) == RAW
    assert header.size == len(RAW)
    assert len(header) == 6


def test_fields() -> None:
    """Iteration yields the fields in order; name and raw as written, the value unfolded."""
    fields = list(Header.parse(RAW))
    assert b"".join(field.raw for field in fields) == RAW
    assert [(field.name, field.value) for field in fields] == [
        (b"Received", b"from a\tby b;  today"),
        (b"subject", b"no space"),
        (b"X-Odd", b"8-bit \xe4, NUL \0, CR \r in it \r"),
        (b"RECEIVED", b"from c"),
        (b"Empty", b""),
        (b"To", b"ask@example.org"),
    ]
    assert fields[0] == Field(b"Received", b"Received: from a\n\tby b;\n  today\n")


def test_lookup() -> None:
    """Names are found whatever their case and type, and only whole names."""
    header = Header.parse(RAW)
    assert header.get("SUBJECT") == header.get(b"Subject") == b"no space"
    assert header.get("received") == b"from a\tby b;  today"
    assert header.get_all("Received") == [b"from a\tby b;  today", b"from c"]
    assert header.count("received") == 2
    assert header.get("x-odd") == b"8-bit \xe4, NUL \0, CR \r in it \r"
    assert header.get("empty") == b""
    assert "empty" in header
    assert b"TO" in header


@pytest.mark.parametrize("name", ["sub", "ubject", "subject2", "t.", "by", "."])
def test_lookup_misses(name: str) -> None:
    """A part of a name, a word of a value, or a pattern finds nothing."""
    header = Header.parse(RAW)
    assert header.get(name) is None
    assert header.get(name, b"-") == b"-"
    assert (header.get_all(name), header.count(name), name in header) == ([], 0, False)


def test_empty_header() -> None:
    """A header without fields is a header."""
    header = Header()
    assert (bytes(header), len(header), list(header), header.get("a")) == (b"", 0, [], None)
    assert bytes(Header.parse(b"")) == b""


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"A: b", 1),
        (b"\n", 1),
        (b" a\n", 1),
        (b"A: b\n\n", 2),
        (b"A: b\n c\nD\n", 3),
        (b"A: b\nC: d", 2),
    ],
)
def test_parse_refuses_what_is_no_field(raw: bytes, line: int) -> None:
    """Only whole field lines make a header; the error names the first other line."""
    with pytest.raises(HeaderError, match=f"line {line} "):
        Header.parse(raw)


# -- Writing -----------------------------------------------------------------------------------


def test_add_and_prepend() -> None:
    """A field is written at the end or on top, and nothing else moves."""
    header = Header.parse(RAW)
    header.add("X-Last", b"\xe4")
    header.prepend(b"X-First", "ä")
    assert bytes(header) == b"X-First: \xc3\xa4\n" + RAW + b"X-Last: \xe4\n"


def test_author_may_fold() -> None:
    """A value that its author folded is written as given, and read unfolded."""
    header = Header()
    header.add("A", "b\n c\n\td")
    assert bytes(header) == b"A: b\n c\n\td\n"
    assert header.get("a") == b"b c\td"
    header.add("Long", "x" * 2000)
    assert bytes(header).count(b"\n") == 4


def test_replace() -> None:
    """The first field is rewritten where it stands, the others go, the rest stays."""
    header = Header.parse(RAW)
    header.replace("RecEived", "new")
    first, others = RAW.split(b"subject", 1)
    assert first.startswith(b"Received")
    others = others.replace(b"RECEIVED: from c\n", b"")
    assert bytes(header) == b"RecEived: new\nsubject" + others
    header.replace("to", "new")
    assert bytes(header).endswith(b"Empty:\nto: new\n")


def test_replace_adds() -> None:
    """A field that is not there is added at the end."""
    header = Header.parse(RAW)
    header.replace("Reply-To", "a@b")
    assert bytes(header) == RAW + b"Reply-To: a@b\n"


def test_delete() -> None:
    """All fields of the name go, wherever they stand; how many is returned."""
    header = Header.parse(b"A: 1\n 1\nA: 2\nB: 3\na : 4\n")
    assert header.delete("a") == 3
    assert bytes(header) == b"B: 3\n"
    assert header.delete("a") == 0
    assert header.delete("b") == 1
    assert bytes(header) == b""


def test_rename() -> None:
    """Fields get another name, and keep every byte behind it."""
    header = Header.parse(b"A: 1\n \t1\na \t:2\nB: \\1 A: 3\n")
    assert header.rename("A", r"X-\1\g<0>") == 2
    assert bytes(header) == b"X-\\1\\g<0>: 1\n \t1\nX-\\1\\g<0> \t:2\nB: \\1 A: 3\n"
    assert header.rename("A", "C") == 0


def test_rename_some() -> None:
    """Only fields whose value is picked get another name."""
    header = Header.parse(b"A: 1\nB: 1\nA: 2\n 3\nA: 1\n")
    assert header.rename("A", "C", lambda value: value == b"2 3") == 1
    assert bytes(header) == b"A: 1\nB: 1\nC: 2\n 3\nA: 1\n"
    assert header.rename("A", "D", lambda value: value == b"1") == 2
    assert bytes(header) == b"D: 1\nB: 1\nC: 2\n 3\nD: 1\n"
    assert header.rename("D", "E", lambda value: False) == 0


@pytest.mark.parametrize(
    "name", ["", "A:", "A b", "A\n", "\nA", " A", "ä", b"\xe4", "A\0", "\udc80"], ids=repr
)
def test_bad_names(name: str | bytes) -> None:
    """A name that no field can have is refused by every method, and changes nothing."""
    header = Header.parse(RAW)
    for call in (header.get, header.get_all, header.count, header.delete, header.__contains__):
        with pytest.raises(HeaderError, match="name"):
            call(name)
    for write in (header.add, header.prepend, header.replace, header.rename):
        with pytest.raises(HeaderError, match="name"):
            write(name, "x")
    with pytest.raises(HeaderError, match="name"):
        header.rename("To", name)
    assert bytes(header) == RAW


@pytest.mark.parametrize(
    "value",
    [
        "a\nBcc: b",
        "a\n",
        "\n",
        "a\r\n b",
        "a\rb",
        "a\0",
        "a\n\n b",
        "a\n \n b",
        "a\n ",
        b"\n\nbody",
        "\udc80",
    ],
    ids=repr,
)
def test_bad_values(value: str | bytes) -> None:
    """A value that would end its field, or the header, is refused and changes nothing."""
    header = Header.parse(RAW)
    for write in (header.add, header.prepend, header.replace):
        with pytest.raises(HeaderError, match="value of 'To'"):
            write("To", value)
    assert bytes(header) == RAW


TRICKY = st.text("aB :\n\r\t\0\\-é\udc80", max_size=10)
ANY = TRICKY | st.binary(max_size=10) | TRICKY.map(lambda text: text.encode("utf-8", "replace"))


@given(ANY | st.sampled_from(["A", b"Subject"]), ANY, st.booleans())
def test_nothing_is_injected(name: str | bytes, value: str | bytes, on_top: bool) -> None:
    """Whatever is written is refused, or is exactly one field more, of that name and value."""
    header = Header.parse(RAW)
    try:
        (header.prepend if on_top else header.add)(name, value)
    except HeaderError:
        assert bytes(header) == RAW
        return
    again = Header.parse(bytes(header))
    fields = [field.raw for field in again]
    new = fields.pop(0 if on_top else -1)
    assert b"".join(fields) == RAW
    name, value = (x.encode() if isinstance(x, str) else x for x in (name, value))
    assert new == name + b": " + value + b"\n"
    assert read([bytes(header) + b"\nbody"]) == (bytes(header), b"\nbody")


@given(
    st.lists(st.tuples(st.sampled_from([b"A", b"a", b"AB", b"B"]), TRICKY)),
    st.sampled_from(["A", "b", "AB"]),
    st.sampled_from(["replace", "delete", "rename"]),
)
def test_changes_touch_no_other_field(
    fields: list[tuple[bytes, str]], name: str, change: str
) -> None:
    """A change to one name leaves the fields of all other names as they are."""
    header = Header()
    for old_name, value in fields:
        try:
            header.add(old_name, value)
        except HeaderError:
            continue
    others = [field for field in header if field.name.lower() != name.lower().encode()]
    count, first = header.count(name), header.get(name)
    if change == "replace":
        header.replace(name, "new")
        assert header.get_all(name) == [b"new"]
    elif change == "delete":
        assert header.delete(name) == count
    else:
        assert header.rename(name, "New") == count
        assert header.get("New") == first
    fields_now = list(Header.parse(bytes(header)))
    assert [f for f in fields_now if f.name not in (name.encode(), b"New")] == others


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"caf\xc3\xa9", "caf\u00e9"),
        (b"caf\xe9", "caf\ufffd"),
        (b"=?utf-8?q?caf=C3=A9_au?= lait", "caf\u00e9 au lait"),
        (b"=?UTF-8?B?Y2Fmw6k=?=", "caf\u00e9"),
        (b"a =?utf-8?q?b?= =?iso-8859-1?q?=E9?=\n =?utf-8?q?c?= d", "a b\u00e9c d"),
        (b"=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=", "caf\u00e9"),  # a character in two words
        (b"\\u20ac =?utf-8?q?x?= \xe2\x82\xac", "\\u20ac x \u20ac"),
        (b"=?utf-8?b?a?= x", "=?utf-8?b?a?= x"),
        (b"=?no-such?q?abc=FF?=", "abc\ufffd"),
        (b"=?rot13?q?abc?=", "abc"),
        (b"=?idna?q?a..b?=", "a..b"),
        (b"=?utf-8?q?=FF?=", "\ufffd"),
        (b"1 =? 2 ?= 3", "1 =? 2 ?= 3"),
    ],
)
def test_text(value: bytes, text: str) -> None:
    """Encoded words and UTF-8 are decoded, and what is neither stays or is shown by U+FFFD."""
    header = Header.parse(b"Subject: " + value + b"\n")
    assert header.text("subject") == text
    assert [field.text for field in header] == [text]


def test_text_of_no_field() -> None:
    """Where there is no such field the default is given."""
    assert (Header().text("subject"), Header().text("subject", "none")) == ("", "none")


@given(
    st.lists(
        st.sampled_from([b"=?", b"?=", b"?", b"utf-8", b"q", b"b", b"=C3=A9", b" ", b"w6k=", b"x"])
        | st.binary(max_size=3),
        max_size=12,
    )
)
def test_any_text(parts: list[bytes]) -> None:
    """Whatever a client wrote, there is a text."""
    value = b"".join(parts).translate(None, b"\n")
    assert isinstance(Header.parse(b"Subject: " + value + b"\n").text("subject"), str)
