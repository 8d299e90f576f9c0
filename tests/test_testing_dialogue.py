"""Transcripts held as dialogues: what counts as the same, what is shown where it differs."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import DENY, OK, Address, Constant, Parameters, Plugin, Result, Transaction
from qpsdk.errors import TranscriptError
from qpsdk.testing import SMTPClient, dialogue, smtp
from qpsdk.testing.dialogue import run, update
from qpsdk.testing.transcripts import parse

HERE = "tests.test_testing_dialogue"
GREETING = "S: 220 mx.example.com ESMTP qpsdk ready\n"
OVER = pytest.mark.parametrize("over", ["memory", "socket"])


class Takes(Plugin):
    """Takes everything."""

    def hook_rcpt(
        self, transaction: Transaction, recipient: Address, params: Parameters
    ) -> Constant:
        return OK

    def hook_queue(self, transaction: Transaction) -> Constant:
        return OK


class Quiet(Plugin):
    """Takes nothing, in several words."""

    def register(self, qp: Any, *words: str) -> None:
        self._words = " ".join(words).replace("|", "\n")

    def hook_noop(self, connection: Any, text: bytes) -> Result:
        return DENY, self._words


class Hangs(Plugin):
    """Never answers."""

    async def hook_noop(self, connection: Any, text: bytes) -> Constant:
        await asyncio.sleep(600)
        return OK


def held(text: str, path: Path = Path("sample.smtp")) -> str:
    """What is said of the only transcript in a text; nothing if it is right."""
    return held_at_once(text, path=path)[0]


def held_at_once(*texts: str, path: Path = Path("sample.smtp")) -> list[str]:
    """The same for several texts, which wait side by side."""

    async def main() -> list[str]:
        return [str(told) for told in await asyncio.gather(*map(run, transcripts))]

    transcripts = [transcript for text in texts for transcript in parse(text, path)]
    assert len(transcripts) == len(texts)
    return asyncio.run(asyncio.wait_for(main(), 30))


def updated(text: str) -> str:
    """The text with what came."""
    transcripts = parse(text, Path("sample.smtp"))
    return update(text, [asyncio.run(run(transcript)) for transcript in transcripts])


@OVER
def test_right(over: str) -> None:
    """A dialogue as it was written down says nothing."""
    text = (
        f"plugin: {HERE}.Takes\nover: {over}\n{GREETING}"
        "C: HELO client.example.org\nC: MAIL FROM:<a@example.org>\nC: RCPT TO:<b@example.com>\n"
        "S: 250 mx.example.com\nS: 250 2.1.0 Sender OK\nS: 250 2.1.5 Recipient OK\n"
        "C: DATA\nS: 354 *\nC: Subject: x\nC:\nC: ..\nC: .\nS: 250 2.0.0 Queued\n"
        "C: QUIT\nS: 221 2.0.0 mx.example.com Closing the connection\nS: <closes>\n"
    )
    assert held(text) == ""


@OVER
def test_another_line(over: str) -> None:
    """A line that is another is shown beside the one that came, with those around it."""
    text = (
        f"over: {over}\n{GREETING}C: NOOP\nS: 250 2.0.0 OK\nC: RSET\nS: 250 no\nC: HELP\nS: 214 *\n"
    )
    assert held(text) == (
        "sample.smtp:6: something else came (- expected, + came)\n"
        "...\n C: NOOP\n S: 250 2.0.0 OK\n C: RSET\n-S: 250 no\n+S: 250 2.0.0 Flushed\n"
        " C: HELP\n S: 214 *"
    )


def test_spaces_for_dashes() -> None:
    """Where a reply of several lines is written as several replies, nobody waits for the others."""
    text = (
        f"{GREETING}C: EHLO client.example.org\nS: 250 mx.example.com\nS: 250 PIPELINING\n"
        "S: 250 *\nC: NOOP\nS: 250 2.0.0 OK\n"
    )
    began = time.monotonic()
    assert held(text).startswith(
        "sample.smtp:3: something else came (- expected, + came)\n...\n S: 220"
    )
    assert time.monotonic() - began < dialogue.WAIT
    assert held(updated(text)) == ""


def test_not_filled_in_yet() -> None:
    """An empty reply is told what fills it in."""
    text = f"{GREETING}C: NOOP\nS:\nC: RSET\nS: 250 *\n"
    assert held(text).startswith(
        "sample.smtp:3: no reply is here yet: --update-transcripts fills it in (- expected"
    )
    assert held(updated(text)) == ""


@pytest.mark.parametrize(
    ("pattern", "right"),
    [
        ("250 2.0.0 OK", True),
        ("250 *", True),
        ("*", True),
        ("250 2.0.0 OK*", True),
        ("*2.0.0*K", True),
        ("250 2\\x2e0.0 OK", True),
        ("250 2?0.0 OK", False),
        ("250 2.0.0 ok", False),
        ("250 2.0.0", False),
        ("50 2.0.0 OK", False),
        ("250 2.0.0 OK\\x2a", False),
        ("", False),
    ],
)
def test_wildcard(pattern: str, right: bool) -> None:
    """A star is any characters or none, all else is itself."""
    assert (held(f"{GREETING}C: NOOP\nS: {pattern}\n") == "") == right


def test_lines_of_a_reply() -> None:
    """A reply of several lines is the same only if all of them are."""
    head = f"plugin: {HERE}.Quiet one|two|three\n{GREETING}C: NOOP\nS: 500-5.5.1 one\n"
    assert held(f"{head}S: 500-5.5.1 two\nS: 500 5.5.1 three\n") == ""
    assert held(f"{head}S: 500-*\nS: 500 5.5.1 *\n") == ""
    assert held(f"{head}S: 500 5.5.1 three\n").endswith(
        " S: 500-5.5.1 one\n+S: 500-5.5.1 two\n S: 500 5.5.1 three"
    )
    assert held(f"{head}S: 500-5.5.1 2\nS: 500-*\nS: 500 5.5.1 three\n").startswith(
        "sample.smtp:5: something else came"
    )


@OVER
def test_reply_that_nobody_expects(over: str) -> None:
    """What the server says beyond the last line is different, too."""
    assert held(f"over: {over}\n{GREETING}C: NOOP\nC: NOOP\nS: 250 2.0.0 OK\n").endswith(
        " S: 250 2.0.0 OK\n+S: 250 2.0.0 OK"
    )
    assert held(f"over: {over}\n{GREETING}C: NOOP\n").endswith(" C: NOOP\n+S: 250 2.0.0 OK")


@OVER
def test_reply_that_does_not_come(over: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing is waited for, but not for long."""
    monkeypatch.setattr(dialogue, "WAIT", 1.5)
    begin = f"over: {over}\n{GREETING}"
    second, first, end, last = held_at_once(
        f"{begin}C: NOOP\nS: 250 *\nS: 250 *\n",
        f"plugin: {HERE}.Hangs\n{begin}C: NOOP\nS: 250 *\n",
        f"{begin}S: <closes>\n",
        f"plugin: {HERE}.Hangs\n{begin}C: NOOP\n",
    )
    assert second.startswith("sample.smtp:5: nothing more came for 1.5 s (- expected, + came)\n")
    assert second.endswith(" S: 250 *\n-S: 250 *")
    assert first.startswith("sample.smtp:5: nothing came for 1.5 s")
    assert end.startswith("sample.smtp:3: nothing more came for 1.5 s")
    assert last.startswith("sample.smtp:4: nothing came for 1.5 s")


