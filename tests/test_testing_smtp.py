"""The client in memory: its methods, in both forms."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from qpsdk import (
    DECLINED,
    DENY,
    DENY_DISCONNECT,
    LOGWARN,
    OK,
    ConfigError,
    Connection,
    Endpoint,
    Host,
    Plugin,
    Result,
    StreamError,
)
from qpsdk.host import Connect
from qpsdk.testing import (
    Clock,
    FakeQMQPServer,
    FakeSMTPServer,
    SMTPClient,
    Step,
    SyncSMTPClient,
    capture_log,
    connection,
    memory_host,
    smtp,
)


class Yes(Plugin):
    """Takes all but from or to no@example.org."""

    def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        return DENY if recipient.user == b"no" else OK

    def hook_mail(self, transaction: Any, sender: Any, params: Any) -> Any:
        return DENY if sender.user == b"no" else OK

    def hook_queue(self, transaction: Any) -> Any:
        self.message = b"".join(transaction.body_blocks())
        return OK


class Words(Plugin):
    """Reads a setting of its own."""

    def register(self, qp: Host) -> None:
        """Ask for it."""
        qp.config("subject_words")

    def hook_quit(self, connection: Connection) -> Result:
        """Nothing."""
        return DECLINED


def test_misspelt_settings_are_logged() -> None:
    """A setting whose name is near to one that is asked for is told, as `qpsdk check` does."""
    with capture_log() as log, smtp(Words(), config={"subject_word": "x", "rcpthost": "y"}):
        pass
    assert log.lines(level=LOGWARN) == [
        "config/rcpthost: no setting of this name is known; did you mean rcpthosts?",
        "config/subject_word: no setting of this name is known; did you mean subject_words?",
    ]
    with capture_log() as log, smtp(Words(), config={"subject_words": "x"}):
        pass
    assert log.lines(level=LOGWARN) == []


def test_a_store_that_is_not_used(tmp_path: Path) -> None:
    """`store` is refused among the settings, with what to do, and logged where it is in a file."""
    with pytest.raises(
        ConfigError, match=r"^config/store: a test's store is .*qp\.store = "
    ) as told:
        memory_host({"store": "redis://:secret@192.0.2.1:6379/0"})
    assert "secret" not in str(told.value)
    (tmp_path / "store").write_text("sqlite:state/store\n")
    with capture_log() as log, smtp(config=tmp_path):
        pass
    assert log.lines(level=LOGWARN) == [f"{tmp_path}/store: not used: the store is in memory here"]


def test_step_by_step() -> None:
    """Each command has its method, with something usual to say."""
    yes = Yes()
    with smtp(yes) as client:
        assert client.greeting.code == 220
        assert client.mail("a@x", "BODY=8BITMIME").accepted
        assert client.rcpt("b@y").accepted
        assert client.data().code == 354
        assert client.send_data("Subject: hi\n\n.dot\n").accepted
        assert client.quit().code == 221
        with pytest.raises(StreamError):
            client.command("NOOP")
    assert client.transcript.endswith(
        "C: MAIL FROM:<a@x> BODY=8BITMIME\n"
        "S: 250 2.1.0 Sender OK\n"
        "C: RCPT TO:<b@y>\n"
        "S: 250 2.1.5 Recipient OK\n"
        "C: DATA\n"
        "S: 354 Go ahead, end with a dot on a line of its own\n"
        "C: Subject: hi\n"
        "C:\n"
        "C: ..dot\n"
        "C: .\n"
        "S: 250 2.0.0 Queued\n"
        "C: QUIT\n"
        "S: 221 2.0.0 mx.example.com Closing the connection\n"
        "C: NOOP\n"
        "S: <closes>"
    )
    assert yes.message == b"\n.dot\n"


def test_hello() -> None:
    """EHLO is said before MAIL if nothing of the kind was; HELO may be chosen."""
    with smtp(Yes()) as client:
        client.mail()
        assert client.transcript.splitlines()[1] == "C: EHLO client.example.org"
    with smtp(Yes()) as client:
        client.hello("me", "HELO")
        client.mail()
        assert "EHLO" not in client.transcript


@pytest.mark.parametrize(
    ("about", "line"),
    [
        (connection(), "C: EHLO client.example.org"),
        (connection(hello="helo", hello_host="[192.0.2.1]"), "C: HELO [192.0.2.1]"),
        (connection(hello=""), "C: EHLO client.example.org"),
    ],
)
def test_hello_of_a_connection(about: Connection, line: str) -> None:
    """A connection made for a hook begins a dialogue, too: what it has said is said there."""
    with smtp(Yes(), connection=about) as client:
        assert about.hello == ""
        assert client.send("hello").code == 250
        assert client.transcript.splitlines()[1] == line


def test_refusals() -> None:
    """`send` gives the reply that refuses, of whatever step."""
    with smtp(Yes()) as client:
        assert str(client.send("x", sender="no@example.org")) == "550 5.7.1 Not accepted here"
        assert client.send("x", recipients=["no@example.org", "a@b"]).code == 250
        assert client.send("x", recipients=["no@example.org"]).code == 550
    with smtp() as client:
        assert client.send("x").code == 450


@pytest.mark.parametrize(
    ("message", "body"),
    [
        ([b"Subject: x\r", b"\n\r\n.", b"a\n.", b".b"], b"\n.a\n..b\n"),
        ([b"\n", b".", b"\n", b""], b"\n.\n"),
        ("x: y\n\nlast", b"\nlast\n"),
        ([], b""),
        ("", b""),
    ],
)
def test_blocks(message: Any, body: bytes) -> None:
    """A message may come in blocks, cut wherever; its dots and line ends come through."""
    yes = Yes()
    with smtp(yes) as client:
        assert client.send(message).code == 250
    assert yes.message == body


def test_a_server_that_closes_while_it_is_sent() -> None:
    """A server that refuses in the midst of a large message is heard, and nobody hangs."""

    class Refuses(Yes):
        def hook_data_headers_end(self, transaction: Any) -> Any:
            return DENY_DISCONNECT

    with smtp(Refuses()) as client:
        client.mail()
        client.rcpt()
        reply = client.data([b"Subject: x\n\n", *[b"x" * 60 + b"\n"] * 20_000])
        assert str(reply) == "554 5.7.1 Not accepted here, closing the connection"


def test_play() -> None:
    """Steps are played until the server closes."""
    steps = [Step(b"HELO x"), Step(b"MAIL FROM:<>"), Step(b"RCPT TO:<a@b>"), Step(b"DATA", b"x\n")]
    with smtp(Yes()) as client:
        replies = client.play([*steps, Step(b"QUIT"), Step(b"NOOP")])
    assert [reply.code for reply in replies] == [250, 250, 250, 354, 250, 221]


@pytest.mark.parametrize(
    "connect",
    [FakeQMQPServer().connect, FakeSMTPServer().connect, None],
    ids=["qmqp", "smtp", "nowhere"],
)
def test_connect_is_as_a_hosts(connect: Any) -> None:
    """What reaches a fake server, or none, takes what a host's own does, and nothing else."""
    reach = memory_host(connect=connect).connect
    own, (_, *lent) = (
        inspect.signature(reach),
        inspect.signature(Connect.__call__).parameters.values(),
    )
    assert list(own.parameters.values()) == lent
    limits: dict[str, Any] = {"connect_timeout": 5, "io_timeout": 5}
    with pytest.raises(TypeError, match="which is no Endpoint; write Endpoint"):
        asyncio.run(reach("127.0.0.1:80", **limits))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="missing 2 required keyword-only arguments"):
        asyncio.run(reach(Endpoint("127.0.0.1", 80)))  # type: ignore[call-arg]


