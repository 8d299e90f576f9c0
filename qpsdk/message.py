"""A connection, and the transaction that carries one message over it."""

import io
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qpsdk.address import Address
from qpsdk.config import Config
from qpsdk.constants import Constant
from qpsdk.errors import MessageTooLargeError
from qpsdk.header import Header, HeaderReader
from qpsdk.reply import Reply
from qpsdk.spool import BLOCK_SIZE, Spool
from qpsdk.stream import TLS

if TYPE_CHECKING:
    from ssl import SSLContext


HostOf = Callable[[str], Awaitable[str]]
"""Finds the name of an IP address, in text; empty if it has none that is its own."""


class Answer(NamedTuple):
    """What one plugin answered to one hook.

    Attributes:
        message: What came with the constant: text for the client or, where the hook says so,
            another value.
        seconds: How long it took.
    """

    hook: str
    plugin: str
    constant: Constant
    message: Any
    seconds: float


class Outcome(NamedTuple):
    """How a hook ended.

    Attributes:
        constant: DECLINED if no plugin had an opinion.
        message: What the deciding plugin gave with it, or None.
        plugin: The plugin that decided; empty if none did.
    """

    constant: Constant
    message: Any = None
    plugin: str = ""


@dataclass(slots=True, eq=False)
class Connection:
    """One client, from connect to disconnect.

    Attributes:
        id: Names the connection in the log.
        remote_ip: The client's address; empty on a unix socket.
        remote_host: The client's name, if it has one that is its own; empty if not, and None as
            long as nobody has asked by `resolve_remote_host`.
        hello: ``"helo"`` or ``"ehlo"``; empty until it was said.
        hello_host: What the client calls itself.
        capabilities: The lines of our answer to EHLO; an ehlo hook may add to them.
        relay_client: True lets the client send to any domain.
        tls: What was agreed on; None as long as all is sent in clear.
        auth_user: Whom the client has authenticated as; empty until it has.
        auth_mechanism: How: ``plain``, ``login`` or ``cram-md5``.
        notes: For plugins to keep what belongs to this connection.
        answers: What plugins answered outside any transaction.
        transaction: The one that is open, if any.
        input_waiting: Call it to learn whether the client has sent more than was read so far,
            or has ended its side; the host lends it.
        host_of: Finds the name of an address; the host lends it.
        config: The config directory as it was when the client came; ask `Plugin.config`, which
            knows what other plugins say of a setting.
    """

    id: str = ""
    remote_ip: str = ""
    remote_port: int = 0
    local_ip: str = ""
    local_port: int = 0
    remote_host: str | None = None
    hello: str = ""
    hello_host: bytes = b""
    capabilities: list[str] = field(default_factory=list)
    relay_client: bool = False
    tls: TLS | None = None
    auth_user: bytes = b""
    auth_mechanism: str = ""
    notes: dict[str, Any] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    transaction: "Transaction | None" = None
    input_waiting: Callable[[], bool] = field(default=bool, repr=False)
    host_of: HostOf | None = field(default=None, repr=False)
    responses: list[Reply] = field(default_factory=list, repr=False)
    tls_to_start: "SSLContext | None" = field(default=None, repr=False)
    config: Config | None = field(default=None, repr=False)

    async def resolve_remote_host(self) -> str:
        """Look up `remote_host`, once for the connection; empty if the client has no name.

        That costs two questions to the DNS, so it is left to the plugins that want to know.
        """
        if self.remote_host is None:
            if self.host_of is None or not self.remote_ip:
                self.remote_host = ""
            else:
                self.remote_host = await self.host_of(self.remote_ip)
        return self.remote_host

    def respond(self, code: int, text: str, enhanced: str = "") -> None:
        """Answer the client from inside a hook, which then returns DONE.

        Args:
            code: 200 to 599.
            text: One or more lines.
            enhanced: Status code for each line (RFC 3463), as ``"5.7.1"``.
        """
        self.responses.append(Reply.make(code, text, enhanced))

    def start_tls(self, context: "SSLContext") -> None:
        """Answer STARTTLS from inside `hook_unrecognized_command`, which then returns DONE.

        The client is told to go ahead; behind that all is encrypted, and what the client has said
        before counts no more: its EHLO, its transaction, its authentication (RFC 3207, 4.2).
        """
        self.respond(220, "Ready to start TLS", "2.0.0")
        self.tls_to_start = context


