"""docs/how-to/scale-out.md under load: one of each kind is killed, and the books are balanced."""

import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.interop.fleet import Fleet, fleet
from tests.interop.postfix import Postfix
from tests.interop.rig import Client, eventually, wire

CLIENTS = 12
OTHERS = CLIENTS, CLIENTS + 1
"""Clients that are not of the load."""

HEADER = (
    b"From: a@example.org\nDate: Mon, 23 Nov 2026 12:00:00 +0000\nMessage-Id: <%s@example.org>\n\n"
)
_DELIVERED = re.compile(
    rb"\tby mx\.example\.net \(Postfix\) with QMQP id (?P<id>\w+)\n.*?"
    rb"\nReceived: from \S+ \(\S*? ?\(?\[(?P<client>[0-9.]+)\]\)?\).*?"
    rb"\nMessage-Id: <(?P<label>[a-z0-9-]+)@example\.org>\n\n",
    re.DOTALL,
)


@pytest.fixture(scope="module", autouse=True)
def loop() -> str:
    """Once is enough: the hosts run on uvloop."""
    return "uvloop"


@pytest.fixture(scope="module")
def running() -> Iterator[Fleet]:
    """The module's fleet."""
    with fleet() as started:
        yield started


@contextmanager
def at_host(running: Fleet, name: str, number: int = OTHERS[0]) -> Iterator[Client]:
    """A client that HAProxy has sent to this host."""
    for _ in range(100):
        with running.client(number) as client:
            if client.reply().text.startswith(name.encode()):
                client.hello()
                yield client
                return
    raise AssertionError(f"HAProxy sends nobody to {name}")


def rcpt(running: Fleet, name: str, number: int = OTHERS[0]) -> int:
    """What a host answers to a recipient."""
    with at_host(running, name, number) as client:
        assert client.ask(b"MAIL FROM:<sender@example.org>").code == 250
        return client.ask(b"RCPT TO:<recipient@example.com>").code


def test_state_is_shared(running: Fleet) -> None:
    """Who was put off by one host is taken by the other, and what both take is counted together."""
    assert rcpt(running, "mx1") == 450
    assert eventually(lambda: rcpt(running, "mx2") == 250)
    assert "black: first seen" in running.hosts["mx1"].log()
    assert "white: came again" in running.hosts["mx2"].log()
    assert recipients(running, "mx1", 600) == 600
    assert 200 < recipients(running, "mx2", 600) <= 400  # 1000 in all, and the tries above


def recipients(running: Fleet, name: str, number: int) -> int:
    """How many are taken of so many, until one is put off."""
    with at_host(running, name) as client:
        assert client.ask(b"MAIL FROM:<sender@example.org>").code == 250
        for taken in range(0, number, 50):
            client.send(b"RCPT TO:<recipient@example.com>\r\n" * 50)
            codes = [client.reply().code for _ in range(50)]
            if 450 in codes:
                return taken + codes.index(450)
    return number


@dataclass
class Message:
    """One that is sent until it is taken.

    Attributes:
        in_doubt: Tries whose final dot was sent and that were not answered 250.
    """

    label: str
    source: str
    data: bytes
    in_doubt: int = 0
    is_taken: bool = False


@dataclass
class Load:
    """Clients that send one message after the other, each until it is taken.

    Attributes:
        name: What the labels of its messages begin with.
        lost: Connections that ended without a QUIT or 421.
        put_off: Replies with 4xx, by their texts.
        served: Messages by the host that took them.
    """

    fleet: Fleet
    name: str
    messages: list[Message] = field(default_factory=list)
    lost: int = 0
    put_off: Counter[bytes] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def taken(self) -> int:
        """How many messages were answered 250."""
        return sum(self.served.values())

    def goes_on(self, number: int = 40) -> None:
        """Wait until so many more messages are taken."""
        enough = self.taken() + number
        assert eventually(lambda: self.taken() >= enough), (self.lost, self.put_off)

    def client(self, number: int) -> None:
        """One client, until all is over and its last message taken."""
        count = 0
        message: Message | None = None
        while message is not None or not self.over.is_set():
            try:
                with self.fleet.client(number) as client:
                    host = client.reply().text.partition(b".")[0].decode()
                    client.hello()
                    for _ in range(5):
                        if message is None:
                            count += 1
                            message = self.compose(number, count)
                        if not self.offer(client, message):
                            break
                        self.served[host] += 1
                        message = None
                        if self.over.is_set():
                            break
                    client.ask(b"QUIT")
            except (EOFError, ConnectionError):
                self.lost += 1
            time.sleep(0.02)

    def compose(self, number: int, count: int) -> Message:
        """The next message of a client; each tenth is large."""
        label = f"{self.name}-{number}-{count}"
        line = label.encode().ljust(70, b".") + b"\n"
        data = HEADER % label.encode() + line * (6000 if count % 10 == 0 else 20)
        message = Message(label, self.fleet.source(number), data)
        self.messages.append(message)
        return message

    def offer(self, client: Client, message: Message) -> bool:
        """Try to send it; whether it was taken."""
        for command in (b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.com>", b"DATA"):
            answer = client.ask(command)
            if answer.code >= 400:
                self.put_off[answer.text] += 1
                return False
        client.send(wire(message.data))
        message.in_doubt += 1
        client.send(b".\r\n")
        answer = client.reply()
        if answer.code >= 400:
            self.put_off[answer.text] += 1
            return False
        assert answer.code == 250
        message.in_doubt -= 1
        message.is_taken = True
        return True


@contextmanager
def load(running: Fleet, name: str) -> Iterator[Load]:
    """Clients that send; at the end each has had its last message taken."""
    mail = Load(running, name)
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(mail.client, number) for number in range(CLIENTS)]
        try:
            yield mail
        finally:
            mail.over.set()
        for client in clients:
            client.result()


