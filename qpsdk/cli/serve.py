"""`qpsdk serve`."""

from typing import Annotated

import typer

from qpsdk import log
from qpsdk.cli.app import app
from qpsdk.cli.show import ConfigDirectory
from qpsdk.config import Config
from qpsdk.settings import Settings


@app.command()
def serve(
    config: ConfigDirectory,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="HOST:PORT, [V6]:PORT or unix:PATH, in place of config/listen; may be repeated. "
            "Behind tls:, by TLS only.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Processes that share the work, one for each core."),
    ] = 1,
    log_format: Annotated[
        log.LogFormat,
        typer.Option(help="What goes to standard error: lines, or a JSON object a line."),
    ] = log.LogFormat.PLAIN,
) -> None:
    """Run plugins on real mail, until SIGTERM or SIGINT.

    On SIGHUP the host takes up what is new in the config directory and in the plugins there;
    clients that are connected stay with the plugins as they were.
    """
    from qpsdk import server

    configuration = Config(config)
    log.configure(Settings.read(configuration).loglevel, log_format)
    server.serve(
        configuration,
        listen or (),
        lambda at: print(f"listening on {at}", flush=True),
        workers,
    )
