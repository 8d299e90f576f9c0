"""The book-keeping itself: each rule is broken once by hand, and noticed."""

from dataclasses import replace

import pytest

from qpsdk.testing.qmqp_script import Act, accept, defer, reject
from tests.chaos.books import Books, Kill, Record, Try
from tests.chaos.plan import TOO_EARLY, Client, Forward, Leave

QUEUED = Record(1.0, "server 1", "m", 1, True, "digest", "a@x", ["b@y"])
SAID_K = Record(1.0, "server 1", "m", 1, False, whole=True, size=100, reply="3:Kok,")
SECOND = replace(SAID_K, server="server 2", time=2.0)
SAID_Z = replace(SAID_K, act="defer('busy')", reply="5:Zbusy,")
LOST_K = replace(SAID_K, act="accept(cut=3)", reply="3:K")
STORED = Record(3.0, "maildir", "m", 1, True, "digest")


def forward(*acts: Act, client: Client | None = None) -> Forward:
    """A plan."""
    return Forward(0, 100, 1, acts or (accept(),), client or Client())


def attempt(code: int, plan: Forward | None = None, **values: object) -> Try:
    """A try that got this answer at once."""
    one = Try(
        "m", 1, plan or forward(), "digest", "a@x", ["b@y"], began=10.0, sent=10.1, ended=10.2
    )
    one.code = code
    return replace(one, **values)  # type: ignore[arg-type]


def rules(one: Try, *records: Record, **more: object) -> list[str]:
    """The numbers of the rules that do not hold."""
    books = Books("lane", tries=[one], records=list(records), **more)  # type: ignore[arg-type]
    return [problem.rule.partition(".")[0] for problem in books.balance()]


@pytest.mark.parametrize(
    ("one", "records"),
    [
        (attempt(250), [QUEUED, SAID_K]),
        (attempt(452, forward(defer())), [SAID_Z]),
        (attempt(452, forward(accept(cut=3))), [QUEUED, LOST_K]),  # the K was lost
        (attempt(0, lost=False), [QUEUED, SAID_K]),  # the client was gone
        (attempt(452, ended=11.5), [QUEUED, SAID_K]),  # the K was too late
        (attempt(250, forward(accept(TOO_EARLY, at=5)), text=f"2.0.0 {TOO_EARLY}"), []),
        (attempt(250), [STORED]),
        (attempt(552, forward(accept(at=3))), []),
    ],
)
def test_books_that_balance(one: Try, records: list[Record]) -> None:
    """What the protocols allow is no problem."""
    assert rules(one, *records) == []


@pytest.mark.parametrize(
    ("one", "records", "rule"),
    [
        (attempt(250), [], "1"),
        (attempt(250), [LOST_K], "1"),
        (attempt(250, text=TOO_EARLY), [], "1"),  # nobody was planned to lie
        (attempt(250), [QUEUED, SAID_K, replace(QUEUED, server="server 2")], "2"),
        (attempt(250), [SAID_K, replace(LOST_K, server="server 2", time=0.5), QUEUED], "3"),
        (attempt(250), [SAID_Z, QUEUED, SECOND], "3"),
        (attempt(250), [STORED, replace(SAID_Z, act="no_reply()", reply="")], "4"),
        (attempt(552, forward(accept(at=3))), [QUEUED, LOST_K], "5"),
        (attempt(452, forward(accept(drip=1))), [QUEUED, SAID_K], "6"),
        (attempt(250), [replace(QUEUED, digest="other"), SAID_K], "7"),
        (attempt(250), [replace(QUEUED, sender="other"), SAID_K], "7"),
        (attempt(250), [replace(QUEUED, recipients=["b@y", "c@z"]), SAID_K], "7"),
        (attempt(452), [], "8"),
        (attempt(0, hung=True), [], "9"),
        (attempt(0, lost=True), [], "9"),
        (attempt(250), [QUEUED, SAID_K, replace(QUEUED, message="other")], "0"),
    ],
)
def test_books_that_do_not(one: Try, records: list[Record], rule: str) -> None:
    """What they forbid is one, under its number."""
    assert rules(one, *records) == [rule]


def test_a_second_server_after_a_z() -> None:
    """It may be asked where the forwarder is told to; but not after a Z that was cut."""
    one = attempt(250)
    assert rules(one, SAID_Z, QUEUED, SECOND, second_on_defer=True) == []
    cut = replace(SAID_Z, reply="5:Zb")
    assert rules(one, cut, QUEUED, SECOND, second_on_defer=True) == ["3"]


def test_kills_excuse_what_they_can() -> None:
    """Only those in the time of the try, and only a host's its silence."""
    lost = attempt(0, lost=True)
    assert rules(lost, kills=[Kill("host", 10.1, 10.9)]) == []
    assert rules(lost, kills=[Kill("server", 10.1, 10.9)]) == ["9"]
    assert rules(lost, kills=[Kill("host", 10.3, 10.9)]) == ["9"]
    untold = attempt(452)
    assert rules(untold, QUEUED, SAID_K, kills=[Kill("server", 9.9, 10.1)]) == []
    assert rules(untold, QUEUED, SAID_K, kills=[Kill("server", 9.8, 9.9)]) == ["6", "8"]


def test_a_client_that_half_closes_listens() -> None:
    """After the final dot it does, and before it does not."""
    assert Client(Leave.HALF_CLOSE, 1.0).hears
    assert not Client(Leave.HALF_CLOSE, 0.5).hears
    assert not Client(Leave.CLOSE, 1.0).hears
    assert Client().hears


def test_the_story() -> None:
    """A problem comes with all that was said, and the servers' records."""
    one = attempt(250, dialogue=["> DATA", "< 354 'Go ahead'"], text="2.0.0 ok", log="a line\n")
    other = replace(one, tried=2)
    books = Books("lane", tries=[one, other], records=[replace(QUEUED, tried=2), LOST_K])
    (problem,) = books.balance()
    assert problem.rule == "1. acknowledged, and nobody has queued it"
    assert problem.story.splitlines() == [
        "message m",
        f"try 1: {one.plan}",
        "  > DATA",
        "  < 354 'Go ahead'",
        "  answered 250 2.0.0 ok after 0.200 s",
        "  host: a line",
        "  server 1, told to accept(cut=3): 100 bytes, a whole package; says '3:K'",
        f"try 2: {one.plan}",
        "  > DATA",
        "  < 354 'Go ahead'",
        "  answered 250 2.0.0 ok after 0.200 s",
        "  host: a line",
        "  server 1 writes it down: a@x for b@y",
    ]


def test_counts() -> None:
    """Each try is in one group, each message, too; a message in two tries is doubled."""
    tries = [
        attempt(452, forward(accept(cut=3))),
        attempt(250, tried=2),
        attempt(552, forward(reject()), message="n"),
        attempt(0, message="o"),
    ]
    books = Books("lane", tries=tries, records=[QUEUED, LOST_K, replace(QUEUED, tried=2)])
    assert books.balance() == []
    assert {name.strip(): count for name, count in books.counts().items() if count} == {
        "forwards": 4,
        "told 250": 1,
        "told 4xx": 1,
        "told 5xx": 1,
        "client gone": 1,
        "queued": 2,
        "and told 250": 1,
        "K lost, told 4xx": 1,
        "messages": 3,
        "acknowledged": 1,
        "refused": 1,
        "given up": 1,
        "queued twice, as allowed": 1,
    }
