"""What is counted of a host."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import DECLINED, OK, Endpoint, Plugin, Result, Transaction, blocking
from qpsdk.dispatcher import Dispatcher
from qpsdk.meter import MAX_SERIES, Meter, Times
from qpsdk.testing import Clock, FakeQMQPServer, plugin, smtp
from qpsdk.testing.make import connection
from qpsdk.testing.qmqp_script import Act, accept, defer, refuse, reject
from qpsdk.testing.smtp import begin, hosted, memory_host
from tests.dialogue import TakesAll


@given(st.lists(st.floats(0, 100)))
def test_times(all_seconds: list[float]) -> None:
    """Each time is counted at the first bound that it does not exceed."""
    times = Times((0.5, 1.0, 2.0))
    for seconds in all_seconds:
        times.add(seconds)
    assert times.counts == [
        sum(seconds <= 0.5 for seconds in all_seconds),
        sum(0.5 < seconds <= 1.0 for seconds in all_seconds),
        sum(1.0 < seconds <= 2.0 for seconds in all_seconds),
        sum(seconds > 2.0 for seconds in all_seconds),
    ]
    assert times.seconds == pytest.approx(sum(all_seconds))


def test_names_are_bounded() -> None:
    """A plugin that makes up names does not fill the memory."""
    meter = Meter()
    for number in range(MAX_SERIES + 50):
        meter.forward(f"server{number}", "accepted", 0.1)
    meter.forward("server0", "accepted", 0.1)
    assert len(meter.forwards) == MAX_SERIES + 1
    assert sum(meter.forwards["other", "other"].counts) == 50
    assert sum(meter.forwards["server0", "accepted"].counts) == 2


class Slow(Plugin):
    """Takes a while, in three ways."""

    async def hook_mail(self, transaction: Transaction, sender: object, params: object) -> Result:
        await asyncio.sleep(0.03)
        return DECLINED

    @blocking
    def hook_data(self, transaction: Transaction) -> Result:
        return DECLINED

    def hook_disconnect(self, connection: object) -> None:
        raise RuntimeError


def test_hooks() -> None:
    """Each run of a hook is counted with plugin and hook: also waiting, failed and ignored ones."""
    host = memory_host()
    host.meter = meter = Meter()
    subject = plugin(Slow, qp=host)
    dispatcher = Dispatcher([subject, plugin(TakesAll, qp=host)], host.run_blocking)
    dispatcher.meter = meter

    async def main() -> None:
        async with hosted(dispatcher, host), begin(dispatcher, host, connection()) as stream:
            for line in (b"MAIL FROM:<>", b"RCPT TO:<a@b>", b"RCPT TO:<c@d>", b"DATA"):
                stream.write(b"EHLO x\r\n" * line.startswith(b"MAIL") + line + b"\r\n")
            stream.write(b"Subject: hi\r\n\r\n.\r\nQUIT\r\n")
            while await stream.read():
                pass

    asyncio.run(asyncio.wait_for(main(), 20))
    assert {names: sum(times.counts) for names, times in meter.hooks.items()} == {
        ("Slow", "mail"): 1,
        ("TakesAll", "rcpt"): 2,
        ("Slow", "data"): 1,
        ("TakesAll", "queue"): 1,
        ("Slow", "disconnect"): 1,
    }
    assert 0.025 < meter.hooks["Slow", "mail"].seconds < 20
    assert meter.hooks["Slow", "mail"].counts[:2] == [0, 0]
    assert meter.messages == {250: 1}
    assert meter.message_bytes == len(b"Subject: hi\r\n\r\n")


@pytest.mark.parametrize(
    ("act", "counted"),
    [
        (accept(), {("192.0.2.1:628", "accepted"): 1}),
        (defer(), {("192.0.2.1:628", "deferred"): 1}),
        (reject(), {("192.0.2.1:628", "rejected"): 1}),
        (refuse(), {("192.0.2.1:628", "failed"): 1, ("192.0.2.2:628", "failed"): 1}),
    ],
)
def test_qmqp(act: Act, counted: dict[Any, int]) -> None:
    """Each try at a QMQP server is counted with its answer."""
    fake = FakeQMQPServer()
    fake.script(act)
    host = memory_host(connect=fake.connect)
    host.meter = Meter()
    forward = plugin("queue/qmqp_forward", "192.0.2.1,192.0.2.2", qp=host)
    with smtp(TakesRecipients(), forward) as client:
        client.send("Subject: hi\n\nhello\n")
    assert {names: sum(t.counts) for names, t in host.meter.forwards.items()} == counted


class TakesRecipients(Plugin):
    """Takes every recipient."""

    def hook_rcpt(self, transaction: Transaction, recipient: object, params: object) -> Result:
        return OK


def test_forwarded() -> None:
    """What a plugin tells of a server is counted by the host's clock; a clock set back is none."""
    clock = Clock()
    host = memory_host(clock=clock)
    host.forwarded(Endpoint("192.0.2.1", 25), "accepted", clock())  # nobody watches
    host.meter = Meter()
    began = clock()
    clock.advance(2.5)
    host.forwarded(Endpoint("192.0.2.1", 25), "accepted", began)
    clock.advance(-10)
    host.forwarded(Endpoint("192.0.2.1", 25), "accepted", began)
    times = host.meter.forwards["192.0.2.1:25", "accepted"]
    assert (times.seconds, sum(times.counts)) == (2.5, 2)
