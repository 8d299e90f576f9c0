"""Changes what another plugin answers: the client goes after too many attempts to relay."""

from typing import Final

from qpsdk import (
    DENY,
    DENY_DISCONNECT,
    Address,
    Host,
    Parameters,
    Result,
    Transaction,
)
from qpsdk.plugins.rcpt_ok import RcptOk

ATTEMPTS: Final = "relay_attempts"


class RcptOkMaxrelay(RcptOk):
    def register(self, qp: Host, most: str = "5", *, routes: str = "deny") -> None:
        super().register(qp, routes=routes)
        self._most = int(most)

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        result = super().hook_rcpt(transaction, recipient, params)
        if not self._most or not isinstance(result, tuple) or result[0] is not DENY:
            return result
        notes = transaction.connection.notes
        notes[ATTEMPTS] = notes.get(ATTEMPTS, 0) + 1
        if notes[ATTEMPTS] > self._most:
            return DENY_DISCONNECT, "Too many relaying attempts"
        return result
