"""The parsing hooks: a plugin's own way to read HELO, EHLO, MAIL and RCPT."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from qpsdk import DECLINED, LOGWARN, OK, Plugin
from qpsdk.log import Formatter
from qpsdk.testing import smtp


class Parses(Plugin):
    """Has a parser for one command, and takes every message."""

    def __init__(self, hook: str, parser: Any, constant: Any = OK) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.register_hook(hook, lambda connection: (constant, parser))
        for named in ("helo", "ehlo", "mail", "rcpt"):
            self.register_hook(named, self._see)

    def _see(self, about: Any, *arguments: Any) -> Any:
        self.seen.append(arguments)
        return OK


def say(plugin: Plugin, *lines: str) -> list[str]:
    """The replies to some lines."""

    async def main() -> list[str]:
        async with smtp(plugin, config={"databytes": "1000"}) as client:
            return [str(await client.command(line)) for line in lines]

    return asyncio.run(main())


def test_hello_by_a_parser() -> None:
    """A parser for HELO or EHLO gives the client's name."""
    for verb in ("helo", "ehlo"):
        plugin = Parses(f"{verb}_parse", lambda arguments: arguments.upper() or b"NAMELESS")
        replies = say(plugin, f"{verb} one two", f"{verb}")
        assert [reply[:3] for reply in replies] == ["250", "250"]
        assert plugin.seen == [(b"ONE TWO",), (b"NAMELESS",)]


def test_envelope_by_a_parser() -> None:
    """A parser for MAIL or RCPT gives address and parameters, even some that we do not know."""

    def parser(arguments: bytes) -> tuple[bytes, dict[str, str]]:
        address, _, code = arguments.partition(b":")[2].partition(b" code:")
        return address, {"code": code.decode()} if code else {}

    plugin = Parses("mail_parse", parser)
    assert say(plugin, "EHLO x", "MAIL FROM:a@example.org code:7")[1] == "250 2.1.0 Sender OK"
    sender, params = plugin.seen[1]
    assert (sender.address, params) == (b"a@example.org", {"code": "7"})

    plugin = Parses("rcpt_parse", parser)
    assert (
        say(plugin, "EHLO x", "MAIL FROM:<>", "RCPT TO:b@c code:8")[2] == "250 2.1.5 Recipient OK"
    )
    recipient, params = plugin.seen[2]
    assert (recipient.address, params) == (b"b@c", {"code": "8"})


def test_parser_refuses() -> None:
    """What a parser raises as ValueError is the client's 501, safe to send, and nothing is done."""

    def parser(arguments: bytes) -> bytes:
        raise ValueError("who are\r\n250 you?" if arguments == b"a" else "")

    plugin = Parses("ehlo_parse", parser)
    replies = say(plugin, "EHLO a", "EHLO b", "MAIL FROM:<a@b>")
    assert replies == [
        "501 who are\n250 you?",
        "501 Bad EHLO",
        "503 5.5.1 Say HELO or EHLO first",
    ]
    assert plugin.seen == []


def _crashes(arguments: bytes) -> bytes:
    raise KeyError("oops")


def _exits(arguments: bytes) -> bytes:
    sys.exit("oops")


@pytest.mark.parametrize(
    ("parser", "logged"),
    [
        (_exits, "ehlo_parse: the parser failed: SystemExit: oops"),
        (_crashes, "ehlo_parse: the parser failed: KeyError: 'oops'"),
        (lambda arguments: "text", "ehlo_parse: the parser gave 'text', not the host's name"),
        (lambda arguments: b"", "ehlo_parse: the parser gave b'', not the host's name as bytes"),
        (None, "ehlo_parse: the parser failed: TypeError"),
    ],
)
def test_parser_that_fails(
    parser: Callable[[bytes], Any], logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A parser that crashes or gives something else is logged, and the built-in one is used."""
    plugin = Parses("ehlo_parse", parser)
    assert say(plugin, "EHLO one two")[0].startswith("250")
    assert plugin.seen == [(b"one",)]
    assert logged in caplog.text


def test_log_of_a_parser(caplog: pytest.LogCaptureFixture) -> None:
    """What a parser logs names its hook and plugin."""

    def parser(arguments: bytes) -> bytes:
        plugin.log(LOGWARN, "hello")
        return arguments

    plugin = Parses("ehlo_parse", parser)
    say(plugin, "EHLO x")
    (line,) = [Formatter().format(record) for record in caplog.records]
    assert line.endswith(" (ehlo_parse) Parses: hello")


@pytest.mark.parametrize(
    "value",
    [
        b"<a@b>",
        None,
        ("<a@b>", {}),
        (b"<a@b>", {}, 1),
        (b"<a@b>", None),
        (b"<a@b>", {"size": 7}),
        (b"<a@b>", {"size": "many"}),
        (b"<a@b>", {1: "x"}),
        (b"<a@b>", [("x", "y")]),
    ],
)
def test_envelope_that_is_none(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What is no address with parameters is logged, and the built-in parser is used."""
    plugin = Parses("mail_parse", lambda arguments: value)
    assert say(plugin, "EHLO x", "MAIL FROM:<c@d> SIZE=7")[1] == "250 2.1.0 Sender OK"
    assert str(plugin.seen[1][0]) == "<c@d>"
    assert "mail_parse: the parser gave " in caplog.text


def test_declined() -> None:
    """Where the plugin has no opinion, the built-in parser is used."""
    plugin = Parses("rcpt_parse", lambda arguments: (b"never", {}), DECLINED)
    assert say(plugin, "EHLO x", "MAIL FROM:<>", "RCPT TO:<b@c> X=Y")[2].startswith("555 ")


def test_order_and_limits_hold() -> None:
    """A parser is asked for a command in order only, and what it gives is held to the limits."""
    asked: list[bytes] = []

    def parser(arguments: bytes) -> tuple[bytes, dict[str, str]]:
        asked.append(arguments)
        return b"<a@b>", {"size": "1001"}

    replies = say(Parses("mail_parse", parser), "MAIL one", "EHLO x", "MAIL two", "RCPT TO:<c@d>")
    assert [reply[:3] for reply in replies] == ["503", "250", "552", "503"]
    assert asked == [b"two"]


def test_address_is_parsed_all_the_same() -> None:
    """What a parser gives for an address has to be one."""
    replies = say(
        Parses("rcpt_parse", lambda arguments: (b"<>", {})), "EHLO x", "MAIL FROM:<>", "RCPT x"
    )
    assert replies[2] == "501 5.1.3 A recipient cannot be empty"


def test_every_mail_begins_anew() -> None:
    """A MAIL that a parser refuses has ended the transaction before it."""

    def parser(arguments: bytes) -> tuple[bytes, dict[str, str]]:
        if arguments == b"bad":
            raise ValueError("no")
        return b"<a@b>", {}

    plugin = Parses("mail_parse", parser)
    lines = ("EHLO x", "MAIL good", "RCPT TO:<c@d>", "MAIL bad", "DATA")
    assert [reply[:3] for reply in say(plugin, *lines)] == ["250", "250", "250", "501", "503"]
