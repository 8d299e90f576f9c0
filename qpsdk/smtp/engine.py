"""The server's side of an SMTP conversation, without I/O.

Feed it what came, pull events until it wants more, answer each event with one reply, and
send what it collected. It answers by itself where syntax, order or a limit decide.
"""

import re
import sys
from collections.abc import Callable, Collection
from typing import Final, Literal

from qpsdk.reply import Reply
from qpsdk.smtp.commands import READERS, CommandError, split
from qpsdk.smtp.data import DataDecoder
from qpsdk.smtp.events import (
    Block,
    Credentials,
    Event,
    Hangup,
    Mail,
    MessageEnd,
    Unknown,
    Unparsed,
)
from qpsdk.smtp.limits import Limits
from qpsdk.smtp.sasl import Exchange
from qpsdk.smtp.steps import FINAL_DOT, OUT_OF_ORDER, STEPS, State

_CLOSED: Final = State.CLOSED

_COMMANDS: Final = {verb.encode(): (verb, read, STEPS[verb]) for verb, read in READERS.items()}
"""All that a command's name leads to, found by one look-up."""

# A command as programs write it is taken apart in one go. All that is out of the ordinary goes the
# long way, by `_read_line` and `split`, and means the same: blanks, other lengths, bad bytes.
_plain_command: Final = re.compile(
    rb"([A-Za-z]{4})(?: ([!-~\x80-\xff][ -~\x80-\xff]*+(?<! )))?(?=\r\n)"
).match

BareNewline = Literal["reject", "normalize"]
"""What to do with a CR or LF that stands alone in a message: `config/bare_newline`."""

_BARE_NEWLINE: Final = Reply.make(554, "Bare CR or LF in the message, send CRLF", "5.6.0")
_TOO_LARGE: Final = Reply.make(552, "Message is larger than allowed here", "5.3.4")
_LINE_TOO_LONG: Final = Reply.make(500, "Line too long", "5.5.2")
_RESPONSE_TOO_LONG: Final = Reply.make(500, "Authentication line too long", "5.5.6")
_NO_AUTH_PARAMETER: Final = Reply.make(555, "Unknown MAIL parameter AUTH", "5.5.4")
_TOO_MANY_RECIPIENTS: Final = Reply.make(452, "Too many recipients", "4.5.3")


