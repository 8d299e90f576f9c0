"""Holds an SMTP session with the reader's plugins, in the reader's browser."""

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from typing import Final

from docs.live import cells
from qpsdk import Plugin
from qpsdk.errors import SetupError, StreamError
from qpsdk.explain import Explanation, Row, Span
from qpsdk.lab.display import Display
from qpsdk.testing import FakeQMQPServer, SMTPClient
from qpsdk.testing.smtp import in_memory

PLUGINS: Final = "plugins"
"""The name that the reader's code gives the list of plugins: instances, or lines of config."""

_MOMENT: Final = 0.02
"""Seconds in which a server closes that has said so."""

_NOT_THEIRS: Final = set(cells.NAMES)


class _Screen:
    """Shows what is to be seen, whatever is asked just now."""

    def __init__(self, show: cells.Show) -> None:
        self.show = show

    def line(self, row: Row) -> None:
        self.show("line", json.dumps({"spans": row}))

    def explanation(self, explanation: Explanation) -> None:
        self.show("line", json.dumps({"html": explanation._repr_html_()}))

    def text(self, kind: str, text: str) -> None:
        """What code printed, or raised."""
        for line in text.rstrip("\n").split("\n"):
            self.line([Span("fault" if kind == "error" else "hook", line)])


class _Session:
    """One at a time.

    Attributes:
        client: None while there is no session.
    """

    def __init__(self) -> None:
        self.client: SMTPClient | None = None
        self._stack = AsyncExitStack()

    async def begin(self, source: str, screen: _Screen) -> str:
        await self.end()
        for name in cells.NAMES.keys() - _NOT_THEIRS:
            del cells.NAMES[name]
        if not await cells.answer(source, "your plugin", screen.text):
            return "closed"
        display = Display(screen)
        fake = FakeQMQPServer(display.qmqp)
        try:
            session = in_memory(*_plugins(), connect=fake.connect, observer=display)
            stream, connection = await self._stack.enter_async_context(session)
        except SetupError as error:
            screen.text("error", str(error))
            return "closed"
        self.client = SMTPClient(stream, connection)
        await self.client.read_reply()
        return "commands"

    async def end(self) -> None:
        self.client = None
        await self._stack.aclose()

    async def say(self, line: str) -> str:
        """Say a line, or a message; what the server waits for now."""
        if self.client is None:
            return "closed"
        reply = await self.client.command(line)
        if reply.code == 354:
            return "message"
        return await self._commands()

    async def send(self, message: str) -> str:
        if self.client is None:
            return "closed"
        await self.client.send_data(message)
        return await self._commands()

    async def _commands(self) -> str:
        """Give the server a moment: if it closes, it does so now."""
        assert self.client is not None
        with suppress(TimeoutError):
            await asyncio.wait_for(self.client.read_reply(), _MOMENT)
        return "commands"


def _plugins() -> list[Plugin | str]:
    """Those that the reader's code lists.

    Raises:
        SetupError: It does not.
    """
    plugins = cells.NAMES.get(PLUGINS)
    if not isinstance(plugins, list):
        raise SetupError(f"There is no list `{PLUGINS}`: it says what runs, in which order.")
    for plugin in plugins:
        if not isinstance(plugin, Plugin | str):
            raise SetupError(
                f"{plugin!r:.100} is no plugin, such as `Mine()`, and no line of config."
            )
    return plugins


_session = _Session()
_screen = _Screen(lambda _kind, _text: None)


async def answer(what: str, text: str, show: cells.Show) -> str:
    """Begin a session, or go on with it; what the server waits for then.

    That is `commands`, or a `message`; or the session is `closed`.

    Args:
        what: `begin` with the code of plugins, `say` a line, or `send` a message.
    """
    _screen.show = show
    with cells.printed(_screen.text):
        try:
            match what:
                case "begin":
                    return await _session.begin(text, _screen)
                case "say":
                    return await _session.say(text)
                case _:
                    return await _session.send(text)
        except StreamError:
            _screen.line([Span("hook", "The server has closed the connection.")])
            await _session.end()
            return "closed"
