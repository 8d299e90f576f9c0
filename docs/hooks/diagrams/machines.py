"""What stands where, and what passes between: programs, machines, and the parts of our own."""

from collections.abc import Container, Sequence

from .drawing import LINE, Drawing


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
