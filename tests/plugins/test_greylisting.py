"""greylisting: who is put off, for how long, and what hosts that share a store know."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import LOGWARN, Address, Connection, MemoryStore, Plugin, StoreError
from qpsdk.plugins.greylisting import Greylisting
from qpsdk.testing import Clock, capture_log, connection, plugin, smtp, transaction
from qpsdk.testing.smtp import memory_host
from tests.dialogue import TakesAll, hold, refusal

OFF = "450 4.7.1 This mail is temporarily denied, try again later"
TAKEN = "250 2.1.5 Recipient OK"


class Fleet:
    """Hosts with the plugin, which share a store and a clock."""

    def __init__(self, options: str = "", **config: str) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self._options = options
        self._config = config

    def host(self) -> Plugin:
        """The plugin of one more host."""
        host = memory_host(self._config, clock=self.clock)
        host.store = self.store
        return cast(Plugin, plugin(f"greylisting {self._options}", qp=host))

    def rcpt(
        self,
        ip: str = "192.0.2.1",
        sender: str = "a@example.org",
        recipient: str = "b@example.com",
    ) -> str:
        """What a host that has just started says to a recipient."""
        return self.said(ip, f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>")

    def said(self, ip: str, *lines: str) -> str:
        """Its reply to the last of these lines."""
        client = Connection("c1", ip)
        with smtp(self.host(), TakesAll(), connection=client) as host:
            host.command("HELO client.example")
            return [str(host.command(line)) for line in lines][-1]


def test_dialogue() -> None:
    """Who is new is put off; the dialogue goes on."""
    hold(
        """
        C: MAIL FROM:<a@example.org>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<b@example.com>
        S: 450 4.7.1 This mail is temporarily denied, try again later
        C: RCPT TO:<c@example.com>
        S: 450 4.7.1 This mail is temporarily denied, try again later
        """,
        "greylisting",
    )


def test_black_grey_white() -> None:
    """Black for 300 s, then taken, then white as long as there is mail every 36 days."""
    fleet = Fleet()
    assert fleet.rcpt() == OFF
    fleet.clock.advance(299)
    assert fleet.rcpt() == OFF
    fleet.clock.advance(1)
    assert fleet.rcpt() == TAKEN
    for days in (35, 36, 3, 36, 36):
        fleet.clock.advance(days * 86400 - 1)
        assert fleet.rcpt() == TAKEN
    fleet.clock.advance(40 * 86400)
    assert fleet.rcpt() == OFF


def test_a_clock_that_was_set_back() -> None:
    """Whoever came while the clock was ahead need not wait until it is there again."""
    fleet = Fleet()
    assert fleet.rcpt() == OFF
    fleet.clock.advance(-86400)
    assert fleet.rcpt() == TAKEN


def test_comes_too_late() -> None:
    """Who does not come again in time is new again."""
    fleet = Fleet("black_timeout=60 grey_timeout=40 white_timeout=50")
    assert fleet.rcpt() == OFF
    fleet.clock.advance(100)
    assert fleet.rcpt() == OFF
    fleet.clock.advance(60)
    assert fleet.rcpt() == TAKEN
    fleet.clock.advance(55)
    assert fleet.rcpt() == OFF


def test_written_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those who are known it is written down once in a tenth of the time."""
    fleet = Fleet("white_timeout=1000")
    fleet.rcpt()
    fleet.clock.advance(300)
    written = []
    set_one = fleet.store.set

    async def count(key: bytes, value: bytes, ttl: float) -> None:
        written.append(ttl)
        await set_one(key, value, ttl)

    monkeypatch.setattr(fleet.store, "set", count)
    for _ in range(21):
        assert fleet.rcpt() == TAKEN
        fleet.clock.advance(10)
    assert written == [1100, 1100, 1100]


