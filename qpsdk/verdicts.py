"""What the plugins decide in one conversation, and what the client is told for it."""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from qpsdk.address import Address
from qpsdk.constants import DONE, LOGDEBUG, LOGERROR, LOGNOTICE, LogLevel
from qpsdk.dispatcher import NO_OPINION, Dispatcher, Work
from qpsdk.hooks import HOOKS
from qpsdk.log import Scene, enabled, log, scene, text_of
from qpsdk.message import Answer, Connection, Outcome, Transaction
from qpsdk.reply import Reply

MAX_NAMED: Final = 50
"""Recipients of a message that are named in the log."""

MAX_ANSWERS: Final = 1000
"""Answers of plugins that are kept with a connection or transaction; of more, the latest."""

LONGEST_VERB: Final = 10
"""Bytes of an unknown command that is shown in the log."""

_SILENT: Final = frozenset(
    hook.name
    for hook in HOOKS.values()
    if DONE not in hook.effects and not any(effect.code for effect in hook.effects.values())
)
"""Hooks at which the client waits for no reply: what a plugin responds there is not sent."""

_TOO_LARGE: Final = 552
"""The reply to a MAIL that announces too large a message: it is refused as any other would be."""

_WITHOUT_STATUS: Final = frozenset(
    hook.name
    for hook in HOOKS.values()
    if any(e.code // 100 in (2, 4, 5) and not e.enhanced for e in hook.effects.values())
)
"""Hooks whose replies have no enhanced status code (RFC 2034, 3)."""

UNANSWERED: Final = "answered DONE, but the client has no reply: call connection.respond() before"

_PLUGIN_SAID_NOTHING: Final = Reply.make(451, "A plugin answered nothing")


class Observer(Protocol):
    """Watches a conversation, to show it."""

    def client(self, connection: Connection, data: bytes) -> None:
        """Bytes from the client, just read."""

    def server(self, connection: Connection, data: bytes) -> None:
        """Bytes to the client, just written."""

    def hook(self, connection: Connection, answer: Answer) -> None:
        """A plugin has answered."""


class Verdicts:
    """Asks the plugins, and makes replies of their answers by the hook table.

    Attributes:
        hooks: Those that a plugin has.
        work: What is waited for now; it may be called off.
        closing: True once a reply was made after which the connection ends.
        lost: True once the client is gone.
    """

    def __init__(
        self,
        connection: Connection,
        dispatcher: Dispatcher,
        me: str,
        observer: Observer | None = None,
    ) -> None:
        """`me` is the host's name, which some replies begin with."""
        self.connection = connection
        self.hooks = dispatcher.hooks
        self.work = Work()
        self.closing = False
        self.lost = False
        self._dispatcher = dispatcher
        self._me = me
        self._observer = observer

    async def ask(self, hook: str, about: Connection | Transaction, *arguments: Any) -> Outcome:
        """Run a hook, if a plugin has it. The plugin may be called off by `work`."""
        if hook not in self.hooks:
            return NO_OPINION
        known = len(about.answers)
        if known > MAX_ANSWERS:
            del about.answers[:-MAX_ANSWERS]
            known = MAX_ANSWERS
        try:
            return await self._dispatcher.run(hook, about, arguments, self.work)
        finally:
            if self._observer is not None or enabled(LOGDEBUG):
                self._show(about.answers[known:])
            if self.connection.responses and hook in _SILENT:
                self._own_reply(hook, NO_OPINION)

    def _show(self, answers: list[Answer]) -> None:
        for answer in answers:
            if self._observer is not None:
                self._observer.hook(self.connection, answer)
            text = f"{answer.hook}: answered {answer.constant.name}"
            self.log(LOGDEBUG, f"{text} in {answer.seconds * 1000:.1f} ms", answer.plugin)

    def reply(self, hook: str, outcome: Outcome, address: Address | None = None) -> Reply | None:
        """What the client is told, None for nothing; the table says whether we close then.

        Args:
            address: What the hook was asked about, if that was one: for the log.
        """
        constant = outcome.constant
        if constant is DONE or self.connection.responses:
            own = self._own_reply(hook, outcome)
            if own is not None:
                return own
        effect = HOOKS[hook].effects[constant]
        if not effect.code:
            return None
        if effect.close:
            self.closing = True
        if constant.is_denial and hook != "queue":  # of that `Intake` says more, whatever it was
            said = "" if outcome.message is None else f": {text_of(outcome.message)}"
            whose = self._envelope(hook, address)
            self.log(LOGNOTICE, f"{hook}: {constant.name}{said}{whose}", outcome.plugin)
        return effect.reply(self._me, outcome.message)

    def _envelope(self, hook: str, address: Address | None) -> str:
        """Whose mail was denied."""
        if hook == "mail":
            return f" (from {address})"
        return self.whose([address] if hook == "rcpt" and address else None)

    def whose(self, recipients: Sequence[Address] | None = None) -> str:
        """From whom to whom the mail at hand is, by which one finds it in the log; or nothing.

        Args:
            recipients: Whom to name, if not all that it has so far.
        """
        transaction = self.connection.transaction
        if transaction is None or transaction.sender is None:
            return ""
        to = named(transaction.recipients if recipients is None else recipients)
        return f" (from {transaction.sender}{to and f' to {to}'})"

    def _own_reply(self, hook: str, outcome: Outcome) -> Reply | None:
        """What the plugin has told the client itself, if it then said DONE."""
        responses, self.connection.responses = self.connection.responses, []
        done = outcome.constant is DONE
        advice = "" if done or DONE not in HOOKS[hook].effects else "; return DONE to have it sent"
        for surplus in responses[1:] if done else responses:
            text = f"{hook}: not sent, one command has one reply: {surplus}{advice}"
            self.log(LOGERROR, text, outcome.plugin)
        if not done:
            return None
        if not responses:
            text = f"{hook}: {UNANSWERED}"
            self.log(LOGERROR, text, outcome.plugin)
        own, status = (responses[0], "0.0") if responses else (_PLUGIN_SAID_NOTHING, "3.0")
        if hook in _WITHOUT_STATUS or own.code // 100 == 3:
            return own
        return Reply.make(own.code, own.text, f"{own.code // 100}.{status}")  # its own is kept

    def log(
        self, level: LogLevel, text: str, plugin: str = "", error: BaseException | None = None
    ) -> None:
        """Write a line about this connection, outside any hook."""
        scene.set(Scene(self.connection, self.connection.transaction, "", plugin))
        log(level, text, error=error)

    def log_refusal(self, said: bytes, reply: Reply) -> None:
        """Write that what a client said was refused: for its syntax, its order, or a limit."""
        if reply.code == 421:
            self.log(LOGNOTICE, f"sent away: {reply}{self.whose()}")
            return
        level = LOGNOTICE if reply.code == _TOO_LARGE else LOGDEBUG
        if enabled(level):
            secret = said.lstrip()[:4].upper() == b"AUTH"
            shown = "AUTH ..." if secret else said[:200].decode("ascii", "backslashreplace")
            what = repr(shown) if said else "a line that is no command"  # it may be a password
            self.log(level, f"refused {what}: {reply}")

    def log_unknown(self, command: bytes) -> None:
        """Write that no plugin knew a command; a long one may be a password out of step."""
        if enabled(LOGDEBUG):
            shown = (
                repr(command)[1:] if len(command) <= LONGEST_VERB else f"of {len(command)} bytes"
            )
            self.log(LOGDEBUG, f"unrecognized command {shown}")


def named(recipients: Sequence[Address]) -> str:
    """Recipients, for a line of the log: all of them, unless they are very many."""
    more = len(recipients) - MAX_NAMED
    shown = ", ".join(map(str, recipients[:MAX_NAMED]))
    return f"{shown} and {more} more" if more > 0 else shown
