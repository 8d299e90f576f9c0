"""Whether a client goes on: neither too slowly in one thing, nor for too long in all."""

from typing import Final

from qpsdk.settings import Settings

TOO_SLOW: Final = "You send too slowly", "4.4.2"
TOO_LONG: Final = "This connection has lasted too long", "4.3.2"


class Pace:
    """The time that one client has taken.

    It may be silent for `timeout`, which the stream sees to. A client that sends a byte now and
    then is never silent, so that a command or a message also has to be whole after that time, and
    after what its bytes take at the lowest rate. Only the time that we wait for it counts.
    """

    __slots__ = ("_end", "_octets", "_rate", "_request", "_session", "_timeout", "_waited")

    def __init__(self, settings: Settings, now: float) -> None:
        """The connection begins `now`, by a clock in seconds that is never set."""
        self._timeout = settings.timeout
        self._rate = settings.min_data_rate
        self._session = settings.session_timeout or float("inf")
        self._end = now + self._session
        self._request = 0
        self._waited = 0.0
        self._octets = 0

    def problem(
        self, request: int, octets: int, asked: float, came: float, *, in_transaction: bool
    ) -> tuple[str, str] | None:
        """What a client has to be sent away for, if anything, as text and enhanced status code.

        Args:
            request: The number of the command or message that it is sending.
            octets: What has just come of it.
            asked: When we began to wait for that, and when it `came`.
        """
        if request != self._request:
            self._request, self._waited, self._octets = request, 0.0, 0
        self._waited += came - asked
        self._octets += octets
        if self._rate and self._waited > self._timeout + self._octets / self._rate:
            return TOO_SLOW
        # A transaction that is open is not thrown away as long as it ends in reasonable time.
        if came > self._end and (not in_transaction or came > self._end + self._session):
            return TOO_LONG
        return None
