"""Refuses, at a hook of your choice, the clients that other plugins have marked.

In `config/plugins`, after the plugins with `reject=naughty`::

    naughty [reject=connect|mail|rcpt|data|data_post] [reject_type=disconnect|...]

- `reject`: at which hook; `rcpt` if it is left out: then the log knows sender and recipient of
  what was refused, and the client had its chance to authenticate.
- `reject_type`: as in `RejectMixin`, for clients whose plugin has none; `disconnect` if it is
  left out.

Let through are clients that may relay by now, and at `rcpt` what is for postmaster, who has to be
told when we are wrong (RFC 5321, 4.5.1).

It teaches `register_hook`: one method for a hook that the line names.
"""

from typing import Any

from qpsdk import (
    DECLINED,
    Address,
    Connection,
    Host,
    Parameters,
    RejectMixin,
    Result,
    Transaction,
)

HOOKS = ("connect", "mail", "rcpt", "data", "data_post")


class Naughty(RejectMixin):
    """Refuse what `RejectMixin.get_reject` put off."""

    def register(self, qp: Host, *, reject: str = "rcpt", reject_type: str = "disconnect") -> None:
        """Check the options, and take the hook."""
        if reject not in HOOKS:
            raise ValueError(f"reject={reject}: write one of {', '.join(HOOKS)}")
        self.set_reject(reject_type=reject_type)
        self.register_hook(reject, self.refuse_recipient if reject == "rcpt" else self.refuse)

    def refuse(self, about: Connection | Transaction, *_: Any) -> Result:
        """Refuse a client that is marked, whatever else the hook gives."""
        connection = about.connection if isinstance(about, Transaction) else about
        if not self.is_naughty(connection) or connection.relay_client:
            return DECLINED
        reject_type = connection.notes.get("naughty_reject_type", "")
        return self.get_reject_type(reject_type), connection.notes["naughty"]

    def refuse_recipient(
        self, transaction: Transaction, recipient: Address, params: Parameters
    ) -> Result:
        """Refuse a client's recipients, but for postmaster."""
        if recipient.user.lower() == b"postmaster":
            return DECLINED
        return self.refuse(transaction)
