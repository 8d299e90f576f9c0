"""Adds a field to the header just before the message is queued."""

from qpsdk import DECLINED, OK, Constant, Plugin, Result, Transaction


class AddHeader(Plugin):
    def hook_queue_pre(self, transaction: Transaction) -> Constant:
        assert transaction.header is not None
        transaction.header.prepend("X-Checked", "yes")
        return DECLINED

    def hook_queue(self, transaction: Transaction) -> Result:
        assert transaction.header is not None
        return OK, b"X-Checked is " + (transaction.header.get("X-Checked") or b"missing")
