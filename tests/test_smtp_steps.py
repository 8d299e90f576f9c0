"""The legal order of commands, each in each state: what becomes of it, accepted and refused."""

import pytest

from qpsdk.reply import Reply
from qpsdk.smtp.engine import Engine
from qpsdk.smtp.events import MessageEnd
from qpsdk.smtp.limits import Limits
from qpsdk.smtp.steps import OUT_OF_ORDER, STEPS, State

# By hand, from RFC 5321, 4.1.4 and the table of the documentation. For each command: the state
# after it, once accepted and once refused; a number is the reply where it may not come.
TABLE = """
          GREETED          READY            MAIL             RCPT             MESSAGE
HELO      READY/GREETED    READY/READY      READY/MAIL       READY/RCPT       text
EHLO      READY/GREETED    READY/READY      READY/MAIL       READY/RCPT       text
MAIL      503              MAIL/READY       MAIL/READY       MAIL/READY       text
RCPT      503              503              RCPT/MAIL        RCPT/RCPT        text
DATA      503              503              503              MESSAGE/READY    text
RSET      GREETED/GREETED  READY/READY      READY/MAIL       READY/RCPT       text
NOOP      GREETED/GREETED  READY/READY      MAIL/MAIL        RCPT/RCPT        text
VRFY      GREETED/GREETED  READY/READY      MAIL/MAIL        RCPT/RCPT        text
HELP      GREETED/GREETED  READY/READY      MAIL/MAIL        RCPT/RCPT        text
XYZZY     GREETED/GREETED  READY/READY      MAIL/MAIL        RCPT/RCPT        text
AUTH      503              READY/READY      503              503              text
QUIT      CLOSED/CLOSED    CLOSED/CLOSED    CLOSED/CLOSED    CLOSED/CLOSED    text
.         GREETED/GREETED  READY/READY      MAIL/MAIL        RCPT/RCPT        READY/READY
"""

ARGUMENTS = {
    "HELO": " x",
    "EHLO": " x",
    "MAIL": " FROM:<a@b>",
    "RCPT": " TO:<c@d>",
    "VRFY": " x",
    "AUTH": " LOGIN",
}

WAY = ["", "EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"]
"""The commands that lead to each state, in their order."""

HEADER, *ROWS = (line.split() for line in TABLE.strip().splitlines())
CELLS = [
    (verb, state, cell) for verb, *cells in ROWS for state, cell in zip(HEADER, cells, strict=True)
]
YES, NO = Reply.make(250, "yes"), Reply.make(450, "no")


def engine_in(state: str) -> Engine:
    """Lead an engine to a state."""
    engine = Engine("mx.example", Limits(bad_commands=100))
    engine.reply(YES)
    for command in WAY[1 : HEADER.index(state) + 1]:
        engine.receive(command.encode() + b"\r\n")
        assert engine.next_event() is not None
        engine.reply(YES)
    engine.data_to_send()
    assert engine.state is State[state]
    return engine


def send(engine: Engine, verb: str) -> object:
    """Send a command; its event, if it is one."""
    engine.receive(verb.encode() + ARGUMENTS.get(verb, "").encode() + b"\r\n")
    return engine.next_event()


@pytest.mark.parametrize(
    ("verb", "state", "cell"), [cell for cell in CELLS if cell[2] not in ("503", "text")]
)
def test_step(verb: str, state: str, cell: str) -> None:
    """A command that may come changes the state as the table says, by what was answered."""
    for answer, after in zip((YES, NO), cell.split("/"), strict=True):
        engine = engine_in(state)
        assert send(engine, verb) is not None
        engine.reply(answer)
        assert engine.state is State[after]
        assert engine.data_to_send() == [bytes(answer)]


@pytest.mark.parametrize(
    ("verb", "state"), [(verb, state) for verb, state, cell in CELLS if cell == "503"]
)
def test_out_of_order(verb: str, state: str) -> None:
    """One that may not come has a 503, is no event, and changes nothing."""
    engine = engine_in(state)
    assert send(engine, verb) is None
    (reply,) = engine.data_to_send()
    assert reply.startswith(b"503 5.5.1 ")
    assert engine.state is State[state]


@pytest.mark.parametrize("verb", [verb for verb, _, cell in CELLS if cell == "text"])
def test_no_command_in_a_message(verb: str) -> None:
    """Inside a message a command is text."""
    engine = engine_in("MESSAGE")
    send(engine, verb)
    assert engine.data_to_send() == []
    assert engine.state is State.MESSAGE
    engine.receive(b".\r\n")
    while not isinstance(event := engine.next_event(), MessageEnd):
        assert event is not None
    assert event.size == len(verb + ARGUMENTS.get(verb, "")) + 2


def test_the_table_is_whole() -> None:
    """The table of the engine has no command and no state that this one has not."""
    assert set(STEPS) == {verb for verb, *_ in ROWS} - {"XYZZY"}
    assert {state.name for state in State} == {"CONNECTED", *HEADER, "CLOSED"}
    for verb, steps in STEPS.items():
        assert {state.name for state in steps} <= set(HEADER)
        assert verb in OUT_OF_ORDER or verb == "." or len(steps) == 4


@pytest.mark.parametrize("answer", [YES, NO])
def test_greeting(answer: Reply) -> None:
    """With the greeting, whatever it is, commands may come."""
    engine = Engine("mx.example")
    states = [engine.state]
    engine.reply(answer)
    states.append(engine.state)
    assert states == [State.CONNECTED, State.GREETED]
