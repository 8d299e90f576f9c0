"""Writes the Received field itself, of what it is told and what it knows."""

from qpsdk import OK, Plugin, Result, Transaction


class OwnReceived(Plugin):
    def hook_received_line(
        self, transaction: Transaction, smtp: str, auth: str, tls: str
    ) -> Result:
        host = transaction.connection.hello_host.decode("ascii", "replace")
        return OK, f"from {host} by us with {smtp}; some time ago"

    def hook_queue(self, transaction: Transaction) -> Result:
        assert transaction.header is not None
        return OK, transaction.header.get("Received")
