"""AUTH in one conversation: what is offered, and who the client turns out to be (RFC 4954)."""

import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from qpsdk.constants import DECLINED, LOGINFO, LOGNOTICE, OK
from qpsdk.dispatcher import Dispatcher
from qpsdk.gate import Gate
from qpsdk.host import Host
from qpsdk.lists import network_of
from qpsdk.reply import Reply
from qpsdk.settings import Settings
from qpsdk.smtp.commands import CommandError
from qpsdk.smtp.events import Auth, Credentials
from qpsdk.smtp.sasl import MECHANISMS, Exchange, new_ticket
from qpsdk.verdicts import Verdicts

_NOT_OFFERED: Final = Reply.make(502, "AUTH is not offered here", "5.5.1")
_TLS_FIRST: Final = Reply.make(530, "Must issue a STARTTLS command first", "5.7.0")
_TOO_MANY_FAILED: Final = Reply.make(
    454, "Too many failed authentications from your address, try again later", "4.7.0"
)
_TOO_MANY_AT_ONCE: Final = Reply.make(
    454, "Too many authentications at once from your address, try again later", "4.7.0"
)
_TWICE: Final = Reply.make(503, "You have authenticated already", "5.5.1")
_UNKNOWN: Final = Reply.make(504, "Authentication mechanism not offered", "5.5.4")


class Authentication:
    """Asks the plugins who the client is, and keeps count of its attempts."""

    def __init__(
        self,
        verdicts: Verdicts,
        dispatcher: Dispatcher,
        settings: Settings,
        host: Host,
    ) -> None:
        self._verdicts = verdicts
        self._connection = verdicts.connection
        self._settings = settings
        self._clock = host.clock
        self._attempts = host.failed_auth
        self._gates = host.auth_gates
        self._failed = 0
        self._relayed_before = False
        self._mechanisms = _mechanisms(dispatcher.hooks)

    @property
    def offered(self) -> Sequence[str]:
        """The mechanisms that the client may use now: those that a plugin can judge."""
        if self._settings.tls_before_auth and self._connection.tls is None:
            return ()
        return self._mechanisms

    async def begin(self, event: Auth) -> Reply | tuple[Exchange, Reply]:
        """The reply to AUTH, or where more has to be said, the exchange and its challenge."""
        if not self._mechanisms:
            return _NOT_OFFERED
        if not self.offered:
            return _TLS_FIRST
        if self._connection.auth_user:
            return _TWICE
        if self._left() == 0:
            return self._refuse(_TOO_MANY_FAILED)
        mechanism = event.mechanism.upper()
        if mechanism not in self.offered:
            return _UNKNOWN
        ticket = new_ticket(secrets.token_hex(16), self._clock(), self._settings.me)
        exchange = Exchange(mechanism, ticket)
        try:
            answer = exchange.start(event.initial)
        except CommandError as error:
            return error.reply
        return await self.judge(answer) if isinstance(answer, Credentials) else (exchange, answer)

    async def judge(self, credentials: Credentials) -> Reply:
        """Ask the plugins, once no more attempts of the address are under way than may still fail.

        Else those that begin at once would all pass, before the first of them counts as failed.
        """
        if (left := self._left()) is None:
            return await self._ask(credentials)
        gate = self._gates.setdefault(network_of(self._connection.remote_ip), Gate())
        gate.set_limit(max(left, 1))
        if not (gate.enter() or await gate.wait(self._verdicts.work)):
            return self._refuse(_TOO_MANY_AT_ONCE)
        try:
            if self._left() == 0:
                return self._refuse(_TOO_MANY_FAILED)
            return await self._ask(credentials)
        finally:
            gate.limit = max(self._left() or 0, 1)
            gate.leave()

    async def _ask(self, credentials: Credentials) -> Reply:
        """Ask the plugins of this mechanism, then those of any; the reply."""
        connection, verdicts = self._connection, self._verdicts
        self._relayed_before = connection.relay_client
        for hook in (_hook(credentials.mechanism), "auth"):
            outcome = await verdicts.ask(hook, connection, connection, *credentials)
            if outcome.constant is not DECLINED:
                break
        reply = verdicts.reply(hook, outcome)
        assert reply is not None  # the table has one for each answer
        who = f"{credentials.user.decode('utf-8', 'replace')[:255]} ({credentials.mechanism})"
        if outcome.constant is OK:
            connection.relay_client = True
            connection.auth_user = credentials.user
            connection.auth_mechanism = credentials.mechanism
            verdicts.log(LOGINFO, f"authenticated as {who}", outcome.plugin)
        elif reply.code == 535:
            self._failed += 1
            self._attempts.add(connection.remote_ip)
            verdicts.log(LOGNOTICE, f"authentication failed: {who}", outcome.plugin)
            if self._failed >= self._settings.limits.failed_auth and not verdicts.closing:
                verdicts.closing = True
                text = f"{self._settings.me} Too many failed authentications"
                farewell = Reply.make(421, text, "4.7.0")
                verdicts.log(LOGNOTICE, f"sent away: {farewell}")
                return farewell
        return reply

    def _left(self) -> int | None:
        """How many attempts from the client's address may still fail; None for any number."""
        limit, ip = self._settings.max_auth_failures_per_address, self._connection.remote_ip
        if not limit or not ip or ip in self._settings.unlimited_clients:
            return None  # on a unix socket they have no address
        return max(limit - self._attempts.count(ip), 0)

    def _refuse(self, reply: Reply) -> Reply:
        self._verdicts.log(LOGNOTICE, f"AUTH refused: {reply}")
        return reply

    def forget(self) -> None:
        """The client begins anew (RFC 3207, 4.2); its failed attempts still count."""
        if self._connection.auth_user:
            self._connection.relay_client = self._relayed_before
        self._connection.auth_user, self._connection.auth_mechanism = b"", ""


@lru_cache(maxsize=8)
def _mechanisms(hooks: frozenset[str]) -> tuple[str, ...]:
    """Those that a plugin of the host can judge: the same at each client."""
    return tuple(m for m in MECHANISMS if "auth" in hooks or _hook(m) in hooks)


def _hook(mechanism: str) -> str:
    return "auth_" + mechanism.lower().replace("-", "_")