def test_before_there_is_a_client() -> None:
    """What is used without its `with` is told what to write."""
    with pytest.raises(AttributeError, match=r"send: there is no client yet; write `with smtp\("):
        smtp(Yes()).send("x")  # type: ignore[attr-defined]


def test_the_same_names() -> None:
    """The form that waits by itself has all methods of the other, with the same arguments."""
    for name, method in inspect.getmembers(SMTPClient, inspect.isfunction):
        if not name.startswith("_"):
            same = getattr(SyncSMTPClient, name)
            assert inspect.signature(same) == inspect.signature(method), name


def test_either_way() -> None:
    """`async with` gives the one, `with` the other."""

    async def main() -> None:
        async with smtp(Yes()) as client:
            assert isinstance(client, SMTPClient)
            assert (await client.send("x")).code == 250
            assert (await client.play([Step(b"QUIT")]))[0].code == 221

    asyncio.run(main())
    with smtp(Yes()) as client:
        assert isinstance(client, SyncSMTPClient)


def test_on_line() -> None:
    """Whoever asks is told each line as it is said."""
    lines: list[str] = []

    async def main() -> None:
        async with smtp(Yes()) as client:
            client.on_line = lines.append
            await client.command("NOOP")

    asyncio.run(main())
    assert lines == ["C: NOOP", "S: 250 2.0.0 OK"]


def test_lent() -> None:
    """A server and a clock are lent to the plugins."""

    class Ours(Plugin):
        def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
            return OK

    fake, clock = FakeQMQPServer(), Clock(0)
    forward = "queue/qmqp_forward 192.0.2.1"
    with smtp(Ours(), forward, connect=fake.connect, clock=clock) as client:
        assert client.send("Subject: x\n\n").code == 250
    assert b"Thu, 01 Jan 1970 00:00:00 +0000" in fake.only_message().message
