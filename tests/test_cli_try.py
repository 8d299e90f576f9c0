"""`qpsdk try`: what it shows, how it ends, and the debugger in it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = """
import asyncio
from qpsdk import DECLINED, DENY, DENYSOFT, LOGINFO, LOGDEBUG, OK, Plugin

class Grey(Plugin):
    def register(self, qp, wait="300", *, text="come back"):
        self.text = f"{text} in {int(wait)} s"

    async def hook_rcpt(self, transaction, recipient, params):
        await asyncio.sleep(0)
        self.log(LOGINFO, "asked for", recipient)
        self.log(LOGDEBUG, "a detail")
        if recipient.user == b"fails":
            return {}["users"]
        if recipient.user == b"none":
            return None
        if recipient.user == b"stops":
            word = "seen"
            breakpoint()
            await asyncio.sleep(0.01)
            return DENY, "after"
        if recipient.user == b"fine" or transaction.connection.relay_client:
            return DECLINED
        return DENYSOFT, self.text

    def hook_mail(self, transaction, sender, params):
        client = transaction.connection
        self.log(LOGINFO, client.remote_ip, client.hello_host.decode(), sender, bool(client.tls))
        return DECLINED

    def hook_disconnect(self, connection): ...
"""


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """The file of a plugin."""
    path = tmp_path / "grey.py"
    path.write_text(PLUGIN)
    return path


def run(*arguments: str | Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "qpsdk", "try", *map(str, arguments)],
        input=typed,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def shown(result: subprocess.CompletedProcess[str]) -> str:
    """What was printed, without times."""
    return re.sub(r"\(\d+\.\d ms\)", "(T)", result.stdout)


def test_refused(grey: Path) -> None:
    """Hook, answer, time, log and reply are shown in their order, and the verdict last."""
    result = run(grey, "60", "text=later", "--to", "ann@example.com")
    assert (result.returncode, result.stderr) == (1, "")
    assert "\x1b" not in result.stdout
    assert shown(result).endswith(
        "C: MAIL FROM:<sender@example.org>\n"
        "     log: LOGINFO (mail) grey: 192.0.2.1 client.example.org <sender@example.org> False\n"
        "     mail: grey answered DECLINED (T)\n"
        "S: 250 2.1.0 Sender OK\n"
        "C: RCPT TO:<ann@example.com>\n"
        "     log: LOGINFO (rcpt) grey: asked for <ann@example.com>\n"
        "     rcpt: grey answered DENYSOFT, 'later in 60 s' (T)\n"
        "     log: LOGNOTICE grey: rcpt: DENYSOFT: later in 60 s"
        " (from <sender@example.org> to <ann@example.com>)\n"
        "S: 450 4.7.1 later in 60 s\n"
        "C: QUIT\n"
        "S: 221 2.0.0 mx.example.com Closing the connection\n"
        "     disconnect: grey ran (T)\n"
        "refused at RCPT: 450 4.7.1 later in 60 s\n"
    )


def test_accepted(grey: Path) -> None:
    """What the plugin has no opinion on is accepted behind it; the sample message is sent."""
    result = run(grey, "--to", "ann@example.com", "--to", "fine@example.com")
    assert result.returncode == 0
    assert "     rcpt: (try) answered OK (T)\n" in shown(result)
    assert "C: Subject: A message to try\n" in result.stdout
    assert result.stdout.endswith("\naccepted: 250 2.0.0 Queued\n")


def test_options(grey: Path) -> None:
    """The client is who one says, and the log as much as one wants."""
    options = ["--from", "", "--helo", "me.example", "--ip", "2001:db8::1", "--relay", "--tls"]
    result = run(grey, *options, "--loglevel", "debug")
    assert result.returncode == 0
    assert "(mail) grey: 2001:db8::1 me.example <> True\n" in result.stdout
    assert "     log: LOGDEBUG (rcpt) grey: a detail\n" in result.stdout
    assert "a detail" not in run(grey).stdout


def test_message(grey: Path, tmp_path: Path) -> None:
    """The message may come from a file, of which no more than its beginning is shown, or stdin."""
    path = tmp_path / "message"
    path.write_bytes(b"Subject: long\r\n\r\n" + b"line\r\n" * 100)
    result = run(grey, "--relay", "--message", path)
    assert result.stdout.count("C: line\n") == 18
    assert "C: ... 83 more lines\n" in result.stdout
    path.write_bytes(b"Subject: large\n\n" + b"x" * 70_000)
    assert "bytes: 250 2.0.0 Queued" in run(grey, "--relay", "--message", path).stdout
    typed = run(grey, "--relay", "--message", "-", typed="Subject: typed\n\nhello\n")
    assert "C: Subject: typed\n" in typed.stdout
    empty = run(grey, "--relay", "--message", "-")
    assert (empty.returncode, empty.stderr) == (0, "")
    assert "\nC: DATA\nS: 354 Go ahead, end with a dot on a line of its own\nC: .\n" in empty.stdout


def test_a_hook_that_fails(grey: Path) -> None:
    """An exception is shown with its traceback, and what the host makes of it; that is status 1."""
    result = run(grey, "--to", "fails@example.com")
    assert result.returncode == 1
    assert "     rcpt: grey raised KeyError: 'users' (T)\n" in shown(result)
    assert "grey.py" in result.stdout
    assert result.stdout.endswith(
        "\naccepted: 250 2.0.0 Queued; a hook failed\n"
        "a hook that raises an exception has no opinion;"
        " on_error=denysoft on the line of grey would have put it off\n"
    )
    result = run(grey, "on_error=denysoft", "--to", "fails@example.com")
    assert result.stdout.endswith("try again later; a hook failed\n")


def test_no_hook_was_asked(tmp_path: Path) -> None:
    """A plugin that was not asked is told; so is one that never will be."""
    path = tmp_path / "silent.py"
    path.write_text(PLUGIN.replace("hook_", "on_"))
    result = run(path)
    assert result.stdout.endswith(
        "\naccepted: 250 2.0.0 Queued\n"
        "silent has no hook, so it is never asked; rename on_disconnect to hook_disconnect\n"
    )
    path.write_text(
        "from qpsdk import Plugin\n"
        "class Asleep(Plugin):\n"
        "    def hook_vrfy(self, connection, text): ...\n"
    )
    result = run(path)
    assert result.stdout.endswith("Queued\nno hook of silent was asked; it has: vrfy\n")


def test_a_wrong_answer(grey: Path) -> None:
    """So is an answer that the hook does not take."""
    result = run(grey, "--to", "none@example.com")
    assert result.returncode == 1
    assert "     rcpt: grey answered None, which is no constant: return one of" in result.stdout


def test_config_directory(tmp_path: Path, grey: Path) -> None:
    """A whole config directory is tried as it is; or one plugin with the settings in it."""
    (tmp_path / "plugins").write_text("rcpt_ok\nqueue/discard\n")
    (tmp_path / "rcpthosts").write_text("example.com\n")
    (tmp_path / "me").write_text("mail.example\n")
    (tmp_path / "plugin_dirs").write_text(".\n")
    result = run("--config", tmp_path)
    assert "S: 220 mail.example ESMTP qpsdk ready\n" in result.stdout
    assert "(try)" not in result.stdout
    assert result.returncode == 1  # discard takes only what is marked
    assert result.stdout.endswith("\nrefused at the end of the message: 451 4.3.0 No plugin took"
    " the message, try again later\n")  # fmt: skip
    result = run("rcpt_ok", "--config", tmp_path)
    assert result.stdout.endswith("\naccepted: 250 2.0.0 Queued\n")
    assert run("grey", "--config", tmp_path).returncode == 1


def test_connects_to_nobody(grey: Path) -> None:
    """No other server is reached unless that is allowed."""
    result = run("queue/qmqp_forward", "127.0.0.1:1")
    assert "not connected to 127.0.0.1:1: --connect allows it" in result.stdout
    result = run("queue/qmqp_forward", "127.0.0.1:1", "--connect")
    assert "cannot connect: Connection refused" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rcptok"], "rcptok: no such plugin; did you mean rcpt_ok?"),
        (["./none.py"], "./none.py: no such file\n"),
        (
            ["queue/discard", "a"],
            "queue/discard: too many positional arguments; given: a; it takes: queue/discard\n",
        ),
        (["rcpt_ok", "a=1", "a=2"], "an option is given twice\n"),
        ([], "name a plugin, or a config directory with --config\n"),
        (["relay", "--ip", "me"], "--ip: 'me' is no IP address\n"),
        (["rcpt_ok", "--loglevel", "loud"], "--loglevel: 'loud' is no log level"),
        (["relay", "--helo", "a\nb"], "--from, --to, --helo: each is one line, not 'a\\nb'\n"),
        (["relay", "--to", "a\r@b"], "--from, --to, --helo: each is one line, not 'a\\r@b'\n"),
        (["relay", "--from", "\udcff"], "--from, --to, --helo: '\\udcff' is not UTF-8\n"),
        (["relay", "--message", "/none"], "/none: cannot be read: No such file or directory\n"),
        (["--config", "/none"], "/none: not a directory"),
    ],
)
def test_wrong(arguments: list[str], told: str) -> None:
    """What is wrong is told in one line, with status 2, and nothing is begun."""
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"qpsdk: {told}")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_breakpoint(grey: Path) -> None:
    """breakpoint() in a hook works, and no time limit counts meanwhile."""
    typed = "p word.upper()\nimport time\ntime.sleep(1.5)\ncontinue\n"
    result = run(grey, "timeout=1", "--to", "stops@example.com", typed=typed)
    assert "'SEEN'" in result.stdout
    assert result.stdout.endswith("\nrefused at RCPT: 550 5.7.1 after\n")


def test_quitting_the_debugger(grey: Path) -> None:
    """To quit the debugger ends the trial."""
    result = run(grey, "--to", "stops@example.com", typed="quit\n")
    assert result.returncode == 1
    assert "refused" not in result.stdout
    assert "Traceback" not in result.stderr


def test_post_mortem(grey: Path) -> None:
    """--pdb enters the debugger in the hook that raised, with its variables."""
    typed = "p recipient.user\nwhere\nquit\n"
    result = run(grey, "--to", "fails@example.com", "--pdb", typed=typed)
    assert "b'fails'" in result.stdout
    assert '-> return {}["users"]' in result.stdout
    assert result.returncode == 1
