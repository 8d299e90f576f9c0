"""Holds the dialogue of a transcript, and compares."""

import asyncio
import logging
import re
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import unified_diff
from itertools import groupby
from typing import TYPE_CHECKING, Final

from qpsdk.errors import StreamError
from qpsdk.log import Formatter
from qpsdk.testing.lines import is_event, meant, shown, wire
from qpsdk.testing.logs import handled_by
from qpsdk.testing.memory import MemoryStream
from qpsdk.testing.stage import connected
from qpsdk.testing.transcripts import Line, Transcript

if TYPE_CHECKING:
    from qpsdk.server.stream import SocketStream

WAIT: Final = 5.0
"""Seconds that a line may take to come."""

CONTEXT: Final = 3
"""Lines that are shown around one that is different."""

SHOWN_LOG: Final = 10
"""Lines of the log that are shown where the one that was looked for is not among them."""


@dataclass(slots=True)
class Group:
    """Lines of one side that follow each other.

    Attributes:
        who: Whose they are.
        expected: Those of the transcript.
        start: How many lines of the file come before them.
        end: How many there are with them.
        came: Those of the dialogue; one that is like a line of the transcript is written as there.
    """

    who: str
    expected: list[Line]
    start: int
    end: int
    came: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether it came as it was to."""
        return self.came == [str(line) for line in self.expected]

    @property
    def difference(self) -> int:
        """The number of the first line that did not come as it was to."""
        for line, text in zip(self.expected, self.came, strict=False):
            if str(line) != text:
                return line.number
        beyond = self.expected[len(self.came) :]
        return beyond[0].number if beyond else self.end


def _groups(lines: list[Line]) -> list[Group]:
    """The groups of a dialogue; the server always has the last word, if only to say nothing."""
    groups: list[Group] = []
    for who, same in groupby(lines, lambda line: line.who):
        expected = list(same)
        groups.append(Group(who, expected, expected[0].number - 1, expected[-1].number))
    if groups[-1].who != "S":
        groups.append(Group("S", [], groups[-1].end, groups[-1].end))
    return groups


@dataclass(slots=True)
class Result:
    """What came of a transcript.

    Attributes:
        groups: Its lines, and what came in their place.
        problem: Why the dialogue ended before its end; empty if it did not.
    """

    transcript: Transcript
    groups: list[Group]
    problem: str = ""

    @property
    def is_right(self) -> bool:
        """Whether all came as it was to."""
        return not self.problem and all(group.is_right for group in self.groups)

    def __str__(self) -> str:
        """Where it differs, and how: ``-`` is the transcript, ``+`` is what came."""
        if self.is_right:
            return ""
        expected = [str(line) for line in self.transcript.lines]
        came = [text for group in self.groups for text in group.came]
        wrong = (group.difference for group in self.groups if not group.is_right)
        number = next(wrong, self.groups[-1].end)
        empty = any(line == (number, "S", "") for line in self.transcript.lines)
        other = "no reply is here yet: --update-transcripts fills it in"
        what = self.problem or (other if empty else "something else came")
        diff = [*unified_diff(expected, came, lineterm="", n=CONTEXT)][2:]
        lines = [f"{self.transcript.path}:{number}: {what} (- expected, + came)"]
        return "\n".join([*lines, *("..." if text.startswith("@@") else text for text in diff)])


def update(text: str, results: Iterable[Result]) -> str:
    """The text of a file with what the server said in place of what it was to say.

    A dialogue that ended before its end changes nothing.

    Args:
        text: The file's, as it was parsed.
        results: Of its transcripts, in any order.
    """
    lines = text.split("\n")
    groups = [group for result in results if not result.problem for group in result.groups]
    for group in sorted(groups, key=lambda group: group.start, reverse=True):
        if group.who == "S" and not group.is_right:
            first = lines[group.start if group.expected else group.start - 1]
            indent = first[: len(first) - len(first.lstrip())]
            end = "\r" if first.endswith("\r") else ""
            lines[group.start : group.end] = [f"{indent}{text}{end}" for text in group.came]
    return "\n".join(lines)


async def run(transcript: Transcript) -> Result:
    """Hold the dialogue of a transcript.

    Raises:
        TranscriptError: A plugin or a setting in its header is wrong.
    """
    groups = _groups(transcript.lines)
    log = _Log()
    with handled_by(log):
        async with connected(transcript) as stream:
            problem = await _Dialogue(stream, log).hold(groups)
            if problem:
                stream.abort()
    return Result(transcript, groups, problem)


_TAKEN: Final = Line(0, "S", "")  # like no line that a server says


class _StopError(Exception):
    """The dialogue cannot go on."""


class _Dialogue:
    """The client's part."""

    def __init__(self, stream: "MemoryStream | SocketStream", log: "_Log") -> None:
        self._stream = stream
        self._log = log
        self._lines: list[bytes] = []  # of the server, with their ends, not yet looked at
        self._rest = b""  # of a line that is still coming
        self._ended = ""  # the event with which the server did
        self._gone = False  # we are

    async def hold(self, groups: list[Group]) -> str:
        """Fill in what came; what kept the dialogue from its end, if anything did."""
        try:
            for group in groups:
                if group.who == "C":
                    self._say(group)
                elif group.who == "S":
                    await self._listen(group)
                else:
                    await self._look(group)
            await self._end(groups[-1])
        except _StopError as stop:
            return str(stop)
        return ""

    def _say(self, group: Group) -> None:
        if self._ended:
            raise _StopError("the server had ended before all was said")
        *_, last = group.expected
        said = [wire(line.text) for line in group.expected if not is_event(line.text)]
        self._stream.write(b"".join(said))
        if is_event(last.text):
            self._gone = last.text != "<half-closes>"
            _ENDS[last.text](self._stream)
        group.came = [str(line) for line in group.expected]

    async def _listen(self, group: Group) -> None:
        """Hear as many replies as are expected, and what has come with them."""
        said = [line for line in group.expected if not is_event(line.text)]
        replies = sum(line.is_last for line in said)
        to_the_end = len(said) < len(group.expected)
        try:
            while (to_the_end or self._replies() < replies) and not self._ended:
                if not to_the_end and self._replies() >= replies - self._run_on(said):
                    break  # all of them have come, and are fewer than they look in the transcript
                await self._read()
            is_cut = self._replies() < replies
        finally:
            self._hear(group)
        if self._ended and (to_the_end or is_cut):
            group.came.append(f"S: {self._ended}")
            _close(self._stream)  # as clients do; until then the server waits

    async def _look(self, group: Group) -> None:
        """Look for lines in the log."""
        for line in group.expected:
            if not await self._log.find(line.text):
                group.came += [f"L: {text}" for text in self._log.unread[:SHOWN_LOG]]
                raise _StopError(f"the log has had no such line for {WAIT:g} s")
            group.came.append(str(line))

    async def _end(self, last: Group) -> None:
        """End our side: the server may have nothing to add."""
        if self._gone or self._ended:
            return
        _half_close(self._stream)
        ended = await self._read_to_the_end()
        self._hear(last)
        if ended == "<resets>":
            last.came.append(f"S: {ended}")

    def _replies(self) -> int:
        return sum(line[3:4] != b"-" for line in self._lines)

    def _run_on(self, said: list[Line]) -> int:
        """How many lines go on with a reply where the transcript has its end: 250- for 250."""
        if not self._lines or self._lines[-1][3:4] == b"-":
            return 0  # the reply is still coming
        others = [line for line in self._lines if not any(_is_like(line, s.text) for s in said)]
        ends = [line[:3] + b" " + line[4:] for line in others if line[3:4] == b"-"]
        return sum(s.is_last and any(_is_like(line, s.text) for line in ends) for s in said)

    def _hear(self, group: Group) -> None:
        """Put the lines that have come into the group."""
        known = [line for line in group.expected if not is_event(line.text)]
        for line in self._lines:
            at = len(group.came)
            # Several may be like it: the one in its own place first, and each only once.
            likely = [*known[at : at + 1], *known]
            like = next((other for other in likely if _is_like(line, other.text)), None)
            if like is not None:
                known[known.index(like)] = _TAKEN
            group.came.append(f"S: {_text(line)}".rstrip() if like is None else str(like))
        self._lines.clear()

    async def _read_to_the_end(self) -> str:
        while not self._ended:
            await self._read()
        return self._ended

    async def _read(self) -> None:
        try:
            data = await asyncio.wait_for(self._stream.read(), WAIT)
        except TimeoutError:
            more = "nothing more" if self._lines else "nothing"
            raise _StopError(f"{more} came for {WAIT:g} s") from None
        except StreamError:
            self._ended, data = "<resets>", b""
        if not data:
            self._ended = self._ended or "<closes>"
            self._lines += [self._rest] if self._rest else []
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += [line + b"\n" for line in lines]


