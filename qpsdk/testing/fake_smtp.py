"""An SMTP server for tests: keeps what it is sent, and answers what it is told to."""

import asyncio
from typing import Final, Literal, NamedTuple

from qpsdk.address import Address
from qpsdk.constants import DECLINED, DENYSOFT, DENYSOFT_DISCONNECT, DONE, OK, Constant
from qpsdk.dispatcher import Dispatcher
from qpsdk.loader import register
from qpsdk.message import Connection, Transaction
from qpsdk.plugin import Plugin, Result
from qpsdk.reply import Reply
from qpsdk.session import Session
from qpsdk.smtp.events import Parameters
from qpsdk.stream import Endpoint, Stream, require_endpoint
from qpsdk.testing.memory import pipe
from qpsdk.testing.smtp import memory_host

ANY_PORT: Final = Endpoint("127.0.0.1", 0)

Step = Literal["CONNECT", "HELO", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "QUIT"]
"""What a client does and a script answers; DOT is the end of the message."""

_AS_USUAL: Final = (0, "")

_AFTER_HANGING_UP: Final[dict[Step, Constant]] = {"DOT": DENYSOFT, "QUIT": OK}
"""How a hook ends whose client is gone, where it cannot be by DENYSOFT_DISCONNECT."""

_STREAM: Final = "fake_smtp.stream"
_MAIL: Final = "fake_smtp.mail"
_PARAMS: Final = "fake_smtp.params"


class CapturedMail(NamedTuple):
    """A message as it came, with LF line ends.

    Attributes:
        hello: What the client called itself.
        params: The parameters of MAIL, their names in lower case.
    """

    message: bytes
    sender: bytes
    recipients: tuple[bytes, ...]
    hello: bytes
    params: Parameters


