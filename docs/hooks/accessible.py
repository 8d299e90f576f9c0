"""Mind those who do not see a page, and those whose screen is small, where the theme does not."""

import re
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

DIALOG: Final = 'data-md-component="search" role="dialog"'
"""The search, as the theme writes it: a dialog without a name."""

ANCHOR: Final = re.compile(r'<a href="" id="([^"]+)"></a>')
"""A place that links lead to: as a link without a text it would be a stop for the keyboard."""

OPTION: Final = re.compile(r"<code>(?=-{1,2}\w[^<]{0,23}</code>)")
"""An option of a command: at the end of a line a browser would part `--` from its name."""


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001 mkdocs asks
    """Name the search, keep places from being links, and options in one piece.

    Raises:
        ValueError: The theme writes it in other words now.
    """
    if DIALOG not in output:
        raise ValueError(f"{page.file.src_uri}: no {DIALOG}; has the theme changed?")
    output = output.replace(DIALOG, f'{DIALOG} aria-label="Search"')
    output = OPTION.sub('<code class="option">', output)
    return ANCHOR.sub(r'<span id="\1"></span>', output)
