"""Docstrings as Markdown: what mkdocstrings asks this extension of griffe for.

A doctest in the text of a docstring would be a quotation of a quotation of a quotation, and
`::` before a block, which `help()` shows well, would be two colons.
"""

import re
from typing import Any

from griffe import Extension, Object

DOCTEST = re.compile(r"(?:^|\n)(>>> .*(?:\n(?!\n).+)*(?:\n\n>>> .*(?:\n(?!\n).+)*)*)")


def markdown(docstring: str) -> str:
    r"""A docstring with its doctests fenced, and an indented block after `:` or nothing.

    >>> markdown("Add.\n\n>>> 1 + 1\n2\n\nDone.")
    'Add.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nDone.'
    >>> markdown("So::\n\n    1\n\n::\n\n    2")
    'So:\n\n    1\n\n\n\n    2'
    """
    fenced = DOCTEST.sub(r"\n```pycon\n\1\n```", docstring)
    return re.sub(r"^(.*?):?:$", _colon, fenced.removeprefix("\n"), flags=re.MULTILINE)


def _colon(line: re.Match[str]) -> str:
    text: str = line[0]
    return text if not text.endswith("::") else text[:-1] if text != "::" else ""


class Docstrings(Extension):
    """Makes Markdown of every docstring that is read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Once for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
