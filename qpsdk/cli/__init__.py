"""`qpsdk` on the command line: a module for each subject, which adds its commands to `app`."""

import sys

from qpsdk.cli import (
    check,
    hooks,
    lab,
    netstring,
    new,
    plugins,
    qmqp_send,
    send,
    serve,
    settings,
    systemd_units,
    try_,
)
from qpsdk.cli.app import app
from qpsdk.cli.streams import standard_streams
from qpsdk.errors import SetupError

__all__ = [
    "app",
    "check",
    "hooks",
    "lab",
    "main",
    "netstring",
    "new",
    "plugins",
    "qmqp_send",
    "send",
    "serve",
    "settings",
    "systemd_units",
    "try_",
]


def main() -> None:
    """Run the command. A wrong set-up is reported in one line, with exit status 2."""
    try:
        with standard_streams():
            app()
    except SetupError as error:
        print(f"qpsdk: {error}", file=sys.stderr)
        sys.exit(2)
