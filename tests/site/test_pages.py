"""Every page in a browser: in both themes, on a phone, and for those who cannot see it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from mkdocs.structure.files import File
from mkdocs.utils.yaml import yaml_load
from playwright.sync_api import Page

from tests.site.rig import DESKTOP, PHONE, ROOT

SCHEMES = {"light": "default", "dark": "slate"}
"""What mkdocs-material calls what a reader's system asks for."""

SCREENSHOTS = ROOT / ".cache" / "screenshots"


def _pages(nav: list[Any]) -> Iterator[File]:
    for entry in nav:
        for under in entry.values():
            if isinstance(under, list):
                yield from _pages(under)
            else:
                yield File(under, "", "", use_directory_urls=True)


PAGES = list(_pages(yaml_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
"""Every page that the navigation leads to."""

ADDRESSES = [page.url for page in PAGES]

each_page = pytest.mark.parametrize("path", ADDRESSES)
each_theme = pytest.mark.parametrize("theme", SCHEMES)


def _is_for_the_fast_share(path: str, turn: int) -> bool:
    """Whether axe looks at a page in `make test`, too: it takes longer than the page does.

    Every page is looked at in one of the themes. Those of the API have one template, so that one
    stands for them all.
    """
    is_api = path.startswith("reference/api/") and path != "reference/api/testing/"
    return not is_api and turn % 2 == 0


each_page_by_turns = pytest.mark.parametrize(
    ("path", "theme"),
    [
        pytest.param(
            path,
            theme,
            marks=[] if _is_for_the_fast_share(path, i + j) else [pytest.mark.exhaustive],
        )
        for i, path in enumerate(ADDRESSES)
        for j, theme in enumerate(SCHEMES)
    ],
)


ONE_OF_EACH = """() => {
  const seen = new Set();
  for (const token of document.querySelectorAll('pre code span[class]')) {
    if (seen.has(token.className)) token.dataset.again = '';
    seen.add(token.className);
  }
}"""
"""Marks what axe need not look at: the second keyword in code looks as the first does. It has no
other way to be done with our longest page in less than 20 seconds."""


def test_every_page_is_in_the_navigation(site: Path) -> None:
    """So every page is opened here, and found by those who do not search."""
    found = {str(path.relative_to(site)) for path in site.rglob("*.html")}
    assert found == {page.dest_uri for page in PAGES} | {"404.html"}


@each_theme
@each_page
def test_page_opens(page: Page, theme: str, path: str) -> None:
    """It comes in the theme that the reader's system asks for, and nothing goes wrong in it."""
    page.goto(path)
    assert page.locator("body").get_attribute("data-md-color-scheme") == SCHEMES[theme]
    assert page.locator("h1").count() == 1


@pytest.mark.parametrize("size", [PHONE], ids=["phone"])
@each_page
def test_page_fits_a_phone(page: Page, path: str) -> None:
    """What is too wide scrolls by itself; the page does not."""
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.timeout(180, func_only=True)  # axe uses nothing but the processor
@each_page_by_turns
def test_page_is_accessible(page: Page, path: str) -> None:
    """axe finds nothing serious: not in contrast, names, roles, order or keyboard."""
    page.goto(path)
    assert _barriers(page) == []


def _barriers(page: Page) -> list[str]:
    """What axe calls critical or serious, each with its place."""
    page.evaluate(ONE_OF_EACH)
    found = Axe().run(
        page, context={"exclude": [["[data-again]"]]}, options={"resultTypes": ["violations"]}
    )
    return [
        f"{violation['id']}: {node['html']} at {node['target']}: {node['failureSummary']}"
        for violation in found.response["violations"]
        if violation["impact"] in {"critical", "serious"}
        for node in violation["nodes"]
    ]


@pytest.mark.exhaustive
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@each_theme
@each_page
def test_screenshot(page: Page, theme: str, path: str) -> None:
    """A picture of the whole page, to look at: `.cache/screenshots/`."""
    page.goto(path)
    device = "phone" if page.viewport_size == PHONE else "desktop"
    name = path.strip("./").replace("/", "-") or "home"
    picture = SCREENSHOTS / f"{device}-{theme}" / f"{name}.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 0