def test_trying_again_early_costs_nothing() -> None:
    """Who tries again each minute is taken as soon as the others."""
    fleet = Fleet()
    said = []
    for _ in range(6):
        said.append(fleet.rcpt())
        fleet.clock.advance(60)
    assert said == [OFF] * 5 + [TAKEN]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, TAKEN),
        ({"ip": "192.0.2.254"}, TAKEN),
        ({"ip": "::ffff:192.0.2.9"}, TAKEN),
        ({"ip": "192.0.3.1"}, OFF),
        ({"sender": "A@Example.ORG"}, TAKEN),
        ({"sender": "x@example.org"}, OFF),
        ({"recipient": "B@EXAMPLE.com"}, TAKEN),
        ({"recipient": "x@example.com"}, OFF),
        ({"sender": "a@example.orgb", "recipient": "@example.com"}, "501 5.1.3"),
    ],
)
def test_three(changed: dict[str, str], said: str) -> None:
    """Network, sender and recipient together are known; case does not matter."""
    fleet = Fleet()
    fleet.rcpt()
    fleet.clock.advance(300)
    assert fleet.rcpt(**changed).startswith(said)


@pytest.mark.parametrize(("ip", "said"), [("2001:db8:0:1:ffff::", TAKEN), ("2001:db8:0:2::1", OFF)])
def test_v6(ip: str, said: str) -> None:
    """Of IPv6 it is the /64."""
    fleet = Fleet()
    fleet.rcpt("2001:db8:0:1::1")
    fleet.clock.advance(300)
    assert fleet.rcpt(ip) == said


@pytest.mark.parametrize(
    ("option", "changed"),
    [
        ("remote_ip=0", {"ip": "198.51.100.1"}),
        ("sender=0", {"sender": "x@example.net"}),
        ("recipient=0", {"recipient": "x@example.com"}),
    ],
)
def test_left_out(option: str, changed: dict[str, str]) -> None:
    """What is left out of the three does not matter."""
    fleet = Fleet(option)
    fleet.rcpt()
    fleet.clock.advance(300)
    assert fleet.rcpt(**changed) == TAKEN


def test_each_recipient() -> None:
    """Each recipient of a message is looked at: of two, the known one is taken."""
    fleet = Fleet()
    fleet.rcpt()
    fleet.clock.advance(300)
    with smtp(fleet.host(), TakesAll(), connection=Connection("c1", "192.0.2.1")) as client:
        client.command("HELO client.example")
        client.command("MAIL FROM:<a@example.org>")
        said = [str(client.command(f"RCPT TO:<{user}@example.com>")) for user in "xb"]
    assert said == [OFF, TAKEN]


def test_null_sender() -> None:
    """A server that asks for an address is told; a bounce is put off at DATA, and then taken."""
    fleet = Fleet()
    rcpt = ("MAIL FROM:<>", "RCPT TO:<b@example.com>")
    assert fleet.said("192.0.2.1", *rcpt) == TAKEN
    off = "451 4.7.1 This mail is temporarily denied, try again later"
    assert fleet.said("192.0.2.1", *rcpt, "DATA") == off
    fleet.clock.advance(300)
    assert fleet.said("192.0.2.1", *rcpt, "DATA")[:3] == "354"


def test_null_sender_then_another() -> None:
    """What was remembered of one message does not hold for the next."""
    fleet = Fleet()
    fleet.rcpt()
    fleet.clock.advance(300)
    mail = ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA")
    bounce = ("MAIL FROM:<>", "RCPT TO:<b@example.com>", "RSET")
    assert fleet.said("192.0.2.1", *bounce, *mail)[:3] == "354"


def test_reject_0() -> None:
    """With reject=0 all pass, and those who come again are known all the same."""
    watching = Fleet("reject=0")
    with capture_log() as log:
        assert watching.rcpt() == TAKEN
        assert watching.said("192.0.2.1", "MAIL FROM:<>", "RCPT TO:<b@x>", "DATA")[:3] == "354"
    assert "would refuse, reject=0: This mail is temporarily denied" in log
    watching.clock.advance(300)
    watching.rcpt()
    refusing = Fleet()
    refusing.clock, refusing.store = watching.clock, watching.store
    assert refusing.rcpt() == TAKEN


