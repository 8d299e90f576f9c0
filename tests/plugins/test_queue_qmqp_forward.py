"""The QMQP plugin: its arguments, and what each fate of a package means to the client."""

import asyncio
import logging
import re
from typing import Any

import pytest

from qpsdk import (
    DENY,
    DENYSOFT,
    OK,
    Address,
    Connection,
    Constant,
    Endpoint,
    Host,
    Plugin,
    PluginError,
    StreamError,
    Transaction,
)
from qpsdk.errors import QMQPBodyError, StreamConnectError
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.plugins.queue.qmqp_forward import QMQPForward
from qpsdk.qmqp import PackageDecoder, Response, Verdict
from qpsdk.spool import Spool, SpoolDirectory
from qpsdk.testing import FakeQMQPServer, MemoryStream, pipe, smtp
from qpsdk.testing.smtp import memory_host

BIG = "Subject: big\n\n" + "x" * 70 + "\n"
MESSAGES = {"small": BIG, "large": BIG + ("y" * 70 + "\n") * 10_000}


class TakesAll(Plugin):
    """Accepts every recipient; as a queue plugin, shows that it was asked."""

    asked = 0

    def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        return OK

    def hook_queue(self, transaction: Any) -> Any:
        self.asked += 1
        return OK, "the next plugin took it"


def load(line: str, host: Host | None = None) -> QMQPForward:
    """The plugin of a line in config/plugins."""
    plugin = load_one(PluginLine.parse(line), host or memory_host({}))
    assert isinstance(plugin, QMQPForward)
    return plugin


@pytest.mark.parametrize(
    ("arguments", "endpoint"),
    [
        ("192.0.2.1", Endpoint("192.0.2.1", 628)),
        ("192.0.2.1 6280", Endpoint("192.0.2.1", 6280)),
        ("queue.example.com:6280", Endpoint("queue.example.com", 6280)),
        ("[2001:db8::1]", Endpoint("2001:db8::1", 628)),
        ("2001:db8::1 6280", Endpoint("2001:db8::1", 6280)),
        ("2001:db8::1", Endpoint("2001:db8::1", 628)),
        ("unix:/run/qmqp", Endpoint(path="/run/qmqp")),
    ],
)
def test_server(arguments: str, endpoint: Endpoint) -> None:
    """SERVER [PORT] names the server; the port is 628 unless it is given."""
    assert load(f"queue/qmqp_forward {arguments}").servers.servers == (endpoint,)


def test_further_words(caplog: pytest.LogCaptureFixture) -> None:
    """Words after the port are ignored, with a warning."""
    (server,) = load("queue/qmqp_forward 192.0.2.1 628 and more").servers.servers
    assert server.port == 628
    assert "ignoring arguments after the port: and more" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("", "missing a required argument: 'server'"),
        (
            "192.0.2.1:1 192.0.2.2:2",
            "'192.0.2.2:2' is no port; several servers have commas between them:"
            " 192.0.2.1:1,192.0.2.2:2",
        ),
        ("192.0.2.1 smtp", "'smtp' is no port; several servers have commas between them"),
        ("192.0.2.1 65536", "'192.0.2.1:65536' is no QMQP server"),
        ("a:b:c", "'[a:b:c]' is no QMQP server"),
        ("unix:/run/qmqp 628", "'unix:/run/qmqp:628' is no QMQP server"),
        ("a..b", "'a..b' is no QMQP server"),
        ("192.0.2.1:1 2", "'192.0.2.1:1:2' is no QMQP server"),
        ("192.0.2.1,,192.0.2.2", "'' is no QMQP server"),
        ("192.0.2.1,192.0.2.1:628", "the QMQP server 192.0.2.1:628 is named twice"),
        ("a balance=random", "balance=random: write failover or rotate"),
        ("a on_defer=ask", "on_defer=ask: write tell or next"),
        ("a rest=soon", "rest=soon: write a number of seconds, such as 10"),
        ("a rest=-1", "rest=-1: write a number of seconds"),
        ("a connect_timeout=1e3", "connect_timeout=1e3: write a number of seconds"),
        ("a connect_timeout=0", "connect_timeout=0: write a number of seconds above 0"),
        ("a io_timeout=", "io_timeout=: write a number of seconds"),
        ("a io_timeout=1.2.3", "io_timeout=1.2.3: write a number of seconds"),
        (
            "a session_timeout=540",
            "session_timeout=540: the host gives this plugin 540 seconds (timeout=); write less",
        ),
        ("a session_timeout=60 timeout=60", "session_timeout=60: the host gives this plugin 60 s"),
        ("a session_timeout=3601 timeout=9999", "session_timeout=3601: a QMQP session ends after"),
        (
            "a,b,c connect_timeout=20 session_timeout=60",
            "connect_timeout=20: for 3 server(s) it does not fit into session_timeout=60",
        ),
        (
            "a timeout=10",
            "connect_timeout=10: for 1 server(s) it does not fit into session_timeout=9",
        ),
        ("a patience=3", "unexpected keyword argument 'patience'"),
    ],
)
def test_refuses_to_start(arguments: str, problem: str) -> None:
    """What cannot be meant does not load, and is told why."""
    with pytest.raises(PluginError, match=re.escape(problem)):
        load(f"queue/qmqp_forward {arguments}")


