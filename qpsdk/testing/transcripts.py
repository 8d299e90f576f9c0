r"""Dialogues written down as they are to be: a file with the suffix ``.smtp`` is a test.

::

    # These lines are for every transcript of the file.
    config: plugin_dirs = plugins
    plugin: no_thanks

    [a recipient is refused]
    S: 220 mx.example.com ESMTP qpsdk ready
    C: HELO client.example.org
    S: 250 mx.example.com
    C: MAIL FROM:<you@example.org>
    C: RCPT TO:<me@example.com>
    S: 250 2.1.0 Sender OK
    S: 550 5.7.1 * like it quiet here
    C: QUIT
    S: 221 2.0.0 mx.example.com Closing the connection
    S: <closes>

A line begins with who says it:

``C:``
    The client sends the line. Lines that follow each other are sent at once, as one group: a
    message is written as it is sent, each dot at the start of a line doubled, and its final dot.
``S:``
    The server is to say the line, and no other. ``*`` stands for any characters, or none.
    An empty ``S:`` stands for a reply that ``--update-transcripts`` is to fill in.
``L:``
    By now the log has the line, ``LEVEL (hook) plugin: text``, somewhere after the one that the
    ``L:`` before it found. ``*`` means what it means in a reply.

What is said is UTF-8 and ends in CRLF. ``\r``, ``\n``, ``\t``, ``\\`` and ``\xNN``, a byte, are
escapes; a single backslash at the end of a line leaves its CRLF out. What happens is written as
``<closes>`` (either side), ``<half-closes>`` (the client ends its side, and goes on reading) or
``<resets>``; text that looks so begins with ``\x3c``. When the last line is said, the client ends
its side, and the server may have nothing to add.

Lines that begin with ``#``, and blank ones, say nothing. ``[title]`` begins a transcript: a file
can hold several. Before its dialogue there may be

``plugin: name word key=value``
    A plugin, as a line of `config/plugins`, one line for each, in their order. A transcript's own
    run before those of its file.
``config: name = value``
    A setting; again for its next line. A path in ``plugin_dirs`` begins where the file is.
    ``me`` is mx.example.com if nothing else is said.
``client: 192.0.2.1``
    The client's address, in memory.
``over: socket``
    A host listens and is connected to. Otherwise all of it happens in memory.

In Markdown each block fenced as ``smtp`` is read like this. There a plugin may be a class that
a block fenced as ``python`` defines above it: ``plugin: NoThanks``.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

from qpsdk.errors import TranscriptError
from qpsdk.finder import PluginLine
from qpsdk.testing.lines import is_event, wire

EVENTS: Final = {"C": ("<closes>", "<half-closes>", "<resets>"), "S": ("<closes>", "<resets>")}
"""What can happen on each side."""

HEADERS: Final = ("client", "config", "over", "plugin")


class Line(NamedTuple):
    """One line of a file, without its line end.

    Attributes:
        number: Counted from 1.
        who: ``C``, ``S`` or ``L`` in a dialogue.
        text: What follows.
    """

    number: int
    who: str
    text: str

    def __str__(self) -> str:
        return f"{self.who}: {self.text}".rstrip()

    @property
    def is_last(self) -> bool:
        """Whether a reply ends with the line (RFC 5321, 4.2.1)."""
        return self.text[3:4] != "-"


class Block(NamedTuple):
    """Lines of a Markdown page fenced as code of a language."""

    language: str
    lines: list[tuple[int, str]]


@dataclass(slots=True)
class Header:
    """What is said before a dialogue.

    Attributes:
        plugins: Lines as in `config/plugins`.
        config: The settings.
        client: The client's address.
        over: ``memory`` or ``socket``.
    """

    plugins: list[Line] = field(default_factory=list)
    config: dict[str, str] = field(default_factory=dict)
    client: str = ""
    over: str = ""

    def with_common(self, common: "Header") -> "Header":
        """This header, and what that of the whole file adds to it."""
        return Header(
            self.plugins + common.plugins,
            common.config | self.config,
            self.client or common.client,
            self.over or common.over,
        )


@dataclass(slots=True)
class Transcript:
    """A dialogue as it is to be.

    Attributes:
        path: Its file.
        number: The line on which it begins.
        title: What it is called there.
        header: The plugins and settings.
        lines: What is said.
        code: The Python of its page, by the names of the classes that it defines.
    """

    path: Path
    number: int
    title: str
    header: Header
    lines: list[Line] = field(default_factory=list)
    code: Mapping[str, Block] = field(default_factory=dict)


def parse(text: str, path: Path) -> list[Transcript]:
    """The transcripts of a file.

    Args:
        text: What is in it.
        path: Its name, for errors; the suffix says whether it is Markdown.

    Raises:
        TranscriptError: A line is wrong: file, line and what would be right are in it.
    """
    if path.suffix == ".md":
        transcripts = list(_parse_markdown(text, path))
    else:
        transcripts = _Reader(path).read(enumerate(text.split("\n"), 1))
        if not transcripts:
            raise TranscriptError("no dialogue in it: write lines with C: and S:", path, 1)
    titles: set[str] = set()
    for transcript in transcripts:
        if transcript.title in titles:
            problem = f"a second transcript [{transcript.title}]; each needs a title of its own"
            raise TranscriptError(problem, path, transcript.number)
        titles.add(transcript.title)
    return transcripts


def _parse_markdown(text: str, path: Path) -> Iterator[Transcript]:
    code: dict[str, Block] = {}
    for block in _blocks(text):
        if block.language == "python":
            source = "\n".join(line for _, line in block.lines)
            code |= dict.fromkeys(_CLASS.findall(source), block)
        elif block.language == "smtp":
            yield from _Reader(path, dict(code)).read(block.lines)


# Behind white space, or behind the mark of a list's item.
_FENCE: Final = re.compile(r"((?: *(?:[*+-]|\d+[.)]))? *)(`{3,}|~{3,}) *([\w+-]*)[^`]*")
_CLASS: Final = re.compile(r"^class (\w+)", re.MULTILINE)


def _blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown page, without their indentation."""
    block: Block | None = None
    indent, fence = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        if block is None:
            if opening := _FENCE.fullmatch(line):
                before, fence, language = opening.groups()
                indent, block = len(before), Block(language, [])
        elif line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            yield block
            block = None
        else:
            block.lines.append((number, line[:indent].lstrip() + line[indent:]))


