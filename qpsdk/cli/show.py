"""What commands share: --config, tables, words to a host, options of a line, exit statuses."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Final

import typer

from qpsdk.errors import SetupError
from qpsdk.plugin import LINE_OPTIONS, LineOption

TEMPORARY: Final = 75
"""The exit status for "try again later", as in sysexits.h: qmail and Postfix read it so."""

PERMANENT: Final = 100
"""And for "never", as qmail's programs say it."""


def directory(text: str) -> Path:
    """The path of a config directory.

    Raises:
        SetupError: It is empty, as of a variable of a shell that is not set.
    """
    if not text:
        raise SetupError("--config: the path is empty; write . for the current folder")
    return Path(text)


ConfigDirectory = Annotated[
    Path,
    typer.Option(
        "--config",
        parser=directory,
        envvar="QPSDK_CONFIG",
        metavar="DIR",
        help="The config directory: one file a setting.",
        show_default=False,
    ),
]


def check_said(*words: str) -> None:
    """Check what --from, --to and --helo name: each becomes a part of one line to a host.

    Raises:
        SetupError: One cannot.
    """
    for word in words:
        if "\r" in word or "\n" in word:
            raise SetupError(f"--from, --to, --helo: each is one line, not {word!r:.80}")
        try:
            word.encode()
        except UnicodeEncodeError:
            raise SetupError(f"--from, --to, --helo: {word!r:.80} is not UTF-8") from None


def line_options(options: Iterable[LineOption] = LINE_OPTIONS) -> Iterator[str]:
    """What the host takes on a plugin's line, in words."""
    yield "Options that the host takes on the line in config/plugins:"
    for option in options:
        written = f"{option.name}="
        yield f"  {written:<10} {option.values}; else {option.default}"
        yield from wrap(option.meaning, 79, initial_indent=" " * 13, subsequent_indent=" " * 13)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, else a line for each row, for grep and awk."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if console.is_terminal:
        drawn = Table(box=box.SIMPLE_HEAD)
        for number, column in enumerate(columns):  # the first one is to be copied
            drawn.add_column(column, overflow="fold", no_wrap=number == 0)
        for row in rows:
            drawn.add_row(*map(Text, row))
        console.print(drawn)
        return
    lines = [[column.upper() for column in columns], *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())
