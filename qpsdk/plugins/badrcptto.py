"""Refuses recipients that are listed.

In `config/plugins`, before `rcpt_ok`::

    badrcptto [reject=0|1|naughty] [reject_type=perm|temp|disconnect|temp_disconnect]

`config/badrcptto` has an entry on each line, and behind it what to tell the client. An entry is
an address, `@domain`, or a regular expression, see `AddressList`::

    former.colleague@example.com  She has left us
    %                             No percent hack here

Relay clients may write to them. What the options do is in `RejectMixin`.

It teaches that the order of plugins decides: the first that has an opinion ends the hook.
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


class BadRcptTo(RejectMixin):
    """Refuse the recipients in `config/badrcptto`."""

    def register(self, qp: Host, *, reject: str = "1", reject_type: str = "") -> None:
        """Check options and setting."""
        self.set_reject(reject, reject_type)
        self.parse_config("badrcptto", AddressList)

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        """Look the recipient up."""
        connection = transaction.connection
        if self.is_immune(connection):
            return DECLINED
        listed = self.parse_config("badrcptto", AddressList).find(recipient)
        if listed is None:
            return DECLINED
        message = listed.reason or "Mail to this recipient is not accepted here"
        return self.get_reject(connection, message, f"{recipient} is {listed.entry}")
