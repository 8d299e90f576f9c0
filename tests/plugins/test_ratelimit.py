"""ratelimit: how much a client may send, counted across hosts."""

import pytest

from qpsdk import LOGWARN, MemoryStore, StoreError
from qpsdk.testing import Clock, capture_log, connection, plugin, smtp
from qpsdk.testing.smtp import memory_host
from tests.dialogue import TakesAll, hold, refusal


def test_dialogue() -> None:
    """What is more than the limit is put off; what was taken before stays."""
    hold(
        """
        C: MAIL FROM:<a@example.org>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<a@example.com>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<b@example.com>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<c@example.com>
        S: 450 4.7.1 Too many recipients, try again later
        """,
        "ratelimit 2 60",
    )


class Fleet:
    """Hosts with one line of the plugin, which share a store."""

    def __init__(self, line: str, **config: str) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self._line = line
        self._config = config

    def codes(self, ip: str, *lines: str, user: bytes = b"") -> str:
        """The codes with which a host answers these commands, each by its first digit."""
        host = memory_host(self._config, clock=self.clock)
        host.store = self.store
        loaded = plugin(f"ratelimit {self._line}", qp=host)
        about = connection(ip)
        about.auth_user = user
        with smtp(loaded, TakesAll(), connection=about) as client:
            client.command("HELO client.example")
            return "".join(str(client.command(line))[0] for line in lines)


MAIL = "MAIL FROM:<a@example.org>"
RCPT = "RCPT TO:<b@example.com>"


def test_window() -> None:
    """A window begins with the first that is counted; hosts count together."""
    fleet = Fleet("3 60")
    assert fleet.codes("192.0.2.1", MAIL, RCPT, RCPT) == "222"
    fleet.clock.advance(59)
    assert fleet.codes("192.0.2.1", MAIL, RCPT, RCPT) == "224"
    fleet.clock.advance(1)
    assert fleet.codes("192.0.2.1", MAIL, RCPT, RCPT, RCPT, RCPT) == "22224"


def test_client() -> None:
    """Each client has its own count: an address of IPv4, a /64 of IPv6."""
    fleet = Fleet("1 60")
    clients = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
    said = [fleet.codes(ip, MAIL, RCPT) for ip in clients]
    assert said == ["22", "22", "22", "24", "22"]
    assert [fleet.codes("", MAIL, RCPT) for _ in range(3)] == ["22"] * 3  # by a unix socket


def test_messages() -> None:
    """count=messages counts at MAIL."""
    fleet = Fleet("2 60 count=messages")
    assert fleet.codes("192.0.2.1", MAIL, RCPT, RCPT, RCPT, "RSET", MAIL, "RSET", MAIL) == (
        "22222224"
    )


@pytest.mark.parametrize("count", ["recipients", "messages"])
def test_sender(count: str) -> None:
    """by=sender: one count for each envelope sender, in whatever case; none for the null sender."""
    fleet = Fleet(f"1 60 by=sender count={count}")
    said = [
        fleet.codes(f"192.0.2.{n}", f"MAIL FROM:<{sender}>", RCPT)[count == "recipients"]
        for n, sender in enumerate(["a@b.example", "A@B.example", "c@b.example", "", ""])
    ]
    assert said == ["2", "4", "2", "2", "2"]


def test_user() -> None:
    """by=user: one count for each who has logged in, from wherever; none for the others."""
    fleet = Fleet("1 60 by=user")
    said = [
        fleet.codes(f"192.0.2.{n}", MAIL, RCPT, user=user)
        for n, user in enumerate([b"ann", b"ann", b"bob", b"", b""])
    ]
    assert said == ["22", "24", "22", "22", "22"]


def test_two_limits() -> None:
    """Two lines are two limits, with a count each."""
    with smtp("ratelimit:1 2 60", "ratelimit:2 3 60", TakesAll()) as client:
        client.command("HELO client.example")
        client.command(MAIL)
        assert [str(client.command(RCPT))[0] for _ in range(3)] == ["2", "2", "4"]


def test_allowed() -> None:
    """Clients in ratelimit_allow are not limited."""
    fleet = Fleet("1 60", ratelimit_allow="192.0.2.0/24")
    assert fleet.codes("192.0.2.1", MAIL, RCPT, RCPT) == "222"


class Broken(MemoryStore):
    """A store that fails."""

    async def increment(self, key: bytes, ttl: float, by: int = 1) -> int:
        raise StoreError("redis.example:6379: Connection refused")


@pytest.mark.parametrize(("options", "said"), [("", "22"), ("on_error=denysoft", "24")])
def test_store_fails(options: str, said: str) -> None:
    """Without its store it limits nobody, or as told puts all off; the log says so."""
    fleet = Fleet(f"1 60 {options}")
    fleet.store = Broken()
    with capture_log() as log:
        assert fleet.codes("192.0.2.1", MAIL, RCPT) == said
    assert log.lines(level=LOGWARN, plugin="ratelimit") == [
        "the store fails, so nobody is limited: redis.example:6379: Connection refused"
    ]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("many 60", "'many' is no LIMIT; write numbers: ratelimit 100 3600"),
        ("100 0", "'0' is no SECONDS; write numbers: ratelimit 100 3600"),
        ("1 1 count=bytes", "count=bytes: write recipients or messages"),
        ("1 1 by=ip", "by=ip: write client, sender or user"),
    ],
)
def test_words(words: str, problem: str) -> None:
    """A wrong word is told."""
    assert refusal(f"ratelimit {words}") == f"ratelimit: {problem}"