_TITLE: Final = re.compile(r"\[(.+)\]")
_SAID: Final = re.compile(r"([CSL]):(?: (.*))?")
_HEADER: Final = re.compile(r"(\w+):\s*(.*)")
_SETTING: Final = re.compile(r"([\w./-]+)\s*=\s*(.*)")


class _Reader:
    """Reads a file, or one block of a page."""

    def __init__(self, path: Path, code: Mapping[str, Block] | None = None) -> None:
        self._path = path
        self._code = code or {}
        self._common = Header()
        self._found: list[Transcript] = []
        self._titled = False

    def read(self, lines: Iterable[tuple[int, str]]) -> list[Transcript]:
        """The transcripts in it. Raises as `parse`."""
        for number, text in lines:
            line = text.rstrip()
            if not line or line.startswith("#"):
                continue
            if found := _TITLE.fullmatch(line):
                self._begin(number, found[1])
            elif found := _SAID.fullmatch(line):
                self._say(Line(number, found[1], found[2] or ""))
            elif (found := _HEADER.fullmatch(line)) and found[1] in HEADERS:
                self._read_header(Line(number, found[1], found[2]))
            else:
                raise self._wrong(number, _what_is_right(line))
        self._end()
        for transcript in self._found:
            transcript.header = header = transcript.header.with_common(self._common)
            if header.client and header.over == "socket":
                problem = "client: over a socket it has its own address; leave out one of the two"
                raise self._wrong(transcript.number, problem)
        return self._found

    def _wrong(self, number: int, problem: str) -> TranscriptError:
        return TranscriptError(problem, self._path, number)

    def _begin(self, number: int, title: str) -> None:
        if self._found and not self._titled:
            raise self._wrong(number, "lines are said before the first title: give them one, too")
        self._end()
        self._titled = True
        self._found.append(Transcript(self._path, number, title, Header(), [], self._code))

    def _end(self) -> None:
        """Check that the transcript before is whole."""
        if not self._found:
            return
        transcript = self._found[-1]
        if not transcript.lines:
            problem = f"nothing is said in [{transcript.title}]: write lines with C: and S:"
            raise self._wrong(transcript.number, problem)
        last = transcript.lines[-1]
        if last.who == "S" and not last.is_last:
            raise self._wrong(last.number, _NOT_LAST)

    def _read_header(self, line: Line) -> None:
        header = self._found[-1].header if self._found else self._common
        if self._found and self._found[-1].lines:
            raise self._wrong(
                line.number,
                f"{line.who}: stands after the dialogue has begun; put it above it, or write"
                " [a title] before it to begin another",
            )
        try:
            _set(header, line)
        except ValueError as error:
            raise self._wrong(line.number, f"{line.who}: {error}") from None

    def _say(self, line: Line) -> None:
        if not self._found:
            markdown = self._path.suffix == ".md"
            title = f"line {line.number}" if markdown else self._path.stem
            self._found.append(Transcript(self._path, line.number, title, Header(), [], self._code))
        said = self._found[-1].lines
        try:
            _check(line, said)
        except ValueError as error:
            raise self._wrong(line.number, str(error)) from None
        said.append(line)