def _is_like(line: bytes, pattern: str) -> bool:
    """Whether the server's line is what a transcript says, each ``*`` anything."""
    *pieces, last = pattern.split("*")
    parts = [*map(meant, pieces), wire(last)]
    return re.fullmatch(b".*".join(map(re.escape, parts)), line, re.DOTALL) is not None


def _text(line: bytes) -> str:
    """A line of the server as a transcript has it."""
    return shown(line[:-2]) if line.endswith(b"\r\n") else shown(line) + "\\"


def _half_close(stream: "MemoryStream | SocketStream") -> None:
    if isinstance(stream, MemoryStream):
        stream.end()
    else:
        with suppress(OSError):  # the server is gone: the next read will tell
            stream.transport.write_eof()


def _close(stream: "MemoryStream | SocketStream") -> None:
    if isinstance(stream, MemoryStream):
        stream.end()  # nobody reads what the server may still say
    else:
        stream.transport.close()


def _reset(stream: "MemoryStream | SocketStream") -> None:
    if not isinstance(stream, MemoryStream):
        own = stream.transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.abort()


_ENDS: Final = {"<half-closes>": _half_close, "<closes>": _close, "<resets>": _reset}


class _Log(logging.Handler):
    """The host's log while a dialogue is held, its debugging lines included."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(Formatter())
        self._lines: list[str] = []
        self._next = 0  # the first that nobody has looked for yet
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, but for time and connection, which no transcript can know."""
        line = self.format(record).partition("\n")[0]
        self._lines.append(_STAMP.sub(r"\1 ", line).rstrip())
        self._loop.call_soon_threadsafe(self._changed.set)

    @property
    def unread(self) -> list[str]:
        """The lines that nobody has looked for yet."""
        return self._lines[self._next :]

    async def find(self, pattern: str) -> bool:
        """Whether there is a line like it after the one that was found before, or soon will be."""
        like = re.compile(".*".join(map(re.escape, pattern.split("*"))))
        try:
            async with asyncio.timeout(WAIT):
                while True:
                    self._changed.clear()
                    for at, line in enumerate(self.unread, self._next + 1):
                        if like.fullmatch(line):
                            self._next = at
                            return True
                    await self._changed.wait()
        except TimeoutError:
            return False


_STAMP: Final = re.compile(r"\A\S+ \S+ (\S+) (?:\[[^]]*\] )?")