@OVER
def test_server_that_closes(over: str) -> None:
    """That the server closes where nobody expects it is shown, and ends the dialogue."""
    text = f"over: {over}\n{GREETING}C: QUIT\nS: 221 *\nC: NOOP\nS: 250 *\nC: NOOP\nS: 250 *\n"
    assert held(text) == (
        "sample.smtp:6: the server had ended before all was said (- expected, + came)\n"
        "...\n C: QUIT\n S: 221 *\n C: NOOP\n-S: 250 *\n-C: NOOP\n-S: 250 *\n+S: <closes>"
    )


@OVER
@pytest.mark.parametrize("event", ["<closes>", "<half-closes>", "<resets>"])
def test_client_that_goes(over: str, event: str) -> None:
    """However the client goes, the log can still be looked at."""
    end = "S: <closes>\n" if event == "<half-closes>" else ""
    text = f"over: {over}\n{GREETING}C: NO\\\nC: {event}\n{end}L: *connection closed\n"
    assert held(text) == ""


def test_log() -> None:
    """A line of the log is looked for after the one that was found before."""
    head = f"plugin: {HERE}.Quiet no\n{GREETING}C: NOOP\nS: 500 *\n"
    refused, connected = f"L: LOGNOTICE {HERE}.Quiet: noop: DENY: no\n", "L: LOGINFO connection *\n"
    assert held(head + connected + refused) == ""


def test_log_without_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log has no such line, what it has instead is shown."""
    monkeypatch.setattr(dialogue, "WAIT", 1.5)
    told = held(f"{GREETING}C: NOOP\nS: 250 *\nL: LOGINFO connection from me\n")
    assert told.startswith("sample.smtp:4: the log has had no such line for 1.5 s")
    assert "-L: LOGINFO connection from me\n+L: LOGINFO connection from 192.0.2.1" in told


def test_the_log_is_as_before() -> None:
    """Its level is the one that it had."""
    logger = logging.getLogger("qpsdk")
    before = logger.level, logger.handlers[:]
    held(GREETING)
    assert (logger.level, logger.handlers) == before


def test_header() -> None:
    """Settings, and the client's address, are those of the header."""
    text = (
        "config: me = other.example\nclient: 198.51.100.7\n"
        "S: 220 other.example ESMTP qpsdk ready\nL: LOGINFO connection from 198.51.100.7\n"
    )
    assert held(text) == ""


