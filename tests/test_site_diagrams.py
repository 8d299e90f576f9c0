"""The pictures of the site are drawn from the program, and say in words what they show."""

import asyncio
import re
from xml.etree import ElementTree

import pytest

from docs.hooks.diagrams import DIAGRAMS, on_page_markdown
from docs.hooks.diagrams.commands import arrivals, order_page, states
from docs.hooks.diagrams.hooks import dispatch
from docs.hooks.diagrams.qmqp import SMTP_TURNS, package, tail
from qpsdk import OK, Plugin, qmqp
from qpsdk.hooks import HOOKS
from qpsdk.smtp.steps import State
from qpsdk.testing import smtp

SVG = "{http://www.w3.org/2000/svg}"


def parse(picture: str) -> ElementTree.Element:
    """The picture as XML, which a page that is HTML need not say."""
    svg = picture.partition("\n")[2].rpartition("\n")[0]
    return ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))


def words(picture: str) -> list[str]:
    """All that is written in it, from top to bottom as it was drawn."""
    return [text.text or "" for text in parse(picture).iter(f"{SVG}text")]


def test_a_picture_has_a_title_and_words() -> None:
    """Who does not see it is told what it shows; a blank line would end it in Markdown."""
    for name, draw in DIAGRAMS.items():
        picture = draw()
        svg = parse(picture)
        assert svg.get("role") == "img"
        labels = (svg.get("aria-labelledby") or "").split()
        told = {
            part.get("id"): part.text for part in svg if part.tag in {f"{SVG}title", f"{SVG}desc"}
        }
        assert set(told) == set(labels) == {f"{name}-title", f"{name}-words"}
        assert all(told.values())
        assert "\n\n" not in picture


def test_nothing_is_outside_of_a_picture() -> None:
    """Each word and box lies within the frame."""
    for draw in DIAGRAMS.values():
        svg = parse(draw())
        left, top, width, height = map(float, (svg.get("viewBox") or "").split())
        for text in svg.iter(f"{SVG}text"):
            x, length = float(text.get("x") or 0), float(text.get("textLength") or 0)
            start = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor", "")] * (
                length
            )
            assert left <= start, text.text
            assert start + length <= left + width, text.text
            assert top <= float(text.get("y") or 0) <= top + height, text.text


def test_order_of_commands() -> None:
    """The picture has a row for each command, and says where it leads."""
    drawn = words(states())
    assert drawn[: len(State)] == [state.name for state in State]
    assert drawn[len(State) :] == [
        *("HELO", "EHLO", "MAIL", "RCPT", "DATA", "final dot"),
        *("RSET", "NOOP", "VRFY", "HELP", "AUTH", "QUIT"),
    ]
    told = arrivals()
    assert "MAIL: READY to MAIL, MAIL stays, RCPT to MAIL." in told
    assert "final dot: MESSAGE to READY." in told


def test_order_of_commands_follows_the_table() -> None:
    """Another table gives another picture: nothing in it is drawn by hand."""
    other = {"XCMD": {State.READY: (State.CLOSED, State.READY)}}
    picture = states(other)
    assert "XCMD: READY to CLOSED." in picture
    assert picture.count("<circle") == 1
    assert "EHLO" not in words(picture)


def test_page_of_commands() -> None:
    """The table beside the picture has the same, and what comes out of order."""
    page = order_page()
    assert "| MAIL |  | 503 | MAIL | stays, refused: READY | MAIL, refused: READY |  |  |" in page
    assert "| DATA |  | 503 | 503 | 503 | MESSAGE, refused: READY |  |  |" in page
    assert "| QUIT |  | CLOSED | CLOSED | CLOSED | CLOSED |  |  |" in page
    assert "| RCPT | `503 5.5.1 Send MAIL FROM first` |" in page
    assert "- `MESSAGE`: sends a message" in page


def test_package() -> None:
    """What the boxes hold are the bytes of a package, in their order."""
    drawn = words(package())
    told = {"message", "sender", "recipient"}
    wire = "".join(word for word in drawn if word not in told and not word.startswith("the "))
    assert wire.replace("⏎", "\n") == (
        "80:19:Subject: hello\n\nhi\n,15:you@example.org,15:ann@example.com,15:bob@example.com,,"
    )


def test_turns_are_those_of_a_dialogue() -> None:
    """A host answers the commands of the picture of SMTP as it says there."""

    class TakeAll(Plugin):
        def hook_rcpt(self, *_: object) -> object:
            return OK

        def hook_queue(self, _: object) -> object:
            return OK

    commands = {"EHLO": "EHLO x.org", "MAIL FROM": "MAIL FROM:<me@x.org>", "DATA": "DATA"}

    async def talk() -> list[int]:
        async with smtp(TakeAll()) as client:
            replies = [client.greeting]
            for said, _ in SMTP_TURNS[1:-1]:
                user = said.removeprefix("RCPT TO: ")
                replies.append(await client.command(commands.get(said, f"RCPT TO:<{user}@x.org>")))
            replies.append(await client.send_data("Subject: hello\n\nhi\n"))
        return [reply.code for reply in replies]

    assert asyncio.run(talk()) == [int(code) for _, code in SMTP_TURNS]


def test_tail() -> None:
    """The last byte of a package is on a line of its own, and the answer is a right one."""
    drawn = words(tail())
    assert drawn[drawn.index("the last byte") - 1] == ","
    assert drawn[0] == "80:19:"
    assert qmqp.ResponseDecoder().feed(b"3:Kok,") is not None
    assert "3:Kok," in drawn


def test_order_of_hooks() -> None:
    """Each hook is there once, those of a message in the order of the table."""
    drawn = [word for word in words(dispatch()) if word in HOOKS]
    assert sorted(drawn) == sorted(HOOKS)
    assert drawn.index("rcpt_pre") < drawn.index("rcpt") < drawn.index("data")
    shown = words(dispatch())
    assert shown[shown.index("rcpt") + 1] == "250, 450 if no plugin takes it, 550 denied"
    assert shown[shown.index("queue") + 1] == "250, 451 if no plugin takes it, 552 denied"


def test_a_new_hook_has_to_be_placed() -> None:
    """A hook that the picture does not know stops the build, as does another order."""
    with pytest.raises(ValueError, match="not in the picture: brand_new"):
        dispatch(dict(HOOKS) | {"brand_new": HOOKS["rcpt"]})
    turned = dict(reversed(list(HOOKS.items())))
    with pytest.raises(ValueError, match="not the order of the hook table"):
        dispatch(turned)


def test_a_page_gets_its_pictures() -> None:
    """A line asks for a picture; one that there is not stops the build."""
    made = on_page_markdown("Before\n\n<!-- diagram: way -->\n\nAfter\n")
    assert re.fullmatch(r'Before\n\n<div class="diagram" .*</div>\n\nAfter\n', made, re.DOTALL)
    with pytest.raises(KeyError):
        on_page_markdown("<!-- diagram: none -->")
