"""Where chapter 9 arrives: the plugin of its package, and what clients are told."""

from qpsdk import (
    DECLINED,
    DENYSOFT,
    OK,
    Address,
    Host,
    Parameters,
    Plugin,
    PluginError,
    Result,
    Transaction,
)
from qpsdk.testing import plugin, smtp


class RecipientLimit(Plugin):
    """Takes so many recipients in one message, and no more."""

    def register(self, qp: Host, most: str = "100") -> None:
        """Take the words of the line in config/plugins."""
        if not most.isascii() or not most.isdigit() or int(most) == 0:
            raise ValueError(f"{most!r}: write a number from 1 up, such as 100")
        self.most = int(most)

    def hook_rcpt(
        self, transaction: Transaction, recipient: Address, params: Parameters
    ) -> Result:
        """Put off a recipient too many: a client sends to it in its next message."""
        if len(transaction.recipients) >= self.most:
            return DENYSOFT, "too many recipients"
        return DECLINED


class TakeAll(Plugin):
    """Stands for the plugins behind ours."""

    def hook_rcpt(
        self, transaction: Transaction, recipient: Address, params: Parameters
    ) -> Result:
        return OK


with smtp("__main__.RecipientLimit 2", TakeAll()) as client:
    client.command("EHLO client.example.org")
    client.command("MAIL FROM:<sender@example.org>")
    for name in "abc":
        print(name, "->", client.command(f"RCPT TO:<{name}@example.com>"))

try:
    plugin(RecipientLimit, "many")
except PluginError as error:
    print(error)
