r"""Refuses senders that are listed.

In `config/plugins`::

    badmailfrom [reject=0|1|naughty] [reject_type=perm|temp|disconnect|temp_disconnect]

`config/badmailfrom` has an entry on each line, and behind it what to tell the client. An entry is
an address, `@domain`, or a regular expression, see `AddressList`::

    sue@example.org
    @spam.example           Your whole domain sent us spam
    ^bounce-.*@.*\.example$ We know that you are no mailing list

The null sender is never refused: bounces come from it (RFC 5321, 4.5.5). Relay clients may use
any. What the options do is in `RejectMixin`.

It teaches how a plugin leaves to the operator what its verdict does.
"""

from qpsdk import (
    DECLINED,
    Address,
    AddressList,
    Host,
    Parameters,
    RejectMixin,
    Result,
    Transaction,
)


class BadMailFrom(RejectMixin):
    """Refuse the senders in `config/badmailfrom`."""

    def register(self, qp: Host, *, reject: str = "1", reject_type: str = "") -> None:
        """Check options and setting."""
        self.set_reject(reject, reject_type)
        self.parse_config("badmailfrom", AddressList)

    def hook_mail(self, transaction: Transaction, sender: Address, params: Parameters) -> Result:
        """Look the sender up."""
        connection = transaction.connection
        if sender.is_null or self.is_immune(connection):
            return DECLINED
        listed = self.parse_config("badmailfrom", AddressList).find(sender)
        if listed is None:
            return DECLINED
        message = listed.reason or "Your envelope sender is in my badmailfrom list"
        return self.get_reject(connection, message, f"{sender} is {listed.entry}")
