"""Draw what people would rather look at: pictures made from what the program itself goes by.

A page asks for one with `<!-- diagram: NAME -->`. It is drawn in the page, in the theme's colours,
and says in words, for those who do not see it, what it shows.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from html import escape
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from qpsdk import netstring
from qpsdk.constants import DECLINED, DENY, OK
from qpsdk.hooks import HOOKS, Hook
from qpsdk.qmqp import Package
from qpsdk.smtp.steps import FINAL_DOT, OUT_OF_ORDER, STEPS, State

LINE: Final = 22
"""Height of a line of text with the space around it, in the picture's units."""

LETTER: Final = 7.9
"""Width of a letter: all text has the same, whatever font the reader's machine takes."""


LEAST: Final = 0.8
"""How far a picture shrinks on a phone before it scrolls: letters stay readable."""


class Drawing:
    """An SVG that grows: boxes, words and arrows at their places."""

    def __init__(self, name: str, title: str, description: str) -> None:
        self.name = name
        self.words = (title, description)
        self.parts: list[str] = []
        self.width = self.height = 0.0

    def _reach(self, x: float, y: float) -> None:
        self.width, self.height = max(self.width, x), max(self.height, y)

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        """Words whose middle is at the height `y`; `kind` is a class of the style sheet."""
        length = len(text) * LETTER
        if anchor == "start":
            self._reach(x + length, y + LINE / 2)
        self.parts.append(
            f'<text x="{x:g}" y="{y + 4.5:g}" text-anchor="{anchor}" textLength="{length:g}"'
            f' lengthAdjust="spacingAndGlyphs" class="{kind}">{escape(text)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, kind: str = "") -> None:
        """A rectangle."""
        self._reach(x + width, y + height)
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3"'
            f' class="{kind}"/>'
        )

    def room(self, x: float, y: float, text: str, width: float = 0, kind: str = "") -> None:
        """A box of one line with words in its middle; `y` is the middle, too."""
        width = width or (len(text) + 2) * LETTER
        self.box(x, y - LINE / 2 + 1, width, LINE - 2, kind)
        self.text(x + width / 2, y, text, kind, "middle")

    def line(self, *points: tuple[float, float], kind: str = "", arrow: bool = True) -> None:
        """A line through the points, with a head at its last."""
        for x, y in points:
            self._reach(x, y)
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
        end = f' marker-end="url(#{self.name}-head)"' if arrow else ""
        self.parts.append(f'<path d="{path}" class="{kind}"{end}/>')

    def dot(self, x: float, y: float, kind: str = "") -> None:
        """A small disc."""
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="4" class="{kind}"/>')

    def svg(self) -> str:
        """The picture as a part of a page; no blank line in it, which would end it in Markdown."""
        title, description = (escape(words) for words in self.words)
        width, height = self.width + 2, self.height + 2
        head = (
            f'<marker id="{self.name}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"'
            ' markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>'
        )
        return "\n".join(
            [
                f'<div class="diagram" id="diagram-{self.name}" tabindex="0">',
                f'<svg viewBox="-1 -1 {width:g} {height:g}" style="width:{width:g}px;'
                f'min-width:{width * LEAST:g}px" role="img"'
                f' aria-labelledby="{self.name}-title {self.name}-words">',
                f'<title id="{self.name}-title">{title}</title>',
                f'<desc id="{self.name}-words">{description}</desc>',
                f"<defs>{head}</defs>",
                *self.parts,
                "</svg>",
                "</div>",
            ]
        )


# The legal order of commands


def arrivals(steps: Mapping[str, Mapping[State, tuple[State, State]]] = STEPS) -> list[str]:
    """For each command, in words: where it may come, and where it leads if it is accepted."""
    said = []
    for command, row in steps.items():
        ways = [
            f"{state.name} stays" if after is state else f"{state.name} to {after.name}"
            for state, (after, _) in row.items()
        ]
        said.append(f"{_command(command)}: {', '.join(ways)}.")
    return said


def _command(command: str) -> str:
    return "final dot" if command == FINAL_DOT else command