@OVER
def test_plugins_beside_the_transcript(over: str, tmp_path: Path) -> None:
    """A path in plugin_dirs begins where the transcript is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/no.py").write_text(
        "from qpsdk import *\n"
        "class No(Plugin):\n"
        "    def hook_noop(self, connection, text):\n"
        "        return DENY, 'no'\n"
    )
    header = f"over: {over}\nconfig: plugin_dirs = mine\nplugin: no\n"
    assert held(f"{header}{GREETING}C: NOOP\nS: 500 5.5.1 no\n", tmp_path / "a.smtp") == ""


@OVER
@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("plugin: nosuch", "sample.smtp:2: nosuch: no such plugin"),
        ("plugin: queue/discard\nplugin: rcpt_ok x", "sample.smtp:3: rcpt_ok: too many positional"),
        ("config: databytes = x", "sample.smtp:4: config/databytes:1: 'x' is no number of bytes"),
    ],
)
def test_header_that_cannot_be_used(over: str, header: str, told: str) -> None:
    """What is wrong with a plugin or setting is said with file and line."""
    with pytest.raises(TranscriptError) as error:
        held(f"over: {over}\n{header}\n\n{GREETING}")
    assert str(error.value).startswith(told)


PAGE = """\
```python
from qpsdk import DENY, Plugin

class Quiet(Plugin):
    def hook_noop(self, connection, text):
        return DENY, "as the page says"
```

```smtp
plugin: Quiet
over: {}
S: 220 *
C: NOOP
S: 500 5.5.1 as the page says
```
"""


@OVER
def test_class_of_a_page(over: str) -> None:
    """A plugin may be a class that the page shows above its transcript."""
    page = PAGE.format(over)
    assert held(page, Path("page.md")) == ""
    assert held(page.replace("plugin: Quiet", "plugin: Quiet:1"), Path("page.md")) == ""


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def (", "page.md:4: SyntaxError: invalid syntax"),
        ("1 / 0", "page.md:4: ZeroDivisionError: division by zero"),
        ("import nosuch_module", "page.md:4: ModuleNotFoundError: No module named 'nosuch_module'"),
    ],
)
def test_class_of_a_page_that_fails(code: str, told: str) -> None:
    """Code of a page that fails is told with its place on the page."""
    page = (
        f"A page.\n\n```python\n{code}\nclass Quiet: ...\n```\n```smtp\nplugin: Quiet\nS: *\n```\n"
    )
    with pytest.raises(TranscriptError) as error:
        held(page, Path("page.md"))
    assert str(error.value).startswith(told)


def test_update() -> None:
    """What the server says replaces what it was to say; all else stays as it was."""
    text = (
        f"plugin: {HERE}.Quiet one|two\n\n# first\n[one]\nS: *\nC: NOOP\nS:\n\nC: RSET\n"
        "S: 250 wrong\n# between\nC: HELP\nS: 214 *\n\n"
        f"[two]\n{GREETING}C: RSET\nC: RSET\nS: 250 *\nC: QUIT\n"
    )
    assert updated(text) == (
        f"plugin: {HERE}.Quiet one|two\n\n# first\n[one]\nS: *\nC: NOOP\nS: 500-5.5.1 one\n"
        "S: 500 5.5.1 two\n\nC: RSET\nS: 250 2.0.0 Flushed\n# between\nC: HELP\nS: 214 *\n\n"
        f"[two]\n{GREETING}C: RSET\nC: RSET\nS: 250 *\nS: 250 2.0.0 Flushed\nC: QUIT\n"
        "S: 221 2.0.0 mx.example.com Closing the connection\n"
    )
    assert updated(updated(text)) == updated(text)


def test_update_leaves_what_did_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialogue that could not be held to its end changes nothing."""
    monkeypatch.setattr(dialogue, "WAIT", 0.05)
    text = f"{GREETING}C: NOOP\nS: 250 x\nS: 250 y\n"
    assert updated(text) == text


def replayed(client_does: Any) -> str:
    """What is said of the transcript that a client has kept, when it is held again."""

    async def main() -> str:
        async with smtp(Takes()) as client:
            await client_does(client)
        (transcript,) = parse(f"plugin: {HERE}.Takes\n{client.transcript}\n", Path("replayed.smtp"))
        return str(await run(transcript))

    return asyncio.run(asyncio.wait_for(main(), 30))


@given(st.lists(st.binary(max_size=20), max_size=5).map(b"\n".join))
def test_transcript_of_the_client(message: bytes) -> None:
    """What the client in memory writes down is a transcript, whatever the message."""

    async def sends(client: SMTPClient) -> None:
        await client.send(message.replace(b"\r", b""))
        await client.command(b"MAIL FROM:<\xff\\ >")
        await client.command("QUIT")

    assert replayed(sends) == ""


@pytest.mark.parametrize("end", ["end", "abort"])
def test_transcript_of_a_client_that_goes(end: str) -> None:
    """How the client went is written down, too."""

    async def goes(client: SMTPClient) -> None:
        client.write(b"NOOP\r\nRS")
        await client.read_reply()
        getattr(client, end)()

    assert replayed(goes) == ""
