"""Tells the client what a setting is for its recipient: ``asks colour``."""

from qpsdk import OK, Address, Host, Parameters, Plugin, Result, Transaction


class Asks(Plugin):
    def register(self, qp: Host, setting: str) -> None:
        self._setting = setting

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        return OK, " and ".join(self.user_config(recipient, self._setting))