class Engine:
    r"""One conversation.

    `on_refusal`, if it is set, is told each command that is refused here, and how: for the log.
    `requests` counts the whole lines and messages that have come, `unfinished` is true if more has
    come than that.

    >>> engine = Engine("mx.example")
    >>> engine.reply(Reply.make(220, "mx.example ESMTP"))
    >>> engine.receive(b"EHLO client.example\r\nMAIL FROM:<a@example.org>\r\n")
    >>> engine.next_event()
    Hello(verb='EHLO', host=b'client.example')
    >>> engine.reply(Reply.make(250, "mx.example"))
    >>> engine.next_event()
    Mail(address=b'<a@example.org>', params={})
    >>> engine.reply(Reply.make(250, "sender OK", "2.1.0"))
    >>> engine.next_event() is None
    True
    >>> engine.data_to_send()
    [b'220 mx.example ESMTP\r\n', b'250 mx.example\r\n', b'250 2.1.0 sender OK\r\n']
    """

    __slots__ = (
        "_bad_commands",
        "_buffer",
        "_command",
        "_commands",
        "_decoder",
        "_ended",
        "_exchange",
        "_in_line",
        "_max_commands",
        "_max_line",
        "_max_refusals",
        "_me",
        "_message_ended",
        "_out",
        "_pending",
        "_position",
        "_recipients",
        "_refusal",
        "_refusals",
        "_searched",
        "_skipping",
        "_unparsed",
        "_unread",
        "auth_offered",
        "bare_newline",
        "limits",
        "on_refusal",
        "requests",
        "state",
        "unfinished",
    )

    def __init__(
        self,
        me: str,
        limits: Limits | None = None,
        bare_newline: BareNewline = "reject",
        unparsed: Collection[str] = (),
    ) -> None:
        """Wait for the greeting.

        Args:
            me: This host's name, which a 421 begins with.
            limits: What a client may ask of us.
            bare_newline: What to do with a CR or LF that stands alone in a message.
            unparsed: The verbs that come as `Unparsed`.
        """
        self.limits = limits or Limits()
        self.bare_newline = bare_newline
        self.auth_offered = False  # MAIL may have a parameter AUTH=
        self.state = State.CONNECTED
        self.on_refusal: Callable[[bytes, Reply], None] | None = None
        self.requests = 0
        self.unfinished = False
        self._me = me
        self._out: list[bytes] = []
        self._pending = ""  # the step that waits for its reply
        self._buffer = b""
        self._position = 0  # where the unread part of the buffer begins
        self._searched = 0  # up to here there is no LF: slow drips cost linear time
        self._in_line = False  # inside one of which a part was looked at, or that is no command
        self._skipping = False  # inside one that is too long
        self._max_line = self.limits.command_line
        self._ended = False
        self._exchange: Exchange | None = None
        self._command = b""  # the line, if it is a command: what else comes may be a password
        self._decoder: DataDecoder | None = None
        self._message_ended = False  # and the event that says so is still to come
        self._refusal: Reply | None = None
        self._recipients = 0
        self._commands = self._bad_commands = self._refusals = 0  # since the last message taken
        self._max_commands = self.limits.commands or sys.maxsize
        self._max_refusals = self.limits.refusals or sys.maxsize
        self._unparsed = unparsed
        self._unread = b""  # the arguments of a command that came as Unparsed

    def receive(self, data: bytes) -> None:
        """Take what came from the client; no bytes mean that it ended its side."""
        if not data:
            self._ended = True
        elif self._position == len(self._buffer):
            self._buffer, self._position, self._searched = data, 0, 0
        else:
            self._searched -= self._position
            self._buffer = self._buffer[self._position :] + data
            self._position = 0

    @property
    def input_waiting(self) -> bool:
        """Whether something of what came is not read yet."""
        return self._position < len(self._buffer)

    def next_event(self) -> Event | None:
        """What the client did next, or None when more input is needed to tell.

        After an event that waits for a reply, call `reply` before you call this again.
        """
        assert not self._pending, "the event before waits for its reply"
        while self.state is not _CLOSED:
            if self._decoder is not None:
                return self._read_message(self._decoder)
            if self._position == len(self._buffer) and not self._ended:
                self.unfinished = self._skipping
                return None  # as behind nearly every reply
            try:
                found = None if self._in_line else _plain_command(self._buffer, self._position)
                if found is not None and found.end() + 2 <= self._position + self._max_line:
                    self._position = self._searched = found.end() + 2
                    self.requests += 1
                    self._command = found[0]
                    event = self._read_command(*found.groups(b""))
                elif (line := self._read_line()) is None:
                    self.unfinished = True
                    return Hangup("client closed the connection") if self._ended else None
                elif self._exchange is None:
                    self._command = line
                    event = self._read_command(*split(line))
                else:
                    event = self._read_response(self._exchange, line)
                if event is not None:
                    return event
            except CommandError as error:
                self._complain(error.reply)
        return Hangup("conversation closed")

    def reply(self, reply: Reply, *, accepted: bool | None = None) -> None:
        """Answer the event that waits, or greet.

        The state follows the code, unless `accepted` says otherwise.
        """
        self._out.append(reply.wire)
        step, self._pending = self._pending, ""
        if not step:
            assert self.state is State.CONNECTED, "no event waits for a reply"
            self.state = State.GREETED
            return
        if_accepted, if_refused = STEPS[step][self.state]
        if accepted is False or (accepted is None and reply.code >= 400):
            self.state = if_refused
            self._refusals += 1
            return
        self.state = if_accepted
        if step == "RCPT":
            self._recipients += 1
        elif step == "DATA":
            self._decoder = DataDecoder()
            self._refusal = None
        elif step == FINAL_DOT:  # a relay may keep its connection for a very long time
            self._commands = self._bad_commands = self._refusals = 0

    def challenge(self, exchange: Exchange, challenge: Reply) -> None:
        """Answer AUTH with the first challenge of an exchange; its end is an event.

        Where the exchange fails, or the client cancels it, there is none.
        """
        self._pending = ""
        self._exchange, self._in_line = exchange, True
        self._out.append(challenge.wire)

    def restart(self) -> None:
        """Forget all that the client has said, and what it has said too early.

        Once TLS stands nothing counts that came before it: it was not protected (RFC 3207, 4.2).
        """
        self.state = State.GREETED
        self._buffer, self._position, self._searched = b"", 0, 0
        self._in_line = self._skipping = False
        self._recipients = 0
        self.auth_offered = False

    def parse(self, read: Callable[[bytes], Event] | None = None) -> Event | None:
        """Read the command that has just come as `Unparsed`.

        Args:
            read: Makes the event of the command's arguments, or raises `CommandError`. None for
                our own way.

        Returns:
            None if it was refused, and answered.
        """
        verb, self._pending = self._pending, ""
        try:
            return self._read_arguments(verb, self._unread, read or READERS[verb])
        except CommandError as error:
            self._complain(error.reply)
            return None

    def refuse_message(self, reply: Reply) -> None:
        """Keep nothing more of the message that is coming; `reply` goes out after its end."""
        self._refusal = self._refusal or reply

    def close(self, reply: Reply | None = None) -> None:
        """Send the client away: nothing more that it says is read."""
        if reply is not None:
            self._out.append(reply.wire)
        self.state = State.CLOSED
        self._decoder, self._pending = None, ""

    def data_to_send(self) -> list[bytes]:
        """The replies since the last call. Sent together, they make pipelining quick."""
        out, self._out = self._out, []
        return out

    # Commands

    def _read_line(self) -> bytes | None:
        """The next line without its end, None if there is none yet.

        A bare LF ends a command too: it is what people type, and no message hides in it.
        """
        self._command = b""
        start, buffer = self._position, self._buffer
        limit = self.limits.command_line if self._exchange is None else self.limits.auth_line
        end = buffer.find(b"\n", self._searched)
        self._in_line = end < 0 or self._exchange is not None
        if end < 0:
            self._searched = len(buffer)
            if self._skipping or self._searched - start > limit:
                self._skipping = True
                self._position = self._searched
            return None
        self._position = self._searched = end + 1
        self.requests += 1
        if self._skipping or end + 1 - start > limit:
            self._skipping = False
            exchange, self._exchange = self._exchange, None
            raise CommandError(_RESPONSE_TOO_LONG if exchange else _LINE_TOO_LONG)
        return buffer[start:end].removesuffix(b"\r")

    def _read_command(self, word: bytes, arguments: bytes) -> Event | None:
        """The event that a command is, or None if it was answered here."""
        command = _COMMANDS.get(word.upper())
        self._commands += 1
        too_many = self._commands > self._max_commands
        if (too_many or self._refusals >= self._max_refusals) and word.upper() != b"QUIT":
            what = "commands without a message" if too_many else "refused commands"
            self._send_away(f"Too many {what}")
            return None
        if command is None:
            self._command = b""
            if not self._may_err_again():
                return None
            self._pending = "NOOP"  # whatever it was, it changes no state
            return Unknown(word.lower(), arguments)
        verb, read, steps = command
        states = steps.get(self.state)
        if states is None:
            raise CommandError(OUT_OF_ORDER[verb])
        if verb == "MAIL":
            # It ends the transaction before it even where we refuse it ourselves.
            self.state, self._recipients = states[1], 0
        if verb in self._unparsed:
            self._pending, self._unread = verb, arguments
            return Unparsed(verb)
        return self._read_arguments(verb, arguments, read)

    def _read_arguments(
        self, verb: str, arguments: bytes, read: Callable[[bytes], Event]
    ) -> Event | None:
        """The event of a command that is in order, or None if it was answered here."""
        event = read(arguments)
        if type(event) is Mail:
            if event.params:
                if self._is_over(int(event.params.get("size", 0))):
                    self._refuse(_TOO_LARGE)
                    return None
                if "auth" in event.params and not self.auth_offered:
                    raise CommandError(_NO_AUTH_PARAMETER)
        elif verb == "RCPT" and self._recipients >= self.limits.recipients:
            self._refuse(_TOO_MANY_RECIPIENTS)
            return None
        self._pending = verb
        return event

    def _read_response(self, exchange: Exchange, line: bytes) -> Event | None:
        """The credentials that a line completes, or None if it was answered here."""
        try:
            answer = exchange.receive(line)
        except CommandError:
            self._exchange = None
            raise
        if isinstance(answer, Credentials):
            self._exchange, self._pending = None, "AUTH"
            return answer
        self._out.append(answer.wire)
        return None

    def _refuse(self, reply: Reply) -> None:
        self._out.append(reply.wire)
        if self.on_refusal is not None:
            self.on_refusal(self._command, reply)

    def _complain(self, reply: Reply) -> None:
        if self._may_err_again():
            self._refuse(reply)

    def _may_err_again(self) -> bool:
        """Count a command that made no sense; at the limit, send the client away."""
        self._bad_commands += 1
        if self._bad_commands < self.limits.bad_commands:
            return True
        self._send_away("Too many bad commands")
        return False

    def _send_away(self, why: str) -> None:
        text = f"{self._me} {why}, closing the connection"
        self._refuse(Reply.make(421, text, "4.7.0"))
        self.close()

    # Messages

    def _read_message(self, decoder: DataDecoder) -> Event | None:
        if self._message_ended:
            self._message_ended, self._decoder, self._pending = False, None, FINAL_DOT
            return MessageEnd(decoder.size, self._judge(decoder))
        data = self._buffer[self._position :] if self._position else self._buffer
        if not data:
            self.unfinished = decoder.has_begun
            return Hangup("client closed the connection in a message") if self._ended else None
        message, rest = decoder.feed(data)
        self._buffer, self._position, self._searched = rest or b"", 0, 0
        if decoder.bare_newline and self.bare_newline == "normalize":
            message = message.replace(b"\r", b"\n")
        if rest is not None:
            self._message_ended = True
            self.requests += 1
        if message and self._judge(decoder) is None:
            return Block(message)
        if rest is not None:
            return self.next_event()
        self.unfinished = True
        return None

    def _judge(self, decoder: DataDecoder) -> Reply | None:
        """Why the message is refused, if it is.

        What all of it shows comes first: else it would depend on how it was cut into blocks.
        """
        if self._is_over(decoder.size):
            return _TOO_LARGE
        if decoder.bare_newline and self.bare_newline == "reject":
            return _BARE_NEWLINE
        return self._refusal

    def _is_over(self, size: int) -> bool:
        return 0 < self.limits.message < size
