"""Judges the sender when it comes, and refuses in RCPT, as the protocol would have it."""

from qpsdk import DECLINED, DENY, Address, Constant, Parameters, Plugin, Result, Transaction


class SenderNote(Plugin):
    def hook_mail(self, transaction: Transaction, sender: Address, params: Parameters) -> Constant:
        if sender.user.startswith(b"spam"):
            transaction.notes["sender_note"] = "your sender does not look well"
        return DECLINED

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        if (note := transaction.notes.get("sender_note")) is not None:
            return DENY, note
        return DECLINED
