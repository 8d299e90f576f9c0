"""The lab: a real host before a fake QMQP server, with every message shown as it passes."""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage

from rich.console import Console
from rich.text import Text

from qpsdk.config import Config
from qpsdk.constants import Constant
from qpsdk.errors import SetupError
from qpsdk.explain import explain
from qpsdk.log import escape
from qpsdk.message import Answer, Connection
from qpsdk.scaffold import sample_config
from qpsdk.server.host import Server, new_host, run_loop, stop_signal
from qpsdk.server.stream import reason
from qpsdk.stream import Endpoint
from qpsdk.testing import Conversation, FakeQMQPServer
from qpsdk.testing.qmqp_script import Act

SHOWN_LINES = 20
"""Lines of a message that are shown; of the rest, only how many there are."""

_WELCOME = """\
A mail host listens on {smtp}; {forwards}.
In another terminal, send one:

  python3 -c 'import smtplib; smtplib.SMTP("{smtp.host}", {smtp.port}).sendmail(
      "you@example.org", ["friend@example.com"], "Subject: hello\\n\\nIt works.\\n")'

or, if you have it:  swaks --server {smtp} --to friend@example.com

{recipients}Ctrl-C stops.
"""


class Display:
    """Shows a conversation, as `qpsdk.verdicts.Observer` and for the fake server."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, int] = {}  # lines of each client since the server last spoke

    def client(self, connection: Connection, data: bytes) -> None:
        # A large message comes in many blocks, and is cut where the first of them would be.
        said = self._said.get(connection.id, 0)
        self._said[connection.id] = said + data.count(b"\n")
        if said <= SHOWN_LINES:
            self._show_lines(connection, "C:", data, "cyan", SHOWN_LINES - said)

    def server(self, connection: Connection, data: bytes) -> None:
        if (unseen := self._said.pop(connection.id, 0) - SHOWN_LINES) > 0:
            self._console.print(Text(f"{connection.id} C: ... {unseen} more lines", "cyan"))
        self._show_lines(connection, "S:", data, "green", SHOWN_LINES)

    def hook(self, connection: Connection, answer: Answer) -> None:
        message = "" if answer.message is None else f", {answer.message!r}"
        line = Text(f"{connection.id}        {answer.hook}: ", "dim")
        line.append(f"{answer.plugin} answered ")
        line.append(answer.constant.name, _style(answer.constant))
        line.append(f"{message} ({answer.seconds * 1000:.1f} ms)")
        self._console.print(line)

    def qmqp(self, conversation: Conversation) -> None:
        said = f"QMQP   the package, {conversation.size} bytes:"
        self._console.print(Text(said, "bold magenta"))
        if conversation.size:
            self._console.print(conversation.explain())
        if conversation.fault:
            self._console.print(Text(f"QMQP   discarded: {conversation.fault}", "bold red"))
        if conversation.reply:
            self._console.print(Text("QMQP   the response:", "bold magenta"))
            self._console.print(explain(conversation.reply))
        else:
            self._console.print(Text("QMQP   no response", "bold magenta"))

    def _show_lines(
        self, connection: Connection, who: str, data: bytes, style: str, limit: int
    ) -> None:
        for line in data.removesuffix(b"\r\n").split(b"\r\n", limit)[:limit]:
            text = escape(line[:200].decode("utf-8", "backslashreplace"))
            self._console.print(Text(f"{connection.id} {who} {text}", style))


def run(
    listen: Sequence[Endpoint], qmqp: Endpoint, console: Console, config: Config | None = None
) -> None:
    """Run host and fake server until SIGTERM or SIGINT.

    Args:
        config: Of the host; else the sample, which forwards to the fake server wherever it is.

    Raises:
        SetupError: An address cannot be listened on, or the config is wrong.
    """

    async def main() -> None:
        stopped = stop_signal()
        async with _lab(listen, qmqp, console, config) as (smtp_at, qmqp_at):
            forwards = f"it forwards each message over QMQP to {qmqp_at}"
            recipients = "Recipients at example.com are accepted, others refused. "
            if config is not None:
                forwards = f"a fake QMQP server on {qmqp_at}"
                recipients = ""
            console.print(_WELCOME.format(smtp=smtp_at, forwards=forwards, recipients=recipients))
            await stopped.wait()

    run_loop(main)


def demo(console: Console) -> None:
    """Send one message through a host of its own, and show it.

    Raises:
        SetupError: It did not arrive.
    """

    async def main() -> None:
        anywhere = Endpoint("127.0.0.1", 0)
        async with _lab([anywhere], anywhere, console) as (smtp_at, _):
            refused = await asyncio.to_thread(_send_sample, smtp_at)
        if refused:
            raise SetupError(f"the message was refused: {refused}")
        console.print("The QMQP server said K, so the host said 250: the message has arrived.")

    run_loop(main)


def fake_qmqp(
    listen: Endpoint, console: Console, profile: str = "strict", script: Sequence[Act] = ()
) -> None:
    """Run the fake server alone until SIGTERM or SIGINT.

    Args:
        profile: One of `qpsdk.testing.qmqp_profiles.PROFILES`.
        script: What to do with each connection; the last for all after.

    Raises:
        SetupError: The address cannot be listened on.
    """

    async def main() -> None:
        stopped = stop_signal()
        fake = _fake(Display(console), profile)
        fake.script(*script)
        try:
            console.print(f"listening on {await _listen(fake, listen)}")
            await stopped.wait()
        finally:
            await fake.close()

    run_loop(main)


@asynccontextmanager
async def _lab(
    listen: Sequence[Endpoint], qmqp: Endpoint, console: Console, config: Config | None = None
) -> AsyncIterator[tuple[Endpoint, Endpoint]]:
    """Fake server and host at work; their addresses."""
    display = Display(console)
    fake = _fake(display)
    try:
        qmqp_at = await _listen(fake, qmqp)
        host = new_host(config or _sample(qmqp_at))
        async with Server(host, listen, display) as server:
            yield server.endpoints[0], qmqp_at
    finally:
        await fake.close()


def _sample(qmqp_at: Endpoint) -> Config:
    """The sample config, forwarding to there."""
    config = sample_config()
    server = f"{qmqp_at.host} {qmqp_at.port}"
    return Config(config | {"plugins": config["plugins"].replace("127.0.0.1 6280", server)})


def _fake(display: Display, profile: str = "strict") -> FakeQMQPServer:
    """A server that shows what comes, and does not keep it."""

    def show(conversation: Conversation) -> None:
        display.qmqp(conversation)
        fake.clear()

    fake = FakeQMQPServer(show, profile=profile)
    return fake


async def _listen(fake: FakeQMQPServer, endpoint: Endpoint) -> Endpoint:
    try:
        return await fake.listen(endpoint)
    except OSError as error:
        raise SetupError(f"cannot listen on {endpoint}: {reason(error)}") from None


def _send_sample(smtp_at: Endpoint) -> str:
    """Send the demo's message with the standard library's client; what it was told, if refused."""
    message = EmailMessage()
    message["From"] = "You <you@example.org>"
    message["To"] = "Friend <friend@example.com>"
    message["Subject"] = "Hello over QMQP"
    message.set_content("A line of text,\n.and one that begins with a dot.\n")
    try:
        with smtplib.SMTP(
            smtp_at.host, smtp_at.port, local_hostname="client.example.org"
        ) as client:
            client.send_message(message)
    except smtplib.SMTPException as error:
        return str(error)
    return ""


def _style(constant: Constant) -> str:
    return "bold red" if constant.is_denial else "bold green"
