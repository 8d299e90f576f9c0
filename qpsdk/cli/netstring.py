"""`qpsdk netstring`: what any bytes are made of."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from qpsdk.cli.app import app
from qpsdk.errors import SetupError
from qpsdk.server.stream import reason


@app.command()
def netstring(
    file: Annotated[str, typer.Argument(help="What to read; - is standard input.")] = "-",
    text: Annotated[str | None, typer.Option(help="Explain this text instead.")] = None,
    package: Annotated[
        bool, typer.Option("--package", help="It is meant to be a QMQP package.")
    ] = False,
) -> None:
    """Draw bytes as a tree of netstrings, and say where and why they break.

    The exit status is 0 if they are well-formed, 1 if they are not.
    """
    from rich.console import Console

    from qpsdk.explain import explain

    if text is None:
        data = _read(file)
    elif file == "-":
        data = text.encode(errors="surrogateescape")
    else:
        raise SetupError("netstring: write a FILE or --text, not both")
    explanation = explain(data, package=package)
    console = Console(highlight=False, soft_wrap=True)
    console.print(explanation)
    style = "bold red" if explanation.faults else "bold green"
    console.print(explanation.summary, style=style, markup=False)
    raise typer.Exit(1 if explanation.faults else 0)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise SetupError(f"{file}: cannot be read: {reason(error)}") from None
