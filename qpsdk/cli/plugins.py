"""`qpsdk plugins`: what could stand in config/plugins."""

import inspect
import sys
from pathlib import Path
from typing import Annotated

import typer

from qpsdk.cli.app import app
from qpsdk.cli.show import table
from qpsdk.config import Config
from qpsdk.errors import PluginError
from qpsdk.hooks import HOOKS
from qpsdk.loader import PluginLine, available, find, plugin_directories
from qpsdk.plugin import Plugin


@app.command()
def plugins(
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="QPSDK_CONFIG",
            metavar="DIR",
            help="A config directory: the plugins in its plugin_dirs are listed, too.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the plugins that can be loaded: where each is from, what it does, its hooks.

    "..." stands for hooks that are only known once it is registered.
    """
    directories = plugin_directories(Config(config)) if config else []
    rows: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for name, origin in available(directories):
        spelling = name.replace("-", "_")
        if spelling in seen:
            rows.append((name, origin, "", "(hidden by the one above of the same name)"))
        else:
            rows.append((name, origin, *_about(name, directories)))
        seen.add(spelling)
    table(("plugin", "from", "hooks", "what it does"), rows)


def _about(name: str, directories: list[Path]) -> tuple[str, str]:
    """Its hooks, and the first line of its documentation; what is wrong, if it is."""
    try:
        line = PluginLine.parse(name)
        if line.name != name:
            raise ValueError(f"{name!r} has a space in it, and can stand in no config/plugins")
        found = find(line, directories)
    except (PluginError, ValueError) as error:
        return "", f"(cannot be loaded: {error})"
    hooks = [h for h in HOOKS if callable(getattr(found, f"hook_{h}", None))]
    if registers_more(found):
        hooks.append("...")
    return ",".join(hooks), _first_line(found)


def registers_more(plugin: type[Plugin]) -> bool:
    """Whether it calls `register_hook` itself."""
    return any(
        inspect.isfunction(value) and "register_hook" in value.__code__.co_names
        for base in plugin.__mro__
        if base not in (Plugin, object)
        for value in vars(base).values()
    )


def _first_line(plugin: type[Plugin]) -> str:
    module = sys.modules.get(plugin.__module__)
    text = (module.__doc__ if module else "") or plugin.__doc__ or ""
    return text.strip().partition("\n")[0]