def states(steps: Mapping[str, Mapping[State, tuple[State, State]]] = STEPS) -> str:
    """A column for each state, a row for each command: where it may come, and where it leads."""
    drawing = Drawing("states", "The legal order of commands", " ".join(arrivals(steps)))
    first, apart, top = 130.0, 92.0, LINE
    columns = {state: first + apart * i for i, state in enumerate(State)}
    bottom = top + LINE * (len(steps) + 0.5)
    for state, x in columns.items():
        drawing.text(x, top / 2, state.name, "strong", "middle")
        drawing.line((x, top), (x, bottom), kind="faint", arrow=False)
    for number, (command, row) in enumerate(steps.items(), 1):
        y = top + LINE * number
        drawing.text(0, y, _command(command))
        ways: defaultdict[tuple[float, bool], list[float]] = defaultdict(list)
        for state, (after, _) in row.items():
            x, end = columns[state], columns[after]
            if end != x:
                ways[end, end > x].append(x)
        for (end, right), starts in ways.items():  # those that go the same way are one line
            start, short = (min(starts), -7) if right else (max(starts), 7)
            drawing.line((start, y), (end + short, y))
        for state, (after, _) in row.items():
            drawing.dot(columns[state], y, "stays" if after is state else "goes")
    drawing.width = max(drawing.width, first + apart * (len(columns) - 1) + apart / 2)
    return drawing.svg()


def order_page() -> str:
    """The page about the order of commands: the picture, and the same as tables."""
    head = "| command | " + " | ".join(f"`{state.name}`" for state in State) + " |"
    lines = [
        "---\nhide: [toc]\n---\n",
        "# Order of commands",
        "",
        "The engine looks a command up in one table, `qpsdk/smtp/steps.py`, from which this page is"
        " made. A column is how far the client has come. A dot is where the command may come, an"
        " arrow where it leads when it is accepted; a ring stays where it is.",
        "",
        "<!-- diagram: states -->",
        "",
        *(f"- `{state.name}`: {state.value}" for state in State),
        "",
        "The same as a table, with where a refusal leads, if that is elsewhere:",
        "",
        head,
        "|" + "---|" * (len(State) + 1),
    ]
    for command, row in STEPS.items():
        cells = [_cell(command, state, row.get(state)) for state in State]
        lines.append(f"| {_command(command)} | " + " | ".join(cells) + " |")
    lines += ["", "Out of order, the client is told:", "", "| command | reply |", "|---|---|"]
    lines += [f"| {command} | `{reply}` |" for command, reply in OUT_OF_ORDER.items()]
    return "\n".join(lines)


def _cell(command: str, state: State, step: tuple[State, State] | None) -> str:
    if step is None:
        can_come = state not in (State.CONNECTED, State.MESSAGE, State.CLOSED)
        return "503" if can_come and command in OUT_OF_ORDER else ""
    accepted, refused = step
    after = "stays" if accepted is state else accepted.name
    return after if refused in (state, accepted) else f"{after}, refused: {refused.name}"


# The package of QMQP

MESSAGE: Final = b"Subject: hello\n\nhi\n"
SENDER: Final = b"you@example.org"
RECIPIENTS: Final = (b"ann@example.com", b"bob@example.com")


def package() -> str:
    """A package of QMQP as boxes in boxes: all of its bytes, in their order."""
    whole = Package.of(len(MESSAGE), SENDER, RECIPIENTS)
    inner = [("message", MESSAGE), ("sender", SENDER)]
    inner += [("recipient", recipient) for recipient in RECIPIENTS]
    length = sum(netstring.encoded_size(len(value)) for _, value in inner)
    outer = netstring.head(length)
    drawing = Drawing(
        "package",
        "The layout of a QMQP package",
        f"One netstring of {length} bytes holds {len(inner)} netstrings: "
        + "; ".join(f"the {what}, {len(value)} bytes" for what, value in inner)
        + f". Before the message go {len(whole.head)} bytes, after it {len(whole.tail)}, the last"
        " of which is a comma.",
    )
    value_x, width = 110.0, max(len(_shown(value)) for _, value in inner) * LETTER + 16
    y = LINE * 1.5
    drawing.text(8, y, _shown(outer), "length")
    drawing.text(value_x, y, "the length of all up to the last comma", "quiet")
    for what, value in inner:
        y += LINE * 1.25
        drawing.box(50, y - LINE / 2, value_x - 50 + width + 20, LINE, "string")
        drawing.text(58, y, _shown(netstring.head(len(value))), "length")
        drawing.box(value_x - 8, y - LINE / 2 + 3, width, LINE - 6, "value")
        drawing.text(value_x, y, _shown(value))
        drawing.text(value_x + width, y, ",", "length")
        drawing.text(value_x + width + 30, y, what, "quiet")
    y += LINE * 1.25
    drawing.text(8, y, ",", "length")
    drawing.text(value_x, y, "the last byte: before it, nobody has it", "quiet")
    right = drawing.width + 8
    drawing.box(0, LINE * 0.75, right, y - LINE / 4 + 4, "string")
    drawing.height += 4
    return drawing.svg()


