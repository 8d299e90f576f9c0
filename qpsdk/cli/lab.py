"""`qpsdk lab` and `qpsdk fake-qmqp`: things to watch."""

from pathlib import Path
from typing import Annotated

import typer

from qpsdk.cli.app import app
from qpsdk.cli.show import directory
from qpsdk.config import Config
from qpsdk.errors import SetupError
from qpsdk.settings import Settings
from qpsdk.stream import Endpoint


@app.command()
def fake_qmqp(
    listen: Annotated[
        str, typer.Option(help="HOST:PORT, port 0 for any, or unix:PATH.")
    ] = "127.0.0.1:6280",
    profile: Annotated[
        str, typer.Option(help="How packages are read: strict, qmail or postfix.")
    ] = "strict",
    script: Annotated[
        str,
        typer.Option(help='An act for each connection: "accept, defer(busy), close_at(4096)".'),
    ] = "",
) -> None:
    """Run a QMQP server that delivers nothing, and does to each connection what it is told.

    The acts of a script are used in turn, the last for all connections after. There are:
    accept, defer and reject with a text; answer with any bytes in quotes; empty, unknown,
    no_comma, leading_zeros, huge_length, trailing, eight_bit; late(SECONDS), drip(BYTES),
    cut_reply(BYTES); close_at(OFFSET), no_reply, rst, silence, stall, refuse. Replies take at=,
    delay=, drip=, cut= and rst=true, such as: defer(busy, at=100).
    """
    from rich.console import Console

    from qpsdk.lab import rooms
    from qpsdk.testing.qmqp_profiles import PROFILES
    from qpsdk.testing.qmqp_script import parse

    if profile not in PROFILES:
        raise SetupError(f"--profile: {profile!r} is none; write {', '.join(PROFILES)}")
    try:
        acts = parse(script) if script else ()
    except ValueError as error:
        raise SetupError(f"--script: {error}") from None
    console = Console(highlight=False, soft_wrap=True)
    rooms.fake_qmqp(_endpoint(listen, unix=True), console, profile, acts)


@app.command("lab")
def lab_(
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Send one message, show it, exit.")] = False,
    listen: Annotated[
        str | None,
        typer.Option(help="HOST:PORT to take mail at; else 127.0.0.1:2525, or as --config says."),
    ] = None,
    qmqp: Annotated[str, typer.Option(help="HOST:PORT of the fake server.")] = "127.0.0.1:6280",
    config: Annotated[
        Path | None,
        typer.Option(
            parser=directory,
            metavar="DIR",
            help="The config directory of the host; else a sample, which takes mail for"
            " example.com and forwards it.",
        ),
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(help="The built tutorial, to be served with a page that shows the same."),
    ] = None,
    http: Annotated[
        str, typer.Option(help="HOST:PORT where the tutorial is served.")
    ] = "127.0.0.1:8000",
) -> None:
    """Run a host that forwards to a fake QMQP server, and watch each message pass.

    With --config, it is a host of yours beside a fake server: whether it forwards there, its
    plugins say.
    """
    from rich.console import Console

    from qpsdk import log
    from qpsdk.lab import rooms

    console = Console(highlight=False, soft_wrap=True)
    at = _endpoint(http)
    served = None if site is None else rooms.Site(site, at)
    if demo:
        rooms.demo(console)
    elif config is None:
        rooms.run([_endpoint(listen or "127.0.0.1:2525")], _endpoint(qmqp), console, site=served)
    else:
        configuration = Config(config)
        settings = Settings.read(configuration)
        log.configure(settings.loglevel)
        texts = [listen] if listen else settings.listen or ["127.0.0.1:2525"]
        rooms.run(
            [_endpoint(text) for text in texts], _endpoint(qmqp), console, configuration, served
        )


def _endpoint(text: str, *, unix: bool = False) -> Endpoint:
    try:
        endpoint = Endpoint.parse(text)
    except ValueError as error:
        raise SetupError(str(error)) from None
    if endpoint.path and not unix:
        raise SetupError(f"{text!r} is no TCP address; write HOST:PORT or [V6]:PORT")
    return endpoint
