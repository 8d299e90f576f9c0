"""QMQP: what a package is made of, how short its dialogue is, and who has the message when."""

from collections.abc import Sequence
from typing import Final

from qpsdk import netstring
from qpsdk.qmqp import Package

from .drawing import LETTER, LINE, Drawing

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