def _shown(data: bytes) -> str:
    return data.decode().replace("\n", "⏎")


# The order of hooks

STAGES: Final = {
    "the client connects": ("pre_connection", "connect"),
    "HELO": ("helo_parse", "helo"),
    "or EHLO": ("ehlo_parse", "ehlo"),
    "AUTH": ("auth_parse", "auth_plain", "auth_login", "auth_cram_md5", "auth"),
    "MAIL FROM": ("mail_parse", "mail_pre", "mail"),
    "RCPT TO, for each": ("rcpt_parse", "rcpt_pre", "rcpt"),
    "DATA": ("data",),
    "the header has come": ("data_headers_end",),
    "the final dot": (
        *("data_post_headers", "received_line", "data_post"),
        *("queue_pre", "queue", "queue_post", "reset_transaction"),
    ),
    "QUIT": ("quit",),
    "the end, however": ("disconnect", "post_connection"),
}
"""What brings the hooks about, in the order of the table."""

BESIDE: Final = {
    "between messages": ("vrfy", "noop", "help", "unrecognized_command"),
    "after each answer": ("deny", "ok"),
    "a line is logged": ("logging",),
    "a setting is read": ("config", "user_config"),
    "a worker starts": ("post_fork",),
}
"""The hooks that have no place of their own in a dialogue."""


def dispatch(hooks: Mapping[str, Hook] = HOOKS) -> str:
    """The hooks from top to bottom as a message meets them, with what the client reads.

    Raises:
        ValueError: A hook has no place in the picture, or another than in the table.
    """
    _check_places(hooks)
    stages = [f"{stage}: {', '.join(names)}." for stage, names in (STAGES | BESIDE).items()]
    drawing = Drawing(
        "dispatch", "The hooks in the order in which a message meets them", " ".join(stages)
    )
    hook_x, width, reply_x = 180.0, 170.0, 370.0
    spine, y = hook_x + width / 2, LINE / 2
    drawing.text(0, y, "what happens", "strong")
    drawing.text(spine, y, "hook", "strong", "middle")
    drawing.text(reply_x, y, "the client reads", "strong")
    for stage, names in (STAGES | BESIDE).items():
        if stage in STAGES and y > LINE:
            drawing.line((spine, y + LINE / 2 - 1), (spine, y + LINE - 1))
        y += LINE / 2
        drawing.text(0, y + LINE, stage)
        for name in names:
            y += LINE
            drawing.room(hook_x, y, name, width, "hook" if stage in STAGES else "outside")
            drawing.text(reply_x, y, _replies(hooks[name]), "quiet")
    return drawing.svg()


def _check_places(hooks: Mapping[str, Hook]) -> None:
    placed = [name for names in STAGES.values() for name in names]
    beside = [name for names in BESIDE.values() for name in names]
    for names in (placed, beside):
        if names != [name for name in hooks if name in names]:
            raise ValueError(f"docs/hooks/diagrams.py: not the order of the hook table: {names}")
    if lost := hooks.keys() - {*placed, *beside}:
        raise ValueError(f"docs/hooks/diagrams.py: not in the picture: {', '.join(sorted(lost))}")


def _replies(hook: Hook) -> str:
    codes = {c: hook.effects[c].code for c in (OK, DECLINED, DENY) if c in hook.effects}
    good, none, bad = codes.get(OK, 0), codes.get(DECLINED, 0), codes.get(DENY, 0)
    words = [str(good)] if good else []
    if none and none != good:
        words.append(f"{none} if no plugin takes it")
    if bad not in (0, good, none):
        words.append(f"{bad} denied")
    return ", ".join(words)


