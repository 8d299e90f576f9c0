"""Takes messages that another plugin marked, and drops them."""

from qpsdk import DECLINED, LOGINFO, OK, Plugin, Result, Transaction


class Discard(Plugin):
    """Accept a message whose notes have ``discard_mail``, and keep nothing of it."""

    def hook_queue(self, transaction: Transaction) -> Result:
        """Say that the message is queued, which is not true."""
        if "discard_mail" not in transaction.notes:
            return DECLINED
        self.log(LOGINFO, "discarding", transaction.id)
        return OK, "Queued!"
