"""Every cell of the hook table has a transcript, and every hook a test."""

from pathlib import Path

import pytest

from qpsdk.constants import Constant
from qpsdk.hooks import HOOKS
from qpsdk.testing.transcripts import Transcript, parse

FOLDER = Path(__file__).parent / "transcripts"

# Written by hand from the hook table of the documentation: hook, and the constants it takes.
CELLS = """
pre_connection       OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT
connect              OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT DONE
helo_parse           OK DECLINED
helo                 OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT DONE
ehlo_parse           OK DECLINED
ehlo                 OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT DONE
auth_parse           OK DECLINED
auth_plain           OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT
auth_login           OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT
auth_cram_md5        OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT
auth                 OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT
mail_parse           OK DECLINED
mail_pre             OK DECLINED
mail                 OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT DONE
rcpt_parse           OK DECLINED
rcpt_pre             OK DECLINED
rcpt                 OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT DONE
data                 OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT DONE
data_headers_end     OK DECLINED DENY_DISCONNECT DENYSOFT_DISCONNECT
data_post_headers    OK DECLINED DENY DENYSOFT
received_line        OK DECLINED
data_post            OK DECLINED DENY DENYSOFT DENY_DISCONNECT DENYSOFT_DISCONNECT DONE
queue_pre            OK DECLINED DONE
queue                OK DECLINED DENY DENYSOFT DONE
vrfy                 OK DECLINED DENY DONE
noop                 OK DECLINED DENY DENY_DISCONNECT DONE
help                 OK DECLINED DENY DONE
unrecognized_command OK DECLINED DENY DENY_DISCONNECT DONE
quit                 OK DECLINED DONE
logging              OK DECLINED
config               OK DECLINED
user_config          OK DECLINED
"""

IGNORED = "queue_post reset_transaction disconnect post_connection deny ok post_fork"
"""Hooks whose answers change nothing: a transcript for each constant shows that."""

VALUES = (
    "helo_parse ehlo_parse auth_parse mail_parse mail_pre rcpt_parse rcpt_pre received_line"
    " logging config user_config"
)
"""Hooks whose OK comes with a value that is no text for the client."""

ROWS = {hook: constants for hook, *constants in map(str.split, CELLS.strip().splitlines())}

ALL = [t for path in sorted(FOLDER.glob("*.smtp")) for t in parse(path.read_text(), path)]


def transcripts(hook: str) -> dict[str, Transcript]:
    """The transcripts of a hook, by what follows its name in their titles."""
    return {t.title.removeprefix(f"{hook} "): t for t in ALL if t.title.startswith(f"{hook} ")}


def test_the_list_is_whole() -> None:
    """The list above has every hook, and every constant that it takes."""
    declared = {
        hook.name: {constant.name for constant in hook.effects}
        for hook in HOOKS.values()
        if not hook.ignored
    }
    assert {hook: set(constants) for hook, constants in ROWS.items()} == declared
    assert {hook.name for hook in HOOKS.values() if hook.ignored} == {*IGNORED.split()}


@pytest.mark.parametrize("hook", ROWS)
def test_every_cell_has_a_transcript(hook: str) -> None:
    """Each constant of a hook has a transcript, with a message and without."""
    for constant in ROWS[hook]:
        beside = "DONE, responds" if constant == "DONE" else f"{constant}, message"
        wanted = {constant, beside} - {"OK, message" if hook in VALUES.split() else ""}
        assert wanted <= transcripts(hook).keys()


@pytest.mark.parametrize("hook", IGNORED.split())
def test_every_answer_that_is_ignored_has_a_transcript(hook: str) -> None:
    """For a hook whose answers are ignored, each of the constants is tried."""
    assert {f"ignores {c.name}" for c in Constant} <= transcripts(hook).keys()


@pytest.mark.parametrize("hook", ROWS)
def test_transcripts_are_what_they_are_called(hook: str) -> None:
    """A transcript of a cell goes over a socket, and its plugin answers what the title says."""
    for title, transcript in transcripts(hook).items():
        constant, _, how = title.partition(", ")
        verb, *words = transcript.header.plugins[0].text.split(maxsplit=3)
        assert transcript.header.over == "socket"
        assert words[0] == hook
        assert verb == {"DONE": "responds" if how else "says"}.get(constant, verb)
        if verb == "says":
            assert words[1] == constant
            assert hook in VALUES.split() or bool(how) == (len(words) == 3)


def test_every_hook_has_a_test() -> None:
    """Each hook of the table has transcripts of its own."""
    shown = {transcript.title.split()[0] for transcript in ALL}
    assert HOOKS.keys() - shown == set()


def test_the_transcripts_are_collected(request: pytest.FixtureRequest) -> None:
    """Pytest knows what a transcript is: else none of them would run, and nobody would notice."""
    plugins = request.config.pluginmanager
    assert plugins.has_plugin("qpsdk_transcripts") or plugins.has_plugin(
        "qpsdk.testing.pytest_transcripts"
    ), "the package's entry points are stale: install it again (make setup)"
