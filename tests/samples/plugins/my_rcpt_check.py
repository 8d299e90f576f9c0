"""An argument, ``my_rcpt_check example.com``; several instances, ``my_rcpt_check:0 b.org``."""

from qpsdk import DECLINED, OK, Address, Host, Parameters, Plugin, Result, Transaction


class MyRcptCheck(Plugin):
    def register(self, qp: Host, domain: str) -> None:
        self._domain = domain.encode().lower()

    def hook_rcpt(
        self,
        transaction: Transaction,
        recipient: Address,
        params: Parameters,
    ) -> Result:
        if recipient.host.lower() == self._domain:
            return OK, f"taken by {self.name}"
        return DECLINED
