"""The QMQP plugin: its arguments, and what each fate of a package means to the client."""

import asyncio
from typing import Any

import pytest

from qpsdk import OK, Endpoint, Plugin, PluginError, StreamError
from qpsdk.loader import PluginLine, load_one
from qpsdk.plugins.queue.qmqp_forward import QMQPForward
from qpsdk.qmqp import Response, Verdict
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


def load(line: str) -> QMQPForward:
    """The plugin of a line in config/plugins."""
    plugin = load_one(PluginLine.parse(line), memory_host({}))
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
        ("unix:/run/qmqp", Endpoint(path="/run/qmqp")),
    ],
)
def test_server(arguments: str, endpoint: Endpoint) -> None:
    """SERVER [PORT] names the server; the port is 628 unless it is given."""
    assert load(f"queue/qmqp_forward {arguments}").server == endpoint


def test_further_words(caplog: pytest.LogCaptureFixture) -> None:
    """Words after the port are ignored, with a warning."""
    assert load("queue/qmqp_forward 192.0.2.1 628 and more").server.port == 628
    assert "ignoring arguments after the port: and more" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("", "missing a required argument: 'server'"),
        ("192.0.2.1 smtp", "'192.0.2.1:smtp' is no QMQP server; write SERVER [PORT]"),
        ("192.0.2.1 65536", "'192.0.2.1:65536' is no QMQP server"),
        ("a:b:c", "'[a:b:c]' is no QMQP server"),
        ("unix:/run/qmqp 628", "'unix:/run/qmqp:628' is no QMQP server"),
        ("a..b", "'a..b' is no QMQP server"),
        ("192.0.2.1:1 2", "'192.0.2.1:1:2' is no QMQP server"),
    ],
)
def test_refuses_to_start(arguments: str, problem: str) -> None:
    """Without a server that can be meant the plugin does not load, and says why."""
    with pytest.raises(PluginError, match=problem.replace("[", r"\[")):
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
