"""The pace of a client: the time that a command, a message and the whole connection may take."""

from qpsdk.config import Config
from qpsdk.pace import Pace
from qpsdk.settings import Settings


class Client:
    """Sends pieces of commands and messages, each after a while."""

    def __init__(self, **settings: int) -> None:
        given = {name: str(value) for name, value in settings.items()}
        self.pace = Pace(Settings.read(Config({"timeout": "10"} | given)), 100.0)

    def sends(self, octets: int, after: float, request: int = 1) -> bool:
        """Send so many bytes of a request after so many seconds; False if that is too slow."""
        self.pace.latest = octets, after
        return not self.pace.is_too_slow(request)


def test_a_command_byte_by_byte() -> None:
    """A command has the time of one silence, however many there are between its bytes."""
    client = Client(min_data_rate=500)
    assert [client.sends(1, 3) for _ in range(4)] == [True, True, True, False]


def test_each_command_anew() -> None:
    """The next command has all of that time again."""
    client = Client(min_data_rate=500)
    assert all(client.sends(6, 9, request=number) for number in range(20))


def test_a_message_at_the_lowest_rate() -> None:
    """A message has that time, and what its bytes take at the rate; what is sent counts once."""
    client = Client(min_data_rate=500)
    assert all(client.sends(500, 1) for _ in range(100))
    assert all(client.sends(500, 2) for _ in range(10))
    assert not client.sends(500, 2)


def test_any_rate() -> None:
    """Without a rate a client may take all the time it wants."""
    client = Client(min_data_rate=0)
    assert all(client.sends(1, 9) for _ in range(100))


def test_the_whole_connection() -> None:
    """A connection may last so long; a transaction that is open then, as long again."""
    pace = Client(session_timeout=100).pace
    assert pace.end == 200
    assert not pace.is_too_long(200, in_transaction=False)
    assert pace.is_too_long(200.1, in_transaction=False)
    assert not pace.is_too_long(300, in_transaction=True)
    assert pace.is_too_long(300.1, in_transaction=True)


def test_no_limit_of_the_connection() -> None:
    """0 is no limit."""
    assert not Client(session_timeout=0).pace.is_too_long(1e9, in_transaction=False)