# Rooms below each other


def _chain(
    drawing: Drawing,
    column: tuple[float, float, float],
    rooms: Sequence[str],
    between: Sequence[tuple[str, str]],
    outside: Container[str],
) -> list[float]:
    """Rooms with what passes between each and the next, down and up; how high each is.

    `column` is the left edge and the width of the rooms, and how far they are apart.
    """
    x, width, step = column
    middle = x + width / 2
    heights = [LINE / 2 + 1 + number * step for number in range(len(rooms))]
    for y, room in zip(heights, rooms, strict=True):
        drawing.room(x, y, room, width, "outside" if room in outside else "room")
    for y, (down, up) in zip(heights, between, strict=False):
        top, bottom, half = y + LINE / 2, y + step - LINE / 2, y + step / 2
        if up:
            drawing.line((middle - 30, top), (middle - 30, bottom))
            drawing.text(middle - 40, half, down, "quiet", "end")
            drawing.line((middle + 30, bottom), (middle + 30, top))
            drawing.text(middle + 40, half, up, "quiet")
        else:
            drawing.line((middle, top), (middle, bottom))
            drawing.text(middle + 12, half, down, "quiet")
    return heights


def way() -> str:
    """Where bytes become events, events hooks, and answers bytes again."""
    drawing = Drawing(
        "way",
        "The way of the data",
        "The client's bytes go to the SMTP engine, which makes events of them; the session makes"
        " hooks of events; the dispatcher asks the plugins. Back come values only: a constant"
        " becomes an outcome, that a reply, and that bytes. The session writes the message into the"
        " transaction, from which a queue plugin reads it and sends it to the QMQP server, which"
        " says K, Z or D.",
    )
    width, step, x = 130.0, LINE * 3, 165.0
    *_, session, _, plugin = _chain(
        drawing,
        (x, width, step),
        ("client", "smtp engine", "session", "dispatcher", "plugin"),
        (
            ("bytes", "bytes"),
            ("event", "reply"),
            ("hook, arguments", "outcome"),
            ("hook, arguments", "constant, text"),
        ),
        {"client"},
    )
    right = 430.0
    drawing.line((x + width, session), (right, session))
    drawing.room(right, session, "transaction", width, "room")
    drawing.text(right, session + LINE, "envelope, header,", "quiet")
    drawing.text(right, session + 2 * LINE - 6, "spooled body", "quiet")
    drawing.line((right + width / 2, session + 2.3 * LINE), (right + width / 2, plugin - 12))
    drawing.line((x + width, plugin), (right, plugin))
    drawing.room(right, plugin, "qmqp client", width, "room")
    drawing.line((right + 35, plugin + 11), (right + 35, plugin + step - 11))
    drawing.text(right + 25, plugin + step / 2, "package", "quiet", "end")
    drawing.line((right + 95, plugin + step - 11), (right + 95, plugin + 11))
    drawing.text(right + 105, plugin + step / 2, "K, Z, D", "quiet")
    drawing.room(right, plugin + step, "QMQP server", width, "outside")
    return drawing.svg()


def fleet() -> str:
    """Who stands before and behind several hosts, and what they share."""
    drawing = Drawing(
        "fleet",
        "Several hosts",
        "HAProxy takes the clients' connections and spreads them over N hosts, with a PROXY header"
        " that names the client. The hosts share Redis, and hand each message by QMQP to one of M"
        " Postfix, which send it on.",
    )
    width, right = 160.0, 230.0
    _, _, hosts, *_ = _chain(
        drawing,
        (0, width, LINE * 2.2),
        ("clients", "HAProxy", "N hosts", "M Postfix", "where mail goes on"),
        (("SMTP", ""), ("PROXY header, SMTP", ""), ("QMQP", ""), ("SMTP", "")),
        {"clients", "where mail goes on"},
    )
    drawing.line((width, hosts), (right, hosts))
    drawing.room(right, hosts, "Redis", 100, "room")
    return drawing.svg()