def send(connect: Any, message: str) -> tuple[str, int]:
    """Forward one message; the reply, and how often the next queue plugin was asked."""
    accepts = TakesAll()

    async def main() -> str:
        plugins: list[Any] = ["queue/qmqp_forward 192.0.2.1", accepts]
        async with smtp(*plugins, connect=connect) as client:
            return str(await client.send(message, recipients=["a@b", "c@d"]))

    return asyncio.run(asyncio.wait_for(main(), 20)), accepts.asked


@pytest.mark.parametrize("size", MESSAGES)
@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (Response(Verdict.ACCEPTED, b"queued as 1"), "250 2.0.0 queued as 1"),
        (Response(Verdict.DEFERRED, b"disk full"), "452 4.3.0 disk full"),
        (Response(Verdict.REJECTED, b"5.1.3 no such user"), "552 5.1.3 no such user"),
        (Response(Verdict.REJECTED, b"no\r\n250 OK\xff"), "552 5.3.0 no\n5.3.0 250 OK?"),
    ],
)
def test_answers(answer: Response, reply: str, size: str) -> None:
    """K, Z and D become 250, 452 and 552 with the server's words, made safe."""
    fake = FakeQMQPServer()
    fake.answer = answer
    assert send(fake.connect, MESSAGES[size]) == (reply, 0)
    if answer.verdict is Verdict.ACCEPTED:
        (message,) = fake.messages
        assert message.message.partition(b"\nSubject:")[2] == MESSAGES[size][8:].encode()
        assert message.recipients == (b"a@b", b"c@d")


