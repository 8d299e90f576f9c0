"""`qpsdk lab` and `qpsdk fake-qmqp`: things to watch."""

from typing import Annotated

import typer
from rich.console import Console

from qpsdk.cli.app import app
from qpsdk.errors import SetupError
from qpsdk.stream import Endpoint


@app.command()
def fake_qmqp(
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 for any.")] = "127.0.0.1:6280",
) -> None:
    """Run a QMQP server that accepts every message and delivers none."""
    from qpsdk import lab

    lab.fake_qmqp(_endpoint(listen), Console(highlight=False, soft_wrap=True))


@app.command("lab")
def lab_(
    demo: Annotated[bool, typer.Option("--demo", help="Send one message, show it, exit.")] = False,
    listen: Annotated[str, typer.Option(help="HOST:PORT to take mail at.")] = "127.0.0.1:2525",
    qmqp: Annotated[str, typer.Option(help="HOST:PORT of the fake server.")] = "127.0.0.1:6280",
) -> None:
    """Run a host that forwards to a fake QMQP server, and watch each message pass."""
    from qpsdk import lab

    console = Console(highlight=False, soft_wrap=True)
    if demo:
        lab.demo(console)
    else:
        lab.run(_endpoint(listen), _endpoint(qmqp), console)


def _endpoint(text: str) -> Endpoint:
    try:
        endpoint = Endpoint.parse(text)
    except ValueError as error:
        raise SetupError(str(error)) from None
    if endpoint.path:
        raise SetupError(f"{text!r} is no TCP address; write HOST:PORT or [V6]:PORT")
    return endpoint
