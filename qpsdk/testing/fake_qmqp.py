"""A QMQP server for tests: keeps what it is sent, and does what it is told to."""

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from qpsdk import netstring
from qpsdk.errors import StreamConnectError, StreamError
from qpsdk.explain import show
from qpsdk.qmqp import Response, Verdict
from qpsdk.stream import Endpoint, Stream, require_endpoint
from qpsdk.testing.door import Door
from qpsdk.testing.memory import MemoryStream, pipe
from qpsdk.testing.qmqp_capture import Captured, Conversation
from qpsdk.testing.qmqp_profiles import (
    PROFILES,
    ClosedError,
    Input,
    OffsetReachedError,
    Profile,
    RefusedError,
)
from qpsdk.testing.qmqp_script import Act, End, accept

ANY_PORT: Final = Endpoint("127.0.0.1", 0)


class FakeQMQPServer:
    r"""A server that is strict about what it takes, or as lax as a real one, or as bad as told.

    In memory, `connect` is lent to a host; over sockets, `listen` has a port of its own.

    Attributes:
        messages: All that was accepted, in order of arrival.
        connections: What happened on each connection, in their order.
        answer: The response to packages that nothing speaks against; None for the profile's.
        profile: How packages are read.

    >>> from qpsdk import Plugin, OK, testing
    >>> from qpsdk.testing.qmqp_script import accept, defer
    >>> class Yes(Plugin):
    ...     def hook_rcpt(self, transaction, recipient, params):
    ...         return OK
    >>> async def main():
    ...     fake = testing.FakeQMQPServer()
    ...     fake.script(defer("busy"), accept())
    ...     plugins = [Yes(), "queue/qmqp_forward 192.0.2.1"]
    ...     async with testing.smtp(*plugins, connect=fake.connect) as client:
    ...         print(await client.send("Subject: hello\n\nhow are you?\n"))
    ...         print(await client.send("Subject: hello\n\nhow are you?\n"))
    ...     fake.only_message().assert_recipients(b"recipient@example.com")
    >>> asyncio.run(main())
    452 4.3.0 busy
    250 2.0.0 fake, nothing is queued
    """

    def __init__(
        self,
        on_conversation: Callable[[Conversation], None] | None = None,
        *,
        profile: Profile | str = "strict",
        keep: int | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Make a server; it serves once it listens, or somebody connects.

        Args:
            on_conversation: Called with each conversation when all is said in it.
            profile: ``strict`` takes what the specification allows and answers D to the rest;
                ``qmail`` and ``postfix`` are as those servers are.
            keep: Bytes of each package and message that are kept; None for all.
            sleep: Waits for so many seconds.
            now: The time, for qmail's replies.
        """
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        self.messages: list[Captured] = []
        self.connections: list[Conversation] = []
        self.answer: Response | None = None
        self._on_conversation = on_conversation
        self._keep = keep
        self._sleep = sleep
        self._now = now
        self._script: deque[Act] = deque([accept()])
        self._connected = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._door: Door | None = None

    def script(self, *acts: Act) -> None:
        """Say what to do with the next connections, one act for each; the last for all after.

        Without an act, all is as at first. See `qpsdk.testing.qmqp_script`. With `refuse` among
        the acts of a server on a socket, call this in the thread of its loop.
        """
        self._script = deque(acts or [accept()])
        self._mind_the_door()

    @property
    def failures(self) -> list[str]:
        """Why packages were discarded, in order of connection."""
        return [conversation.fault for conversation in self.connections if conversation.fault]

    @property
    def discarded(self) -> list[Conversation]:
        """The connections that ended without a whole package: nothing of them was accepted."""
        return [c for c in self.connections if c.ended and c.captured is None]

    def clear(self) -> None:
        """Forget all messages and connections so far."""
        self.messages.clear()
        self.connections.clear()

    def only_message(self) -> Captured:
        """The one message that was accepted.

        Raises:
            AssertionError: There was none, or more than one; with all that did come.
        """
        if len(self.messages) == 1:
            return self.messages[0]
        lines = [f"{len(self.messages)} messages were accepted, not 1"]
        for c in self.connections[:10]:
            lines.append(f"connection {c.number}, {c.act}: {c.fault or 'a whole package'}")
            tree = str(c.explain()).splitlines()[:20] if c.size else []
            lines += [f"  {line}" for line in tree]
            lines.append(f"  answered {show(c.reply)}" if c.reply else "  not answered")
        raise AssertionError("\n".join(lines))

    async def listen(self, endpoint: Endpoint = ANY_PORT) -> Endpoint:
        """Accept connections on a socket; the address, with the port that port 0 became.

        Raises:
            OSError: The address cannot be listened on.
        """
        limits = self.profile.io_timeout, self.profile.session_timeout
        self._door = Door(endpoint, self._begin, *limits)
        self._mind_the_door()
        return self._door.endpoint

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._door is not None:
            self._door.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def connect(
        self,
        endpoint: Endpoint,
        /,
        *,
        connect_timeout: float,  # noqa: ARG002 - it stands at once, or never
        io_timeout: float,
        session_timeout: float | None = None,
    ) -> Stream:
        """A connection to this server in memory: a `qpsdk.host.Connect` for any endpoint.

        Raises:
            StreamConnectError: The script says `refuse`.
            TypeError: The endpoint is none.
        """
        require_endpoint(endpoint)
        if self._script[0].refused:
            self._next_act()
            raise StreamConnectError("cannot connect: Connection refused")
        client, server = pipe()
        client.set_timeouts(io_timeout, session_timeout)
        self._begin(server)
        return client

    def _begin(self, stream: Stream) -> None:
        task = asyncio.get_running_loop().create_task(self.handle(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next_act(self) -> Act:
        act = self._script.popleft() if len(self._script) > 1 else self._script[0]
        self._mind_the_door()
        return act

    def _mind_the_door(self) -> None:
        if self._door is not None:
            self._door.set_open(not self._script[0].refused)

    async def handle(self, stream: Stream) -> None:
        """Hold one conversation: take a package, answer, close."""
        act = self._next_act()
        self._connected += 1
        input = Input(stream, act.at, self._keep)
        conversation = Conversation(self._connected, act, input=input)
        self.connections.append(conversation)
        try:
            await self._converse(stream, conversation)
            self._report(conversation)
            await self._end(stream, conversation)
        except StreamError as error:
            if conversation.captured is None and not conversation.fault:
                conversation.fault = str(error)
            self._report(conversation)
            stream.abort()
        except asyncio.CancelledError:
            self._report(conversation)
            stream.abort()
            raise

    def _report(self, conversation: Conversation) -> None:
        if not conversation.ended:
            conversation.ended = True
            if self._on_conversation is not None:
                self._on_conversation(conversation)

    async def _converse(self, stream: Stream, conversation: Conversation) -> None:
        act, input = conversation.act, conversation.input
        reply = self._default(conversation.number) if act.reply is None else act.reply
        try:
            await self.profile.receive(input)
        except OffsetReachedError:
            conversation.fault = f"the script stopped it at offset {input.offset}"
        except ClosedError as error:
            conversation.fault = str(error)
            return
        except RefusedError as error:
            conversation.fault = str(error)
            if not (error.reply and reply):
                return
            reply = netstring.encode(error.reply)
            if self.profile.error_delay:
                await self._sleep(self.profile.error_delay)
        else:
            self._capture(conversation, reply)
        await self._say(stream, conversation, reply)

    def _default(self, number: int) -> bytes:
        response = self.answer
        if response is None:
            text = self.profile.accepted(number, self._now())
            response = Response(Verdict.ACCEPTED, text.encode())
        return response.encode()

    def _capture(self, conversation: Conversation, reply: bytes) -> None:
        input = conversation.input
        conversation.captured = Captured(
            bytes(input.raw),
            input.message,
            input.sender,
            tuple(input.recipients),
            input.offset,
            input.message_size,
            input.message_hash.hexdigest(),
        )
        whole = netstring.first(reply)
        if whole is not None and whole[0].startswith(b"K"):
            conversation.accepted = True
            self.messages.append(conversation.captured)

    async def _say(self, stream: Stream, conversation: Conversation, reply: bytes) -> None:
        act = conversation.act
        reply = reply[: act.cut]
        size = act.drip or max(1, len(reply))
        for at in range(0, len(reply), size):
            if at:
                await stream.drain()
            if act.delay:
                await self._sleep(act.delay)
            piece = reply[at : at + size]
            stream.write(piece)
            conversation.reply += piece

    async def _end(self, stream: Stream, conversation: Conversation) -> None:
        act = conversation.act
        if act.end is End.READ_ON:
            while await stream.read():
                pass
        elif act.end is End.STALL:
            lost = asyncio.Event()
            stream.on_lost(lost.set)
            await lost.wait()
        if act.end is End.RESET:
            await _reset(stream)
        elif conversation.captured is not None:
            await stream.finish()
        else:
            await _hang_up(stream)


async def _hang_up(stream: Stream) -> None:
    """Close as a program does that exits: what is unread, or still comes, makes it a reset."""
    if not isinstance(stream, MemoryStream):
        await stream.flush()
        stream.abort()
        return
    if not stream.input_waiting:
        stream.end()
        if not await stream.read():
            return
    stream.abort()


async def _reset(stream: Stream) -> None:
    """Send what there is to send, then a reset."""
    transport: asyncio.Transport | None = getattr(stream, "transport", None)
    if transport is not None:
        await stream.flush()
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger
            )
    stream.abort()
