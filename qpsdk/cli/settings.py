"""`qpsdk settings`: the files of a config directory, and one in full."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated

import typer

from qpsdk.cli.app import app
from qpsdk.cli.show import line_options, table
from qpsdk.errors import SetupError
from qpsdk.settings import SETTINGS, Setting


@app.command()
def settings(
    setting: Annotated[
        str | None,
        typer.Argument(metavar="[SETTING]", help="Show this one in full, such as databytes."),
    ] = None,
) -> None:
    """List the settings, each a file of the config directory, or show one in full."""
    if setting is None:
        columns = ("setting", "default", "taken up by", "meaning")
        rows = [(s.name, s.shown_default, s.taken_up, s.meaning) for s in SETTINGS.values()]
        table(columns, rows)
    else:
        typer.echo("\n".join(_described(_known(setting))))


def _known(text: str) -> Setting:
    """The setting of a name, written with dashes or underscores.

    Raises:
        SetupError: There is none.
    """
    names = {name.replace("-", "_"): name for name in SETTINGS}
    spelling = text.lower().replace("-", "_")
    if spelling not in names:
        near = names[get_close_matches(spelling, names, 1, 0.0)[0]]
        raise SetupError(f"there is no setting {text!r}; did you mean {near!r}?")
    return SETTINGS[names[spelling]]


def _described(setting: Setting) -> Iterator[str]:
    """One setting in full, line by line."""
    yield f"{setting.name}: {setting.meaning}"
    yield ""
    yield f"Lines: {'any number' if setting.several else 'one'}"
    if setting.shown_default:
        yield f"Default: {setting.shown_default}"
    yield f"A change is taken up by: {setting.taken_up}"
    if setting.name == "plugins":
        yield ""
        yield from line_options()