_NOT_LAST: Final = "the reply goes on after this: the last line of one has a space after its code"


def _what_is_right(line: str) -> str:
    """What to write in place of a line that cannot be read."""
    if line[:2] in ("C:", "S:", "L:"):
        return f"{line!r}: write a space after {line[:2]}"
    word = line.partition(":")[0]
    near = get_close_matches(word, [*HEADERS, "C", "S", "L"], 1, 0.7)
    if ":" in line and near:
        return f"{line!r}: did you mean {near[0]}: ?"
    return (
        f"{line!r} is no line of a transcript: write C:, S: or L: and what is said, a header"
        f" ({', '.join(HEADERS)}), [a title], or # and a comment"
    )


def _set(header: Header, line: Line) -> None:
    """Take a line of the header.

    Raises:
        ValueError: It is wrong.
    """
    text = line.text
    if line.who == "plugin":
        PluginLine.parse(text)
        header.plugins.append(line)
    elif line.who == "config":
        found = _SETTING.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r}: write a setting, such as databytes = 1000")
        before = header.config.get(found[1])
        header.config[found[1]] = found[2] if before is None else f"{before}\n{found[2]}"
    elif line.who == "client":
        header.client = str(ipaddress.ip_address(text))
    else:
        if text not in ("memory", "socket"):
            raise ValueError(f"{text!r}: write memory or socket")
        header.over = text


def _check(line: Line, said: list[Line]) -> None:
    """See that a line of a dialogue can stand where it does.

    Raises:
        ValueError: It cannot.
    """
    if said and said[-1].who == "S" != line.who and not said[-1].is_last:
        raise ValueError(f"line {said[-1].number}: {_NOT_LAST}")
    if line.who == "L":
        return
    events = EVENTS[line.who]
    if is_event(line.text) and line.text not in events:
        raise ValueError(
            f"{line.text} cannot happen here, only {', '.join(events)};"
            f" text that looks so begins with \\x3c: \\x3c{line.text[1:]}"
        )
    for before in said:
        if not is_event(before.text) or before.who == "L":
            continue
        if before.who == line.who or before.text != "<half-closes>":
            raise ValueError(f"nothing can come after the {before.text} of line {before.number}")
    if not is_event(line.text):
        wire(line.text)
