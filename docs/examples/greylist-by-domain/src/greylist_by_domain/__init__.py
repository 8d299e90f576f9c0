"""Puts off mail from a domain that has not written before.

A line of config/plugins loads it:

    greylist_by_domain
"""

from qpsdk import DECLINED, DENY, Address, Parameters, Plugin, Result, Transaction


class GreylistByDomain(Plugin):
    """Puts off mail from a domain that has not written before.

    There is one instance for all clients: keep what belongs to a client or to a message in
    `connection.notes` or `transaction.notes`. What each hook does here is an example: put your
    rules in its place. `qpsdk hooks` lists all hooks, and what each may answer.
    """

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        """Refuse one recipient; whether the others are ours, another plugin says."""
        if recipient.user.lower() == b"nobody":
            return DENY, "Nobody lives here"
        return DECLINED
