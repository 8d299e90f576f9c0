"""headers: messages that lack a field, have one twice, or come from another time."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import Host, Plugin
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.plugins.headers import Headers
from qpsdk.testing import smtp
from qpsdk.testing.smtp import memory_host
from tests.dialogue import TakesAll, hold, refusal

NOON = 1_767_268_800.0  # Thu, 1 Jan 2026 12:00:00 +0000
FROM, DATE = "From: a@example.org\n", "Date: Thu, 1 Jan 2026 12:00:00 +0000\n"


class SetClock(Plugin):
    """Stops the host's clock."""

    def register(self, qp: Host) -> None:
        qp.clock = lambda: NOON


def sent(message: str, line: str = "headers past=7 future=2", config: Any = None) -> str:
    """What is answered to a message that comes on 1 January 2026, at noon."""

    async def main() -> str:
        async with smtp(SetClock(), "relay", line, TakesAll(), config=config) as client:
            return str(await client.send(message))

    return asyncio.run(main())


def test_dialogue() -> None:
    """A message without From is refused, one with From and Date is taken."""
    hold(
        """
        C: MAIL FROM:<a@example.org>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<b@example.com>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 Go ahead, end with a dot on a line of its own
        C: Date: Thu, 1 Jan 2026 12:00:00 +0000
        C:
        C: hello
        C: .
        S: 552 5.7.1 The message has no From field, see RFC 5322, section 3.6
        C: MAIL FROM:<a@example.org>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<b@example.com>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 Go ahead, end with a dot on a line of its own
        C: Date: Thu, 1 Jan 2026 12:00:00 +0000
        C: From: a@example.org
        C:
        C: hello
        C: .
        S: 250 2.0.0 taken
        """,
        "headers",
    )


def test_closing() -> None:
    """reject_type says how."""
    hold(
        """
        C: MAIL FROM:<a@example.org>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<b@example.com>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 Go ahead, end with a dot on a line of its own
        C: hello
        C: .
        S: 452 4.7.1 The message has no From field, see RFC 5322, section 3.6
        (closed)
        """,
        "headers reject_type=temp_disconnect",
    )


@pytest.mark.parametrize(
    ("header", "reply"),
    [
        (FROM + DATE, "250 2.0.0 taken"),
        (FROM.lower() + DATE.lower(), "250 2.0.0 taken"),
        (FROM, "552 5.7.1 The message has no Date field, see RFC 5322, section 3.6"),
        (
            "From: \n" + DATE,
            "552 5.7.1 The message has no From field, see RFC 5322, section 3.6",
        ),
        ("", "552 5.7.1 The message has no From field, see RFC 5322, section 3.6"),
        (
            FROM + DATE + "from: b@example.org\n",
            "552 5.7.1 The message has more than one From field, see RFC 5322, section 3.6",
        ),
        (
            FROM + DATE + "MESSAGE-ID: <1@a>\nMessage-Id: <2@a>\n",
            "552 5.7.1 The message has more than one Message-ID field, see RFC 5322, section 3.6",
        ),
        (FROM + DATE + "Received: a\nReceived: b\n", "250 2.0.0 taken"),
    ],
)
def test_fields(header: str, reply: str) -> None:
    """From and Date have to be there, and what may stand there once only stands there once."""
    assert sent(header + "\nhello\n") == reply


PAST = "552 5.7.1 The Date of the message is too far in the past"
FUTURE = "552 5.7.1 The Date of the message is too far in the future"


@pytest.mark.parametrize(
    ("date", "reply"),
    [
        ("Thu, 25 Dec 2025 12:00:01 +0000", "250 2.0.0 taken"),
        ("Thu, 25 Dec 2025 11:59:59 +0000", PAST),
        ("25 Dec 2025 13:59:59 +0200", PAST),
        ("Thu, 25 Dec 2025\n 11:59:59 -0000 (unknown zone)", PAST),
        ("1 Jan 1970 00:00:00 +0000", PAST),
        ("Sat, 3 Jan 2026 11:59:59 GMT", "250 2.0.0 taken"),
        ("Sat, 3 Jan 2026 12:00:01 GMT", FUTURE),
        ("Sat, 3 Jan 2026 09:00:01 -0300", FUTURE),
        ("1 Jan 9999 00:00:00 +0000", FUTURE),
        ("yesterday", "250 2.0.0 taken"),
        ("1 Jan 99999999999999999999 00:00:00 +0000", "250 2.0.0 taken"),
    ],
)
def test_window(date: str, reply: str) -> None:
    """The Date has to be in the window, whatever its zone; one that cannot be read passes."""
    assert sent(f"{FROM}Date: {date}\n\nhello\n") == reply


def test_no_window() -> None:
    """Without past and future any Date will do."""
    for year in (1970, 9999):
        date = f"Date: 1 Jan {year} 00:00:00 +0000\n"
        assert sent(f"{FROM}{date}\nhello\n", "headers") == "250 2.0.0 taken"


def test_require() -> None:
    """`require` names the fields that have to be there."""
    line = "headers require=Subject,Message-ID"
    assert sent("Subject: a\nMessage-ID: <1@a>\n\n", line) == "250 2.0.0 taken"
    reply = "552 5.7.1 The message has no Message-ID field, see RFC 5322, section 3.6"
    assert sent(f"{FROM}{DATE}Subject: a\n\n", line) == reply


def test_left_alone() -> None:
    """Relay clients may hand in anything; with reject=0 anyone may."""
    config = {"relayclients": "192.0.2.1"}
    assert sent("hello\n", config=config) == "250 2.0.0 taken"
    assert sent("hello\n", "headers reject=0") == "250 2.0.0 taken"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("headers require=", "headers: require=: write names of fields, as From,Date"),
        (
            "headers require=From:",
            "headers: require=From:: write names of fields, as From,Date",
        ),
        ("headers past=soon", "headers: past=soon: write a number of days, such as 7"),
        ("headers future=0", "headers: future=0: write a number of days, such as 7"),
        ("headers reject=2", "headers: reject=2: write 0, 1 or naughty"),
    ],
)
def test_refuses_to_start(line: str, problem: str) -> None:
    """A wrong option is told."""
    assert refusal(line) == problem


PLUGIN = load_one(PluginLine.parse("headers past=7 future=2"), memory_host({}))
DIGITS = st.integers(0, 10**12).map(str)
LIKE_DATES = st.lists(
    st.sampled_from([*"0123456789:+-,. ()", "Mon", "Jan", "GMT", "2026", "am"]) | DIGITS,
    max_size=12,
).map("".join)


@given(st.binary(max_size=60) | LIKE_DATES.map(str.encode))
def test_any_date(date: bytes) -> None:
    """No Date, however odd, makes the plugin fail."""
    assert isinstance(PLUGIN, Headers)
    assert PLUGIN.date_fault(date) in {"", PAST[10:], FUTURE[10:]}
