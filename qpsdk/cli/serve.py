"""`qpsdk serve`."""

import contextlib
import os
from typing import Annotated, Final

import typer

from qpsdk import log
from qpsdk.cli.app import app
from qpsdk.cli.show import ConfigDirectory
from qpsdk.config import Config
from qpsdk.settings import Settings
from qpsdk.stream import Endpoint

STANDARD_OUTPUT: Final = 1
"""Its descriptor: what is printed otherwise ends the command where it cannot be written."""


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

    Open transactions may then end, for up to 30 seconds, or until a second SIGINT.

    On SIGHUP the host takes up what is new in the config directory and in the plugins there;
    clients that are connected stay with the plugins as they were.
    """
    from qpsdk import server
    from qpsdk.server.stderr import StandardError

    configuration = Config(config)
    log.configure(Settings.read(configuration).loglevel, log_format, StandardError())
    server.serve(
        configuration,
        listen or (),
        _say,
        workers,
    )


def _say(endpoint: Endpoint) -> None:
    """Whoever started us may have gone, which ends other commands: a host goes on serving."""
    with contextlib.suppress(OSError):
        os.write(STANDARD_OUTPUT, f"listening on {endpoint}\n".encode(errors="backslashreplace"))
