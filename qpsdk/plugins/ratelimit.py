"""Limits how much each client may send.

In `config/plugins`, before the plugin that takes recipients, such as `rcpt_ok`::

    ratelimit LIMIT SECONDS [count=recipients|messages] [by=client|sender|user]

puts off what is more than LIMIT in SECONDS. Several lines with a number each, such as
`ratelimit:1`, are several limits.

- `count`: what is counted, recipients unless given. All that are named count, also those that are
  refused then.
- `by`: for whom: `client`, which is an address of IPv4, or /64 of IPv6; `sender`, the envelope's;
  `user`, who has logged in. What has none of these, such as the null sender, is not limited.

Clients in `config/ratelimit_allow` are not limited: its lines are as in `relayclients`.

The counts are in the store that `config/store` names, one for all hosts. Where it fails, nobody is
limited, and the log has a warning; with `on_error=denysoft` all are put off then.

It teaches how to count across hosts.
"""

from qpsdk import (
    DECLINED,
    DENYSOFT,
    LOGNOTICE,
    LOGWARN,
    Address,
    Host,
    NetworkList,
    Parameters,
    Plugin,
    Result,
    StoreError,
    Transaction,
    network_of,
)

COUNTS = {"recipients": "rcpt", "messages": "mail"}  # and the hook at which each is counted


class Ratelimit(Plugin):
    """Count, and answer DENYSOFT to what is too much."""

    def register(
        self, qp: Host, limit: str, seconds: str, *, count: str = "recipients", by: str = "client"
    ) -> None:
        """Check the words of the line."""
        self.limit = number("LIMIT", limit)
        self.seconds = number("SECONDS", seconds)
        if count not in COUNTS:
            raise ValueError(f"count={count}: write recipients or messages")
        if by not in ("client", "sender", "user"):
            raise ValueError(f"by={by}: write client, sender or user")
        self.count, self.by = count, by
        self.register_hook(COUNTS[count], self.check)
        self.parse_config("ratelimit_allow", NetworkList)

    async def check(self, transaction: Transaction, address: Address, params: Parameters) -> Result:
        """Count this sender or recipient."""
        if transaction.connection.remote_ip in self.parse_config("ratelimit_allow", NetworkList):
            return DECLINED
        who = self.who(transaction, address)
        if not who:
            return DECLINED
        # The limit is in the key: to change it begins a new count.
        key = b"ratelimit:%s:%s:%d:%d:%s" % (
            self.count.encode(),
            self.by.encode(),
            self.limit,
            self.seconds,
            who,
        )
        try:
            count = await self.qp.store.increment(key, self.seconds)
        except StoreError as error:
            self.log(LOGWARN, f"the store fails, so nobody is limited: {error}")
            closed = self.options.on_error == "denysoft"
            return (DENYSOFT, "Cannot say how much you have sent") if closed else DECLINED
        if count <= self.limit:
            return DECLINED
        self.log(LOGNOTICE, f"{count} {self.count} in {self.seconds} s, {self.limit} allowed")
        return DENYSOFT, f"Too many {self.count}, try again later"

    def who(self, transaction: Transaction, address: Address) -> bytes:
        """Whose count it is; empty for nobody's."""
        connection = transaction.connection
        if self.by == "client":
            return network_of(connection.remote_ip).encode()
        if self.by == "user":
            return connection.auth_user or b""
        sender = transaction.sender or address  # at MAIL it is not set yet
        return sender.address.lower()


def number(name: str, text: str) -> int:
    """A word that is a number."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ValueError(f"{text!r} is no {name}; write numbers: ratelimit 100 3600")
    return int(text)
