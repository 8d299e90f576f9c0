"""`qpsdk plugins`: what could stand in config/plugins, and one plugin in full."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from qpsdk.cli.app import app
from qpsdk.cli.show import directory, line_options, table
from qpsdk.config import Config
from qpsdk.errors import PluginError, SetupError
from qpsdk.finder import PluginLine, available, find, plugin_directories
from qpsdk.hooks import HOOKS
from qpsdk.loader import usage
from qpsdk.plugin import Plugin


@app.command()
def plugins(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Show this one in full, such as greylisting."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            parser=directory,
            envvar="QPSDK_CONFIG",
            metavar="DIR",
            help="A config directory: the plugins in its plugin_dirs are listed, too.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the plugins that can be loaded: where each is from, what it does, its hooks.

    "..." stands for hooks that are only known once it is registered. With a NAME: all that the
    plugin says of itself, and what its line in config/plugins may have.
    """
    directories = plugin_directories(Config(config)) if config else []
    if name is not None:
        typer.echo("\n".join(_described(name, directories)))
        return
    rows: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for listed, origin in available(directories):
        spelling = listed.replace("-", "_")
        if spelling in seen:
            rows.append((listed, origin, "", "(hidden by the one above of the same name)"))
        else:
            rows.append((listed, origin, *_about(listed, directories)))
        seen.add(spelling)
    table(("plugin", "from", "hooks", "what it does"), rows)


def _described(name: str, directories: list[Path]) -> Iterator[str]:
    """One plugin in full, line by line.

    Raises:
        SetupError: There is none of this name, or it cannot be loaded.
    """
    try:
        line = PluginLine.parse(name)
    except ValueError as error:
        raise SetupError(str(error)) from None
    found = find(line, directories)
    yield _doc(found) or "It says nothing of itself."
    yield ""
    yield f"Hooks: {', '.join(_hooks(found)) or 'none'}"
    bound = inspect.signature(found.register)
    bound = bound.replace(parameters=[*bound.parameters.values()][1:])
    yield f"Its line: {usage(line.name, bound)}"
    yield ""
    yield from line_options()


def _about(name: str, directories: list[Path]) -> tuple[str, str]:
    """Its hooks, and the first line of its documentation; what is wrong, if it is."""
    try:
        line = PluginLine.parse(name)
        if line.name != name:
            raise ValueError(f"{name!r} has a space in it, and can stand in no config/plugins")
        found = find(line, directories)
    except (PluginError, ValueError) as error:
        return "", f"(cannot be loaded: {error})"
    return ",".join(_hooks(found)), _doc(found).partition("\n")[0]


def _hooks(plugin: type[Plugin]) -> list[str]:
    named = [h for h in HOOKS if callable(getattr(plugin, f"hook_{h}", None))]
    return [*named, "..."] if registers_more(plugin) else named


def registers_more(plugin: type[Plugin]) -> bool:
    """Whether it calls `register_hook` itself."""
    return any(
        inspect.isfunction(value) and "register_hook" in value.__code__.co_names
        for base in plugin.__mro__
        if base not in (Plugin, object)
        for value in vars(base).values()
    )


def _doc(plugin: type[Plugin]) -> str:
    """What its file says of it, or else the class."""
    module = sys.modules.get(plugin.__module__)
    own = inspect.cleandoc((module.__doc__ if module else "") or "")
    return own or inspect.cleandoc(vars(plugin).get("__doc__") or "")
