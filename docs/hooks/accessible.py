"""Say in each page what the theme leaves unsaid to those who do not see it."""

from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

DIALOG: Final = 'data-md-component="search" role="dialog"'
"""The search, as the theme writes it: a dialog without a name."""


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001 mkdocs asks
    """Name the search.

    Raises:
        ValueError: The theme writes it in other words now.
    """
    if DIALOG not in output:
        raise ValueError(f"{page.file.src_uri}: no {DIALOG}; has the theme changed?")
    return output.replace(DIALOG, f'{DIALOG} aria-label="Search"')
