"""The engine: events and replies of whole conversations, however their bytes come.

The dialogues are written by hand from the table "Order and syntax of commands" of the
documentation. Each is held line by line, then whole, byte by byte, and cut at every position:
the events and replies have to be the same.
"""

import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.reply import Reply
from qpsdk.smtp.engine import BareNewline, Engine
from qpsdk.smtp.events import (
    Block,
    Data,
    Event,
    Hangup,
    Hello,
    Help,
    Mail,
    MessageEnd,
    Noop,
    Quit,
    Recipient,
    Reset,
    Unknown,
    Verify,
)
from qpsdk.smtp.limits import Limits
from qpsdk.smtp.steps import State
from tests.slices import sliced, slicings
from tests.test_smtp_data import SMUGGLED

SOME = Limits(message=100, command_line=60, recipients=2, bad_commands=5)
"""Limits that a short dialogue can reach."""

HELLO = b"EHLO client.example\r\n"
ENVELOPE = HELLO + b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"


def answer(event: Event) -> Reply:
    """Answer as a session would, whose plugins refuse whoever is called "no"."""
    if isinstance(event, MessageEnd) and event.refusal is not None:
        return event.refusal
    if any(isinstance(value, bytes) and b"no@" in value for value in _values(event)):
        return Reply.make(550, "No", "5.7.1")
    match event:
        case Data():
            return Reply.make(354, "Go ahead")
        case Verify():
            return Reply.make(252, "Send some mail", "2.5.0")
        case Help():
            return Reply.make(214, "See RFC 5321", "2.0.0")
        case Unknown():
            return Reply.make(500, "Unrecognized command", "5.5.1")
        case Quit():
            return Reply.make(221, "mx.example Bye", "2.0.0")
        case Hello():
            return Reply(250, (b"mx.example", b"PIPELINING"))
        case _:
            return Reply.make(250, "OK", "2.0.0")


def _values(event: Event) -> Iterable[Any]:
    return event if isinstance(event, tuple) else ()


class Conversation:
    """A client's side of one, with all that happened: events, and replies but the greeting."""

    def __init__(self, limits: Limits | None = None, bare_newline: BareNewline = "reject") -> None:
        self.engine = Engine("mx.example", limits, bare_newline)
        self.engine.reply(Reply.make(220, "mx.example ESMTP"))
        self.engine.data_to_send()
        self.events: list[Event] = []
        self.replies: list[str] = []

    def say(self, *slices: bytes) -> list[str]:
        """Send bytes, answer what they mean; the new replies. No bytes are the end of input."""
        known = len(self.replies)
        for data in slices:
            self.engine.receive(data)
            while (event := self.engine.next_event()) is not None:
                if isinstance(event, Hangup):
                    if self.events[-1:] != [event]:
                        self.events.append(event)
                    break
                if isinstance(event, Block):
                    assert event.data
                    event = Block(self._take_back() + event.data)
                else:
                    self.engine.reply(answer(event))
                if isinstance(event, MessageEnd) and event.refusal:
                    self._take_back()  # how much of it came before depends on the slices
                self.events.append(event)
            self._collect()
        return self.replies[known:]

    def _take_back(self) -> bytes:
        """What has come of the message so far: blocks are joined, to be compared."""
        match self.events[-1:]:
            case [Block(data)]:
                self.events.pop()
                return data
        return b""

    def _collect(self) -> None:
        wire = b"".join(self.engine.data_to_send())
        while wire:
            reply, end = Reply.parse_first(wire) or pytest.fail(f"half a reply: {wire!r}")
            self.replies.append(str(reply))
            wire = wire[end:]


Dialogue = list[tuple[bytes, str]]
"""What the client sends, and what the one reply to it begins with; empty: there is none."""

