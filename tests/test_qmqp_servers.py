"""Which server gets the next message: turns, rests, and the way back."""

import pytest

from qpsdk.qmqp import ServerList, parse_server, parse_servers
from qpsdk.stream import Endpoint


@pytest.mark.parametrize(
    ("text", "port", "endpoint"),
    [
        ("192.0.2.1", "", Endpoint("192.0.2.1", 628)),
        ("q.example.com", "6280", Endpoint("q.example.com", 6280)),
        ("q.example.com:6280", "", Endpoint("q.example.com", 6280)),
        ("2001:db8::1", "", Endpoint("2001:db8::1", 628)),
        ("2001:db8::1", "6280", Endpoint("2001:db8::1", 6280)),
        ("[2001:db8::1]", "", Endpoint("2001:db8::1", 628)),
        ("[2001:db8::1]", "6280", Endpoint("2001:db8::1", 6280)),
        ("[2001:db8::1]:6280", "", Endpoint("2001:db8::1", 6280)),
        ("unix:/run/qmqp", "", Endpoint(path="/run/qmqp")),
        ("unix:/run/a:b:c", "", Endpoint(path="/run/a:b:c")),
    ],
)
def test_server(text: str, port: str, endpoint: Endpoint) -> None:
    """A server is a host, an address or a socket; its port is 628 unless it is given."""
    assert parse_server(text, port) == endpoint


@pytest.mark.parametrize(
    ("text", "port", "shown"),
    [
        ("", "", "''"),
        ("a b", "", "'a b'"),
        ("a:", "", "'a:'"),
        ("a:65536", "", "'a:65536'"),
        ("a", "x", "'a:x'"),
        ("a:1", "2", "'a:1:2'"),
        ("a,b", "", "'a,b'"),
        ("a:1:2", "", "'[a:1:2]'"),
        ("[a]", "", "'[a]'"),
        ("[2001:db8::1]:1", "2", "'[2001:db8::1]:1:2'"),
        ("unix:", "", "'unix:'"),
        ("unix:/run/qmqp", "628", "'unix:/run/qmqp:628'"),
    ],
)
def test_no_server(text: str, port: str, shown: str) -> None:
    """What cannot be meant is refused, with what would be right."""
    with pytest.raises(ValueError) as error:
        parse_server(text, port)
    assert str(error.value) == (
        f"{shown} is no QMQP server; write HOST, HOST:PORT, [V6]:PORT or unix:PATH"
    )


def test_servers() -> None:
    """Several have commas between them, and no spaces."""
    assert parse_servers("a,b:6280") == [Endpoint("a", 628), Endpoint("b", 6280)]
    assert parse_servers("a,b", "6280") == [Endpoint("a", 6280), Endpoint("b", 6280)]
    for text in ("a,,b", "a,", ",a", "a, b"):
        with pytest.raises(ValueError, match="is no QMQP server"):
            parse_servers(text)
    with pytest.raises(ValueError, match="the QMQP server a:628 is named twice"):
        parse_servers("a,b,a:628")


A, B, C = (Endpoint(name, 628) for name in "abc")


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


def servers(count: int = 3, **options: float) -> tuple[ServerList, Clock]:
    """A list of servers with a clock."""
    clock = Clock()
    return ServerList([A, B, C][:count], clock, **options), clock  # type: ignore[arg-type]


def order(servers: ServerList) -> str:
    """The order in which all would be tried."""
    return "".join(server.host for server in servers.candidates())


def one(servers: ServerList) -> Endpoint:
    """The server that is tried first, by a message that needs no other."""
    return next(servers.candidates())


def test_failover() -> None:
    """Without failures, every message goes to the first, and has the others in reserve."""
    the_list, _ = servers()
    assert len(the_list) == 3
    assert [order(the_list) for _ in range(3)] == ["abc", "abc", "abc"]


def test_rotate() -> None:
    """In rotation each message begins with the next; turns go on past those that rest."""
    the_list, _ = servers(rotate=True)
    assert [order(the_list) for _ in range(4)] == ["abc", "bca", "cab", "abc"]
    the_list.failed(B)
    assert [order(the_list) for _ in range(4)] == ["acb", "cab", "acb", "cab"]


