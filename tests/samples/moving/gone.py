"""Refuses mail for people who have left, and takes all other."""

from qpsdk import DENY, OK, Address, Parameters, Plugin, Result, Transaction

GONE = {b"ann@example.org", b"bob@example.org"}


class Gone(Plugin):
    def hook_rcpt(
        self,
        transaction: Transaction,
        recipient: Address,
        params: Parameters,
    ) -> Result:
        if recipient.address in GONE:
            return DENY, "They no longer work here"
        return OK
