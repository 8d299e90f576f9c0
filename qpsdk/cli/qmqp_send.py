"""`qpsdk qmqp-send`."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from qpsdk.cli.app import app
from qpsdk.cli.show import PERMANENT, TEMPORARY
from qpsdk.errors import QMQPEnvelopeError, QMQPError, SetupError, StreamError
from qpsdk.log import escape
from qpsdk.qmqp import CONNECT_TIMEOUT, IO_TIMEOUT, Response, Verdict

EXIT_STATUS: Final = {
    Verdict.ACCEPTED: 0,
    Verdict.DEFERRED: TEMPORARY,
    Verdict.REJECTED: PERMANENT,
}


@app.command()
def qmqp_send(
    server: Annotated[
        str, typer.Argument(help="HOST, HOST:PORT, [V6]:PORT or unix:PATH; the port is 628.")
    ],
    sender: Annotated[
        str, typer.Option("--from", metavar="ADDRESS", help="Envelope sender; '' for a bounce.")
    ],
    recipients: Annotated[
        list[str], typer.Option("--to", metavar="ADDRESS", help="Recipient; may be repeated.")
    ],
    file: Annotated[
        Path, typer.Argument(help="The message, with LF or CRLF; - for standard input.")
    ] = Path("-"),
    *,
    smtputf8: Annotated[
        bool, typer.Option("--smtputf8", help="Let addresses have characters beyond ASCII.")
    ] = False,
    connect_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Until the connection stands.")
    ] = CONNECT_TIMEOUT,
    io_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Without the server taking or giving a byte.")
    ] = IO_TIMEOUT,
) -> None:
    """Send one message to a QMQP server, and print its answer.

    Addresses go out as they are: QMQP knows no quotes, as in '"ann lee"@example.com'.

    Exit status: 0 the server has accepted it, 75 try again later (it said so, or gave no
    answer), 100 it will never accept it, 2 nothing was sent since something is wrong here.
    """
    import asyncio

    from qpsdk import qmqp

    sending = qmqp.send(
        server,
        sys.stdin.buffer if str(file) == "-" else file,
        os.fsencode(sender),
        [os.fsencode(recipient) for recipient in recipients],
        smtputf8=smtputf8,
        connect_timeout=connect_timeout,
        io_timeout=io_timeout,
    )
    try:
        response: Response = asyncio.run(sending)
    except QMQPEnvelopeError as error:
        raise SetupError(str(error)) from None
    except (QMQPError, StreamError) as error:
        print(f"qpsdk: {escape(f'{server}: {error}')}", file=sys.stderr)
        raise typer.Exit(TEMPORARY) from None
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise SetupError(str(error)) from None
    text = response.text.decode("utf-8", "backslashreplace")
    print(escape(f"{server}: {response.verdict.name.lower()}: {text}"))
    raise typer.Exit(EXIT_STATUS[response.verdict])