def test_a_rest() -> None:
    """A server that failed is last for its rest; then one message tries it first."""
    the_list, clock = servers(rest=10)
    the_list.failed(A)
    assert order(the_list) == "bca"
    clock.now += 9.9
    assert order(the_list) == "bca"
    clock.now += 0.1
    assert one(the_list) == A
    assert order(the_list) == "bca"  # others do not wait for what comes of that
    the_list.answered(A)
    assert order(the_list) == "abc"


def test_back_off() -> None:
    """With each failed try a rest is twice as long, to ten minutes."""
    the_list, clock = servers(rest=10)
    the_list.failed(A)
    rests = []
    for _ in range(9):
        began = clock.now
        while one(the_list) != A:
            clock.now += 5
        rests.append(clock.now - began)
        the_list.failed(A)
    assert rests == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    the_list.answered(A)
    the_list.failed(A)
    clock.now += 10
    assert one(the_list) == A


def test_many_fail_at_once() -> None:
    """A hundred messages that fail together make one rest, not one of ten minutes; each time."""
    the_list, clock = servers(rest=10)
    for seconds in (10, 20, 40):
        for _ in range(100):
            the_list.failed(A)
        clock.now += seconds - 1
        assert one(the_list) == B
        clock.now += 1
        assert one(the_list) == A


def test_a_try_that_never_ends() -> None:
    """While nothing comes of a try, the next ones are made after rests twice as long each."""
    the_list, clock = servers(rest=10)
    the_list.failed(A)
    tried = []
    for second in range(1, 151):
        clock.now += 1
        if one(the_list) == A:
            tried.append(second)
    assert tried == [10, 30, 70, 150]
    the_list.failed(A)  # the first of them, after its time limit
    clock.now += 159
    assert one(the_list) == B
    clock.now += 1
    assert one(the_list) == A


def test_a_reserve_is_not_tried_by_being_named() -> None:
    """Only a message that really comes to a server counts as its try."""
    the_list, clock = servers(rest=10)
    the_list.failed(C)
    clock.now += 10
    assert one(the_list) == A
    candidates = the_list.candidates()
    assert [next(candidates), next(candidates), next(candidates)] == [A, B, C]


def test_answered_meanwhile() -> None:
    """A server that has answered another message since this one began is still in reserve."""
    the_list, _ = servers()
    the_list.failed(A)
    candidates = the_list.candidates()
    assert [next(candidates), next(candidates)] == [B, C]
    the_list.answered(A)
    assert list(candidates) == [A]


@pytest.mark.parametrize("rotate", [False, True])
def test_all_rest(rotate: bool) -> None:
    """When all rest, they are tried all the same, first the one that failed longest ago."""
    the_list, clock = servers(rest=10, rotate=rotate)
    for server in (B, C, A):
        the_list.failed(server)
        clock.now += 1
    assert order(the_list) == "bca"
    the_list.failed(B)
    assert order(the_list) == "cab"


def test_no_rest() -> None:
    """With a rest of 0 seconds a failed server keeps its place."""
    the_list, _ = servers(rest=0)
    the_list.failed(A)
    assert order(the_list) == "abc"
    the_list.failed(A)
    assert order(the_list) == "abc"


def test_the_longest_rest() -> None:
    """A rest longer than ten minutes is ten minutes."""
    the_list, clock = servers(rest=10_000)
    the_list.failed(A)
    clock.now += 600
    assert one(the_list) == A


def test_a_clock_that_is_set_back() -> None:
    """A clock that was set back ends a rest, and cannot make it last for years."""
    the_list, clock = servers(rest=10)
    the_list.failed(A)
    clock.now -= 3600
    assert one(the_list) == A


def test_one_server() -> None:
    """One server is always tried."""
    the_list, _ = servers(1)
    for _ in range(3):
        assert order(the_list) == "a"
        the_list.failed(A)
