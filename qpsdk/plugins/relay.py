"""Says which clients may send mail to anyone.

In `config/plugins`, before the plugins that leave such clients alone::

    relay [only]

A client in `relayclients` or `morerelayclients` becomes a relay client, one in `norelayclients`
never does. Each line of the three is an address, a network such as 192.0.2.0/24, or the
beginning of addresses, such as 192.0.2. with its dot. With `only` nobody else may send here: any
other client's recipients are refused.

It teaches how one plugin tells the others something: `connection.relay_client`.
"""

from qpsdk import (
    DECLINED,
    DENY,
    LOGINFO,
    OK,
    Address,
    Connection,
    Host,
    NetworkList,
    Parameters,
    Plugin,
    Result,
    Transaction,
)


class Relay(Plugin):
    """Set `relay_client` by the client's address."""

    def register(self, qp: Host, only: str = "") -> None:
        """Check the argument and the settings."""
        if only not in ("", "only"):
            raise ValueError(f"{only!r} is not known; write only, or nothing")
        if only:
            self.register_hook("rcpt", self.relay_only)
        for name in ("relayclients", "morerelayclients", "norelayclients"):
            self.parse_config(name, NetworkList)

    def hook_connect(self, connection: Connection) -> Result:
        """Look the client up."""
        if self.listed(connection, "norelayclients"):
            connection.relay_client = False
            self.log(LOGINFO, "no relay client, it is in norelayclients")
        elif self.listed(connection, "relayclients", "morerelayclients"):
            connection.relay_client = True
            self.log(LOGINFO, "relay client")
        return DECLINED

    def relay_only(
        self, transaction: Transaction, recipient: Address, params: Parameters
    ) -> Result:
        """Take every recipient from a relay client, none from others."""
        if transaction.connection.relay_client:
            return OK
        return DENY, "Relaying denied"

    def listed(self, connection: Connection, *names: str) -> bool:
        """Whether the client is in one of these lists."""
        return any(connection.remote_ip in self.parse_config(name, NetworkList) for name in names)
