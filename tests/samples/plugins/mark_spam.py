"""Marks messages for `discard_mail`."""

from qpsdk import DECLINED, Constant, Plugin, Transaction


class MarkSpam(Plugin):
    def hook_data_post(self, transaction: Transaction) -> Constant:
        assert transaction.header is not None
        transaction.notes["discard_mail"] = transaction.header.get("X-Spam") is not None
        return DECLINED
