"""What lasts how long."""

from .drawing import LINE, Drawing


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
