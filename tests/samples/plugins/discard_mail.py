"""Takes messages that another plugin has marked, and drops them."""

from qpsdk import DECLINED, OK, Plugin, Result, Transaction


class DiscardMail(Plugin):
    def hook_queue(self, transaction: Transaction) -> Result:
        if not transaction.notes.get("discard_mail"):
            return DECLINED
        assert transaction.header is not None
        message_id = transaction.header.get("Message-Id") or b""
        return OK, b"Queued! " + message_id.strip()
