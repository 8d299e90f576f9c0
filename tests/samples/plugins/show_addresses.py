"""Takes everything, and shows the addresses that it was given."""

from qpsdk import OK, Address, Parameters, Plugin, Result, Transaction


class ShowAddresses(Plugin):
    def hook_mail(self, transaction: Transaction, sender: Address, params: Parameters) -> Result:
        return OK, f"{sender} {dict(params)}"

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        return OK, str(recipient)
