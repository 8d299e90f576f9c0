"""Reads lines of a config file when they are needed: a change takes no restart."""

from qpsdk import DECLINED, DENY, Address, Parameters, Plugin, Result, Transaction


class MyConfig(Plugin):
    def hook_mail(self, transaction: Transaction, sender: Address, params: Parameters) -> Result:
        if str(sender).strip("<>") in self.config("my_config"):
            return DENY, "my_config names you"
        return DECLINED
