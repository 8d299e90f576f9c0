"""`qpsdk` on the command line."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import qpsdk
from qpsdk import log
from qpsdk.config import Config, Settings
from qpsdk.errors import SetupError
from qpsdk.stream import Endpoint

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"qpsdk {qpsdk.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A plugin development kit for programmable mail servers."""


@app.command()
def serve(
    config: Annotated[Path, typer.Option(help="The config directory: one file a setting.")],
    listen: Annotated[
        list[str] | None,
        typer.Option(
            help="HOST:PORT, [V6]:PORT or unix:PATH, in place of config/listen; may be repeated."
        ),
    ] = None,
) -> None:
    """Run plugins on real mail, until SIGTERM or SIGINT."""
    from qpsdk import server

    configuration = Config(config)
    log.configure(Settings.read(configuration).loglevel)
    server.serve(configuration, listen or (), lambda at: print(f"listening on {at}", flush=True))


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


def main() -> None:
    """Run the command. A wrong set-up is told in one line, with exit status 2."""
    try:
        app()
    except SetupError as error:
        print(f"qpsdk: {error}", file=sys.stderr)
        sys.exit(2)