def place() -> str:
    """Where a host stands, and who is asked what."""
    drawing = Drawing(
        "place",
        "Where a host stands",
        "Clients send commands to the host. At each step it asks the plugins, by a hook; they"
        " answer with a constant, and it makes a reply of that. A message that is taken goes to a"
        " server behind it, which says that it has it, and puts it into mailboxes.",
    )
    x, width, right, wide = 105.0, 150.0, 345.0, 90.0
    _, host, *_ = _chain(
        drawing,
        (x, width, LINE * 3),
        ("clients", "host", "server behind it", "mailboxes"),
        (("commands", "replies"), ("the message", "I have it"), ("", "")),
        {"clients", "server behind it", "mailboxes"},
    )
    for y, words, ends in (
        (host - 6, "hook", (x + width, right)),
        (host + 6, "constant", (right, x + width)),
    ):
        drawing.line((ends[0], y), (ends[1], y))
        drawing.text((x + width + right) / 2, y + (y - host) * 1.9, words, "quiet", "middle")
    drawing.box(right, host - LINE, wide, 2 * LINE, "hook")
    drawing.text(right + wide / 2, host, "plugins", "", "middle")
    return drawing.svg()


def production() -> str:
    """The machines of the last chapter, with their ports."""
    drawing = Drawing(
        "production",
        "From a stranger to a mailbox",
        "Strangers come to HAProxy, on port 25. It hands each connection to the host on port 2525,"
        " with a PROXY header that names the client. The host hands each message by QMQP to"
        " Postfix, on port 628, which writes it into a maildir. The host reads the config"
        " directory, and shows its metrics on port 9100.",
    )
    x, width, right = 105.0, 130.0, 260.0
    _, _, host, *_ = _chain(
        drawing,
        (x, width, LINE * 2.4),
        ("strangers", "HAProxy", "host", "Postfix", "maildir"),
        (
            ("SMTP, port 25", ""),
            ("PROXY header, SMTP, port 2525", ""),
            ("QMQP, port 628", ""),
            ("", ""),
        ),
        {"strangers", "maildir"},
    )
    drawing.room(0, host, "config/", 80, "room")
    drawing.line((80, host), (x, host))
    drawing.room(right, host, "log, metrics: 9100", 0, "room")
    drawing.line((x + width, host), (right, host))
    return drawing.svg()


def pressure() -> str:
    """Who waits for whom while a message is streamed."""
    drawing = Drawing(
        "pressure",
        "Back-pressure",
        "Blocks of 64 KB go from the spool, which is a file, to the plugin, which writes them into"
        " the stream's buffer, from which the network carries them to the server. A server that is"
        " slow fills the network and the buffer; then drain waits, and no block is read from the"
        " spool.",
    )
    _chain(
        drawing,
        (150, 150, LINE * 3),
        ("spool, a file", "plugin", "stream's buffer", "server"),
        (
            ("a block of 64 KB", "no more is read"),
            ("write", "full: drain waits"),
            ("the network", "slow: it fills up"),
        ),
        {"server"},
    )
    return drawing.svg()


# What is within what


def lifetimes() -> str:
    """A connection with its transactions, and the notes of each."""
    drawing = Drawing(
        "lifetimes",
        "A connection and its transactions",
        "One connection lasts from the greeting to QUIT. In it are EHLO and two transactions, one"
        " after the other, each with MAIL, RCPT, DATA and a message. What is in connection.notes"
        " lasts as long as the connection, what is in transaction.notes as long as a transaction.",
    )
    inner, width, y = 16.0, 250.0, LINE * 1.75
    drawing.text(inner, y, "the greeting, EHLO")
    for number in ("first", "second"):
        y += LINE
        drawing.box(inner, y - LINE / 2 + 4, width, 2 * LINE + 10, "hook")
        drawing.text(inner + 12, y + 10, "MAIL, RCPT, RCPT, DATA")
        drawing.text(inner + 12, y + LINE + 4, "the message, the final dot")
        drawing.text(inner + width + 28, y + 10, f"{number} transaction", "strong")
        drawing.text(inner + width + 28, y + LINE + 4, "transaction.notes", "quiet")
        y += LINE * 2
    y += LINE
    drawing.text(inner, y, "QUIT")
    drawing.text(inner + width + 28, LINE * 1.75, "connection.notes", "quiet")
    drawing.text(inner, LINE / 2, "connection", "strong")
    drawing.box(0, LINE, drawing.width + 10, y - LINE / 4, "string")
    drawing.height += 2
    return drawing.svg()