@pytest.mark.parametrize("size", MESSAGES)
@pytest.mark.parametrize("fate", ["refused", "reset", "closed", "garbage", "no letter", "no comma"])
def test_anything_else_is_a_temporary_failure(
    fate: str, size: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a K, Z or D the client is told to try again, and no other plugin gets the message."""

    async def connect(endpoint: Endpoint, **limits: Any) -> MemoryStream:
        if fate == "refused":
            raise StreamError("cannot connect: Connection refused")
        ours, theirs = pipe()
        serving.append(asyncio.ensure_future(serve(theirs)))
        return ours

    async def serve(stream: MemoryStream) -> None:
        await stream.read()
        if fate == "reset":
            stream.abort()
            return
        stream.write({"garbage": b"250 OK\r\n", "no letter": b"2:OK,"}.get(fate, b""))
        stream.write(b"2:Kk;" if fate == "no comma" else b"")
        await stream.finish()

    serving: list[Any] = []
    reply, asked = send(connect, MESSAGES[size])
    assert reply == "452 4.3.0 Cannot queue the message now, try again later"
    assert asked == 0
    in_doubt = size == "small" and fate != "refused"
    assert ("it may have been accepted" in caplog.text) == in_doubt


# -- Several servers -------------------------------------------------------------------------


def test_servers() -> None:
    """Several servers stand in one word, each with its own port, or all with the one behind."""
    plugin = load("queue/qmqp_forward a,b:6280,[2001:db8::1],[2001:db8::2]:6280,unix:/run/qmqp")
    assert list(map(str, plugin.servers.servers)) == [
        "a:628",
        "b:6280",
        "[2001:db8::1]:628",
        "[2001:db8::2]:6280",
        "unix:/run/qmqp",
    ]
    plugin = load("queue/qmqp_forward a,2001:db8::1 6280")
    assert list(map(str, plugin.servers.servers)) == ["a:6280", "[2001:db8::1]:6280"]


class World:
    """Servers by name, each with its fate, and the clock that all look at.

    Attributes:
        fates: What each server does: ``refused``; ``slow`` (no connection in time); ``reset`` at
            once; ``closed`` or ``garbage`` after the whole package; an answer such as ``K``;
            ``early`` and an answer when little of the package has come.
        tried: The servers in the order in which they were tried.
        limits: The time limits of each try.
        taken: The messages that were accepted.
    """

    def __init__(self, fates: dict[str, str], arguments: str = "") -> None:
        self.fates = fates
        self.now = 1_000_000.0
        self.tried: list[str] = []
        self.limits: list[dict[str, float]] = []
        self.taken: list[bytes] = []
        self.serving: set[Any] = set()
        host = memory_host({}, self.connect)
        host.clock = lambda: self.now
        self.plugin = load(f"queue/qmqp_forward {','.join(fates)} {arguments}", host)

    async def connect(self, endpoint: Endpoint, /, **limits: Any) -> MemoryStream:
        """Reach a server, or not."""
        self.tried.append(endpoint.host)
        self.limits.append(limits)
        fate = self.fates[endpoint.host]
        if fate == "slow":
            self.now += limits["connect_timeout"]
        if fate in ("refused", "slow"):
            raise StreamConnectError("no connection")
        ours, theirs = pipe()
        task = asyncio.ensure_future(self.serve(theirs, fate))
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
        return ours

    async def serve(self, stream: MemoryStream, fate: str) -> None:
        """Hold one conversation."""
        if fate == "reset":
            return stream.abort()
        decoder = PackageDecoder()
        package = decoder.feed(await stream.read())
        if fate.startswith("early"):
            answer = fate.removeprefix("early ").encode()
            stream.write(b"%d:%b," % (len(answer), answer))
            return await stream.finish()
        while package is None:
            package = decoder.feed(await stream.read())
        self.now += 0.25
        if fate == "garbage":
            stream.write(b"250 OK\r\n")
        elif fate != "closed":
            stream.write(b"%d:%b," % (len(fate), fate.encode()))
            if fate.startswith("K"):
                self.taken.append(package.message)
        return await stream.finish()

    def send(self, message: str = BIG) -> Any:
        """Have the plugin queue one message; its answer."""
        self.tried.clear()
        self.limits.clear()

        async def main() -> Any:
            with Spool(1_000_000, SpoolDirectory()) as spool:
                return await self.plugin.hook_queue(new_transaction(spool, message))

        return asyncio.run(asyncio.wait_for(main(), 20))


def new_transaction(spool: Spool, message: str) -> Transaction:
    """A transaction that is ready to be queued."""
    transaction = Transaction(Connection("c1"), "c1.1", spool, 10_000)
    transaction.sender = Address.parse("a@example.org")
    transaction.recipients = [Address.parse("b@example.com"), Address.parse("c@example.com")]
    transaction.receive(message.encode())
    transaction.receive_end(len(message))
    return transaction


LATER = DENYSOFT, "Cannot queue the message now, try again later"


@pytest.mark.parametrize("fate", ["refused", "slow", "reset"])
def test_failover(fate: str) -> None:
    """When a server cannot be reached, or breaks before it has all, the next one is tried."""
    world = World({"a": fate, "b": "Kthanks"})
    size = "small" if fate in ("refused", "slow") else "large"
    assert world.send(MESSAGES[size]) == (OK, "thanks")
    assert world.tried == ["a", "b"]
    assert [message.decode() for message in world.taken] == [MESSAGES[size]]


@pytest.mark.parametrize("fate", ["closed", "garbage"])
@pytest.mark.parametrize("size", MESSAGES)
def test_no_failover_in_doubt(fate: str, size: str, caplog: pytest.LogCaptureFixture) -> None:
    """When a server had all and gave no answer, no other one gets the message."""
    world = World({"a": fate, "b": "K"})
    assert world.send(MESSAGES[size]) == LATER
    assert world.tried == ["a"]
    assert "a:628: " in caplog.text
    assert "it may have been accepted" in caplog.text


def test_reset_of_a_small_message_is_in_doubt() -> None:
    """A small message leaves in one piece: then any failure leaves it in doubt."""
    world = World({"a": "reset", "b": "K"})
    assert world.send() == LATER
    assert world.tried == ["a"]


@pytest.mark.parametrize("fate", ["Dnever", "early Dnever"])
@pytest.mark.parametrize("on_defer", ["tell", "next"])
def test_no_failover_after_a_refusal(fate: str, on_defer: str) -> None:
    """A D is the answer, early or late: no other server is asked."""
    world = World({"a": fate, "b": "K"}, f"on_defer={on_defer}")
    assert world.send(MESSAGES["large"]) == (DENY, "never")
    assert world.tried == ["a"]


@pytest.mark.parametrize("fate", ["Zbusy", "early Zbusy"])
def test_a_deferral_is_told(fate: str) -> None:
    """A Z is the answer, too, unless the line says otherwise."""
    world = World({"a": fate, "b": "K"})
    assert world.send(MESSAGES["large"]) == (DENYSOFT, "busy")
    assert world.tried == ["a"]


@pytest.mark.parametrize("fate", ["Zbusy", "early Zbusy"])
def test_a_deferral_may_send_to_the_next(fate: str) -> None:
    """With on_defer=next another server is asked, since the first has said that it has nothing."""
    world = World({"a": fate, "b": "Kthanks"}, "on_defer=next")
    assert world.send(MESSAGES["large"]) == (OK, "thanks")
    assert world.tried == ["a", "b"]


def test_all_defer() -> None:
    """When all put it off, the last one's words are the answer; none of them rests."""
    world = World({"a": "Zbusy", "b": "Zfull"}, "on_defer=next")
    assert world.send() == (DENYSOFT, "full")
    assert world.send() == (DENYSOFT, "full")
    assert world.tried == ["a", "b"]


def test_a_deferral_then_a_failure() -> None:
    """What a server said stays the answer when the next one cannot be reached."""
    world = World({"a": "Zbusy", "b": "refused"}, "on_defer=next")
    assert world.send() == (DENYSOFT, "busy")
    assert world.tried == ["a", "b"]


def test_an_early_acceptance_is_a_failure() -> None:
    """A K before the package was whole is none; the server must have discarded it."""
    world = World({"a": "early Kthanks", "b": "Kall of it"})
    assert world.send(MESSAGES["large"]) == (OK, "all of it")
    assert world.tried == ["a", "b"]


def test_a_dead_server_rests() -> None:
    """A server that failed is left alone, then tried by one message, then left for longer."""
    world = World({"a": "refused", "b": "K"}, "rest=5")
    seen = []
    for at in (0.0, 1.0, 4.0, 5.0, 6.0, 14.0, 15.0):
        world.now = 1_000_000.0 + at
        world.send()
        seen.append("".join(world.tried))
    assert seen == ["ab", "b", "b", "ab", "b", "b", "ab"]
    world.now = 1_000_000.0 + 100
    world.fates["a"] = "K"
    world.send()
    world.send()
    assert world.tried == ["a"]


def test_all_rest() -> None:
    """When every server rests, they are tried all the same, the longest resting one first."""
    world = World({"a": "refused", "b": "slow"})
    assert world.send() == LATER
    assert world.tried == ["a", "b"]
    world.fates["b"] = "refused"
    world.now += 1
    assert world.send() == LATER
    assert world.tried == ["a", "b"]
    world.fates["a"] = world.fates["b"] = "Kback"
    world.now += 1
    assert world.send() == (OK, "back")


def test_one_server_is_always_tried() -> None:
    """One server alone never rests."""
    world = World({"a": "refused"})
    for _ in range(3):
        assert world.send() == LATER
        assert world.tried == ["a"]
    world.fates["a"] = "K"
    assert world.send()[0] is OK


def test_rotate() -> None:
    """With balance=rotate the servers take turns, and the others step in for a dead one."""
    world = World({"a": "K", "b": "K", "c": "K"}, "balance=rotate")
    seen = [world.send() and "".join(world.tried) for _ in range(4)]
    assert seen == ["a", "b", "c", "a"]
    world.fates["b"] = "refused"
    seen = [world.send() and "".join(world.tried) for _ in range(5)]
    assert seen == ["bc", "c", "a", "c", "a"]


def test_time_limits() -> None:
    """The limits of the line reach the connection; the session is inside what the host gives."""
    world = World({"a": "K"})
    world.send()
    assert world.limits == [{"connect_timeout": 10.0, "io_timeout": 60.0, "session_timeout": 486.0}]
    world = World({"a": "K"}, "timeout=100")
    world.send()
    assert world.limits[0]["session_timeout"] == 90.0
    world = World({"a": "K"}, "connect_timeout=1.5 io_timeout=2 session_timeout=30")
    world.send()
    assert world.limits == [{"connect_timeout": 1.5, "io_timeout": 2.0, "session_timeout": 30.0}]


def test_all_servers_share_the_session_timeout() -> None:
    """However many servers are tried, the message is done with in its time."""
    world = World(
        {"a": "slow", "b": "slow", "c": "slow"}, "connect_timeout=10 session_timeout=31 rest=0"
    )
    assert world.send() == LATER
    assert [limits["session_timeout"] for limits in world.limits] == [31.0, 21.0, 11.0]


def test_no_try_without_time() -> None:
    """When the time is over no further server is tried; the last one got what was left."""
    world = World({"a": "early Zbusy", "b": "slow", "c": "K"}, "session_timeout=31 on_defer=next")
    serve = world.serve

    async def slowly(stream: MemoryStream, fate: str) -> None:
        world.now += 25
        await serve(stream, fate)

    world.serve = slowly  # type: ignore[method-assign]
    assert world.send(MESSAGES["large"]) == (DENYSOFT, "busy")
    assert world.tried == ["a", "b"]
    assert world.limits[1]["connect_timeout"] == 6.0


def test_a_clock_that_is_set_back() -> None:
    """A clock that goes back gives a session no more time than it has."""
    world = World({"a": "slow", "b": "K"})
    reach = world.connect

    async def connect(endpoint: Endpoint, /, **limits: Any) -> MemoryStream:
        world.now -= 3600
        return await reach(endpoint, **limits)

    world.plugin.qp.connect = connect
    assert world.send()[0] is OK
    assert [limits["session_timeout"] for limits in world.limits] == [486.0, 486.0]


@pytest.mark.parametrize(
    ("fate", "constant", "line"),
    [
        ("Kqueued as 7", OK, "a:628 accepted {size} bytes for 2 recipients in 250 ms: queued as 7"),
        ("Zbusy", DENYSOFT, "a:628 deferred {size} bytes for 2 recipients in 250 ms: busy"),
        ("Dno\r\nway", DENY, "a:628 rejected {size} bytes for 2 recipients in 250 ms: no\r\nway"),
    ],
)
@pytest.mark.parametrize("size", MESSAGES)
def test_log(
    size: str, fate: str, constant: Constant, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer is one line: server, answer, bytes, recipients, milliseconds, words."""
    caplog.set_level(logging.INFO)
    world = World({"a": fate})
    assert world.send(MESSAGES[size])[0] is constant
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == line.format(size=len(MESSAGES[size]))


def test_bytes_after_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    """What a server adds to its answer is ignored, with a warning."""

    async def connect(endpoint: Endpoint, **limits: Any) -> MemoryStream:
        ours, theirs = pipe()
        theirs.write(b"3:Kok,4:Dno!,")
        return ours

    assert send(connect, BIG) == ("250 2.0.0 ok", 0)
    assert "192.0.2.1:628: ignoring 7 bytes after its answer" in caplog.text


def test_an_envelope_that_qmqp_cannot_carry(caplog: pytest.LogCaptureFixture) -> None:
    """Without recipients, or with UTF-8 in mail that is not SMTPUTF8, nobody is connected to."""
    world = World({"a": "K"})

    async def main() -> None:
        with Spool(1_000_000, SpoolDirectory()) as spool:
            transaction = new_transaction(spool, BIG)
            transaction.recipients = []
            assert await world.plugin.hook_queue(transaction) == LATER
            transaction.recipients = [Address.parse("\xe4@example.com", smtputf8=True)]
            assert await world.plugin.hook_queue(transaction) == LATER
            assert world.tried == []
            transaction.smtputf8 = True
            assert (await world.plugin.hook_queue(transaction))[0] is OK  # type: ignore[index]

    asyncio.run(asyncio.wait_for(main(), 20))
    assert "not sent: no recipients" in caplog.text
    assert r"not sent: the address b'\xc3\xa4@example.com' needs SMTPUTF8" in caplog.text


def test_quoted_addresses() -> None:
    """QMQP knows no quotes, so addresses go out without; each server quotes them anew for SMTP."""
    fake = FakeQMQPServer()

    async def main() -> None:
        plugins = "queue/qmqp_forward 192.0.2.1", TakesAll()
        async with smtp(*plugins, connect=fake.connect) as client:
            recipients = [r'"ann \"lee\""@example.com', '"a..b"@[192.0.2.1]', "postmaster"]
            assert (await client.send(BIG, '"ann lee"@example.org', recipients)).accepted

    asyncio.run(asyncio.wait_for(main(), 20))
    message = fake.only_message()
    assert message.sender == b"ann lee@example.org"
    assert message.recipients == (b'ann "lee"@example.com', b"a..b@[192.0.2.1]", b"postmaster")


@pytest.mark.parametrize("size", MESSAGES)
def test_a_message_that_changes_under_it(size: str) -> None:
    """A message that is shorter than announced is never made whole, nor offered to another."""
    world = World({"a": "K", "b": "K"})

    async def main() -> None:
        with Spool(1_000_000, SpoolDirectory()) as spool:
            transaction = new_transaction(spool, MESSAGES[size])
            transaction.message_blocks = lambda size=0: iter([b"short\n"])  # type: ignore
            with pytest.raises(QMQPBodyError):
                await world.plugin.hook_queue(transaction)
            assert not transaction.handed_over

    asyncio.run(asyncio.wait_for(main(), 20))
    assert world.tried == ["a"]
    assert world.taken == []


@pytest.mark.parametrize("footer", ["", "a footer", "a footer\n"])
def test_a_last_line_without_lf(footer: str) -> None:
    """A last line that a plugin left open gets its LF, and the lengths are right."""
    world = World({"a": "K"})

    async def main() -> None:
        with Spool(1_000_000, SpoolDirectory()) as spool:
            transaction = new_transaction(spool, BIG)
            transaction.body_write(footer.encode())
            assert (await world.plugin.hook_queue(transaction))[0] is OK  # type: ignore[index]

    asyncio.run(asyncio.wait_for(main(), 20))
    assert world.taken == [(BIG + ("a footer\n" if footer else "")).encode()]
