"""Whether a client goes on: neither too slowly in one thing, nor for too long in all."""

from qpsdk.settings import Settings


class Pace:
    """The time that one client has taken.

    It may be silent for `timeout`, which the stream sees to. A client that sends a byte now and
    then is never silent, so that a command or a message also has to be whole after that time, and
    after what its bytes take at the lowest rate. Only the time that we wait for it counts.

    Attributes:
        end: When the connection has to end, by the clock of the session.
        latest: How many octets came last, and how many seconds we had waited for them.
    """

    __slots__ = ("_octets", "_rate", "_request", "_session", "_timeout", "_waited", "end", "latest")

    def __init__(self, settings: Settings, now: float) -> None:
        """The connection begins `now`, by a clock in seconds that is never set."""
        self._timeout = settings.timeout
        self._rate = settings.min_data_rate
        self._session = settings.session_timeout or float("inf")
        self.end = now + self._session
        self.latest = 0, 0.0
        self._request = 0
        self._octets, self._waited = 0, 0.0

    def is_too_slow(self, request: int) -> bool:
        """Whether it takes too long until a command or message is whole; ask after each piece.

        Args:
            request: The number of that command or message.
        """
        if request != self._request:
            self._request, self._octets, self._waited = request, 0, 0.0
        octets, seconds = self.latest
        self._octets += octets
        self._waited += seconds
        return bool(self._rate) and self._waited > self._timeout + self._octets / self._rate

    def is_too_long(self, now: float, *, in_transaction: bool) -> bool:
        """Whether the connection has lasted too long.

        A transaction that is open is not thrown away as long as it ends in reasonable time.
        """
        return now > self.end and (not in_transaction or now > self.end + self._session)