# Two protocols

SMTP_TURNS: Final = (
    ("", "220"),
    ("EHLO", "250"),
    ("MAIL FROM", "250"),
    ("RCPT TO: ann", "250"),
    ("RCPT TO: ben", "250"),
    ("DATA", "354"),
    ("message, final dot", "250"),
)
QMQP_TURNS: Final = (("package", "K"),)


def turns() -> str:
    """The same message by SMTP and by QMQP: who says what, from top to bottom."""
    drawing = Drawing(
        "turns",
        "A message for two, by SMTP and by QMQP",
        "By SMTP: "
        + ", ".join(f"{said or 'the client comes'}: {reply}" for said, reply in SMTP_TURNS)
        + ". By QMQP: "
        + ", ".join(f"{said}: {reply}" for said, reply in QMQP_TURNS)
        + ".",
    )
    _turns(drawing, 0, 180, "SMTP", SMTP_TURNS)
    _turns(drawing, 250, 140, "QMQP", QMQP_TURNS)
    return drawing.svg()


def _turns(
    drawing: Drawing, x: float, width: float, title: str, said: Sequence[tuple[str, str]]
) -> None:
    drawing.text(x + width / 2, LINE / 2, title, "strong", "middle")
    top = LINE * 2
    drawing.text(x, top - LINE / 2, "client")
    drawing.text(x + width, top - LINE / 2, "server", "", "end")
    y = top
    for command, reply in said:
        for words, ends in ((command, (x, x + width)), (reply, (x + width, x))):
            if words:
                y += LINE
                drawing.line((ends[0], y), (ends[1], y))
                drawing.text(x + width / 2, y - LINE / 2 + 1, words, "quiet", "middle")
    for edge in (x, x + width):
        drawing.line((edge, top), (edge, y + LINE / 2), kind="faint", arrow=False)


# Who has a message


def tail() -> str:
    """The bytes of a package as they are sent, and who has the message after each."""
    whole = Package.of(len(MESSAGE), SENDER, RECIPIENTS)
    drawing = Drawing(
        "tail",
        "Who has the message",
        "The lengths, the message and the envelope are sent: until then nobody else has the"
        " message, and another server may be asked. Then the last byte is sent, a comma: from there"
        " on the server may have it, and nobody else may be asked. Then the answer comes, K: the"
        " server has it, and the client is told 250.",
    )
    assert whole.tail.endswith(b",,")
    sent = (
        (_shown(whole.head), "value", "nobody else has the message:"),
        (f"{_shown(MESSAGE)[:14]} ...", "value", "another server may be asked"),
        (f"{_shown(whole.tail)[:12]} ...", "value", ""),
        (_shown(whole.tail)[-1:], "value", "the last byte"),
        ("no answer yet", "outside", "it may have it: ask nobody else"),
        ("3:Kok,", "outside", "it has it: 250 to our client"),
    )
    width, right, apart = 150.0, 166.0, LINE * 1.25
    for number, (data, kind, then) in enumerate(sent):
        y = apart * number + LINE / 2 + 1
        drawing.room(0, y, data, width, kind)
        drawing.text(right, y, then, "strong" if data == "," else "")
    turn = apart * 3.5 + LINE / 2 + 1
    drawing.line((0, turn), (drawing.width, turn), kind="faint", arrow=False)
    return drawing.svg()


DIAGRAMS: Final[dict[str, Callable[[], str]]] = {
    "states": states,
    "package": package,
    "dispatch": dispatch,
    "way": way,
    "fleet": fleet,
    "place": place,
    "lifetimes": lifetimes,
    "turns": turns,
    "tail": tail,
    "pressure": pressure,
    "production": production,
}

_WANTED: Final = re.compile(r"^<!-- diagram: (\w+) -->$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of the order of commands before mkdocs reads the navigation."""
    files.append(File.generated(config, "reference/order.md", content=order_page()))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the pictures where a page asks for them.

    Raises:
        KeyError: It asks for one that there is not.
    """
    return _WANTED.sub(lambda wanted: DIAGRAMS[wanted[1]](), markdown)