DIALOGUES: dict[str, Dialogue] = {
    "one message": [
        (b"EHLO client.example\r\n", "250 mx.example\nPIPELINING"),
        (b"MAIL FROM:<a@b> BODY=8BITMIME\r\n", "250 2.0.0"),
        (b"RCPT TO:<c@d>\r\n", "250 2.0.0"),
        (b"DATA\r\n", "354 Go ahead"),
        (b"A: b\r\n\r\n..\xe4\r\n.\r\n", "250 2.0.0"),
        (b"QUIT\r\n", "221 2.0.0"),
    ],
    "two messages, the second empty": [
        (b"HELO client.example\r\n", "250"),
        (b"MAIL FROM:<>\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "250"),
        (b"DATA\r\n", "354"),
        (b"..a\r\n.\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "503 5.5.1"),
        (b"DATA\r\n", "503 5.5.1"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "250"),
        (b"DATA\r\n", "354"),
        (b".\r\n", "250"),
        (b"QUIT\r\n", "221"),
    ],
    "before hello": [
        (b"MAIL FROM:<a@b>\r\n", "503 5.5.1 Say HELO or EHLO first"),
        (b"RCPT TO:<a@b>\r\n", "503 5.5.1"),
        (b"DATA\r\n", "503 5.5.1"),
        (b"NOOP\r\n", "250"),
        (b"RSET\r\n", "250"),
        (b"HELP\r\n", "214"),
        (b"VRFY x\r\n", "252"),
        (b"MAIL FROM:<a@b>\r\n", "503"),
        (b"QUIT\r\n", "221"),
    ],
    "refused hello": [
        (b"EHLO no@here\r\n", "550"),
        (b"MAIL FROM:<a@b>\r\n", "503"),
        (b"EHLO\r\n", "501 EHLO needs"),
        (b"MAIL FROM:<a@b>\r\n", "503"),
        (b"HELO yes\r\n", "250"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
    ],
    "after hello": [
        (b"EHLO x\r\n", "250"),
        (b"RCPT TO:<a@b>\r\n", "503 5.5.1 Send MAIL FROM first"),
        (b"DATA\r\n", "503 5.5.1 No valid recipients"),
        (b"NOOP x\r\n", "250"),
    ],
    "no accepted recipient": [
        (b"EHLO x\r\n", "250"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
        (b"DATA\r\n", "503 5.5.1 No valid recipients"),
        (b"RCPT TO:<no@d>\r\n", "550"),
        (b"RCPT TO:\r\n", "501"),
        (b"RCPT TO:<c@d> X=Y\r\n", "555 5.5.4 Unknown RCPT parameter X"),
        (b"DATA\r\n", "503 5.5.1"),
        (b"RCPT TO:<c@d>\r\n", "250"),
        (b"DATA\r\n", "354"),
        (b".\r\n", "250"),
    ],
    "one of the recipients refused": [
        (ENVELOPE, "250|250|250"),
        (b"RCPT TO:<no@d>\r\n", "550"),
        (b"DATA\r\n", "354"),
        (b".\r\n", "250"),
    ],
    "refused sender": [
        (b"EHLO x\r\n", "250"),
        (b"MAIL FROM:<no@b>\r\n", "550"),
        (b"RCPT TO:<c@d>\r\n", "503"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
    ],
    "second hello": [
        (ENVELOPE, "250|250|250"),
        (b"EHLO again\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "503 5.5.1"),
        (b"DATA\r\n", "503 5.5.1"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
        (b"HELO again\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "503 5.5.1"),
    ],
    "refused second hello changes nothing": [
        (ENVELOPE, "250|250|250"),
        (b"EHLO no@here\r\n", "550"),
        (b"EHLO\r\n", "501"),
        (b"DATA\r\n", "354"),
        (b".\r\n", "250"),
    ],
    "second MAIL": [
        (ENVELOPE, "250|250|250"),
        (b"MAIL FROM:<e@f>\r\n", "250"),
        (b"DATA\r\n", "503 5.5.1"),
        (b"RCPT TO:<g@h>\r\n", "250"),
        (b"DATA\r\n", "354"),
        (b".\r\n", "250"),
    ],
    "second MAIL refused": [
        (ENVELOPE, "250|250|250"),
        (b"MAIL FROM:<no@f>\r\n", "550"),
        (b"RCPT TO:<g@h>\r\n", "503"),
        (b"DATA\r\n", "503"),
    ],
    "second MAIL malformed": [
        (ENVELOPE, "250|250|250"),
        (b"MAIL FROM\r\n", "501"),
        (b"RCPT TO:<g@h>\r\n", "503"),
        (b"DATA\r\n", "503"),
    ],
    "second MAIL with an unknown parameter": [
        (ENVELOPE, "250|250|250"),
        (b"MAIL FROM:<e@f> AUTH=<>\r\n", "555"),
        (b"RCPT TO:<g@h>\r\n", "503"),
        (b"DATA\r\n", "503"),
    ],
    "second MAIL too large": [
        (ENVELOPE, "250|250|250"),
        (b"MAIL FROM:<e@f> SIZE=101\r\n", "552"),
        (b"RCPT TO:<g@h>\r\n", "503"),
        (b"DATA\r\n", "503"),
    ],
    "size": [
        (b"EHLO x\r\n", "250"),
        (b"MAIL FROM:<a@b> SIZE=101\r\n", "552 5.3.4 Message is larger than allowed here"),
        (b"RCPT TO:<c@d>\r\n", "503"),
        (b"MAIL FROM:<a@b> SIZE=99999999999999999999\r\n", "552 5.3.4"),
        (b"MAIL FROM:<a@b> SIZE=100\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "250"),
    ],
    "message over the size": [
        (ENVELOPE, "250|250|250"),
        (b"DATA\r\n", "354"),
        (b"x" * 50 + b"\r\n" + b"y" * 47 + b"\r\n.\r\n", "552 5.3.4"),
        (b"DATA\r\n", "503"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "250"),
        (b"DATA\r\n", "354"),
        (b"x" * 50 + b"\r\n" + b"y" * 46 + b"\r\n.\r\n", "250"),
    ],
    "too many recipients": [
        (ENVELOPE, "250|250|250"),
        (b"RCPT TO:<no@d>\r\n", "550"),
        (b"RCPT TO:<c@d>\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "452 4.5.3 Too many recipients"),
        (b"RCPT TO:<c@d>\r\n", "452 4.5.3"),
        (b"DATA\r\n", "354"),
        (b".\r\n", "250"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "452 4.5.3"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "250"),
        (b"RSET\r\n", "250"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "250"),
    ],
    "reset after hello": [
        (b"EHLO x\r\n", "250"),
        (b"RSET\r\n", "250"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
    ],
    "reset after MAIL": [
        (b"EHLO x\r\nMAIL FROM:<a@b>\r\n", "250|250"),
        (b"RSET\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "503"),
    ],
    "reset after RCPT": [
        (ENVELOPE, "250|250|250"),
        (b"RSET\r\n", "250"),
        (b"RCPT TO:<c@d>\r\n", "503"),
        (b"DATA\r\n", "503"),
    ],
    "RSET with an argument resets nothing": [
        (ENVELOPE, "250|250|250"),
        (b"RSET now\r\n", "501 5.5.4"),
        (b"DATA now\r\n", "501 5.5.4"),
        (b"QUIT now\r\n", "501 5.5.4"),
        (b"DATA\r\n", "354"),
        (b".\r\n", "250"),
    ],
    "a bare LF in a message": [
        (ENVELOPE, "250|250|250"),
        (b"DATA\r\n", "354"),
        (b"A: b\r\n\nc\r\n.\r\n", "554 5.6.0"),
        (b"DATA\r\n", "503"),
        (b"MAIL FROM:<a@b>\r\n", "250"),
    ],
    "a bare CR in a message": [
        (ENVELOPE, "250|250|250"),
        (b"DATA\r\n", "354"),
        (b"A: b\rc\r\n.\r\n", "554 5.6.0"),
        (b"NOOP\r\n", "250"),
    ],
    "an empty line behind a message": [
        (ENVELOPE, "250|250|250"),
        (b"DATA\r\n", "354"),
        (b"a\r\n.\r\n", "250"),
        (b"\n", "500 5.5.1"),
        (b"NOOP\r\n", "250"),
    ],
    "a message that looks like commands": [
        (ENVELOPE, "250|250|250"),
        (b"DATA\r\n", "354"),
        (b"QUIT\r\nRSET\r\n..\r\nDATA\r\n.\r\n", "250"),
        (b"NOOP\r\n", "250"),
    ],
    "unknown commands": [
        (b"XYZZY a b\r\n", "500 5.5.1"),
        (b"\r\n", "500 5.5.1"),
        (b".\r\n", "500 5.5.1"),
        (b"\xff\xfe\r\n", "500 5.5.1"),
        (b"EHLO x\r\n", "250"),
    ],
    "control characters": [
        (b"EHLO \0x\r\n", "500 5.5.2"),
        (b"\rNOOP\r\n", "500 5.5.2"),
        (b"NOOP\r\r\n", "500 5.5.2"),
        (b"NOOP\tx\r\n", "500 5.5.1"),
    ],
    "line ends of commands": [
        (b"EHLO x\n", "250"),
        (b"NOOP \n", "250"),
        (b"MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n", "250|250|354"),
        (b"a\r\n.\r\n", "250"),
    ],
    "a long line": [
        (b"NOOP " + b"x" * 53 + b"\r\n", "250"),
        (b"NOOP " + b"x" * 54 + b"\r\n", "500 5.5.2 Line too long"),
        (b"NOOP " + b"x" * 54 + b"\n", "250"),
        (b"NOOP " + b"x" * 55 + b"\n", "500 5.5.2 Line too long"),
        (b"EHLO " + b"x" * 300 + b"\r\n", "500 5.5.2 Line too long"),
        (b"EHLO x\r\n", "250"),
    ],
    "nothing after QUIT": [
        (b"QUIT\r\n", "221"),
        (b"NOOP\r\nEHLO x\r\n", ""),
    ],
    "too many bad commands": [
        (b"MAIL FROM:<a@b>\r\n", "503"),
        (b"XYZZY\r\n", "500"),
        (b"EHLO\r\n", "501"),
        (b"NOOP\r\n", "250"),
        (b"a" * 61 + b"\r\n", "500"),
        (b"\0\r\n", "421 4.7.0 mx.example Too many bad commands, closing the connection"),
        (b"\0\r\nNOOP\r\n", ""),
    ],
    "too many unknown commands": [
        (b"a\r\nb\r\nc\r\nd\r\n", "500|500|500|500"),
        (b"e\r\n", "421 4.7.0 mx.example"),
        (b"f\r\nQUIT\r\n", ""),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(name: str) -> None:
    """To each command there is exactly one reply, and it is the right one."""
    conversation = Conversation(SOME)
    for said, expected in DIALOGUES[name]:
        beginnings = expected.split("|") if expected else []
        replies = conversation.say(said)
        assert len(replies) == len(beginnings), (said, replies)
        for reply, beginning in zip(replies, beginnings, strict=True):
            assert reply.startswith(beginning), said


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue_in_any_slices(name: str) -> None:
    """Pipelined, byte by byte, or cut anywhere: the same events and the same replies."""
    by_line = Conversation(SOME)
    by_line.say(*(said for said, _ in DIALOGUES[name]))
    for slices in slicings(b"".join(said for said, _ in DIALOGUES[name])):
        conversation = Conversation(SOME)
        conversation.say(*filter(None, slices))
        assert conversation.replies == by_line.replies
        assert conversation.events == by_line.events


def test_events() -> None:
    """What a client does comes out as values, in order, each of them with what it said."""
    conversation = Conversation(Limits(recipients=1))
    conversation.say(
        b"HELO one\r\nEHLO two\r\nNOOP x\r\nHELP y\r\nVRFY z\r\nXFOO  bar baz \r\n\r\n"
        b"MAIL FROM:<a@b> SIZE=3 SMTPUTF8\r\nRCPT TO:<no@d>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\n"
        b"DATA\r\nA: b\r\n\r\n..\r\n.\r\nRSET\r\nBOO \0\r\nDATA\r\nQUIT\r\n"
    )
    assert conversation.events == [
        Hello("HELO", b"one"),
        Hello("EHLO", b"two"),
        Noop(b"x"),
        Help(b"y"),
        Verify(b"z"),
        Unknown(b"xfoo", b"bar baz"),
        Unknown(b"", b""),
        Mail(b"<a@b>", {"size": "3", "smtputf8": ""}),
        Recipient(b"<no@d>", {}),
        Recipient(b"<c@d>", {}),
        Data(),
        Block(b"A: b\n\n.\n"),
        MessageEnd(11, None),
        Reset(),
        Quit(),
        Hangup("conversation closed"),
    ]


commands = st.lists(
    st.sampled_from(
        [b"HELO x\r\n", b"EHLO no@x\r\n", b"EHLO\r\n", b"MAIL FROM:<a@b>\r\n", b"MAIL\r\n",
         b"MAIL FROM:<no@b>\r\n", b"MAIL FROM:<a@b> SIZE=101\r\n", b"RCPT TO:<c@d>\r\n",
         b"RCPT TO:<no@d>\r\n", b"RCPT TO:<c@d> X\r\n", b"DATA\r\n", b"DATA x\r\n", b"RSET\r\n",
         b"NOOP\n", b"VRFY\r\n", b"HELP\r\n", b"XYZZY\r\n", b"\r\n", b".\r\n", b"\0\r\n",
         b"x" * 61 + b"\r\n"]
    )
)  # fmt: skip
messages = st.sampled_from(
    [b".\r\n", b"\r\n.\r\n", b"a\r\n..\r\n.\r\n", b"a\nb\r\n.\r\n", b"x" * 150 + b"\r\n.\r\n"]
)


@given(commands, messages, st.data())
def test_one_reply_to_each_command(lines: list[bytes], message: bytes, data: st.DataObject) -> None:
    """Any commands in any order have one reply each, a message has one, however they come."""
    limits = Limits(message=100, command_line=60, recipients=2, bad_commands=1000)
    by_line, said = Conversation(limits), []
    for line in lines:
        said.append(line)
        (reply,) = by_line.say(line)
        if reply.startswith("354"):
            said.append(message)
            (reply,) = by_line.say(message)
            assert reply[:3] in ("250", "552", "554")
    in_slices = Conversation(limits)
    in_slices.say(*filter(None, data.draw(sliced(b"".join(said)))))
    assert in_slices.replies == by_line.replies
    assert in_slices.events == by_line.events


@given(st.lists(st.binary(min_size=1)))
def test_any_bytes(slices: list[bytes]) -> None:
    """Whatever comes, there are events and replies, and never an exception."""
    conversation = Conversation()
    conversation.say(*slices)
    assert all(reply[:3].isdigit() for reply in conversation.replies)


# -- Replies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "waiting"),
    [(b"", False), (b"NOOP\r\n", False), (b"NOOP\r\nNO", True), (b"NOOP\r\nNOOP\r\n", True)],
)
def test_input_waiting(data: bytes, waiting: bool) -> None:
    """What came behind a command waits, whole or not."""
    engine = Engine("mx.example")
    engine.reply(Reply.make(220, "mx.example"))
    engine.receive(data)
    engine.next_event()
    assert engine.input_waiting is waiting


def test_replies_are_collected() -> None:
    """Replies wait until they are asked for, and are given once."""
    engine = Engine("mx.example")
    engine.reply(Reply.make(220, "mx.example"))
    engine.receive(b"NOOP\r\nXYZZY \0\r\nNOOP\r\n")
    assert engine.next_event() == Noop(b"")
    engine.reply(Reply.make(250, "OK"))
    assert engine.next_event() == Noop(b"")
    assert engine.data_to_send() == [
        b"220 mx.example\r\n",
        b"250 OK\r\n",
        b"500 5.5.2 Control characters have no place in a command\r\n",
    ]
    assert engine.data_to_send() == []


def test_each_event_has_one_reply() -> None:
    """A session that answers twice, or not at all, is told before the client is out of step."""
    engine = Engine("mx.example")
    engine.reply(Reply.make(220, "mx.example"))
    with pytest.raises(AssertionError, match="no event waits"):
        engine.reply(Reply.make(220, "mx.example"))
    engine.receive(b"NOOP\r\nNOOP\r\n")
    assert engine.next_event() == Noop(b"")
    with pytest.raises(AssertionError, match="waits for its reply"):
        engine.next_event()


@pytest.mark.parametrize(
    ("code", "accepted", "state"),
    [
        (250, None, State.MESSAGE),
        (354, None, State.MESSAGE),
        (354, False, State.READY),
        (250, False, State.READY),
        (451, None, State.READY),
        (451, True, State.MESSAGE),
    ],
)
def test_accepted(code: int, accepted: bool | None, state: State) -> None:
    """The state follows the reply's code, unless the session says what it meant."""
    conversation = Conversation()
    conversation.say(ENVELOPE)
    conversation.engine.receive(b"DATA\r\n")
    assert conversation.engine.next_event() == Data()
    conversation.engine.reply(Reply.make(code, "x"), accepted=accepted)
    assert conversation.engine.state is state


# -- Messages --------------------------------------------------------------------------------


def blocks_and_end(
    slices: list[bytes], limits: Limits | None = None, bare_newline: BareNewline = "reject"
) -> tuple[bytes, Event, list[str]]:
    """Send what follows DATA; the message, its end, and the replies from there on."""
    conversation = Conversation(limits, bare_newline)
    conversation.say(ENVELOPE + b"DATA\r\n")
    replies = conversation.say(*filter(None, slices))
    events = conversation.events[4:]
    message = b""
    if isinstance(events[0], Block):
        message = events[0].data
        events = events[1:]
    return message, events[0], replies


@pytest.mark.parametrize(
    ("wire", "message", "size"),
    [
        (b".\r\n", b"", 0),
        (b"\r\n.\r\n", b"\n", 2),
        (b"..dot\r\n.\r\n", b".dot\n", 6),
        (b"A: b\r\n\r\n\0\xe4\r\n.\r\n", b"A: b\n\n\0\xe4\n", 12),
    ],
)
def test_message(wire: bytes, message: bytes, size: int) -> None:
    """A message comes in blocks, then its end with its size; pipelined commands follow."""
    for slices in slicings(wire + b"NOOP\r\nQUIT\r\n"):
        read, end, replies = blocks_and_end(slices)
        assert (read, end) == (message, MessageEnd(size, None))
        assert [reply[:3] for reply in replies] == ["250", "250", "221"]


@pytest.mark.parametrize("smuggled", SMUGGLED)
@pytest.mark.parametrize("bare_newline", ["reject", "normalize"])
def test_no_smuggling(smuggled: bytes, bare_newline: BareNewline) -> None:
    """No end of data but CRLF.CRLF lets a second message out, refused or repaired."""
    inside = b"MAIL FROM:<evil@example>\r\nRCPT TO:<you@example>\r\nDATA\r\nboo\r\n.\r\n"
    conversation = Conversation(None, bare_newline)
    conversation.say(
        ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nhello" + smuggled + inside + b"QUIT\r\n"
    )
    kinds = [type(event) for event in conversation.events]
    assert kinds.count(Mail) == kinds.count(Data) == kinds.count(MessageEnd) == 1
    alone = smuggled.replace(b"\r\n", b"")
    is_bare = b"\r" in alone or b"\n" in alone
    expected = "554" if is_bare and bare_newline == "reject" else "250"
    assert [reply[:3] for reply in conversation.replies[-3:]] == ["354", expected, "221"]


@pytest.mark.parametrize(
    ("wire", "message", "size"),
    [
        (b"a\nb\rc\r\n.\r\n", b"a\nb\nc\n", 7),
        (b"a\r\r\nb\r\n.\r\n", b"a\n\nb\n", 7),
        (b"a\n\rb\r\n.\r\n", b"a\n\nb\n", 6),
        (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\n", 7),
        (b"\n\r\n.\r\n", b"\n\n", 3),
        (b"plain\r\n.\r\n", b"plain\n", 7),
    ],
)
def test_normalize(wire: bytes, message: bytes, size: int) -> None:
    """With `normalize` each CR or LF that stands alone becomes a line end, wherever it is cut."""
    for slices in slicings(wire):
        assert blocks_and_end(slices, None, "normalize") == (
            message,
            MessageEnd(size, None),
            ["250 2.0.0 OK"],
        )


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("bare", [b"\n", b"\r"])
def test_reject(place: str, bare: bytes) -> None:
    """With `reject` the whole message is refused for one of them, once it has come."""
    lines = {
        "first": bare + b"a\r\nb\r\n",
        "middle": b"a" + bare + b"b\r\n",
        "last": b"a\r\n" + bare,
    }
    for slices in slicings(lines[place] + b"\r\n.\r\nNOOP\r\n"):
        _, end, replies = blocks_and_end(slices)
        assert isinstance(end, MessageEnd)
        assert end.refusal is not None
        assert [reply[:9] for reply in replies] == ["554 5.6.0", "250 2.0.0"]


def test_nothing_more_is_kept_of_a_refused_message() -> None:
    """Once a message is over the size, or has a bare LF, no block of it comes any more."""
    for first in (b"x" * 101, b"a\nb"):
        conversation = Conversation(SOME)
        conversation.say(ENVELOPE + b"DATA\r\n")
        events = len(conversation.events)
        conversation.say(first, b"y" * 1000, b"\r\nz\r\n.", b"\r")
        assert conversation.events[events:] == []
        (reply,) = conversation.say(b"\n")
        assert reply[:3] in ("552", "554")
        (end,) = conversation.events[events:]
        assert isinstance(end, MessageEnd)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"x" * 98 + b"\r\n", "250"),
        (b"x" * 99 + b"\r\n", "552"),
        (b"\r\n" * 50, "250"),
        (b"\r\n" * 51, "552"),
        (b"." * 99 + b"\r\n", "250"),
        (b"." * 100 + b"\r\n", "552"),
    ],
)
def test_size_is_counted(message: bytes, code: str) -> None:
    """The limit is for the message as RFC 1870, 5 counts it: no stuffed dots, and not the end."""
    for slices in slicings(message + b".\r\n"):
        _, end, replies = blocks_and_end(slices, SOME)
        assert [reply[:3] for reply in replies] == [code]
        assert end == MessageEnd(100, None) or code == "552"


@pytest.mark.parametrize("message", [b"a\nb" + b"x" * 98 + b"\r\n", b"x" * 99 + b"\r\na\nb\r\n"])
def test_too_large_and_bare(message: bytes) -> None:
    """A message with two faults is refused for the same one, however it is cut: for its size."""
    for slices in slicings(message + b".\r\n"):
        assert blocks_and_end(slices, SOME)[2] == ["552 5.3.4 Message is larger than allowed here"]


def test_no_limit_of_size() -> None:
    """Where no limit is set, none is kept; the smallest there is, is one octet."""
    for limit, code in ((0, "250"), (1, "552")):
        conversation = Conversation(Limits(message=limit))
        conversation.say(HELLO)
        (reply,) = conversation.say(b"MAIL FROM:<a@b> SIZE=99999999999999999999\r\n")
        assert reply[:3] == code


def test_refuse_message() -> None:
    """A session may refuse a message while it comes; its reply goes out after the end, once."""
    conversation = Conversation()
    conversation.say(ENVELOPE + b"DATA\r\n")
    conversation.say(b"A: b\r\n")
    first = Reply.make(552, "Header too large", "5.3.4")
    conversation.engine.refuse_message(first)
    conversation.engine.refuse_message(Reply.make(554, "Later reasons do not count"))
    assert conversation.say(b"C: d\r\n", b"and more\r\n") == []
    assert conversation.say(b".\r\nNOOP\r\n") == ["552 5.3.4 Header too large", "250 2.0.0 OK"]
    assert conversation.events[-3:] == [
        Data(),
        MessageEnd(22, first),
        Noop(b""),
    ]
    conversation.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n")
    assert conversation.say(b"fine\r\n.\r\n") == ["250 2.0.0 OK"]


def test_refuse_message_with_its_last_block() -> None:
    """A refusal for what the last block has is in time, also when the end came with it."""
    conversation = Conversation()
    conversation.say(ENVELOPE + b"DATA\r\n")
    engine = conversation.engine
    engine.receive(b"A: b\r\n.\r\n")
    assert engine.next_event() == Block(b"A: b\n")
    refusal = Reply.make(554, "No", "5.7.1")
    engine.refuse_message(refusal)
    assert engine.next_event() == MessageEnd(6, refusal)


# -- Ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [b"", b"EHL", b"EHLO x", b"EHLO x\r", HELLO, HELLO + b"MAIL", ENVELOPE, ENVELOPE + b"DATA\r\n",
     ENVELOPE + b"DATA\r\na", ENVELOPE + b"DATA\r\na\r\n", ENVELOPE + b"DATA\r\na\r\n.",
     ENVELOPE + b"DATA\r\na\r\n.\r", b"x" * 5000],
)  # fmt: skip
def test_end_of_input(said: bytes) -> None:
    """Wherever the client ends its side, what was whole is answered, then the conversation ends."""
    conversation = Conversation()
    if said:
        conversation.say(said)
    replies = list(conversation.replies)
    assert conversation.say(b"") == []
    assert conversation.replies == replies
    ends = [event for event in conversation.events if isinstance(event, Hangup | MessageEnd)]
    in_message = " in a message" if b"DATA" in said else ""
    assert ends == [Hangup(f"client closed the connection{in_message}")]
    assert conversation.engine.next_event() == ends[0]


def test_end_of_input_behind_a_message() -> None:
    """A client that half-closes after its commands still has all of them done."""
    conversation = Conversation()
    conversation.engine.receive(ENVELOPE + b"DATA\r\na\r\n.\r\nNOOP\r\n")
    replies = conversation.say(b"")
    assert [reply[:3] for reply in replies] == ["250", "250", "250", "354", "250", "250"]
    assert conversation.events[-1] == Hangup("client closed the connection")


@pytest.mark.parametrize("state", [b"", HELLO, ENVELOPE, ENVELOPE + b"DATA\r\nA: b\r\n"])
def test_close(state: bytes) -> None:
    """Once the session closes the engine, nothing that came or comes is read."""
    conversation = Conversation()
    if state:
        conversation.say(state)
    conversation.engine.receive(b"NOOP\r\n")
    conversation.engine.close(Reply.make(421, "mx.example Stopping", "4.3.2"))
    assert conversation.say(b"NOOP\r\n.\r\nQUIT\r\n") == ["421 4.3.2 mx.example Stopping"]
    assert conversation.events[-1] == Hangup("conversation closed")


def test_close_without_a_word() -> None:
    """It may do so with no reply."""
    conversation = Conversation()
    conversation.engine.close()
    assert conversation.say(b"NOOP\r\n") == []
    assert conversation.events == [Hangup("conversation closed")]


def test_close_instead_of_an_answer() -> None:
    """An event that waits for its reply need not have one when the engine is closed."""
    conversation = Conversation()
    conversation.engine.receive(b"NOOP\r\n")
    assert conversation.engine.next_event() == Noop(b"")
    conversation.engine.close()
    assert conversation.engine.next_event() == Hangup("conversation closed")


def test_default_limits() -> None:
    """Unless told otherwise, a client is sent away with its twentieth bad command."""
    conversation = Conversation()
    replies = conversation.say(b"\0\r\n" * 30)
    assert [reply[:3] for reply in replies] == ["500"] * 19 + ["421"]
    assert conversation.say(b"\0\r\n" * 30) == []


MANY = b"421 4.7.0 mx.example Too many commands without a message, closing the connection"
REFUSED = b"421 4.7.0 mx.example Too many refused commands, closing the connection"
MESSAGE = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nA: b\r\n\r\n.\r\n"


def test_too_many_commands() -> None:
    """Who brings no message is sent away after so many commands; each message begins anew."""
    conversation = Conversation(Limits(commands=10))
    conversation.say(HELLO)
    for _ in range(5):
        assert conversation.say(MESSAGE)[-1] == "250 2.0.0 OK"
        assert {r[:3] for r in conversation.say(b"NOOP\r\n" * 7)} == {"250"}
    assert conversation.say(MESSAGE)[-1] == "250 2.0.0 OK"
    replies = conversation.say(b"NOOP\r\n" * 9 + b"RSET\r\nNOOP\r\nNOOP\r\n")
    assert replies == [*["250 2.0.0 OK"] * 10, MANY.decode()]


def test_too_many_refusals() -> None:
    """Who is only refused is sent away at the command after so many; not if that is QUIT."""
    conversation = Conversation(Limits(refusals=3))
    conversation.say(ENVELOPE + b"RCPT TO:<no@d>\r\nRCPT TO:<no@d>\r\n")
    assert conversation.say(b"DATA\r\n.\r\n")[-1] == "250 2.0.0 OK"
    conversation.say(b"MAIL FROM:<a@b>\r\n")
    replies = conversation.say(b"RCPT TO:<no@d>\r\n" * 3)
    assert [reply[:3] for reply in replies] == ["550"] * 3
    assert conversation.say(b"RCPT TO:<c@d>\r\n") == [REFUSED.decode()]
    assert isinstance(conversation.events[-1], Hangup)
    other = Conversation(Limits(refusals=3))
    other.say(ENVELOPE + b"RCPT TO:<no@d>\r\n" * 3)
    assert other.say(b"QUIT\r\n") == ["221 2.0.0 mx.example Bye"]


def test_no_limit_of_commands_and_refusals() -> None:
    """0 is no limit."""
    conversation = Conversation(Limits(commands=0, refusals=0))
    conversation.say(ENVELOPE)
    assert len(conversation.say(b"RCPT TO:<no@d>\r\n" * 20_000)) == 20_000


def test_requests() -> None:
    """The number of the command or message that comes grows with each that is whole."""
    conversation = Conversation()
    engine = conversation.engine
    numbers = []
    for data in (b"EH", b"LO x\r\nMA", b"IL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", b"DATA\r\n"):
        conversation.say(data)
        numbers.append(engine.requests)
    for data in (b"A: b\r\n", b"\r\n", b".\r\n", b"x" * 3000, b"y", b"\r\n"):
        conversation.say(data)
        numbers.append(engine.requests)
    assert numbers == [0, 1, 3, 4, 4, 4, 5, 5, 5, 6]


# -- Bounds ----------------------------------------------------------------------------------


def held(engine: Engine) -> int:
    """Count the bytes of input that an engine keeps."""
    decoder = engine._decoder
    return len(engine._buffer) + (len(decoder._held) if decoder else 0)


def test_a_line_without_end_takes_no_memory() -> None:
    """What comes of a line that is too long is dropped, and when it ends it is refused once."""
    conversation = Conversation()
    for size in (1, 100, 2047, 2048, 65_536):
        for _ in range(200_000 // size if size > 1 else 10_000):
            assert conversation.say(b"x" * size) == []
            assert held(conversation.engine) <= 2048 + size
        assert conversation.say(b"\r\nNOOP\r\n") == ["500 5.5.2 Line too long", "250 2.0.0 OK"]


def test_slow_drip_of_commands() -> None:
    """Many commands that come byte by byte leave nothing behind."""
    conversation = Conversation()
    conversation.say(HELLO)
    stream = b"NOOP with some words\r\n" * 2000
    for at in range(len(stream)):
        conversation.say(stream[at : at + 1])
        assert held(conversation.engine) <= 22
    assert len(conversation.replies) == 2001


def test_slow_drip_of_a_message() -> None:
    """A message that comes byte by byte is given on as it comes."""
    engine = Conversation().engine
    for command, reply in (
        (b"EHLO x", 250),
        (b"MAIL FROM:<>", 250),
        (b"RCPT TO:<x>", 250),
        (b"DATA", 354),
    ):
        engine.receive(command + b"\r\n")
        assert engine.next_event() is not None
        engine.reply(Reply.make(reply, "x"))
    size = 0
    for _ in range(10_000):
        for byte in (b"a", b"b", b"\r", b"\n", b".", b".", b"\r", b"\n", b"\r", b"\n"):
            engine.receive(byte)
            event = engine.next_event()
            if event is not None:
                assert isinstance(event, Block)
                size += len(event.data)
            assert held(engine) <= 8
    assert size >= 10_000 * len("ab\n.\n\n") - 2


def test_a_line_is_searched_once() -> None:
    """The search for a line end begins where the last one stopped: slow drips take linear time."""
    engine = Conversation(Limits(command_line=100_000)).engine
    for at in range(1, 5000):
        engine.receive(b"x")
        assert engine.next_event() is None
        assert engine._searched == at


def test_pipelined_commands_are_not_copied() -> None:
    """Thousands of commands in one slice are read out of it without copies of what is left."""
    engine = Conversation(Limits(commands=0)).engine
    engine.receive(b"NOOP\r\n" * 20_000)
    tracemalloc.start()
    try:
        for _ in range(20_000):
            assert engine.next_event() == Noop(b"")
            engine.reply(Reply.make(250, "OK"))
            engine.data_to_send()
        assert tracemalloc.get_traced_memory()[1] < 50_000
    finally:
        tracemalloc.stop()


def test_refusals_are_told() -> None:
    """Each command that the engine refuses is told with its reply; not what may be a password."""
    told: list[tuple[bytes, int]] = []
    conversation = Conversation(SOME)
    conversation.engine.on_refusal = lambda line, reply: told.append((line, reply.code))
    conversation.say(
        b"DATA\r\n",
        ENVELOPE,
        b"RCPT TO:<e@f>\r\nRCPT TO:<g@h>\r\n",
        b"MAIL FROM:<a@b> SIZE=101\r\n",
        b"x" * 80 + b"\r\n",
        b"NOOP \0\r\n",
        b"FOO\r\nPASSWORD\r\n",
    )
    assert told == [
        (b"DATA", 503),
        (b"RCPT TO:<g@h>", 452),
        (b"MAIL FROM:<a@b> SIZE=101", 552),
        (b"", 500),
        (b"NOOP \0", 500),
        (b"", 421),
    ]
