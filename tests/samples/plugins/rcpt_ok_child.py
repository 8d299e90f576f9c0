"""Inherits from another plugin, does something special, and leaves the rest to it."""

from qpsdk import DENY, Address, Parameters, Result, Transaction
from qpsdk.plugins.rcpt_ok import RcptOk


class RcptOkChild(RcptOk):
    def hook_rcpt(
        self,
        transaction: Transaction,
        recipient: Address,
        params: Parameters,
    ) -> Result:
        if recipient.user == b"nobody":
            return DENY, "that is nobody"
        return super().hook_rcpt(transaction, recipient, params)
