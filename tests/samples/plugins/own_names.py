"""Methods with names of their own, registered for their hooks."""

from qpsdk import (
    DENY,
    LOGINFO,
    OK,
    Address,
    Host,
    Parameters,
    Plugin,
    Result,
    Transaction,
)


class OwnNames(Plugin):
    def register(self, qp: Host) -> None:
        self.register_hook("mail", self.mail_handler)
        self.register_hook("rcpt", self.rcpt_handler)

    def mail_handler(self, transaction: Transaction, sender: Address, params: Parameters) -> Result:
        self.log(LOGINFO, "pass:", sender)
        return OK, f"Sender {sender} OK"

    def rcpt_handler(
        self, transaction: Transaction, recipient: Address, params: Parameters
    ) -> Result:
        return DENY, f"not to {recipient}"
