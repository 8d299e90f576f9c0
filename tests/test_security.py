"""The threats that docs/explanation/security.md lists are met, and the page says where.

Most are tested beside the module that meets them; here is what no module meets alone.
"""

import ast
import asyncio
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qpsdk import DECLINED, OK, Plugin, Result, Transaction
from qpsdk.plugins.queue.smtp_forward import wire
from qpsdk.testing import FakeQMQPServer, smtp
from tests.test_floors import on_floors
from tests.test_smtp_data import SMUGGLED

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/explanation/security.md"

INSIDE = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<you@example.com>\r\nDATA\r\nboo"
"""What a smuggler wants to be taken for commands."""

LENIENT_END = re.compile(rb"(?:\r\n|\r|\n)\.(?:\r\n|\r|\n)")
"""What lenient servers take for the end of a message."""


class TakeAll(Plugin):
    """Takes every recipient; what a message would be to a server that SMTP is spoken to."""

    def __init__(self) -> None:
        super().__init__()
        self.emitted: list[bytes] = []

    def hook_rcpt(self, transaction: Transaction, recipient: object, params: object) -> Result:
        """Take it."""
        return OK

    def hook_data_post(self, transaction: Transaction) -> Result:
        """Note what `queue/smtp_forward` would send on."""
        self.emitted.append(b"".join(wire(transaction.message_blocks())))
        return DECLINED


async def smuggle(end: bytes, bare_newline: str) -> tuple[list[int], FakeQMQPServer, TakeAll]:
    """Send a message with that inside, and what comes of it: the codes, and what was sent on."""
    fake, taker = FakeQMQPServer(), TakeAll()
    config = {"bare_newline": bare_newline}
    plugins = taker, "queue/qmqp_forward 192.0.2.1"
    async with smtp(*plugins, config=config, connect=fake.connect) as client:
        await client.command("EHLO client.example.org")
        await client.command("MAIL FROM:<sender@example.org>")
        await client.command("RCPT TO:<recipient@example.com>")
        await client.command("DATA")
        client.write(b"Subject: x\r\n\r\nhello" + end + INSIDE + b"\r\n.\r\nQUIT\r\n")
        codes = [(await client.read_reply()).code for _ in range(2)]
    return codes, fake, taker


@pytest.mark.parametrize("end", SMUGGLED)
def test_smuggling_inwards(end: bytes) -> None:
    """No published variant is taken for the end of data; one with a bare CR or LF is refused."""
    codes, fake, _ = asyncio.run(smuggle(end, "reject"))
    alone = end.replace(b"\r\n", b"")
    bare = b"\r" in alone or b"\n" in alone
    assert codes == [554 if bare else 250, 221]
    assert len(fake.messages) == (0 if bare else 1)


@pytest.mark.parametrize("end", SMUGGLED)
def test_smuggling_outwards(end: bytes) -> None:
    """What we send on ends where we say, however lenient its reader: no CR over QMQP, and over
    SMTP every line ends in CRLF, and none is a dot alone."""
    codes, fake, taker = asyncio.run(smuggle(end, "normalize"))
    assert codes == [250, 221]
    message = fake.only_message()
    assert b"\r" not in message.message
    assert b"evil@example.org" in message.message
    (sent,) = taker.emitted
    assert b"evil@example.org" in sent
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", sent) is None
    assert LENIENT_END.search(sent) is None


def test_nothing_parses_mime() -> None:
    """A MIME bomb is bytes to us: nothing that takes mail imports what would unpack it.

    Only the words of one field are decoded (RFC 2047), where a plugin asks for its text.
    """
    unpacking = re.compile(
        r"^\s*(?:from|import) (?:email\.(?!utils|header|errors)|email import|zipfile|tarfile"
        r"|gzip|bz2|lzma|zlib)",
        re.MULTILINE,
    )
    takes_no_mail = {"lab", "scaffold", "testing"}
    package = ROOT / "qpsdk"
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0] not in takes_no_mail:
            assert unpacking.search(path.read_text(encoding="utf-8")) is None, path


def half_way(node: Any) -> Iterator[Any]:
    """What is repeated possessively in a regular expression, and may fail half-way."""
    if isinstance(node, re._parser.SubPattern | list | tuple):  # type: ignore[attr-defined]
        for part in node:
            yield from half_way(part)
    if isinstance(node, tuple) and str(node[0]) == "POSSESSIVE_REPEAT":
        ((kind, _), *more) = node[1][2]
        if more or str(kind) not in {"ATOMIC_GROUP", "ANY", "IN", "LITERAL", "NOT_LITERAL"}:
            yield node


def test_no_expression_keeps_what_does_not_match() -> None:
    """No regular expression repeats a group possessively, unless it is atomic.

    Before Python 3.11.5 such a group keeps what it ate when it fails half-way (gh-106052): an open
    quote would count as closed.
    """
    parse = re._parser.parse  # type: ignore[attr-defined]
    assert list(half_way(parse(r'(?:a|"b")*+')))
    assert not list(half_way(parse(r'(?>a|"b")*+[a-z]++b?+')))
    for name in on_floors(0, 1, 2, 3):
        for value in vars(importlib.import_module(name)).values():
            pattern = getattr(value, "__self__", value)  # of a method such as `fullmatch`
            if isinstance(pattern, re.Pattern):
                found = list(half_way(parse(pattern.pattern, pattern.flags & ~re.UNICODE)))
                assert found == [], (name, pattern.pattern)


def test_page_names_tests() -> None:
    """Each threat of the page is met by tests that exist."""
    text = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 20
    for path, test in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert test in {getattr(node, "name", "") for node in ast.walk(tree)}, (path, test)
    rows = re.findall(r"^\| (?!Who |Threat |--).*", text, re.MULTILINE)
    assert len(rows) > 20
    assert [row for row in rows if "`tests/" not in row] == []
