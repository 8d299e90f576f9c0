"""Takes everything, and shows it: sender, recipient and our Received field."""

from qpsdk import OK, Address, Parameters, Plugin, Result, Transaction


class Shows(Plugin):
    def hook_mail(self, transaction: Transaction, sender: Address, params: Parameters) -> Result:
        return OK, str(sender)

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        return OK, str(recipient)

    def hook_queue(self, transaction: Transaction) -> Result:
        assert transaction.header is not None
        received = transaction.header.get("Received") or b""
        return OK, b" ".join(received.split())