def test_allowed() -> None:
    """Who is in greylisting_allow, may relay, or is white-listed by another plugin, passes."""
    assert Fleet(greylisting_allow="192.0.2.").rcpt() == TAKEN
    fleet = Fleet()
    for about in (
        Connection("c1", "192.0.2.1", relay_client=True),
        Connection("c1", "192.0.2.1", notes={"whitelisthost": True}),
    ):
        with smtp(fleet.host(), TakesAll(), connection=about) as client:
            client.command("HELO client.example")
            client.command("MAIL FROM:<a@example.org>")
            assert str(client.command("RCPT TO:<b@example.com>")) == TAKEN


def test_unix_socket() -> None:
    """A client without an address is one of those."""
    fleet = Fleet()
    assert fleet.rcpt("") == OFF
    fleet.clock.advance(300)
    assert fleet.rcpt("") == TAKEN


class Broken(MemoryStore):
    """A store that fails."""

    async def add(self, key: bytes, value: bytes, ttl: float) -> bytes | None:
        raise StoreError("redis.example:6379: Connection refused")


@pytest.mark.parametrize(("options", "said"), [("", TAKEN), ("on_error=denysoft", OFF)])
def test_store_fails(options: str, said: str) -> None:
    """Without its store it lets mail pass, or as told puts it off; the log says so."""
    fleet = Fleet(options)
    fleet.store = Broken()
    fleet.store.lasting = True
    with capture_log() as log:
        assert fleet.rcpt() == said
    assert log.lines(level=LOGWARN, plugin="greylisting") == [
        "the store fails, so nobody is looked up: redis.example:6379: Connection refused"
    ]


def test_stored_is_no_address() -> None:
    """In the store are no addresses."""
    fleet = Fleet()
    fleet.rcpt()
    (key,) = fleet.store._entries
    assert key.startswith(b"greylisting:")
    assert len(key) == 12 + 16


THREE = st.tuples(
    st.sampled_from(["192.0.2.1", "192.0.3.1", ""]),
    st.sampled_from(["<>", "<a@b>", "<a@bc>"]),
    st.sampled_from(["<c@d>", "<d@e>", '<"a@b"@c>']),
)


@given(THREE, THREE)
def test_keys(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """No two threes have the same key."""
    subject = plugin(Greylisting)
    assert isinstance(subject, Greylisting)
    keys = []
    for ip, sender, recipient in (one, other):
        about = transaction(connection=connection(ip), sender=sender)
        keys.append(subject.key(about, Address.parse(recipient)))
        about.close()
    assert (keys[0] == keys[1]) == (one == other)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("black_timeout=0", "black_timeout=0: write a number of seconds, such as 300"),
        ("grey_timeout=1h", "grey_timeout=1h: write a number of seconds, such as 300"),
        ("white_timeout=-1", "white_timeout=-1: write a number of seconds, such as 300"),
        ("sender=no", "sender=no: write 0 or 1"),
        ("reject=naughty", "reject=naughty: write 0 or 1, each recipient is put off by itself"),
        ("reject=2", "reject=2: write 0, 1 or naughty"),
        (
            "remote_ip=0 sender=0 recipient=0",
            "one of remote_ip, sender and recipient has to be 1",
        ),
    ],
)
def test_options(options: str, problem: str) -> None:
    """A wrong option is told."""
    assert refusal(f"greylisting {options}") == f"greylisting: {problem}"


def test_wrong_network() -> None:
    """So is a line of greylisting_allow."""
    assert refusal("greylisting", {"greylisting_allow": "192.0.2"}).startswith(
        "config/greylisting_allow:1: '192.0.2' is no address or network"
    )


def test_forgetful_store() -> None:
    """That a store in memory forgets is said at the start."""
    with capture_log() as log:
        Fleet().host()
    assert log.lines(level=LOGWARN) == [
        "who is known is forgotten when the host stops: name a config/store"
    ]
