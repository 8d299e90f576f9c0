"""Refuses mail for people who have left, and takes all other."""

from qpsdk import DENY, OK, Address, Parameters, Plugin, Result, Transaction

GONE = {Address.parse("ann@example.org"), Address.parse("bob@example.org")}


class Gone(Plugin):
    def hook_rcpt(
        self,
        transaction: Transaction,
        recipient: Address,
        params: Parameters,
    ) -> Result:
        if recipient in GONE:  # whatever the case of its domain
            return DENY, "They no longer work here"
        return OK