class Transaction:
    r"""One message: its envelope, its header, its body.

    The names are qpsmtpd's. The body is what comes after the header fields, the blank line
    included, with LF line ends. It is never one `bytes`: read it by line or by block.

    Attributes:
        id: Names the transaction in the log and in our Received field.
        connection: The connection that it belongs to.
        sender: Whom a bounce goes to; None until MAIL was accepted.
        recipients: Those accepted so far.
        header: The header; None until it has come.
        notes: For plugins to keep what belongs to this message.
        smtputf8: True if the client asked for it (RFC 6531).
        authentication_results: What plugins have found out about the message, each as RFC 8601
            writes it: ``spf=pass smtp.mailfrom=example.org``. They are in the header from
            `data_post` on, in our Authentication-Results. One that would be read as several, or
            has an open quote or comment, is written with ``?`` for what parts it.
        data_size: Octets of the message as it came, line ends counted as two.
        answers: What each plugin answered so far.
        in_thread: True while a queue plugin is at work in a thread; the host sets it.
    """

    def __init__(self, connection: Connection, id: str, spool: Spool, max_header: int) -> None:
        self.id = id
        self.connection = connection
        self.sender: Address | None = None
        self.recipients: list[Address] = []
        self.header: Header | None = None
        self.notes: dict[str, Any] = {}
        self.smtputf8 = False
        self.authentication_results: list[str] = []
        self.data_size = 0
        self.answers: list[Answer] = []
        self._spool = spool
        self._max_header = max_header
        self._header_reader: HeaderReader | None = HeaderReader()
        self._body_start = 0
        self._separator = b""
        self._body: io.BufferedReader | None = None  # what body_getline reads from
        self.in_thread = False
        self._handed_over = False
        self._on_hand_over: Callable[[], None] | None = None

    # Envelope

    def add_recipient(self, recipient: Address) -> None:
        """Add a recipient, after those there are."""
        self.recipients.append(recipient)

    def remove_recipient(self, recipient: Address) -> None:
        """Remove every recipient equal to this one."""
        self.recipients = [other for other in self.recipients if other != recipient]

    # Responsibility

    def hand_over(self) -> None:
        """Say that from here on another server may have taken the message.

        A queue plugin calls this just before it writes the bytes that make its package whole.
        Nobody else is offered the message after that, and nothing cancels the plugin but a host
        that has to stop and has waited for it.
        """
        self._handed_over = True
        if self._on_hand_over is not None:
            self._on_hand_over()

    @property
    def handed_over(self) -> bool:
        """True once another server may have taken the message.

        A queue plugin in a thread may do so at any moment.
        """
        return self._handed_over or self.in_thread

    def on_hand_over(self, callback: Callable[[], None] | None) -> None:
        """Set what is called at the hand-over: the host then stops counting time."""
        self._on_hand_over = callback

    # The message as it arrives

    def receive(self, block: bytes) -> bool:
        """Take the next bytes of the message; True when they end the header.

        Raises:
            MessageTooLargeError: The header is over its limit.
            OSError: The spool cannot be written to.
        """
        self._spool.write(block)
        if self._header_reader is None:
            return False
        found = self._header_reader.feed(block)
        if (found[0] if found else self._header_reader).size > self._max_header:
            raise MessageTooLargeError(f"the header is over {self._max_header} bytes")
        if found is None:
            return False
        self._end_header(*found)
        return True

    def receive_end(self, data_size: int) -> bool:
        """The message has come; True if it ended inside its header."""
        self.data_size = data_size
        if self._header_reader is None:
            return False
        self._end_header(*self._header_reader.finish())
        return True

    def _end_header(self, header: Header, rest: bytes) -> None:
        self.header = header
        self._body_start = header.size
        # A message that begins with white space has no header; under a field of ours its first
        # line would become a part of that field.
        self._separator = b"\n" if not header.size and rest[:1] in (b" ", b"\t") else b""
        self._header_reader = None

    # The message to read

    def message_size(self) -> int:
        """Bytes of the message as it is now: its header, with our fields, and its body."""
        return len(self._head()) + self.body_length()

    def message_blocks(self, size: int = BLOCK_SIZE) -> Iterator[bytes]:
        """The message as it is now, in blocks: first the header, then the body."""
        if head := self._head():
            yield head
        yield from self._spool.blocks(self._body_start, size)

    def ends_in_lf(self) -> bool:
        """Whether its last line is whole, which a plugin that writes to the body may forget.

        True for no message at all.
        """
        if self.body_length():
            return self._spool.read(self._spool.size - 1, 1) == b"\n"
        return self._head()[-1:] in (b"\n", b"")

    def _head(self) -> bytes:
        head = b"" if self.header is None else bytes(self.header)
        return head + self._separator if head else head

    def body_blocks(self, size: int = BLOCK_SIZE) -> Iterator[bytes]:
        """The body in blocks of at most `size` bytes."""
        return self._spool.blocks(self._body_start, size)

    def body_lines(self) -> Iterator[bytes]:
        """The body by line, as `body_getline` gives it, from its start."""
        with self._spool.open(self._body_start) as body:
            while line := body.readline(BLOCK_SIZE):
                yield line

    def body_length(self) -> int:
        """Bytes of the body."""
        return self._spool.size - self._body_start

    def body_getline(self, limit: int = BLOCK_SIZE) -> bytes:
        """The next line of the body with its LF; none at the end.

        Args:
            limit: A line longer than this many bytes comes in pieces.
        """
        if self._body is None:
            self.body_resetpos()
        assert self._body is not None
        return self._body.readline(limit)

    def body_resetpos(self) -> None:
        """Let `body_getline` begin at the start of the body again."""
        self._body = self._spool.open(self._body_start)

    def body_write(self, data: bytes) -> None:
        """Append to the body. `body_getline` begins anew after this.

        Args:
            data: Its lines end in LF.

        Raises:
            OSError: The spool cannot be written to.
        """
        self._spool.write(data)
        self._body = None

    def body_fh(self) -> io.BufferedReader:
        """A file object of its own that reads the body."""
        return self._spool.open(self._body_start)

    def body_filename(self) -> Path:
        """A file with the whole message as it came, header included, for a scanner to read.

        It is gone when the transaction ends. Do not write to it.

        Raises:
            OSError: The message was in memory and cannot be written to the spool.
        """
        return self._spool.filename()

    def close(self) -> None:
        """Let go of the message: the host calls this when the transaction ends."""
        self._body = None
        self._spool.close()
