"""The pace of a client: the time that a command, a message and the whole connection may take."""

from qpsdk.pace import Pace
from qpsdk.settings import Settings

SLOW = ("You send too slowly", "4.4.2")
LONG = ("This connection has lasted too long", "4.3.2")


class Client:
    """Sends bytes after a while, and is told what is wrong with that."""

    def __init__(self, **settings: float) -> None:
        self.now = 100.0
        self.pace = Pace(Settings(timeout=10, **settings), self.now)  # type: ignore[arg-type]

    def send(
        self, octets: int, after: float, request: int = 1, *, in_transaction: bool = False
    ) -> tuple[str, str] | None:
        """Send so many bytes of a request after so many seconds."""
        asked, self.now = self.now, self.now + after
        return self.pace.problem(request, octets, asked, self.now, in_transaction=in_transaction)


def test_a_command_byte_by_byte() -> None:
    """A command has the time of one silence, however many there are between its bytes."""
    client = Client(min_data_rate=500)
    assert [client.send(1, 3) for _ in range(3)] == [None] * 3
    assert client.send(1, 3) == SLOW


def test_each_command_anew() -> None:
    """The next command has all of that time again."""
    client = Client(min_data_rate=500)
    assert [client.send(6, 9, request=number) for number in range(20)] == [None] * 20


def test_a_message_at_the_lowest_rate() -> None:
    """A message has that time, and what its bytes take at the rate; what is sent counts once."""
    client = Client(min_data_rate=500)
    assert [client.send(500, 1) for _ in range(100)] == [None] * 100
    assert [client.send(500, 2) for _ in range(10)] == [None] * 10
    assert client.send(500, 2) == SLOW


def test_our_own_time_does_not_count() -> None:
    """What plugins and disk take between two reads is not the client's fault."""
    client = Client(min_data_rate=500)
    for _ in range(50):
        assert client.send(1, 0.1) is None
        client.now += 60


def test_any_rate() -> None:
    """Without a rate a client may take all the time it wants."""
    client = Client(min_data_rate=0)
    assert [client.send(1, 9) for _ in range(100)] == [None] * 100


def test_the_whole_connection() -> None:
    """A connection may last so long; a transaction that is open then, as long again."""
    client = Client(min_data_rate=0, session_timeout=100)
    assert client.send(10, 99) is None
    assert client.send(10, 2, in_transaction=True) is None
    assert client.send(10, 98, in_transaction=True) is None
    assert client.send(10, 2, in_transaction=True) == LONG
    assert Client(session_timeout=100).send(10, 101) in (SLOW, LONG)


def test_no_limit_of_the_connection() -> None:
    """0 is no limit."""
    assert Client(min_data_rate=0, session_timeout=0).send(10, 1e9) is None
