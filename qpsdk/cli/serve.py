"""`qpsdk serve`."""

from pathlib import Path
from typing import Annotated

import typer

from qpsdk import log
from qpsdk.cli.app import app
from qpsdk.config import Config, Settings


@app.command()
def serve(
    config: Annotated[Path, typer.Option(help="The config directory: one file a setting.")],
    listen: Annotated[
        list[str] | None,
        typer.Option(
            help="HOST:PORT, [V6]:PORT or unix:PATH, in place of config/listen; may be repeated. "
            "With tls: before it, TLS from the start."
        ),
    ] = None,
) -> None:
    """Run plugins on real mail, until SIGTERM or SIGINT."""
    from qpsdk import server

    configuration = Config(config)
    log.configure(Settings.read(configuration).loglevel)
    server.serve(configuration, listen or (), lambda at: print(f"listening on {at}", flush=True))
