"""The client that `smtp` gives, in two forms: one to await, one that waits by itself."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Final, NamedTuple

from qpsdk.errors import StreamError
from qpsdk.message import Connection
from qpsdk.reply import Reply
from qpsdk.spool import BLOCK_SIZE
from qpsdk.testing.lines import shown
from qpsdk.testing.loop import Loop
from qpsdk.testing.memory import MemoryStream

SENDER: Final = "sender@example.org"
RECIPIENT: Final = "recipient@example.com"


class Step(NamedTuple):
    """A line of a client, and the message that it sends if the line was DATA and is accepted."""

    line: bytes
    message: str | bytes | Iterable[bytes] = b""


class SMTPClient:
    """Speaks SMTP over a stream, and writes down what was said.

    Attributes:
        connection: What the plugins see of this client.
        greeting: The first reply.
        on_line: Called with each line of the transcript as it is said.
    """

    greeting: Reply
    on_line: Callable[[str], object] | None = None

    def __init__(
        self,
        stream: MemoryStream,
        connection: Connection,
        hello: bytes = b"EHLO client.example.org",
    ) -> None:
        """Speak over `stream`; `hello` is what `mail` says where nothing of the kind was said."""
        self.connection = connection
        self._stream = stream
        self._input = b""
        self._said: list[str] = []
        self._hello = hello

    @property
    def transcript(self) -> str:
        """The dialogue so far, as `qpsdk.testing.transcripts` reads it."""
        return "\n".join(self._said)

    async def command(self, line: str | bytes) -> Reply:
        """Send one line, wait for its reply.

        Raises:
            StreamError: The server has closed; the same holds for all methods below.
        """
        data = line.encode() if isinstance(line, str) else line
        self.write(data + b"\r\n")
        return await self.read_reply()

    async def hello(self, name: str = "client.example.org", verb: str = "EHLO") -> Reply:
        """Say EHLO, or another `verb`."""
        return await self.command(f"{verb} {name}")

    async def mail(self, sender: str = SENDER, *parameters: str) -> Reply:
        """Say MAIL, and EHLO before it if nothing of the kind was said.

        Args:
            sender: Without angle brackets; empty for the null sender.
            parameters: Such as ``"SIZE=1000"``.
        """
        if not self.connection.hello:
            await self.command(self._hello)
        return await self.command(" ".join((f"MAIL FROM:<{sender}>", *parameters)))

    async def rcpt(self, recipient: str = RECIPIENT, *parameters: str) -> Reply:
        """Say RCPT."""
        return await self.command(" ".join((f"RCPT TO:<{recipient}>", *parameters)))

    async def data(self, message: str | bytes | Iterable[bytes] | None = None) -> Reply:
        """Say DATA; if it is accepted, send a message where one is given. The last reply."""
        reply = await self.command("DATA")
        if message is None or reply.code != 354:
            return reply
        return await self.send_data(message)

    async def quit(self) -> Reply:
        """Say QUIT."""
        return await self.command("QUIT")

    async def send(
        self,
        message: str | bytes | Iterable[bytes],
        sender: str = SENDER,
        recipients: str | Sequence[str] = RECIPIENT,
    ) -> Reply:
        """Send one message; the reply to the final dot, or the first that refuses.

        Args:
            message: Its lines end in LF or CRLF; a large one may come in blocks.
            recipients: One or several.
        """
        if not (reply := await self.mail(sender)).accepted:
            return reply
        replies = [
            await self.rcpt(recipient)
            for recipient in ([recipients] if isinstance(recipients, str) else recipients)
        ]
        if not any(reply.accepted for reply in replies):
            return replies[0]
        return await self.data(message)

    async def send_data(self, message: str | bytes | Iterable[bytes]) -> Reply:
        """Send what comes after DATA, dots stuffed, and the final dot."""
        if isinstance(message, str | bytes):
            data = message.encode() if isinstance(message, str) else message
            wire = b"".join(_wire([data]))
            self._say("C:", wire)
            blocks: Iterable[bytes] = (
                wire[at : at + BLOCK_SIZE] for at in range(0, len(wire), BLOCK_SIZE)
            )
        else:
            self._note("C: ...")
            blocks = _wire(message)
        for block in blocks:
            self._stream.write(block)
            await self._stream.drain()
        return await self.command(".")

    async def play(self, steps: Iterable[Step]) -> list[Reply]:
        """Say one line after the other, until the server closes; the replies."""
        replies: list[Reply] = []
        with suppress(StreamError):
            for line, message in steps:
                replies.append(await self.command(line))
                if replies[-1].code == 354:
                    replies.append(await self.send_data(message))
        return replies

    async def read_reply(self) -> Reply:
        """The next reply.

        Raises:
            StreamError: The server has closed.
        """
        while (found := Reply.parse_first(self._input)) is None:
            data = await self._stream.read()
            if not data:
                self._note("S: <closes>")
                raise StreamError("the server closed the connection")
            self._input += data
        reply, end = found
        self._say("S:", self._input[:end])
        self._input = self._input[end:]
        return reply

    def _say(self, who: str, data: bytes) -> None:
        *lines, rest = data.split(b"\r\n")
        for line in lines:
            self._note(f"{who} {shown(line)}".rstrip())
        if rest:
            self._note(f"{who} {shown(rest)}\\")

    def _note(self, line: str) -> None:
        self._said.append(line)
        if self.on_line is not None:
            self.on_line(line)

    def write(self, data: bytes) -> None:
        """Send bytes as they are, and wait for nothing."""
        self._say("C:", data)
        self._stream.write(data)

    def end(self) -> None:
        """End our side, as a client does that only waits for the last reply."""
        self._note("C: <half-closes>")
        self._stream.end()

    def abort(self) -> None:
        """Reset the connection."""
        self._note("C: <resets>")
        self._stream.abort()


def _wire(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""A message as DATA carries it, but for the final dot (RFC 5321, 4.5.2).

    >>> list(_wire([b"one\r", b"\n.two\n.", b".three"]))
    [b'one', b'\r\n..two\r\n..', b'.three', b'\r\n']
    """
    at_start, end, held = True, b"", b""
    for given in blocks:
        block = held + given
        held = b"\r" if block.endswith(b"\r") else b""  # it may be half a line end
        block = block[: len(block) - len(held)]
        if not block:
            continue
        dot = b"." if at_start and block.startswith(b".") else b""
        lines = block.replace(b"\r\n", b"\n").replace(b"\n.", b"\n..")
        yield dot + lines.replace(b"\n", b"\r\n")
        at_start, end = block.endswith(b"\n"), block[-1:]
    if held or (end and end != b"\n"):
        yield held + b"\r\n"


