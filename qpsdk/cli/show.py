"""What the commands share: the option --config, and tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

ConfigDirectory = Annotated[
    Path,
    typer.Option(
        "--config",
        envvar="QPSDK_CONFIG",
        metavar="DIR",
        help="The config directory: one file a setting.",
        show_default=False,
    ),
]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, else a line for each row, for grep and awk."""
    console = Console(highlight=False)
    if console.is_terminal:
        drawn = Table(*columns, box=box.SIMPLE_HEAD)
        for row in rows:
            drawn.add_row(*map(Text, row))
        console.print(drawn)
        return
    lines = [[column.upper() for column in columns], *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())
