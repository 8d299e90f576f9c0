"""One conversation: event, hook, reply, from top to bottom in one coroutine."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import monotonic
from typing import Any, Final

from qpsdk.address import Address
from qpsdk.authentication import Authentication
from qpsdk.constants import (
    DONE,
    LOGDEBUG,
    LOGERROR,
    LOGINFO,
    LOGNOTICE,
    OK,
)
from qpsdk.dispatcher import Dispatcher, Work
from qpsdk.errors import (
    AddressError,
    NonASCIIAddressError,
    StreamError,
    StreamInterruptedError,
    StreamTimeoutError,
)
from qpsdk.host import Host
from qpsdk.intake import Intake
from qpsdk.log import text_of
from qpsdk.message import Connection, Outcome, Transaction
from qpsdk.pace import Pace
from qpsdk.parsing import HOOKS_BY_VERB, parse
from qpsdk.reply import Reply
from qpsdk.settings import Settings
from qpsdk.smtp.engine import Engine
from qpsdk.smtp.events import (
    Auth,
    Block,
    Credentials,
    Data,
    Hangup,
    Hello,
    Help,
    Mail,
    MessageEnd,
    Noop,
    Quit,
    Recipient,
    Reset,
    Unknown,
    Unparsed,
    Verify,
)
from qpsdk.smtp.steps import State
from qpsdk.spool import Spool
from qpsdk.stream import Stream
from qpsdk.verdicts import Observer, Verdicts

_READY: Final = State.READY
_RESET: Final = Reply.make(250, "Flushed", "2.0.0")
EVENTS_A_TURN: Final = 100
"""What one client may do before the others get their turn: a block can hold 40,000 commands."""


class Session:
    """A client's connection, from greeting to close.

    Attributes:
        connection: What plugins see of it.
    """

    def __init__(
        self,
        stream: Stream,
        connection: Connection,
        dispatcher: Dispatcher,
        host: Host,
        observer: Observer | None = None,
    ) -> None:
        settings = host.settings_for(connection)
        self.connection = connection
        self._stream = stream
        self._verdicts = verdicts = Verdicts(connection, dispatcher, settings.me, observer)
        self._ask, self._reply, self._log = verdicts.ask, verdicts.reply, verdicts.log
        self._authentication = Authentication(verdicts, dispatcher, settings, host)
        self._hooks = dispatcher.hooks  # hooks that send nothing and that no plugin has are skipped
        self._host = host
        self._settings = settings
        unparsed = _unparsed(self._hooks)
        engine = Engine(settings.me, settings.limits, settings.bare_newline, unparsed)
        engine.on_refusal = verdicts.log_refusal
        self._engine = engine
        self._intake = Intake(verdicts, engine, settings, host)
        self._pace = Pace(settings, monotonic())
        connection.host_of = host.host_of
        connection.input_waiting = lambda: engine.input_waiting or stream.input_waiting
        self._observer = observer
        self._stopping = False  # the host would like to stop
        self._reading = False  # waiting for the client
        self._messages = 0

    @property
    def settings(self) -> Settings:
        """The settings of the moment when the client came."""
        return self._settings

    async def run(self) -> None:
        """Hold the conversation; the connection is closed when this returns."""
        self._stream.on_lost(self._client_lost)
        try:
            await self._converse()
        except StreamError as error:
            self._verdicts.lost = True
            self._log(LOGINFO, f"connection lost: {error}{self._verdicts.whose()}")
        except asyncio.CancelledError:
            self._verdicts.lost = True
            if not self._verdicts.work.called_off:
                raise  # it is our own task that was cancelled, where we have one
            told = f"connection lost while a plugin was at work{self._verdicts.whose()}"
            self._log(LOGINFO, told)
        finally:
            await self._end()

    def stop(self) -> None:
        """Let the client go at the next moment that loses nothing: no transaction is open."""
        self._stopping = True
        if self._reading and self.connection.transaction is None:
            self._stream.interrupt()

    def abandon(self, *, at_once: bool = False) -> None:
        """Drop the client: the host will not wait any longer.

        A message that was handed over is still waited for, unless it has to be `at_once`.
        """
        self._verdicts.lost = True
        self._stream.abort()
        transaction = self.connection.transaction
        if transaction is not None and transaction.handed_over:
            if not at_once:
                return
            text = "stopped while another server may have taken it; the client will send it again"
            self._log(LOGERROR, f"{transaction.id}: {text}")
        if not self._verdicts.closing or at_once:
            self._verdicts.work.call_off()

    async def _converse(self) -> None:
        await self._greet()
        next_event, verdicts = self._engine.next_event, self._verdicts
        events = 0
        while not verdicts.closing and not verdicts.lost:
            event = next_event()
            if event is None:
                await self._receive()
                events = 0
                continue
            await _HANDLERS[type(event)](self, event)
            events += 1
            if events == EVENTS_A_TURN:
                await self._send()
                await asyncio.sleep(0)
                events = 0
        await self._send()
        if verdicts.lost and not verdicts.closing:
            await self._stream.drain()  # raises what became of it, as to read would have

    async def _receive(self) -> None:
        """Send what has been said, and wait for the client's next bytes."""
        engine, stream, pace = self._engine, self._stream, self._pace
        if engine.unfinished and pace.is_too_slow(engine.requests):
            self._dismiss("You send too slowly", "4.4.2")
            return
        self._write()
        if stream.full:
            await stream.drain()
        in_transaction = self.connection.transaction is not None
        if in_transaction and engine.state is _READY:
            await self._reset_transaction()  # by a MAIL that the engine has refused itself
            in_transaction = False
        if self._stopping and not in_transaction:
            self._dismiss("Stopping, try again later", "4.3.2")
            return
        self._reading = True
        asked = monotonic()
        try:
            data = await stream.read()
        except StreamTimeoutError:
            self._dismiss("You said nothing for too long", "4.4.2")
            return
        except StreamInterruptedError:
            return  # to be stopped above
        finally:
            self._reading = False
        came = monotonic()
        if self._observer is not None and data:
            self._observer.client(self.connection, data)
        if came > pace.end and data and pace.is_too_long(came, in_transaction=in_transaction):
            self._dismiss("This connection has lasted too long", "4.3.2")
            return
        pace.latest = len(data), came - asked
        engine.receive(data)

    def _dismiss(self, text: str, enhanced: str) -> None:
        """Send the client away."""
        reply = Reply.make(421, f"{self._settings.me} {text}", enhanced)
        self._log(LOGNOTICE, f"sent away: {reply}{self._verdicts.whose()}")
        self._engine.close(reply)
        self._verdicts.closing = True

    async def _send(self) -> None:
        self._write()
        if self._stream.full:
            await self._stream.drain()

    def _write(self) -> None:
        """Give the stream what is to be said."""
        data = b"".join(self._engine.data_to_send())
        if data:
            if self._observer is not None:
                self._observer.server(self.connection, data)
            self._stream.write(data)

    async def _end(self) -> None:
        self._verdicts.closing = True
        self._verdicts.work = Work()  # the last hooks are called off by nobody
        await self._reset_transaction()
        if "disconnect" in self._hooks:
            await self._ask("disconnect", self.connection, self.connection)
        if self._verdicts.lost:
            self._stream.abort()
        else:
            await self._stream.finish()
        if "post_connection" in self._hooks:
            await self._ask("post_connection", self.connection, self.connection)
        self._log(LOGDEBUG, "connection closed")
        # Without this way back to us all goes now, and need not wait for the garbage collector.
        self.connection.input_waiting = bool

    def _client_lost(self) -> None:
        """The connection was reset, or a write failed: nobody waits for the hook in flight.

        A queue plugin that has handed the message over is not cancelled: what became of the
        message has to be known, and goes to the log.
        """
        self._verdicts.lost = True
        transaction = self.connection.transaction
        handed_over = transaction is not None and transaction.handed_over
        if not self._verdicts.closing and not handed_over:
            self._verdicts.work.call_off()

    def _answer(self, hook: str, outcome: Outcome, address: Address | None = None) -> bool:
        """Answer a command as the hook table says; True if that accepts it."""
        reply = self._reply(hook, outcome, address)
        assert reply is not None  # each hook of a command has a reply for each constant
        accepted = reply.code < 300  # a plugin may have said 3xx itself, which takes no step
        self._engine.reply(reply, accepted=accepted)
        return accepted

    # Commands

    async def _greet(self) -> None:
        connection = self.connection
        self._log(LOGINFO, f"connection from {connection.remote_ip or 'local'}")
        outcome = await self._ask("pre_connection", connection, connection)
        if connection.tls_to_start is not None:
            await self._start_tls(from_start=True)
        reply = self._reply("pre_connection", outcome)
        if reply is None:
            outcome = await self._ask("connect", connection, connection)
            reply = self._reply("connect", outcome)
            assert reply is not None
            greeting = self._settings.greeting
            if greeting and reply.code == 220 and outcome.constant is not DONE:
                reply = Reply.make(220, greeting)
        self._engine.reply(reply)

    async def _hello(self, event: Hello) -> None:
        connection = self.connection
        hook = event.verb.lower()
        connection.capabilities = self._capabilities() if hook == "ehlo" else []
        self._engine.auth_offered = bool(self._authentication.offered)
        outcome = await self._ask(hook, connection, connection, event.host)
        reply = self._reply(hook, outcome)
        assert reply is not None
        if reply.accepted:
            await self._reset_transaction()
            connection.hello, connection.hello_host = hook, event.host
            if hook == "ehlo" and outcome.constant is not DONE:
                reply = _with_capabilities(reply, tuple(map(text_of, connection.capabilities)))
        self._engine.reply(reply)

    def _capabilities(self) -> list[str]:
        limit = self._settings.limits.message
        size = f"SIZE {limit}" if limit else "SIZE"
        capabilities = ["PIPELINING", size, "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if mechanisms := self._authentication.offered:
            capabilities.append(" ".join(["AUTH", *mechanisms]))
        return capabilities

    async def _start_tls(self, *, from_start: bool = False) -> None:
        """Go on under TLS, and forget all that was said without it (RFC 3207, 4.2)."""
        connection = self.connection
        context, connection.tls_to_start = connection.tls_to_start, None
        assert context is not None
        await self._reset_transaction()
        self._authentication.forget()
        connection.hello, connection.hello_host, connection.capabilities = "", b"", []
        # Nothing waits between these: what comes behind the 220 is the client's handshake.
        self._write()
        limit = self._settings.tls_handshake_timeout
        self._reading = True
        try:
            connection.tls = await self._stream.start_tls(context, limit, from_start=from_start)
        finally:
            self._reading = False
        self._log(LOGINFO, " ".join(connection.tls))

    async def _auth(self, event: Auth) -> None:
        answer = await self._authentication.begin(event)
        if isinstance(answer, Reply):
            self._engine.reply(answer)
        else:
            self._engine.challenge(*answer)

    async def _credentials(self, event: Credentials) -> None:
        self._engine.reply(await self._authentication.judge(event))

    async def _unparsed(self, event: Unparsed) -> None:
        command = await parse(self._verdicts, self._engine, event)
        if command is not None:
            await _HANDLERS[type(command)](self, command)

    async def _mail(self, event: Mail) -> None:
        await self._reset_transaction()
        self._messages += 1
        self.connection.transaction = transaction = Transaction(
            self.connection,
            f"{self.connection.id}.{self._messages}",
            Spool(self._settings.size_threshold, self._host.spool),
            self._settings.limits.header,
        )
        transaction.smtputf8 = "smtputf8" in event.params
        if event.params and (shortage := self._intake.shortage(event)) is not None:
            self._engine.reply(shortage)
            await self._reset_transaction()
            return
        sender = await self._address("mail_pre", transaction, event)
        if sender is not None:
            outcome = await self._ask("mail", transaction, transaction, sender, event.params)
            if self._answer("mail", outcome, sender):
                transaction.sender = sender
                return
        await self._reset_transaction()

    async def _recipient(self, event: Recipient) -> None:
        transaction = self._transaction()
        recipient = await self._address("rcpt_pre", transaction, event)
        if recipient is not None:
            outcome = await self._ask("rcpt", transaction, transaction, recipient, event.params)
            if self._answer("rcpt", outcome, recipient):
                transaction.add_recipient(recipient)

    async def _address(
        self, hook: str, transaction: Transaction, event: Mail | Recipient
    ) -> Address | None:
        """The address of MAIL or RCPT; None if it is none, which was answered then."""
        text: str | bytes = event.address
        if hook in self._hooks:
            outcome = await self._ask(hook, transaction, transaction, text, event.params)
            if outcome.constant is OK and isinstance(outcome.message, str | bytes):
                text = outcome.message
        is_sender = isinstance(event, Mail)
        try:
            address = Address.parse(text, smtputf8=transaction.smtputf8)
            if address.address or is_sender:
                return address
            problem = Reply.make(501, "A recipient cannot be empty", "5.1.3")
        except NonASCIIAddressError as error:
            problem = Reply.make(553, str(error), "5.6.7")
        except AddressError as error:
            problem = Reply.make(501, str(error), "5.1.7" if is_sender else "5.1.3")
        self._verdicts.log_refusal(event.address, problem)
        self._engine.reply(problem)
        return None

    async def _data(self, _: Data) -> None:
        transaction = self._transaction()
        outcome = await self._ask("data", transaction, transaction)
        reply = self._reply("data", outcome)
        assert reply is not None
        # With DONE the plugin has seen to it: no message follows, whatever it said.
        goes_on = reply.accepted and outcome.constant is not DONE
        self._engine.reply(reply, accepted=goes_on)
        if not goes_on:
            await self._reset_transaction()

    # The message

    async def _block(self, event: Block) -> None:
        await self._intake.block(self._transaction(), event.data)

    async def _message_end(self, event: MessageEnd) -> None:
        transaction = self._transaction()
        reply = await self._intake.end(transaction, event)
        if reply is None:
            return
        if self._host.meter is not None:
            self._host.meter.message(reply.code, event.size)
        self._engine.reply(reply)
        try:
            # Told before anything else: a client that gives up waiting would send it again.
            await self._send()
        finally:
            queued, self._intake.queued = self._intake.queued, None
            if queued is not None:
                await self._ask("queue_post", transaction, self.connection, queued)
            await self._reset_transaction()

    # The rest

    async def _reset(self, _: Reset) -> None:
        await self._reset_transaction()
        self._engine.reply(_RESET)

    async def _reset_transaction(self) -> None:
        transaction = self.connection.transaction
        if transaction is not None:
            try:
                if "reset_transaction" in self._hooks:
                    await self._ask("reset_transaction", transaction, transaction)
            finally:
                transaction.close()
                self.connection.transaction = None

    async def _verify(self, event: Verify) -> None:
        self._answer("vrfy", await self._ask("vrfy", self.connection, self.connection, event.text))

    async def _noop(self, event: Noop) -> None:
        self._answer("noop", await self._ask("noop", self.connection, self.connection, event.text))

    async def _help(self, event: Help) -> None:
        self._answer("help", await self._ask("help", self.connection, self.connection, event.text))

    async def _unknown(self, event: Unknown) -> None:
        hook, connection = "unrecognized_command", self.connection
        outcome = await self._ask(hook, connection, connection, *event)
        if not outcome.plugin:
            self._verdicts.log_unknown(event.command)
        accepted = self._answer(hook, outcome)
        if connection.tls_to_start is None:
            return
        if accepted and outcome.constant is DONE:
            self._engine.restart()
            await self._start_tls()
        else:  # the client was told something else
            connection.tls_to_start = None

    async def _hangup(self, event: Hangup) -> None:
        whose = self._verdicts.whose()
        self._log(LOGINFO if whose else LOGDEBUG, event.reason + whose)
        self._verdicts.closing = True

    async def _quit(self, _: Quit) -> None:
        self._answer("quit", await self._ask("quit", self.connection, self.connection))
        self._verdicts.closing = True

    def _transaction(self) -> Transaction:
        transaction = self.connection.transaction
        assert transaction is not None  # the engine lets these events come only inside one
        return transaction


@lru_cache(maxsize=8)
def _unparsed(hooks: frozenset[str]) -> frozenset[str]:
    """The commands that a plugin of the host may read in place of us: the same at each client."""
    return frozenset(verb for verb, hook in HOOKS_BY_VERB.items() if hook in hooks)


@lru_cache(maxsize=64)
def _with_capabilities(reply: Reply, capabilities: tuple[str, ...]) -> Reply:
    lines = [Reply.make(reply.code, capability).lines[0] for capability in capabilities]
    return Reply(reply.code, (*reply.lines, *lines))


_HANDLERS: Final[dict[type, Callable[[Session, Any], Awaitable[None]]]] = {
    Hello: Session._hello,
    Mail: Session._mail,
    Recipient: Session._recipient,
    Data: Session._data,
    Block: Session._block,
    MessageEnd: Session._message_end,
    Reset: Session._reset,
    Verify: Session._verify,
    Noop: Session._noop,
    Help: Session._help,
    Unparsed: Session._unparsed,
    Unknown: Session._unknown,
    Auth: Session._auth,
    Credentials: Session._credentials,
    Quit: Session._quit,
    Hangup: Session._hangup,
}
