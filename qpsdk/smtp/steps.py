"""The legal order of commands, as one table (RFC 5321, 4.1.4).

The engine looks up (command, state) here and nowhere else decides what may follow what.
"""

from enum import Enum
from typing import Final

from qpsdk.reply import Reply


class State(Enum):
    """How far the client has come."""

    CONNECTED = "connected, greeting not yet sent"
    GREETED = "greeted, has not said hello"
    READY = "said hello, no transaction"
    MAIL = "has a sender"
    RCPT = "has a sender and recipients"
    MESSAGE = "sends a message"
    CLOSED = "has quit, or was sent away"

    __hash__ = object.__hash__  # Enum's own is written in Python, and the table is asked often


FINAL_DOT: Final = "."
"""The end of a message takes its step in the table like a command."""

_READY, _MAIL, _RCPT, _GREETED = State.READY, State.MAIL, State.RCPT, State.GREETED

_ANYWHERE: Final = {s: (s, s) for s in (_GREETED, _READY, _MAIL, _RCPT)}

STEPS: Final[dict[str, dict[State, tuple[State, State]]]] = {
    # command: {state it may come in: (state once accepted, state once refused)}
    "HELO": {s: (_READY, s) for s in _ANYWHERE},
    "EHLO": {s: (_READY, s) for s in _ANYWHERE},
    # A second MAIL starts anew (qmail's habit), so its refusal leaves no transaction: recipients
    # that a client sends behind it unasked (RFC 2920) must not get the message of the first.
    "MAIL": dict.fromkeys((_READY, _MAIL, _RCPT), (_MAIL, _READY)),
    "RCPT": {s: (_RCPT, s) for s in (_MAIL, _RCPT)},
    "DATA": {_RCPT: (State.MESSAGE, _READY)},
    FINAL_DOT: {State.MESSAGE: (_READY, _READY)},
    "RSET": {s: (_GREETED if s is _GREETED else _READY, s) for s in _ANYWHERE},
    "NOOP": _ANYWHERE,
    "VRFY": _ANYWHERE,
    "HELP": _ANYWHERE,
    "AUTH": {_READY: (_READY, _READY)},  # RFC 4954, 4: not inside a transaction
    "QUIT": dict.fromkeys(_ANYWHERE, (State.CLOSED, State.CLOSED)),
}

OUT_OF_ORDER: Final = {
    "MAIL": Reply.make(503, "Say HELO or EHLO first", "5.5.1"),
    "RCPT": Reply.make(503, "Send MAIL FROM first", "5.5.1"),
    "DATA": Reply.make(503, "No valid recipients: send RCPT TO first", "5.5.1"),
    "AUTH": Reply.make(503, "Say EHLO first, and authenticate before MAIL FROM", "5.5.1"),
}
"""The reply where the table has no such (command, state)."""
