"""Starts and stops the lab: host, fake server, and the site with the lab's page."""

import asyncio
import shutil
import smtplib
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console

from qpsdk.config import Config
from qpsdk.errors import SetupError
from qpsdk.lab.client import sample
from qpsdk.lab.display import Display, Screen, Terminal
from qpsdk.scaffold import sample_config
from qpsdk.server.host import Server, new_host
from qpsdk.server.listeners import cannot_listen
from qpsdk.server.process import run_loop, stop_signal
from qpsdk.stream import Endpoint
from qpsdk.testing import Conversation, FakeQMQPServer
from qpsdk.testing.qmqp_script import Act

_WELCOME: Final = """\
{site}A mail host listens on {smtp}; {forwards}.
In another terminal, send one:

  {send}

or, if you have it:  swaks --server {smtp} --to friend@example.com

{recipients}Ctrl-C stops.
"""


class Site(NamedTuple):
    """The tutorial's site, to be served beside the lab.

    Attributes:
        folder: Where it was built.
        listen: Where it is served.
    """

    folder: Path
    listen: Endpoint


def run(
    listen: Sequence[Endpoint],
    qmqp: Endpoint,
    console: Console,
    config: Config | None = None,
    site: Site | None = None,
) -> None:
    """Run host and fake server, and serve the site, until SIGTERM or SIGINT.

    Args:
        config: Of the host; else the sample, which forwards to the fake server wherever it is.

    Raises:
        SetupError: An address cannot be listened on, the config is wrong, or there is no site.
    """

    async def main() -> None:
        stopped = stop_signal()
        async with AsyncExitStack() as rooms:
            screens: list[Screen] = [Terminal(console)]
            if site is not None:
                try:
                    from qpsdk.lab.page import Page, served
                except ImportError:
                    told = "--site: the packages for it are missing: pip install 'qpsdk[site]'"
                    raise SetupError(told) from None
                page = Page()
                screens.append(page)
            lab = _lab(listen, qmqp, Display(*screens), config)
            smtp_at, qmqp_at = await rooms.enter_async_context(lab)
            about = ""
            if site is not None:
                address = await rooms.enter_async_context(served(*site, page, smtp_at))
                about = f"The tutorial is at {address}, what the lab does at {address}lab/\n"
            forwards = f"it forwards each message over QMQP to {qmqp_at}"
            recipients = "Recipients at example.com are accepted, others refused. "
            if config is not None:
                forwards = f"a fake QMQP server on {qmqp_at}"
                recipients = ""
            send = f"{_program()} send --server {smtp_at} --to friend@example.com"
            console.print(
                _WELCOME.format(
                    site=about, smtp=smtp_at, forwards=forwards, recipients=recipients, send=send
                )
            )
            await stopped.wait()

    run_loop(main)


def demo(console: Console) -> None:
    """Send one message through a host of its own, and show it.

    Raises:
        SetupError: It did not arrive.
    """

    async def main() -> None:
        anywhere = Endpoint("127.0.0.1", 0)
        async with _lab([anywhere], anywhere, Display(Terminal(console))) as (smtp_at, _):
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
        fake = _fake(Display(Terminal(console)), profile)
        fake.script(*script)
        try:
            console.print(f"listening on {await _listen(fake, listen, '--listen')}")
            await stopped.wait()
        finally:
            await fake.close()

    run_loop(main)


@asynccontextmanager
async def _lab(
    listen: Sequence[Endpoint], qmqp: Endpoint, display: Display, config: Config | None = None
) -> AsyncIterator[tuple[Endpoint, Endpoint]]:
    """Fake server and host at work; their addresses."""
    fake = _fake(display)
    try:
        qmqp_at = await _listen(fake, qmqp, "--qmqp")
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


async def _listen(fake: FakeQMQPServer, endpoint: Endpoint, option: str) -> Endpoint:
    """Have it listen where the command line said by an option; where that is, with its port."""
    try:
        return await fake.listen(endpoint)
    except OSError as error:
        raise cannot_listen(endpoint, error, option) from None


def _send_sample(smtp_at: Endpoint) -> str:
    """Send the demo's message with the standard library's client; what it was told, if refused."""
    sender, recipient, helo = "you@example.org", "friend@example.com", "client.example.org"
    message_id = make_msgid(domain=helo)
    message = sample(sender, [recipient], date=formatdate(), message_id=message_id)
    try:
        with smtplib.SMTP(smtp_at.host, smtp_at.port, local_hostname=helo) as client:
            client.sendmail(sender, recipient, message.decode())
    except smtplib.SMTPException as error:
        return str(error)
    return ""


def _program() -> str:
    """What to type for the command `qpsdk`, here."""
    if shutil.which("qpsdk"):
        return "qpsdk"
    started = Path(sys.argv[0])  # as .venv/bin/qpsdk, by make
    return str(started) if started.name == "qpsdk" else f"{sys.executable} -m qpsdk"
