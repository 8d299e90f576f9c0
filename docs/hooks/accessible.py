"""Say in each page what the theme leaves unsaid to those who do not see it."""

import re
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

DIALOG: Final = 'data-md-component="search" role="dialog"'
"""The search, as the theme writes it: a dialog without a name."""

ANCHOR: Final = re.compile(r'<a href="" id="([^"]+)"></a>')
"""A place that links lead to: as a link without a text it would be a stop for the keyboard."""


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001 mkdocs asks
    """Name the search, and keep places from being links.

    Raises:
        ValueError: The theme writes it in other words now.
    """
    if DIALOG not in output:
        raise ValueError(f"{page.file.src_uri}: no {DIALOG}; has the theme changed?")
    output = output.replace(DIALOG, f'{DIALOG} aria-label="Search"')
    return ANCHOR.sub(r'<span id="\1"></span>', output)