def test_one_of_each_kind_dies(running: Fleet) -> None:
    """Nothing acknowledged is lost, and a second copy is only of what was in doubt."""
    with load(running, "death") as mail:
        mail.goes_on(100)
        host_dies(running, mail)
        for postfix in running.postfixes:
            postfix_dies(postfix, mail)
        redis_dies(running, mail)
        haproxy_reloads(running, mail)
        haproxy_dies(running, mail)
        mail.goes_on()
    balance(running, mail)


def host_dies(running: Fleet, mail: Load) -> None:
    """The clients of the other host notice nothing, and new ones come to it."""
    running.hosts["mx1"].kill()
    assert eventually(lambda: not running.is_up("mx1"))
    mail.goes_on()
    running.start_host("mx1")
    comes_back(running, mail, "mx1")


def comes_back(running: Fleet, mail: Load, name: str) -> None:
    """HAProxy sends clients to the host again."""
    assert eventually(lambda: running.is_up(name))
    before = mail.served[name]
    assert eventually(lambda: mail.served[name] > before)


def postfix_dies(postfix: Postfix, mail: Load) -> None:
    """The other one gets the mail."""
    lost = mail.lost
    postfix.kill()
    mail.goes_on()
    postfix.start()
    mail.goes_on()
    assert mail.lost == lost


def redis_dies(running: Fleet, mail: Load) -> None:
    """Mail passes, and the log says that nobody is counted; it comes back knowing nothing."""
    lost = mail.lost
    put_off = mail.put_off.total()
    running.redis.kill()
    mail.goes_on()
    assert mail.put_off.total() == put_off
    assert any(
        "ratelimit: the store fails, so nobody is limited" in host.log()
        for host in running.hosts.values()
    )
    running.redis.start()
    assert eventually(lambda: mail.put_off.total() > put_off)
    mail.goes_on()
    assert mail.lost == lost


def haproxy_reloads(running: Fleet, mail: Load) -> None:
    """No connection is lost."""
    lost = mail.lost
    running.reload_haproxy()
    mail.goes_on(100)
    assert mail.lost == lost


def haproxy_dies(running: Fleet, mail: Load) -> None:
    """With the only one, all connections are lost; the clients come again."""
    lost = mail.lost
    running.haproxy.kill()
    assert eventually(lambda: mail.lost > lost)
    running.haproxy.start()
    mail.goes_on()


def test_a_host_stops(running: Fleet) -> None:
    """Its client ends a message in peace, while HAProxy sends it nobody else."""
    assert eventually(lambda: rcpt(running, "mx1", OTHERS[1]) == 250)
    with at_host(running, "mx1", OTHERS[1]) as client:
        client.begin()
        running.hosts["mx1"].signal()
        assert eventually(lambda: running.status("mx1").startswith(("NOLB", "DOWN")))
        client.send(wire(HEADER % b"stop-1") + b".\r\n")
        assert client.reply().code == 250
    assert running.hosts["mx1"].exit_status() == 0
    running.hosts["mx1"].kill()  # closes what we read of it
    running.start_host("mx1")
    assert eventually(running.all_are_up)


def test_a_host_is_cut_off(running: Fleet) -> None:
    """A host that no packet reaches loses nothing acknowledged, holds no client, and comes back."""
    if running.machines is None:
        pytest.skip(running.why_loopback)
    with load(running, "cut") as mail:
        mail.goes_on()
        running.machines.cut_off("mx1")
        try:
            # A client that waits for longer than `PATIENCE` fails the test.
            assert eventually(lambda: running.status("mx1") == "DOWN")
            assert eventually(lambda: running.sessions("mx1") == 0)
            mail.goes_on()
        finally:
            running.machines.join("mx1")
        comes_back(running, mail, "mx1")
    balance(running, mail)


def balance(running: Fleet, mail: Load) -> None:
    """Compare what clients sent with what is in the maildirs."""
    for host in running.hosts.values():
        assert "Traceback" not in host.log()
    messages = {message.label: message for message in mail.messages}
    copies: dict[str, set[tuple[int, bytes]]] = defaultdict(set)
    for number, postfix in enumerate(running.postfixes):
        assert eventually(postfix.is_idle), postfix.log()
        assert postfix.delivered()
        for data in postfix.delivered():
            found = _DELIVERED.search(data)
            assert found is not None, data[:1000]
            label = found["label"].decode()
            if not label.startswith(mail.name):
                continue
            message = messages[label]
            assert data.endswith(b"\n" + message.data)
            assert found["client"].decode() == message.source
            # A Postfix that was killed may deliver twice what it has queued once.
            copies[message.label].add((number, found["id"]))
    assert all(message.is_taken for message in mail.messages)
    assert [label for label in messages if not copies[label]] == []
    doubled = {label: len(found) - 1 for label, found in copies.items() if len(found) > 1}
    assert {
        label: count for label, count in doubled.items() if count > messages[label].in_doubt
    } == {}
    print(
        f"{len(messages)} messages, {sum(m.in_doubt for m in mail.messages)} tries in doubt,"
        f" {sum(doubled.values())} second copies, {mail.lost} connections lost,"
        f" taken by {dict(mail.served)}, put off {dict(mail.put_off)}"
    )
