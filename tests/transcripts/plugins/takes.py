"""Takes every recipient and every message."""

from qpsdk import OK, Address, Constant, Parameters, Plugin, Transaction


class Takes(Plugin):
    def hook_rcpt(
        self, transaction: Transaction, recipient: Address, params: Parameters
    ) -> Constant:
        return OK

    def hook_queue(self, transaction: Transaction) -> Constant:
        return OK
