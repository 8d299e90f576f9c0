"""badrcptto: recipients that are refused."""

from tests.dialogue import hold, refusal

CONFIG = {
    "badrcptto": "\n".join(
        [
            "gone@example.com",
            "@old.example.com   We have moved, see https://www.example.com/",
            "%  No percent hack here",
            "@.*@  One at sign will do",
        ]
    ),
    "rcpthosts": "example.com\nold.example.com",
}


def test_dialogue() -> None:
    """Who is listed is refused before rcpt_ok is asked; others go on to it."""
    hold(
        """
        C: MAIL FROM:<a@example.org>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<Gone@example.com>
        S: 550 5.7.1 Mail to this recipient is not accepted here
        C: RCPT TO:<anyone@OLD.example.com>
        S: 550 5.7.1 We have moved, see https://www.example.com/
        C: RCPT TO:<a%elsewhere.example@example.com>
        S: 550 5.7.1 No percent hack here
        C: RCPT TO:<"a@elsewhere.example"@example.com>
        S: 550 5.7.1 One at sign will do
        C: RCPT TO:<here@example.com>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<here@elsewhere.example>
        S: 550 5.7.1 Relaying denied
        """,
        "badrcptto",
        "rcpt_ok",
        config=CONFIG,
    )


def test_only_in_the_log() -> None:
    """With reject=0 the recipient goes on to the next plugin."""
    hold(
        """
        C: MAIL FROM:<a@example.org>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<gone@example.com>
        S: 250 2.1.5 Recipient OK
        """,
        "badrcptto reject=0",
        "rcpt_ok",
        config=CONFIG,
    )


def test_temporarily() -> None:
    """With reject_type=temp the client comes again; a relay client is taken at once."""
    dialogue = """
        C: MAIL FROM:<a@example.org>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<gone@example.com>
        """
    plugins = ("relay", "badrcptto reject_type=temp")
    temp = "S: 450 4.7.1 Mail to this recipient is not accepted here"
    hold(f"{dialogue}{temp}", *plugins, config=CONFIG)
    config = CONFIG | {"relayclients": "192.0.2.1"}
    hold(f"{dialogue}S: 250 2.1.5 Recipient OK", *plugins, config=config)


def test_refuses_to_start() -> None:
    """A wrong option or line is told."""
    assert refusal("badrcptto reject_type=5xx") == (
        "badrcptto: reject_type=5xx: write one of perm, temp, disconnect, temp_disconnect"
    )
    assert refusal("badrcptto", {"badrcptto": "gone"}).startswith(
        "config/badrcptto:1: 'gone' is no address; write user@example.com, @example.com or a"
    )
