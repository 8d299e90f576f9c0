"""`qpsdk send`."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from qpsdk.cli.app import app
from qpsdk.cli.show import PERMANENT, TEMPORARY, check_said
from qpsdk.errors import SetupError
from qpsdk.log import escape
from qpsdk.stream import Endpoint

MAX_TIMEOUT: Final = 24 * 60 * 60
"""Seconds; sockets take no number that is much larger."""


@app.command()
def send(
    recipients: Annotated[
        list[str], typer.Option("--to", metavar="ADDRESS", help="Recipient; may be repeated.")
    ],
    file: Annotated[
        Path | None,
        typer.Argument(help="The message; - for standard input. Else a short one of our own."),
    ] = None,
    *,
    server: Annotated[
        str, typer.Option(help="HOST:PORT of the mail host; the port is 25.")
    ] = "127.0.0.1:2525",
    sender: Annotated[
        str, typer.Option("--from", metavar="ADDRESS", help="Envelope sender; '' for a bounce.")
    ] = "you@example.org",
    helo: Annotated[str, typer.Option(help="What to call ourselves.")] = "client.example.org",
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Until the host must have answered.")
    ] = 60,
) -> None:
    """Send one message over SMTP, and show the dialogue.

    It sends only if all recipients are accepted. Exit status: 0 the host has accepted it, 75 try
    again later (it said so, or gave no answer), 100 it will never accept it, 2 nothing was sent
    since something is wrong here.
    """
    import smtplib
    from email.utils import formatdate, make_msgid

    from qpsdk.lab.client import Client, sample

    try:
        host = Endpoint.parse(server, default_port=25)
    except ValueError as error:
        raise SetupError(f"--server: {error}") from None
    if host.path:
        raise SetupError(f"--server: {server!r} is no TCP address; write HOST:PORT or [V6]:PORT")
    check_said(sender, *recipients, helo)
    if not helo.isascii() or not helo.isprintable() or len(helo.split()) != 1:
        raise SetupError(f"--helo: {helo!r} is no name; write one such as client.example.org")
    if not 0 < timeout <= MAX_TIMEOUT:
        told = f"write a number of seconds above 0, {MAX_TIMEOUT} at most"
        raise SetupError(f"--timeout: {timeout:g}: {told}")
    try:
        if file is None:
            message_id = make_msgid(domain=helo)
            message = sample(sender, recipients, date=formatdate(), message_id=message_id)
        else:
            message = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}") from None
    try:
        with Client(host, helo=helo, timeout=timeout) as client:
            code = client.forward(sender, recipients, message)
    except smtplib.SMTPNotSupportedError as error:
        raise SetupError(f"{server}: {error}") from None
    except (OSError, smtplib.SMTPException) as error:
        told = f"{server}: {error}"
        if isinstance(error, ConnectionRefusedError):
            told += " (--server names another)"
        print(f"qpsdk: {escape(told)}", file=sys.stderr)
        raise typer.Exit(TEMPORARY) from None
    raise typer.Exit(0 if code < 300 else TEMPORARY if code < 500 else PERMANENT)
