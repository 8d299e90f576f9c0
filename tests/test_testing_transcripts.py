"""The text of transcripts: what is read from it, and what is said of a wrong line."""

from pathlib import Path

import pytest

from qpsdk.errors import TranscriptError
from qpsdk.testing.transcripts import parse

FILE = Path("sample.smtp")
PAGE = Path("page.md")


def test_one_transcript() -> None:
    """A file without titles is one transcript, named after it."""
    (transcript,) = parse("# hello\n\nS: 220 x\nC: QUIT\nS: 221 bye\nS: <closes>\n", FILE)
    assert transcript.title == "sample"
    assert transcript.number == 3
    assert [(line.number, line.who, line.text) for line in transcript.lines] == [
        (3, "S", "220 x"),
        (4, "C", "QUIT"),
        (5, "S", "221 bye"),
        (6, "S", "<closes>"),
    ]


def test_headers() -> None:
    """A transcript's own plugins come before those of its file, its settings in their place."""
    text = (
        "plugin: rcpt_ok\nconfig: me = one.example\nconfig: rcpthosts = a.example\n"
        "config: rcpthosts = b.example\nclient: 192.0.2.7\n"
        "[one]\nplugin: queue/discard\nplugin: queue/maildir /mail\nconfig: me = two.example\n"
        "over: memory\nS: *\n"
        "[two]\nclient: 2001:DB8::1\nS: *\n"
    )
    one, two = (transcript.header for transcript in parse(text, FILE))
    assert [line.text for line in one.plugins] == [
        "queue/discard",
        "queue/maildir /mail",
        "rcpt_ok",
    ]
    assert one.config == {"me": "two.example", "rcpthosts": "a.example\nb.example"}
    assert (one.client, one.over) == ("192.0.2.7", "memory")
    assert [(line.number, line.text) for line in two.plugins] == [(1, "rcpt_ok")]
    assert two.config["me"] == "one.example"
    assert (two.client, two.over) == ("2001:db8::1", "")


def test_white_space() -> None:
    """One space parts who speaks from what is said; the rest is text, but at the end."""
    (transcript,) = parse("S: 220 x  \nC:   two \nC:\nC: \n", FILE)
    assert [line.text for line in transcript.lines] == ["220 x", "  two", "", ""]


def test_markdown() -> None:
    """In a page the fenced blocks are read, each for itself, with the line numbers of the page."""
    text = """\
# Page

S: not this

```smtp
S: 220 one
```

* In a list:

  ~~~~ smtp
  [named]
  plugin: Quiet
  S: 220 two
  C:   indented
  ~~~
  ~~~~

```text
S: nor this
```
"""
    with pytest.raises(TranscriptError, match=r"^page.md:16: '~~~' is no line of a transcript"):
        parse(text, PAGE)
    one, two = parse(text.replace("  ~~~\n", ""), PAGE)
    assert (one.title, one.number) == ("line 6", 6)
    assert (two.title, two.number) == ("named", 12)
    assert [(line.number, line.text) for line in two.lines] == [(14, "220 two"), (15, "  indented")]


def test_classes_of_a_page() -> None:
    """A block of Python above a transcript is known by the classes that it defines."""
    text = (
        "```python\nclass One(Plugin):\n    pass\n\nclass Two(Plugin): ...\n```\n"
        "```smtp\nS: *\n```\n```python\nclass Three(Plugin): ...\n```\n"
    )
    (transcript,) = parse(text, PAGE)
    assert transcript.code.keys() == {"One", "Two"}
    assert transcript.code["One"].lines[0] == (2, "class One(Plugin):")


def test_page_without_transcripts() -> None:
    """A page need not have any."""
    assert parse("# Page\n\n```text\nS: x\n```\n", PAGE) == []


DIALOGUE = "S: 220 x\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1: no dialogue in it: write lines with C: and S:"),
        (DIALOGUE + "C:NOOP\n", "2: 'C:NOOP': write a space after C:"),
        (DIALOGUE + "c: NOOP\n", "2: 'c: NOOP' is no line of a transcript: write C:, S: or L: and"),
        ("plugins: x\n" + DIALOGUE, "1: 'plugins: x': did you mean plugin: ?"),
        (
            DIALOGUE + "hello\n",
            "2: 'hello' is no line of a transcript: write C:, S: or L: and what",
        ),
        ("plugin: ../x\n" + DIALOGUE, "1: plugin: '../x' is no plugin name; name its folder in"),
        ("plugin:\n" + DIALOGUE, "1: plugin: '' is no plugin name"),
        ("config: me\n" + DIALOGUE, "1: config: 'me': write a setting, such as databytes = 1000"),
        ("client: me\n" + DIALOGUE, "1: client: 'me' does not appear to be an IPv4 or IPv6"),
        ("over: udp\n" + DIALOGUE, "1: over: 'udp': write memory or socket"),
        ("client: ::1\nover: socket\n" + DIALOGUE, "3: client: over a socket it has its own"),
        (DIALOGUE + "over: socket\n", "2: over: stands after the dialogue has begun; put it above"),
        (DIALOGUE + "[one]\n", "2: lines are said before the first title: give them one, too"),
        ("[one]\n[two]\n" + DIALOGUE, "1: nothing is said in [one]: write lines with C: and S:"),
        ("[one]\nover: socket\n", "1: nothing is said in [one]: write lines with C: and S:"),
        ("[one]\nS: 1\n[one]\nS: 2\n", "3: a second transcript [one]; each needs a title of its"),
        (DIALOGUE + "C: a\\b\n", "2: \\b is no escape; write \\\\, \\r, \\n, \\t or \\x and two"),
        ("S: a\\b\n", "1: \\b is no escape"),
        (DIALOGUE + "C: <close>\n", "2: <close> cannot happen here, only <closes>, <half-closes>"),
        ("S: <half-closes>\n", "1: <half-closes> cannot happen here, only <closes>, <resets>"),
        (DIALOGUE + "C: <html>\n", "text that looks so begins with \\x3c: \\x3chtml>"),
        ("S: <closes>\nS: 250 x\n", "2: nothing can come after the <closes> of line 1"),
        ("S: <closes>\nC: x\n", "2: nothing can come after the <closes> of line 1"),
        ("C: <closes>\nS: 250 x\n", "2: nothing can come after the <closes> of line 1"),
        ("C: <resets>\nC: x\n", "2: nothing can come after the <resets> of line 1"),
        ("C: <half-closes>\nC: x\n", "2: nothing can come after the <half-closes> of line 1"),
        ("S: 250-x\nC: y\n", "2: line 1: the reply goes on after this: the last line of one has a"),
        ("S: 250-x\n", "1: the reply goes on after this: the last line of one has a space"),
    ],
)
def test_wrong(text: str, told: str) -> None:
    """What is wrong is said with file, line, and what would be right."""
    with pytest.raises(TranscriptError) as error:
        parse(text, FILE)
    assert told in str(error.value)
    assert str(error.value).startswith("sample.smtp:")


def test_after_a_half_close() -> None:
    """A client that ended its side can still be told something, and the log can always."""
    text = "C: <half-closes>\nS: 250 x\nS: <closes>\nL: gone\n"
    (transcript,) = parse(text, FILE)
    assert len(transcript.lines) == 4