class FakeSMTPServer:
    r"""The package's own SMTP server, with nothing behind it.

    In memory, `connect` is lent to a host; over sockets, `listen` has a port of its own.

    Attributes:
        messages: All that was accepted, in order of arrival.
        commands: What the clients did, step by step, such as ``"RCPT one@example.com"``.

    >>> async def main():
    ...     fake = FakeSMTPServer()
    ...     fake.answer("RCPT", 450, "4.2.1 busy", address="two@example.com")
    ...     server = Endpoint("192.0.2.1", 25)
    ...     stream = await fake.connect(server, connect_timeout=5, io_timeout=5)
    ...     stream.write(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<two@example.com>\r\nQUIT\r\n")
    ...     while data := await stream.read():
    ...         print(data.decode().replace("\r", ""), end="")
    ...     print(fake.commands)
    >>> asyncio.run(main())
    220 fake.example.com ESMTP qpsdk ready
    250 fake.example.com
    250 2.1.0 Sender OK
    450 4.2.1 busy
    221 2.0.0 fake.example.com Closing the connection
    ['CONNECT', 'HELO me', 'MAIL', 'RCPT two@example.com', 'QUIT']
    """

    def __init__(self, name: str = "fake.example.com", *, keep: int | None = None) -> None:
        """Make a server; it serves once it listens, or somebody connects.

        Args:
            name: What it calls itself.
            keep: Bytes of each message that are kept; None for all.
        """
        self.messages: list[CapturedMail] = []
        self.commands: list[str] = []
        self._host = memory_host({"me": name})
        self._script = _Script(self, keep)
        register(self._script, self._host, (), {})
        self._dispatcher = Dispatcher([self._script], self._host.run_blocking)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    def answer(self, step: Step, code: int, text: str, *, address: str = "") -> None:
        """From now on answer so; the state of the conversation follows the code.

        Args:
            code: 200 to 599.
            text: One or more lines; those of EHLO after the first are our extensions. Other
                lines begin with an enhanced status code, or are given one.
            address: Answer so only to this one, in MAIL or RCPT.

        Raises:
            ReplyError: The code is out of range.
        """
        Reply.make(code, text)  # a wrong code is reported here, not to the client
        self._script.answers[step, address.encode()] = (code, text)

    def hang_up(self, step: Step, *, address: str = "") -> None:
        """From now on close the connection there, without an answer."""
        self._script.answers[step, address.encode()] = None

    async def listen(self, endpoint: Endpoint = ANY_PORT) -> Endpoint:
        """Accept connections on a socket; the address, with the port that port 0 became.

        Raises:
            OSError: The address cannot be listened on.
        """
        from qpsdk.server.stream import SocketStream  # in a browser there is no server

        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: SocketStream(loop, io_timeout=60.0, on_made=self._begin),
            endpoint.host,
            endpoint.port,
            backlog=1024,
        )
        host, port = self._listener.sockets[0].getsockname()[:2]
        return Endpoint(host, port)

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._host.spool.close()

    async def connect(
        self,
        endpoint: Endpoint,
        /,
        *,
        connect_timeout: float,  # noqa: ARG002 - it stands at once
        io_timeout: float,
        session_timeout: float | None = None,
    ) -> Stream:
        """A connection to this server in memory: a `qpsdk.host.Connect` for any endpoint.

        Raises:
            TypeError: The endpoint is none.
        """
        require_endpoint(endpoint)
        client, server = pipe()
        client.set_timeouts(io_timeout, session_timeout)
        self._begin(server)
        return client

    def _begin(self, stream: Stream) -> None:
        connection = Connection(self._host.new_id(), notes={_STREAM: stream})
        session = Session(stream, connection, self._dispatcher, self._host)
        task = asyncio.get_running_loop().create_task(session.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Script(Plugin):
    """Takes everything, but for what a test wants otherwise.

    Attributes:
        answers: By step and address, what is told to the client; None closes.
    """

    def __init__(self, fake: FakeSMTPServer, keep: int | None) -> None:
        super().__init__()
        self._keep = keep
        self._fake = fake
        self.answers: dict[tuple[Step, bytes], tuple[int, str] | None] = {}

    def hook_connect(self, connection: Connection) -> Result:
        return self._step(connection, "CONNECT")

    def hook_helo(self, connection: Connection, host: bytes) -> Result:
        return self._step(connection, "HELO", host)

    def hook_ehlo(self, connection: Connection, host: bytes) -> Result:
        return self._step(connection, "EHLO", host)

    def hook_mail(self, transaction: Transaction, sender: Address, params: Parameters) -> Result:
        transaction.notes[_PARAMS] = params
        return self._step(transaction.connection, "MAIL", sender.address)

    def hook_rcpt(self, transaction: Transaction, recipient: Address, _: Parameters) -> Result:
        return self._step(transaction.connection, "RCPT", recipient.address)

    def hook_data(self, transaction: Transaction) -> Result:
        return self._step(transaction.connection, "DATA")

    def hook_data_post_headers(self, transaction: Transaction) -> Result:
        """Keep the message as it came: after this, a Received field of ours is added."""
        assert transaction.sender is not None
        transaction.notes[_MAIL] = CapturedMail(
            self._kept(transaction),
            transaction.sender.address,
            tuple(recipient.address for recipient in transaction.recipients),
            transaction.connection.hello_host,
            transaction.notes[_PARAMS],
        )
        return DECLINED

    def _kept(self, transaction: Transaction) -> bytes:
        if self._keep is None:
            return b"".join(transaction.message_blocks())
        kept = b""
        for block in transaction.message_blocks():
            if len(kept) >= self._keep:
                break
            kept += block[: self._keep - len(kept)]
        return kept

    def hook_queue(self, transaction: Transaction) -> Result:
        code, _ = self.answers.get(("DOT", b""), (250, "")) or (451, "")
        if code < 300:
            self._fake.messages.append(transaction.notes[_MAIL])
        return self._step(transaction.connection, "DOT")

    def hook_quit(self, connection: Connection) -> Result:
        return self._step(connection, "QUIT")

    def _step(self, connection: Connection, step: Step, argument: bytes = b"") -> Result:
        """Note a step of the client, and answer it as the script says."""
        said = f"{step} {argument.decode('utf-8', 'backslashreplace')}"
        self._fake.commands.append(said.rstrip())
        key = (step, argument)
        scripted = self.answers.get(key if key in self.answers else (step, b""), _AS_USUAL)
        if scripted == _AS_USUAL:
            return OK
        if scripted is None:
            connection.notes[_STREAM].abort()
            return _AFTER_HANGING_UP.get(step, DENYSOFT_DISCONNECT)
        connection.respond(*scripted)
        return DONE
