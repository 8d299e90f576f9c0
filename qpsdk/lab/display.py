"""What is to be seen of a conversation, line by line, wherever it is then shown."""

from typing import TYPE_CHECKING, Final, Protocol

from qpsdk.constants import Constant
from qpsdk.explain import Explanation, Row, Span, explain
from qpsdk.log import escape
from qpsdk.message import Answer, Connection
from qpsdk.testing import Conversation

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_LINES: Final = 20
"""Lines of a message that are shown; of the rest, only how many there are."""

SHOWN_BYTES: Final = 200
"""Bytes of a line that are shown."""

_TERMINAL: Final = {
    "client": "cyan",
    "server": "green",
    "hook": "dim",
    "allowed": "bold green",
    "denied": "bold red",
    "title": "bold magenta",
    "fault": "bold red",
}
"""How each kind of span looks in a terminal; the page has its style sheet."""


class Screen(Protocol):
    """Where it is shown."""

    def line(self, row: Row) -> None:
        """A line of spans, of the kinds `client`, `server`, `hook`, `allowed` and so on."""

    def explanation(self, explanation: Explanation) -> None:
        """QMQP bytes, drawn as netstrings."""


class Terminal:
    """Shows it on a console."""

    def __init__(self, console: "Console") -> None:
        self._console = console

    def line(self, row: Row) -> None:
        from rich.text import Text

        text = Text()
        for span in row:
            text.append(span.text, _TERMINAL[span.kind])
        self._console.print(text)

    def explanation(self, explanation: Explanation) -> None:
        self._console.print(explanation)


class Display:
    """Reads off a conversation, as `qpsdk.verdicts.Observer` and for the fake server."""

    def __init__(self, *screens: Screen) -> None:
        self._screens = screens
        self._said: dict[str, int] = {}  # lines of each client since the server last spoke

    def client(self, connection: Connection, data: bytes) -> None:
        # A large message comes in many blocks, and is cut where the first of them would be.
        said = self._said.get(connection.id, 0)
        self._said[connection.id] = said + data.count(b"\n")
        if said <= SHOWN_LINES:
            self._lines("client", f"{connection.id} C:", data, SHOWN_LINES - said)

    def server(self, connection: Connection, data: bytes) -> None:
        if (unseen := self._said.pop(connection.id, 0) - SHOWN_LINES) > 0:
            self._line(Span("client", f"{connection.id} C: ... {unseen} more lines"))
        self._lines("server", f"{connection.id} S:", data, SHOWN_LINES)

    def hook(self, connection: Connection, answer: Answer) -> None:
        message = "" if answer.message is None else f", {answer.message!r}"
        self._line(
            Span("hook", f"{connection.id}        {answer.hook}: {answer.plugin} answered "),
            Span(_kind(answer.constant), answer.constant.name),
            Span("hook", f"{message} ({answer.seconds * 1000:.1f} ms)"),
        )

    def qmqp(self, conversation: Conversation) -> None:
        self._line(Span("title", f"QMQP   the package, {conversation.size} bytes:"))
        if conversation.size:
            self._explanation(conversation.explain())
        if conversation.fault:
            self._line(Span("fault", f"QMQP   discarded: {conversation.fault}"))
        if conversation.reply:
            self._line(Span("title", "QMQP   the response:"))
            self._explanation(explain(conversation.reply))
        else:
            self._line(Span("title", "QMQP   no response"))

    def _lines(self, kind: str, who: str, data: bytes, limit: int) -> None:
        for line in data.removesuffix(b"\r\n").split(b"\r\n", limit)[:limit]:
            text = escape(line[:SHOWN_BYTES].decode("utf-8", "backslashreplace"))
            self._line(Span(kind, f"{who} {text}"))

    def _line(self, *row: Span) -> None:
        for screen in self._screens:
            screen.line(list(row))

    def _explanation(self, explanation: Explanation) -> None:
        for screen in self._screens:
            screen.explanation(explanation)


def _kind(constant: Constant) -> str:
    return "denied" if constant.is_denial else "allowed"
