"""Puts off mail from those who have not written before: real mail servers come again.

In `config/plugins`, after `relay` and before the plugin that takes recipients, such as `rcpt_ok`::

    greylisting [black_timeout=SECONDS] [grey_timeout=SECONDS] [white_timeout=SECONDS]
                [remote_ip=0|1] [sender=0|1] [recipient=0|1] [reject=0|1]

Client, sender and recipient together are what is known or not. Of the client it is the network,
since large senders try again from a neighbour: /24 of IPv4, /64 of IPv6.

- `black_timeout`: seconds for which those who are new are put off; 300 if it is left out.
- `grey_timeout`: seconds after that, in which whoever comes again is taken, and known from then on;
  24 hours. Whoever does not come then is new again.
- `white_timeout`: seconds for which those are known who do not write, or up to a tenth longer; 36
  days.
- `remote_ip`, `sender`, `recipient`: 0 leaves that out of the three.
- `reject=0` only says in the log who would be put off. Begin with that, for a week or so: then
  those who write regularly are known, and meet no delay.

Clients in `config/greylisting_allow` are never put off: its lines are as in `relayclients`. Nor are
clients that may relay, or for which a plugin before has set the note `whitelisthost`.

The null sender is put off only at DATA. It is also that of servers which ask whether a sender of
theirs exists, and go away after RCPT: these are told at once.

What is known is in the store that `config/store` names, one for all hosts. Where it fails, mail
passes, and the log has a warning: greylisting may delay mail, and must not stop it. With
`on_error=denysoft` mail is put off then. Stored are hashes, no addresses.

It teaches how to keep state that hosts share, by one atomic call.
"""

import hashlib

from qpsdk import (
    DECLINED,
    DENYSOFT,
    LOGINFO,
    LOGNOTICE,
    LOGWARN,
    Address,
    Host,
    NetworkList,
    Parameters,
    RejectMixin,
    Result,
    StoreError,
    Transaction,
    netstring,
    network_of,
)

DAY = 24 * 60 * 60  # seconds
PUT_OFF = "This mail is temporarily denied, try again later"
NOTE = "greylisting"


class Greylisting(RejectMixin):
    """Answer DENYSOFT to those who are new."""

    def register(
        self,
        qp: Host,
        *,
        black_timeout: str = "300",
        grey_timeout: str = str(DAY),
        white_timeout: str = str(36 * DAY),
        remote_ip: str = "1",
        sender: str = "1",
        recipient: str = "1",
        reject: str = "1",
    ) -> None:
        """Check options and settings."""
        self.set_reject(reject, "temp")
        self.black = seconds("black_timeout", black_timeout)
        self.grey = seconds("grey_timeout", grey_timeout)
        self.white = seconds("white_timeout", white_timeout)
        if reject == "naughty":
            raise ValueError("reject=naughty: write 0 or 1, each recipient is put off by itself")
        self.uses = tuple(
            is_on(*option)
            for option in (("remote_ip", remote_ip), ("sender", sender), ("recipient", recipient))
        )
        if not any(self.uses):
            raise ValueError("one of remote_ip, sender and recipient has to be 1")
        self.parse_config("greylisting_allow", NetworkList)
        if not qp.store.lasting:
            self.log(LOGWARN, "who is known is forgotten when the host stops: name a config/store")

    async def hook_rcpt(
        self, transaction: Transaction, recipient: Address, params: Parameters
    ) -> Result:
        """Put a recipient off; with the null sender, remember to put the message off."""
        connection = transaction.connection
        if self.is_immune(connection):
            return DECLINED
        if connection.remote_ip in self.parse_config("greylisting_allow", NetworkList):
            return DECLINED
        try:
            known = await self.is_known(transaction, recipient)
        except StoreError as error:
            self.log(LOGWARN, f"the store fails, so nobody is looked up: {error}")
            closed = self.options.on_error == "denysoft"
            return (DENYSOFT, PUT_OFF) if closed else DECLINED
        if known:
            return DECLINED
        assert transaction.sender is not None
        if transaction.sender.is_null and self.reject == "1":
            transaction.notes[NOTE] = True
            return DECLINED
        return self.get_reject(connection, PUT_OFF)

    def hook_data(self, transaction: Transaction) -> Result:
        """Put a message with the null sender off."""
        if NOTE in transaction.notes:
            return self.get_reject(transaction.connection, PUT_OFF)
        return DECLINED

    async def is_known(self, transaction: Transaction, recipient: Address) -> bool:
        """Whether these three may pass; from now on they are at least expected.

        Raises:
            StoreError: Nobody knows.
        """
        store, now = self.qp.store, int(self.qp.clock())
        key = self.key(transaction, recipient)
        # Whatever other hosts do at this moment, one of us is the first.
        found = await store.add(key, b"black %d" % now, self.black + self.grey)
        if found is None:
            self.log(LOGINFO, "black: first seen, come again in", self.black, "s")
            return False
        color, since = found.split()
        waited = now - int(since)
        if color == b"white":
            if waited < self.white // 10:
                return True  # to write it each time would double the work of the store
        elif 0 <= waited < self.black:  # a clock that was set back must not hold mail up
            self.log(LOGINFO, "black: came again after", waited, "s of", self.black)
            return False
        else:
            self.log(LOGNOTICE, "white: came again after", waited, "s")
        await store.set(key, b"white %d" % now, self.white + self.white // 10)
        return True

    def key(self, transaction: Transaction, recipient: Address) -> bytes:
        """What stands for the three in the store, of the same length for all."""
        assert transaction.sender is not None
        three = (
            network_of(transaction.connection.remote_ip, v4_bits=24).encode(),
            transaction.sender.address.lower(),
            recipient.address.lower(),
        )
        # As netstrings, so that no two threes are written in the same way.
        parts = [netstring.encode(p) for p, used in zip(three, self.uses, strict=True) if used]
        return b"greylisting:" + hashlib.blake2b(b"".join(parts), digest_size=16).digest()


def seconds(option: str, text: str) -> int:
    """The number of seconds that an option gives."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ValueError(f"{option}={text}: write a number of seconds, such as 300")
    return int(text)


def is_on(option: str, text: str) -> bool:
    """Whether an option is 1."""
    if text not in ("0", "1"):
        raise ValueError(f"{option}={text}: write 0 or 1")
    return text == "1"
