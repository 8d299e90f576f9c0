"""What docs/how-to/new-plugin.md says beside its project: failures, and refusing by header."""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# As most who read the page would write it.

import asyncio
import re
from pathlib import Path

import pytest

from qpsdk import DECLINED, DENY, DENYSOFT, LOGDEBUG, LOGINFO, OK, ConfigError, Plugin
from qpsdk.hooks import HOOKS, QUEUE_TIME_LIMIT, TIME_LIMIT
from qpsdk.testing import ask, assert_answer, memory_host, plugin, run, transaction
from qpsdk.testing.make import plugin_of_words

PAGE = (Path(__file__).parents[1] / "docs/how-to/new-plugin.md").read_text("utf-8")


class Fails(Plugin):
    """Fails in a hook, in the way that its line says."""

    def register(self, qp, how, hook):
        self.how = how
        self.register_hook(hook, self.fail)

    async def fail(self, *given):
        if self.how == "slow":
            await asyncio.sleep(60)
        return 1 / 0 if self.how == "crash" else True


class Next(Plugin):
    """Stands behind it, and takes everything."""

    def hook_rcpt(self, transaction, recipient, params):
        return OK

    def hook_queue(self, transaction):
        return OK, "taken by the next one"


def fails(how, hook, **options):
    """The plugin, loaded, with little time."""
    made = plugin(Fails, how, hook, **options)
    made.options.timeout = 0.05
    return made


@pytest.mark.parametrize(
    ("how", "options", "expected"),
    [
        ("crash", {}, DECLINED),
        ("crash", {"on_error": "declined"}, DECLINED),
        ("crash", {"on_error": "denysoft"}, DENYSOFT),
        ("answer", {"on_error": "denysoft"}, DECLINED),
        ("slow", {"on_error": "declined"}, DENYSOFT),
    ],
)
def test_what_a_failure_counts_as(how, options, expected):
    """A crash is as on_error= says, a wrong answer is no opinion, one that is late puts off."""
    assert run(ask(fails(how, "rcpt", **options), "rcpt")).constant is expected
    early = "data_headers_end"  # which takes no DENYSOFT
    assert run(ask(fails(how, early, **options), early)).constant is DECLINED


@pytest.mark.parametrize("on_error", ["declined", "denysoft"])
@pytest.mark.parametrize("how", ["crash", "answer", "slow"])
def test_failure_in_queue(smtp, how, on_error):
    """In queue any failure is 451, and the next plugin does not get the message."""
    client = smtp(fails(how, "queue", on_error=on_error), Next())
    assert client.send("hello").code == 451


def test_its_line():
    """The line of the page is taken, with the options that the host keeps for itself."""
    (text,) = re.findall(r"^greylist_by_domain 60 .*=.*$", PAGE, re.MULTILINE)

    class Any(Plugin):
        def register(self, qp, seconds):
            assert seconds == "60"

    options = plugin_of_words(Any, text.split()[1:], memory_host()).options
    assert (options.timeout, options.on_error) == (5, "denysoft")
    assert options.level(LOGINFO) is LOGDEBUG
    assert f"{TIME_LIMIT:g} in most hooks, {QUEUE_TIME_LIMIT:g} in `queue`" in PAGE


# --8<-- [start:words]
class SubjectWords(Plugin):
    """Refuse messages that have a word of config/subject_words in their subject."""

    def register(self, qp):
        self.parse_config("subject_words", read_words)  # what is wrong in it is told at the start

    def hook_data_post_headers(self, transaction):
        subject = transaction.header.text("Subject").casefold()
        words = self.parse_config("subject_words", read_words)
        if words.isdisjoint(re.findall(r"\w+", subject)):
            return DECLINED
        return DENY, "We take no mail on this subject"


def read_words(lines):
    """Read a word a line; a file that is missing or empty is a mistake, too."""
    words = set()
    for line in lines:
        if not re.fullmatch(r"\w+", line):
            raise ValueError(f"{line!r} is no word; write one a line, such as casino")
        words.add(line.casefold())
    if not words:
        raise ValueError("there is no word in it; write one a line, such as casino")
    return words


# --8<-- [end:words]


# --8<-- [start:subject]
@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("The CASINO is open", DENY),
        ("=?utf-8?q?c=61sino?=", DENY),  # casino, as an encoded word
        ("=?utf-8?b?R2zDvGNrc3NwaWVs?=", DENY),
        ("casinos", DECLINED),
    ],
)
def test_subject(subject, expected):
    """A message is refused by a word of its subject, in any case and however it is encoded."""
    qp = memory_host({"subject_words": "casino\nGlücksspiel"})
    message = transaction(f"Subject: {subject}\n\nhello\n")
    outcome = run(ask(plugin(SubjectWords, qp=qp), "data_post_headers", transaction=message))
    assert_answer(outcome, expected)


# --8<-- [end:subject]


def test_no_subject():
    """A message without a subject is nobody's business."""
    words = plugin(SubjectWords, qp=memory_host({"subject_words": "casino"}))
    message = transaction("From: ann@example.org\n\nhello\n")
    assert_answer(run(ask(words, "data_post_headers", transaction=message)), DECLINED)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "config/subject_words: there is no word in it; write one a line, such as casino"),
        (
            {"subject_words": "casino\nfree money"},
            "config/subject_words:2: 'free money' is no word; write one a line, such as casino",
        ),
    ],
)
def test_words_that_are_none(config, told):
    """A file that is wrong or not there stops the host from starting, and the text says why."""
    with pytest.raises(ConfigError) as error:
        plugin(SubjectWords, qp=memory_host(config))
    assert str(error.value) == told


def test_which_hook_refuses():
    """What the page says of the hooks after the header is what the table has."""
    takes = {name: set(HOOKS[name].effects) for name in ("data_post_headers", "data_post")}
    assert all({DENY, DENYSOFT} <= constants for constants in takes.values())
    early = [c.name for c in HOOKS["data_headers_end"].effects if c.is_denial]
    assert sorted(early) == ["DENYSOFT_DISCONNECT", "DENY_DISCONNECT"]
    assert HOOKS["data_post_headers"].effects[DENY].code == 552
