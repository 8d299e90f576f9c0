"""Draw what people would rather look at: pictures made from what the program itself goes by.

A page asks for one with `<!-- diagram: NAME -->`. It is drawn in the page, in the theme's colours,
and says in words, for those who do not see it, what it shows.
"""

import re
from collections.abc import Callable
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

# Relative, since mkdocs loads a hook by its path: to it, this package has no other name.
from .commands import order_page, states
from .hooks import dispatch
from .lifetimes import lifetimes
from .machines import fleet, place, pressure, production, way
from .qmqp import package, tail, turns

DIAGRAMS: Final[dict[str, Callable[[], str]]] = {
    "states": states,
    "package": package,
    "dispatch": dispatch,
    "way": way,
    "fleet": fleet,
    "place": place,
    "lifetimes": lifetimes,
    "turns": turns,
    "tail": tail,
    "pressure": pressure,
    "production": production,
}

_WANTED: Final = re.compile(r"^<!-- diagram: (\w+) -->$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of the order of commands before mkdocs reads the navigation."""
    files.append(File.generated(config, "reference/order.md", content=order_page()))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the pictures where a page asks for them.

    Raises:
        KeyError: It asks for one that there is not.
    """
    return _WANTED.sub(lambda wanted: DIAGRAMS[wanted[1]](), markdown)
