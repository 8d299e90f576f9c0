"""The factories, and asking one hook."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qpsdk import (
    DECLINED,
    DENY,
    DENYSOFT,
    LOGERROR,
    OK,
    Address,
    AddressError,
    Host,
    Plugin,
    PluginError,
    blocking,
)
from qpsdk.hooks import HOOKS
from qpsdk.testing import (
    Clock,
    FakeQMQPServer,
    ask,
    assert_answer,
    capture_log,
    connection,
    memory_host,
    plugin,
    run,
    smtp,
    transaction,
)
from qpsdk.testing.make import hook_arguments, plugin_of_words

FILE = """
from qpsdk import DENY, Plugin

class Refuse(Plugin):
    def register(self, qp, text, times=1):
        self.text = text * int(times)

    def hook_mail(self, transaction, sender, params):
        return DENY, self.text
"""


class Quiet(Plugin):
    """Answers in several ways."""

    def register(self, qp: Any, text: str = "", *, soft: str = "no") -> None:
        self.text = text
        self.soft = soft

    def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        return DENY, f"{recipient} {params} {transaction.sender}"

    async def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Any:
        await asyncio.sleep(0)
        return DENYSOFT, self.text

    @blocking
    def hook_ehlo(self, connection: Any, host: bytes) -> Any:
        return OK if host == b"client.example.org" else DENY

    def hook_noop(self, connection: Any, text: bytes) -> Any:
        raise LookupError("no")


class Init(Plugin):
    """Takes a word where none is given."""

    def __init__(self, server: str) -> None:
        super().__init__()


class Word(Plugin):
    """Needs a word."""

    def register(self, qp: Host, word: str) -> None: ...


def test_plugin_by_class() -> None:
    """A class is loaded with its words and options, which may be of any type."""
    quiet = plugin(Quiet, 25, soft=1, timeout=5)
    assert (quiet.text, quiet.soft, quiet.options.timeout) == ("25", "1", 5.0)
    assert quiet.qp.settings.me == "mx.example.com"


@pytest.mark.parametrize("which", ["queue/maildir", "queue/maildir:1"])
def test_plugin_by_name(which: str) -> None:
    """A name is found as in config/plugins, with its words apart or in it."""
    assert str(plugin(which, "/var/mail").folder) == "/var/mail"
    assert str(plugin(f"{which} /var/mail").folder) == "/var/mail"
    assert plugin(which, "/var/mail").name == which


def test_plugin_by_file(tmp_path: Path) -> None:
    """A file is found by its path."""
    path = tmp_path / "refuse.py"
    path.write_text(FILE)
    for found in (path, str(path)):
        assert plugin(found, "go", times=2).text == "gogo"


def test_any_plugin_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class, an instance, a line, or a file with words behind it: each of the three takes it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "refuse.py").write_text(FILE)
    (tmp_path / "my own").mkdir()
    (tmp_path / "my own" / "none.py").write_text(FILE.replace("text,", "text='none',"))
    kinds: list[tuple[Any, str]] = [
        (Quiet, "450 4.7.1 Not accepted now, try again later"),
        (Quiet(), "450 4.7.1 Not accepted now, try again later"),
        ("./refuse.py go times=2", "550 5.7.1 gogo"),
        (Path("my own/none.py"), "550 5.7.1 none"),
        ("my own/none.py", "550 5.7.1 none"),
        ("badmailfrom", "250 2.1.0 Sender OK"),
    ]
    for which, reply in kinds:
        with smtp(which) as client:
            assert str(client.mail()) == reply
        constant = {"4": DENYSOFT, "5": DENY, "2": DECLINED}[reply[0]]
        assert_answer(run(ask(which, "mail")), constant)
        loaded = plugin(which)
        assert plugin(loaded) is loaded
    assert plugin("./refuse.py go", times=2).text == "gogo"
    with pytest.raises(PluginError, match="Quiet: it is loaded already, and takes no words now"):
        plugin(plugin(Quiet), "word")


def test_file_that_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is nobody's may be a file beside the test: then it is told how to write it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "refuse.py").write_text(FILE)
    with pytest.raises(PluginError, match=r"; \./refuse\.py is here: write that$"):
        plugin("refuse go")
    with pytest.raises(PluginError, match=r"in config/plugin_dirs\)$"):
        plugin("refused")


def test_word_missing() -> None:
    """A plugin that needs words is told how a test gives them."""
    for which in (Word, Word()):
        with pytest.raises(
            PluginError, match=r"it takes: Word WORD; in a test: plugin\(Word, \.\.\."
        ):
            smtp(which).__enter__()
    with pytest.raises(PluginError, match=r"it takes: Word WORD$"):
        plugin(Word, "one", "two")


@pytest.mark.parametrize(
    ("which", "words", "told"),
    [
        ("rcptok", (), "rcptok: no such plugin; did you mean rcpt_ok?"),
        ("./nothing.py", (), "./nothing.py: no such file"),
        ("../x", (), "'../x' is no plugin name; name its folder in config/plugin_dirs"),
        ("./nothing.py a b", (), "./nothing.py: no such file"),
        ("", (), "'' is no plugin name"),
        (Init, (), "Init: its __init__() takes (server), but is given nothing; take the words"),
        ("rcpt_ok", ("a",), "rcpt_ok: too many positional arguments; given: a; it takes: rcpt_ok"),
        (Quiet, ("a", "b"), "Quiet: too many positional arguments; given: a b; it takes: Quiet"),
    ],
)
def test_plugin_wrong(which: Any, words: tuple[str, ...], told: str) -> None:
    """What cannot be loaded is told as the loader does."""
    with pytest.raises(PluginError) as caught:
        plugin(which, *words)
    assert str(caught.value).startswith(told)


def test_plugin_of_words() -> None:
    """Options may stand among the words, as in a line."""
    made = plugin_of_words(Quiet, ["text", "soft=yes"], memory_host())
    assert isinstance(made, Quiet)
    assert (made.text, made.soft) == ("text", "yes")


def test_loaded_once() -> None:
    """A loaded plugin goes into `smtp` as it is, and brings its host."""
    clock = Clock(0)
    quiet = plugin(Quiet, "as loaded", qp=memory_host({"me": "me.example"}, clock=clock))
    with smtp(quiet) as client:
        assert str(client.greeting) == "220 me.example ESMTP qpsdk ready"
        assert str(client.mail()) == "450 4.7.1 as loaded"
    lent: dict[str, Any]
    for lent in {"config": {}}, {"connect": FakeQMQPServer().connect}, {"clock": clock}:
        with pytest.raises(TypeError, match="a loaded plugin brings its host: lend "):
            smtp(quiet, **lent).__enter__()


def test_connection() -> None:
    """A connection has said EHLO, unless it is told otherwise; any attribute can be given."""
    usual = connection()
    assert (usual.remote_ip, usual.hello, usual.hello_host) == (
        "192.0.2.1",
        "ehlo",
        b"client.example.org",
    )
    assert connection(hello="").hello_host == b""
    assert connection("2001:db8::1", relay_client=True, notes={"a": 1}).notes == {"a": 1}
    with pytest.raises(AttributeError):
        connection(no_such=1)


def test_transaction() -> None:
    """A transaction has its envelope and its message, as if it had come over the wire."""
    usual = transaction()
    assert usual.sender == Address.parse("sender@example.org")
    assert usual.recipients == [Address.parse("recipient@example.com")]
    assert usual.connection.transaction is usual
    made = transaction(
        b"Subject: \xff\r\n\r\n.one\r\n", "", ["a@b", b"<c@d>", Address(b"e", b"f")], notes={"n": 1}
    )
    assert made.sender == Address.parse("<>")
    assert [bytes(recipient) for recipient in made.recipients] == [b"a@b", b"c@d", b"e@f"]
    assert made.header is not None
    assert made.header.get("Subject") == b"\xff"
    assert b"".join(made.body_lines()) == b"\n.one\n"
    assert (made.data_size, made.notes) == (20, {"n": 1})


def test_transaction_at_other_times() -> None:
    """There may be no message yet, or one in blocks that goes to a file."""
    early = transaction(None, None, [])
    assert (early.sender, early.recipients, early.header) == (None, [], None)
    large = transaction((b"x" * 999 + b"\n" for _ in range(200)), size_threshold=1000)
    assert large.body_length() == 200_000
    large.close()
    with pytest.raises(AddressError):
        transaction(recipients="no address")


def test_ask() -> None:
    """A hook is asked as the host does, whatever its kind, with usual arguments."""
    quiet = plugin(Quiet, "later")
    usual = "<recipient@example.com> {} <sender@example.org>"
    assert_answer(run(ask(quiet, "rcpt")), DENY, match=usual)
    assert_answer(run(ask(quiet, "mail")), DENYSOFT, match="later")
    assert_answer(run(ask(quiet, "ehlo")), OK)
    assert_answer(run(ask(quiet, "ehlo", host="other")), DENY)


def test_ask_with_arguments() -> None:
    """What is given takes the place of what is usual; text stands for an address."""
    quiet = plugin(Quiet)
    about = transaction(sender="a@example.net")
    answer = run(
        ask(quiet, "rcpt", transaction=about, recipient="b@example.net", params={"x": "y"})
    )
    assert_answer(answer, DENY, match="<b@example.net> {'x': 'y'} <a@example.net>")
    assert [one.hook for one in about.answers] == ["rcpt"]


def test_ask_fails() -> None:
    """A hook that raises counts as it does on the host, and the log says so."""
    with capture_log() as log:
        assert_answer(run(ask(plugin(Quiet), "noop")), DECLINED)
    assert log.lines(level=LOGERROR) == ["failed: LookupError: no"]


def test_ask_wrong() -> None:
    """A hook that the plugin does not have, and an argument that it is not given, are told."""
    with pytest.raises(PluginError, match=r"Quiet: it has no hook 'quit' \(it has: "):
        run(ask(plugin(Quiet), "quit"))
    with pytest.raises(PluginError, match="Quiet: it has no hook 'rctp'; did you mean 'rcpt'"):
        run(ask(plugin(Quiet), "rctp"))
    told = "the hook rcpt is given transaction, recipient, params, but no sender"
    with pytest.raises(TypeError, match=told):
        run(ask(plugin(Quiet), "rcpt", sender="a@b"))
    told = r"but no message; write transaction=qpsdk.testing.transaction\(message=...\)$"
    with pytest.raises(TypeError, match=told):
        run(ask(plugin(Quiet), "rcpt", message="x"))
    told = r"but no remote_ip; write connection=qpsdk.testing.connection\(remote_ip=...\)$"
    with pytest.raises(TypeError, match=told):
        run(ask(plugin(Quiet), "ehlo", remote_ip="192.0.2.9"))
    with pytest.raises(AddressError, match=r"^'a@b@c': domain has '@'$"):
        run(ask(plugin(Quiet), "rcpt", recipient="a@b@c"))


def test_ask_keeps_the_host() -> None:
    """A plugin that was in `smtp` is asked with the host that it got there, by either name."""
    quiet = Quiet()
    with smtp(quiet, config={"me": "me.example"}):
        pass
    assert_answer(run(ask(quiet, "hook_mail")), DENYSOFT)
    assert quiet.qp.settings.me == "me.example"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_can_be_asked(hook: str) -> None:
    """There is something usual for each argument of each hook."""
    values = hook_arguments(HOOKS[hook], {})
    assert len(values) == len(HOOKS[hook].arguments)
    for value, kind in zip(values, HOOKS[hook].arguments.values(), strict=True):
        assert value is not None or "None" in kind or kind == "Any", kind


def test_random() -> None:
    """Chance is lent: the same at each run, or by another seed."""
    first = memory_host().random.random()
    assert first == memory_host().random.random() == memory_host(seed=0).random.random()
    assert first != memory_host(seed=1).random.random()