class SyncSMTPClient:
    """An `SMTPClient` for code that does not await; each method is the one of that name there.

    Attributes:
        session: What ends with this client, where pytest's fixture has made it.
    """

    def __init__(self, client: SMTPClient, loop: Loop) -> None:
        self._client = client
        self._loop = loop
        self.session = ExitStack()

    def __enter__(self) -> "SyncSMTPClient":
        """The client itself; `session` ends with the block."""
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.session.__exit__(*exc_info)

    @property
    def connection(self) -> Connection:
        """What the plugins see of this client."""
        return self._client.connection

    @property
    def greeting(self) -> Reply:
        """The first reply."""
        return self._client.greeting

    @property
    def transcript(self) -> str:
        """The dialogue so far, as `qpsdk.testing.transcripts` reads it."""
        return self._client.transcript

    def command(self, line: str | bytes) -> Reply:
        """Send one line, wait for its reply."""
        return self._loop.run(self._client.command(line))

    def hello(self, name: str = "client.example.org", verb: str = "EHLO") -> Reply:
        """Say EHLO, or another `verb`."""
        return self._loop.run(self._client.hello(name, verb))

    def mail(self, sender: str = SENDER, *parameters: str) -> Reply:
        """Say MAIL, and EHLO before it if nothing of the kind was said."""
        return self._loop.run(self._client.mail(sender, *parameters))

    def rcpt(self, recipient: str = RECIPIENT, *parameters: str) -> Reply:
        """Say RCPT."""
        return self._loop.run(self._client.rcpt(recipient, *parameters))

    def data(self, message: str | bytes | Iterable[bytes] | None = None) -> Reply:
        """Say DATA; if it is accepted, send a message where one is given. The last reply."""
        return self._loop.run(self._client.data(message))

    def quit(self) -> Reply:
        """Say QUIT."""
        return self._loop.run(self._client.quit())

    def send(
        self,
        message: str | bytes | Iterable[bytes],
        sender: str = SENDER,
        recipients: str | Sequence[str] = RECIPIENT,
    ) -> Reply:
        """Send one message; the reply to the final dot, or the first that refuses."""
        return self._loop.run(self._client.send(message, sender, recipients))

    def send_data(self, message: str | bytes | Iterable[bytes]) -> Reply:
        """Send what comes after DATA, dots stuffed, and the final dot."""
        return self._loop.run(self._client.send_data(message))

    def play(self, steps: Iterable[Step]) -> list[Reply]:
        """Say one line after the other, until the server closes; the replies."""
        return self._loop.run(self._client.play(steps))

    def read_reply(self) -> Reply:
        """The next reply."""
        return self._loop.run(self._client.read_reply())

    def write(self, data: bytes) -> None:
        """Send bytes as they are, and wait for nothing."""
        self._client.write(data)

    def end(self) -> None:
        """End our side, as a client does that only waits for the last reply."""
        self._client.end()

    def abort(self) -> None:
        """Reset the connection."""
        self._client.abort()
