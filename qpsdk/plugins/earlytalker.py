"""Catches clients that speak before they are spoken to.

In `config/plugins`, after `relay`::

    earlytalker [wait=SECONDS] [check_at=connect,data] [defer_reject=0|1] [reject=...] ...

RFC 5321, 4.3.1 has a client wait for the greeting, and 3.3 for the answer to DATA. Programs that
only throw out spam do not read what we answer.

- `wait`: seconds, 1 if it is left out. Each client but immune ones waits as long.
- `check_at`: before the greeting (`connect`, if it is left out), before the answer to `data`, or
  both. For `data` add `reject_type=disconnect`: else what was sent too early is read as commands,
  and each line of it answered.
- `defer_reject=1`: whoever speaks before the greeting is refused at MAIL, so that the log has the
  sender.
- `reject`, `reject_type`: as in `RejectMixin`.

For other plugins, the note `earlytalker` says what such a client did.

It teaches how to wait without holding up anyone: the hook is `async`, and sleeps.
"""

import asyncio

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

BEFORE_GREETING = "You have started to speak before the greeting"
BEFORE_DATA = "You have started to send the message before you were told to"


class EarlyTalker(RejectMixin):
    """Wait, and see whether the client can."""

    def register(
        self,
        qp: Host,
        *,
        wait: str = "1",
        check_at: str = "connect",
        defer_reject: str = "0",
        reject: str = "1",
        reject_type: str = "",
    ) -> None:
        """Check the options, and take the hooks that they name."""
        self.set_reject(reject, reject_type)
        try:
            self.wait = float(wait)
        except ValueError:
            self.wait = -1
        limit = self.time_limit("connect")  # cut off by the host, we would refuse all
        if not 0 <= self.wait < limit:
            raise ValueError(f"wait={wait}: write a number of seconds below {limit:g}")
        if not set(check_at.split(",")) <= {"connect", "data"}:
            raise ValueError(f"check_at={check_at}: write connect, data or connect,data")
        if defer_reject not in ("0", "1"):
            raise ValueError(f"defer_reject={defer_reject}: write 0 or 1")
        self.defer_reject = defer_reject == "1"
        if "connect" in check_at:
            self.register_hook("connect", self.before_greeting)
        if "data" in check_at:
            self.register_hook("data", self.before_data)

    async def before_greeting(self, connection: Connection) -> Result:
        """Wait with the greeting."""
        if not await self.speaks(connection):
            return DECLINED
        connection.notes["earlytalker"] = BEFORE_GREETING
        return DECLINED if self.defer_reject else self.get_reject(connection, BEFORE_GREETING)

    async def before_data(self, transaction: Transaction) -> Result:
        """Wait with the answer to DATA, which no client may send anything behind."""
        if not await self.speaks(transaction.connection):
            return DECLINED
        transaction.connection.notes["earlytalker"] = BEFORE_DATA
        return self.get_reject(transaction.connection, BEFORE_DATA)

    def hook_mail(self, transaction: Transaction, sender: Address, params: Parameters) -> Result:
        """Refuse now a client that spoke before the greeting."""
        connection = transaction.connection
        early = connection.notes.get("earlytalker")
        if not self.defer_reject or not early or self.is_immune(connection):
            return DECLINED
        return self.get_reject(connection, early)

    async def speaks(self, connection: Connection) -> bool:
        """Whether the client speaks while we wait."""
        if self.is_immune(connection):
            return False
        await asyncio.sleep(self.wait)
        return connection.input_waiting()
