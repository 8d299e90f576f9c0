"""Sends a client away as soon as the header tells enough."""

from qpsdk import DECLINED, DENY_DISCONNECT, Plugin, Result, Transaction


class EarlyGoodbye(Plugin):
    def hook_data_headers_end(self, transaction: Transaction) -> Result:
        assert transaction.header is not None
        if transaction.header.get("X-Worm") is not None:
            return DENY_DISCONNECT, "we have had that one"
        return DECLINED
