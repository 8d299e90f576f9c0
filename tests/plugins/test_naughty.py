"""naughty: what was put off is refused at the hook of the operator's choice."""

import pytest

from qpsdk import DECLINED, Connection, Plugin, Result
from tests.dialogue import hold, refusal

CONFIG = {"badmailfrom": "bad@example.org Go away"}
START = """
    S: 220 mx.example.com ESMTP qpsdk ready
    C: HELO client.example
    S: 250 mx.example.com
    """
SENDER = """C: MAIL FROM:<bad@example.org>
    S: 250 2.1.0 Sender OK
    """
RECIPIENT = """C: RCPT TO:<a@example.com>
    S: 250 2.1.5 Recipient OK
    """
MESSAGE = """C: DATA
    S: 354 Go ahead, end with a dot on a line of its own
    C: hello
    C: .
    """


@pytest.mark.parametrize(
    ("line", "dialogue"),
    [
        ("naughty", SENDER + "C: RCPT TO:<a@example.com>\n    S: 550 5.7.1 Go away\n    (closed)"),
        (
            "naughty reject=mail",
            "C: MAIL FROM:<bad@example.org>\n    S: 550 5.7.1 Go away\n(closed)",
        ),
        ("naughty reject=data", SENDER + RECIPIENT + "C: DATA\n    S: 554 5.7.1 Go away\n(closed)"),
        (
            "naughty reject=data_post",
            SENDER + RECIPIENT + MESSAGE + "S: 552 5.7.1 Go away\n    (closed)",
        ),
        (
            "naughty reject_type=temp",
            SENDER + "C: RCPT TO:<a@example.com>\n    S: 450 4.7.1 Go away",
        ),
    ],
)
def test_dialogue(line: str, dialogue: str) -> None:
    """The client gets so far and no further."""
    lines = (START + dialogue).replace("\n(closed)", "\n    (closed)")
    hold(lines, "badmailfrom reject=naughty", line, config=CONFIG)


def test_type_of_the_plugin() -> None:
    """The plugin's own reject_type comes first."""
    hold(
        START + SENDER + "C: RCPT TO:<a@example.com>\n    S: 450 4.7.1 Go away",
        "badmailfrom reject=naughty reject_type=temp",
        "naughty reject_type=perm",
        config=CONFIG,
    )


def test_others_pass() -> None:
    """Who is not marked passes."""
    good = "C: MAIL FROM:<good@example.org>\n    S: 250 2.1.0 Sender OK\n    "
    hold(
        START + good + RECIPIENT + MESSAGE + "S: 250 2.0.0 taken",
        "badmailfrom reject=naughty",
        "naughty",
        config=CONFIG,
    )


def test_postmaster() -> None:
    """Postmaster can be written to, so that a wrong refusal can be reported."""
    hold(
        START
        + SENDER
        + """C: RCPT TO:<Postmaster@example.com>
    S: 250 2.1.5 Recipient OK
    C: RCPT TO:<postmaster>
    S: 250 2.1.5 Recipient OK
    C: RCPT TO:<a@example.com>
    S: 550 5.7.1 Go away
    (closed)
    """,
        "badmailfrom reject=naughty",
        "naughty",
        config=CONFIG,
    )


class MarksAll(Plugin):
    """Marks each client, and lets those that authenticate relay, as AUTH does later."""

    def hook_pre_connection(self, connection: Connection) -> Result:
        connection.notes["naughty"] = "Go away"
        return DECLINED

    def hook_helo(self, connection: Connection, host: bytes) -> Result:
        connection.relay_client = host == b"authenticated"
        return DECLINED


def test_at_connect() -> None:
    """At connect the refusal is the greeting."""
    hold("S: 550 Go away\n(closed)", MarksAll(), "naughty reject=connect")


def test_relay_client() -> None:
    """A marked client that may relay by now passes."""
    dialogue = (START + SENDER + RECIPIENT).replace("client.example", "authenticated")
    hold(dialogue, MarksAll(), "naughty")


def test_refuses_to_start() -> None:
    """A wrong option is told."""
    assert refusal("naughty reject=1") == (
        "naughty: reject=1: write one of connect, mail, rcpt, data, data_post"
    )
    assert refusal("naughty reject_type=hard") == (
        "naughty: reject_type=hard: write one of perm, temp, disconnect, temp_disconnect"
    )
    assert "it takes: naughty [reject=...] [reject_type=...]" in refusal("naughty rcpt")
