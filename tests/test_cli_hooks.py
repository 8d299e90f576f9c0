"""`qpsdk hooks`: the table, and one hook in full."""

import re

import pytest
from typer.testing import CliRunner

from qpsdk.cli import app
from qpsdk.errors import SetupError
from qpsdk.hooks import HOOKS


def run(*arguments: str, terminal: bool = False) -> str:
    """What the command prints."""
    environment = {"FORCE_COLOR": "1", "COLUMNS": "200"} if terminal else {}
    result = CliRunner().invoke(app, ["hooks", *arguments], env=environment)
    if isinstance(result.exception, SetupError):
        raise result.exception
    assert result.exit_code == 0
    return result.stdout


def test_table() -> None:
    """A line for each hook, in the order in which a message meets them."""
    lines = run().splitlines()
    assert lines[0].split() == ["HOOK", "IS", "GIVEN", "MAY", "ANSWER", "WHEN"]
    assert [line.split()[0] for line in lines[1:]] == list(HOOKS)
    queue = next(line for line in lines if line.startswith("queue "))
    assert queue.split(maxsplit=3) == [
        "queue",
        "transaction",
        "OK,DECLINED,DENY,DENYSOFT,DONE",
        "A plugin has to take the message, and with OK the responsibility for it.",
    ]
    reset = next(line for line in lines if line.startswith("reset_transaction "))
    assert "(ignored)" in reset


def test_table_on_a_terminal() -> None:
    """On a terminal the table is drawn."""
    text = run(terminal=True)
    assert "─" in text
    assert "post_connection" in text


def test_table_on_a_narrow_terminal() -> None:
    """Where it does not fit, words are folded and none is cut; a name stays in one piece."""
    result = CliRunner().invoke(app, ["hooks"], env={"FORCE_COLOR": "1", "COLUMNS": "60"})
    assert "…" not in result.stdout
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    assert "unrecognized_command" in plain
    assert max(map(len, plain.splitlines())) <= 60


def test_rcpt() -> None:
    """One hook in full: arguments with types, the reply for each answer, time limit, example."""
    assert run("rcpt") == (
        "rcpt: The client named a recipient; a plugin has to take it.\n"
        "\n"
        "  [async] def hook_rcpt(self, transaction: Transaction, recipient: Address,"
        " params: Mapping[str, str])\n"
        "\n"
        "Answers:\n"
        "  OK                   250 2.1.5 Recipient OK\n"
        "  DECLINED             by all plugins: 450 4.7.1 No plugin took this recipient,"
        " try again later\n"
        "  DENY                 550 5.7.1 Not accepted here\n"
        "  DENYSOFT             450 4.7.1 Not accepted now, try again later\n"
        "  DENY_DISCONNECT      550 5.7.1 Not accepted here, closing the connection (closes)\n"
        "  DENYSOFT_DISCONNECT  421 4.7.1 ME Closing the connection (closes)\n"
        "  DONE                 the plugin has answered the client itself, by"
        " connection.respond()\n"
        "\n"
        "Time limit: 30 s for each plugin.\n"
        "In use: rcpt_ok\n"
        "\n"
        "Options that the host takes on the line in config/plugins:\n"
        "  timeout=   a number of seconds, such as 60; else the hook's own limit\n"
        "             How long each hook of the plugin may take; one that takes longer\n"
        "             counts as DENYSOFT.\n"
        "  on_error=  declined or denysoft; else declined\n"
        "             What an exception in a hook counts as: no opinion, so that the\n"
        "             message may pass, or DENYSOFT, which puts it off. In `queue` it is\n"
        "             put off either way.\n"
        "  loglevel=  0 to 7, or +1 or -1 to shift; else the plugin's own choice\n"
        "             The level of all that the plugin logs, or what is added to its own\n"
        "             choice.\n"
        "\n"
        "Example:\n"
        "    def hook_rcpt(self, transaction: Transaction, recipient: Address,"
        " params: Parameters) -> Result:\n"
        '        """Refuse one recipient; whether the others are ours, another plugin says."""\n'
        '        if recipient.user.lower() == b"nobody":\n'
        '            return DENY, "Nobody lives here"\n'
        "        return DECLINED\n"
    )


@pytest.mark.parametrize(
    ("hook", "line"),
    [
        ("connect", "  OK                   220 ME ESMTP qpsdk ready"),
        ("pre_connection", "  DENY                 550 Not accepted here (closes)"),
        ("data_post", "  DECLINED             by all plugins: the host goes on"),
        ("rcpt_pre", "  OK                   with a bytes: it is used"),
        ("queue", "Time limit: 540 s for each plugin."),
        ("queue-pre", "  DONE                 the plugin has taken care of the message: it is not"),
        ("hook_quit", "  [async] def hook_quit(self, connection: Connection)"),
        ("post-fork", "Answers: whatever is returned changes nothing."),
        ("post-fork", "  [async] def hook_post_fork(self)"),
        ("CONFIG", "  def hook_config(self, name: str)"),
        ("config", "Time limit: none, as it is reached from plain calls: be quick."),
    ],
)
def test_line(hook: str, line: str) -> None:
    """What is particular of a hook is said; its name is taken in every spelling."""
    assert any(told.startswith(line) for told in run(hook).splitlines())


@pytest.mark.parametrize(
    ("hook", "options"),
    [
        ("mail", ["timeout", "on_error", "loglevel"]),
        ("queue", ["timeout", "loglevel"]),  # a failure there is never passed on
        ("reset_transaction", ["timeout", "loglevel"]),
        ("config", ["loglevel"]),
    ],
)
def test_options_of_a_line(hook: str, options: list[str]) -> None:
    """Of the host's options those are shown that change something in the hook."""
    assert re.findall(r"^  (\w+)=  ", run(hook), re.MULTILINE) == options


@pytest.mark.parametrize("hook", list(HOOKS))
def test_every_hook(hook: str) -> None:
    """Every hook can be shown in full, and names each constant that it takes."""
    text = run(hook)
    assert text.startswith(f"{hook}: {HOOKS[hook].meaning}\n")
    if not HOOKS[hook].ignored:
        assert {c.name for c in HOOKS[hook].effects} <= set(text.split())


def test_no_hook() -> None:
    """A name that is none is refused with the nearest."""
    with pytest.raises(SetupError) as refusal:
        run("rctp")
    assert str(refusal.value) == "there is no hook 'rctp'; did you mean 'rcpt'?"
