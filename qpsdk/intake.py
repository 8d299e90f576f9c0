"""A message on its way in: its blocks, its header, its end, and what the plugins make of it."""

from typing import Final

from qpsdk.constants import DONE, LOGERROR, LOGINFO, LOGNOTICE, LOGWARN
from qpsdk.errors import MessageTooLargeError, StreamError
from qpsdk.gate import PATIENCE
from qpsdk.host import Host
from qpsdk.log import enabled
from qpsdk.message import Outcome, Transaction
from qpsdk.reply import Reply
from qpsdk.settings import Settings
from qpsdk.smtp.engine import Engine
from qpsdk.smtp.events import Mail, MessageEnd
from qpsdk.trace import add_trace
from qpsdk.verdicts import Verdicts, named

_HEADER_TOO_LARGE: Final = Reply.make(552, "The header is larger than allowed here", "5.3.4")
_SPOOL_FAILED: Final = Reply.make(452, "Cannot store the message now, try again later", "4.3.1")
_BUSY: Final = Reply.make(451, "Too busy to queue the message now, try again later", "4.3.2")
_MAIL_LOOP: Final = Reply.make(554, "Too many Received fields: a mail loop", "5.4.6")


class Intake:
    """Takes the messages of one connection.

    Attributes:
        queued: How the queue hook ended, if the last message came so far.
    """

    def __init__(
        self,
        verdicts: Verdicts,
        engine: Engine,
        settings: Settings,
        host: Host,
    ) -> None:
        self.queued: Outcome | None = None
        self._verdicts = verdicts
        self._ask, self._reply, self._log = verdicts.ask, verdicts.reply, verdicts.log
        self._engine = engine
        self._settings = settings
        self._hooks = verdicts.hooks  # hooks that send nothing and that no plugin has are skipped
        self._host = host

    def shortage(self, event: Mail) -> Reply | None:
        """The reply to a MAIL that announces more than there is room for, if it does."""
        size = int(event.params.get("size", 0))
        if size <= self._settings.size_threshold:
            return None
        try:
            self._host.spool.check_room(size)
        except OSError as error:
            sender = event.address.decode("ascii", "backslashreplace")
            told = f"a message of {size} bytes was put off: {error.strerror} (from {sender})"
            self._log(LOGERROR, told)
            return _SPOOL_FAILED
        return None

    async def block(self, transaction: Transaction, data: bytes) -> None:
        """Keep the next bytes of the message, as long as it may be taken."""
        refusal: Reply | None = None
        try:
            if transaction.receive(data):
                refusal = await self._header_end(transaction)
        except MessageTooLargeError:
            refusal = _HEADER_TOO_LARGE
        except OSError as error:
            self._log(LOGERROR, f"cannot write to the spool: {error}")
            refusal = _SPOOL_FAILED
        if refusal is not None:
            self._engine.refuse_message(refusal)
            transaction.close()

    async def _header_end(self, transaction: Transaction) -> Reply | None:
        """The header has come; the reply that refuses the message for it, if any."""
        header, limit = transaction.header, self._settings.limits.received
        assert header is not None
        # Counting costs, and a short header cannot have that many fields.
        if header.size > limit * len(b"Received:\n") and header.count("Received") > limit:
            return _MAIL_LOOP
        if "data_headers_end" not in self._hooks:
            return None
        outcome = await self._ask("data_headers_end", transaction, transaction)
        reply = self._reply("data_headers_end", outcome)
        if reply is not None:  # both denials of this hook close, and do not wait for the body
            self._engine.close(reply)
        return None

    async def end(self, transaction: Transaction, event: MessageEnd) -> Reply | None:
        """The message has come: the reply to its final dot; None if we close without."""
        reply = event.refusal
        if reply is None and transaction.receive_end(event.size):
            reply = await self._header_end(transaction)
        if self._verdicts.closing:
            return None
        if reply is not None:
            self._log(LOGNOTICE, f"message refused: {reply}{self._verdicts.whose()}")
            return reply
        return await self._take(transaction)

    async def _take(self, transaction: Transaction) -> Reply:
        """Offer the whole message to the plugins; the reply to the final dot."""
        reply = await self._first_reply(transaction, "data_post_headers")
        if reply is None:
            await add_trace(self._verdicts, transaction, self._settings, self._host.clock())
            reply = await self._first_reply(transaction, "data_post", "queue_pre")
        return reply or await self._queue(transaction)

    async def _first_reply(self, transaction: Transaction, *hooks: str) -> Reply | None:
        """What the first of some hooks that has one says; None if the message may be queued."""
        for hook in hooks:
            if hook in self._hooks:
                outcome = await self._ask(hook, transaction, transaction)
                if (reply := self._reply(hook, outcome)) is not None:
                    self._warn_of_done(hook, outcome, reply)
                    return reply
        return None

    async def _queue(self, transaction: Transaction) -> Reply:
        """Have the message queued, once the queue plugins may have one more."""
        if not await self._begin_to_queue(transaction):
            return _BUSY
        try:
            if self._verdicts.lost:  # it will send the message again
                raise StreamError("the client went before its message was queued")
            outcome = await self._ask("queue", transaction, transaction)
        finally:
            self._host.queue_gate.leave()
        reply = self._reply("queue", outcome)
        assert reply is not None  # the table has one for each answer
        self._warn_of_done("queue", outcome, reply)
        self._log_queue(transaction, outcome, reply)
        self.queued = outcome
        return reply

    def _warn_of_done(self, hook: str, outcome: Outcome, reply: Reply) -> None:
        if outcome.constant is DONE and reply.code < 300:
            text = f"{hook}: the plugin itself has told the client that it took the message"
            self._log(LOGWARN, text, outcome.plugin)

    async def _begin_to_queue(self, transaction: Transaction) -> bool:
        """Wait until the queue plugins may have this message too; we read nothing meanwhile."""
        gate = self._host.queue_gate
        if gate.enter() or await gate.wait(self._verdicts.work):
            return True
        reason = f"max_forwards is {gate.limit}, and none ended in {PATIENCE:g} s"
        self._log(LOGWARN, f"{transaction.id} put off: {reason}{self._verdicts.whose()}")
        return False

    def _log_queue(self, transaction: Transaction, outcome: Outcome, reply: Reply) -> None:
        level = LOGNOTICE if self._verdicts.lost or reply.code >= 400 else LOGINFO
        if not enabled(level):
            return
        gone = "; the client was gone and could not be told" if self._verdicts.lost else ""
        self._log(
            level,
            f"{transaction.id} from {transaction.sender} to {named(transaction.recipients)},"
            f" {transaction.data_size} bytes: {reply}{gone}",
            outcome.plugin,
        )
