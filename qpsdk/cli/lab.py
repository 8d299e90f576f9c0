"""`qpsdk lab` and `qpsdk fake-qmqp`: things to watch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qpsdk.cli.app import app
from qpsdk.cli.show import directory
from qpsdk.config import Config
from qpsdk.errors import SetupError
from qpsdk.settings import Settings
from qpsdk.stream import Endpoint

if TYPE_CHECKING:
    from rich.console import Console


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
    from qpsdk.lab import rooms
    from qpsdk.testing.qmqp_profiles import PROFILES
    from qpsdk.testing.qmqp_script import parse

    if profile not in PROFILES:
        raise SetupError(f"--profile: {profile!r} is none; write {', '.join(PROFILES)}")
    try:
        acts = parse(script) if script else ()
    except ValueError as error:
        raise SetupError(f"--script: {error}") from None
    rooms.fake_qmqp(_endpoint(listen, unix=True), _console(), profile, acts)


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
    plugins say. --demo has a host, and ports, of its own.
    """
    from qpsdk import log
    from qpsdk.lab import rooms

    console = _console()
    at = _endpoint(http)
    served = None if site is None else rooms.Site(site, at)
    if demo:
        given = {"--listen": listen, "--config": config, "--site": site}
        if ignored := [option for option, value in given.items() if value is not None]:
            raise SetupError(f"--demo has a host of its own: leave out {', '.join(ignored)}")
        rooms.demo(console)
    elif config is None:
        rooms.run([_endpoint(listen or "127.0.0.1:2525")], _endpoint(qmqp), console, site=served)
    else:
        configuration = Config(config)
        settings = Settings.read(configuration)
        endpoints = [_endpoint(listen)] if listen else _of_config(configuration, settings)
        log.configure(settings.loglevel)
        rooms.run(endpoints, _endpoint(qmqp), console, configuration, served)


def _console() -> "Console":
    """Where what is shown is shown as it is: brackets may be those of an address or a path."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def _of_config(config: Config, settings: Settings) -> list[Endpoint]:
    """Where `config/listen` has the host listen; first where the lab tells to send to."""
    from qpsdk.server.listeners import parse_endpoints

    endpoints = parse_endpoints(settings.listen or ["127.0.0.1:2525"])
    endpoints.sort(key=lambda endpoint: bool(endpoint.path or endpoint.tls))
    if endpoints[0].path or endpoints[0].tls:
        raise SetupError(
            f"{config.path('listen')}: none of these is HOST:PORT without TLS, to be shown how to"
            " send to; --listen 127.0.0.1:2525 takes another"
        )
    return endpoints


def _endpoint(text: str, *, unix: bool = False) -> Endpoint:
    try:
        endpoint = Endpoint.parse(text)
    except ValueError as error:
        raise SetupError(str(error)) from None
    if endpoint.path and not unix:
        raise SetupError(f"{text!r} is no TCP address; write HOST:PORT or [V6]:PORT")
    return endpoint
