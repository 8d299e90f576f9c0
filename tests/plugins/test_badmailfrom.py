"""badmailfrom: senders that are refused."""

from tests.dialogue import hold, refusal

CONFIG = {
    "badmailfrom": "\n".join(
        [
            "# known from last year",
            "sue@example.org",
            "@spam.example  Your whole domain sent us spam",
            r"^bounce-.*@.*\.example\.net$  We know that you are no mailing list",
        ]
    )
}


def test_dialogue() -> None:
    """Who is listed is refused, by default or with the line's own words; others go on."""
    hold(
        """
        C: MAIL FROM:<SUE@example.org>
        S: 550 5.7.1 Your envelope sender is in my badmailfrom list
        C: MAIL FROM:<anyone@Spam.example>
        S: 550 5.7.1 Your whole domain sent us spam
        C: MAIL FROM:<bounce-77@lists.example.net>
        S: 550 5.7.1 We know that you are no mailing list
        C: MAIL FROM:<bob@example.org>
        S: 250 2.1.0 Sender OK
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender OK
        """,
        "badmailfrom",
        config=CONFIG,
    )


def test_null_sender() -> None:
    """An expression that matches everything does not match the sender of bounces."""
    hold(
        """
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender OK
        C: MAIL FROM:<a@b>
        S: 550 5.7.1 Nobody
        """,
        "badmailfrom",
        config={"badmailfrom": ".* Nobody"},
    )


def test_temporarily_and_closing() -> None:
    """reject_type says how."""
    hold(
        """
        C: MAIL FROM:<sue@example.org>
        S: 421-4.7.1 mx.example.com Closing the connection
        S: 421 4.7.1 Your envelope sender is in my badmailfrom list
        (closed)
        """,
        "badmailfrom reject_type=temp_disconnect",
        config=CONFIG,
    )


def test_relay_client() -> None:
    """Who may relay is left alone."""
    hold(
        """
        C: MAIL FROM:<sue@example.org>
        S: 250 2.1.0 Sender OK
        """,
        "relay",
        "badmailfrom",
        config=CONFIG | {"relayclients": "192.0.2."},
    )


def test_refuses_to_start() -> None:
    """A wrong option or line is told."""
    assert refusal("badmailfrom reject=maybe") == (
        "badmailfrom: reject=maybe: write 0, 1 or naughty"
    )
    assert "unexpected keyword argument 'action'" in refusal("badmailfrom action=deny")
    assert refusal("badmailfrom", {"badmailfrom": "# bad\n\na@b\nspam.example"}) == (
        "config/badmailfrom:4: 'spam.example' is no address; write user@example.com,"
        r" @example.com or a regular expression such as ^.*@.*\.example$"
    )
    assert refusal("badmailfrom", {"badmailfrom": "^(a"}).startswith(
        "config/badmailfrom:1: '^(a' is no regular expression: missing )"
    )
