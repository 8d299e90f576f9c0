"""Every page in a browser: in both themes, on a phone, and for those who cannot see it."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from mkdocs.structure.files import File
from mkdocs.utils.yaml import yaml_load
from playwright.sync_api import Page

from tests.site.rig import DESKTOP, PHONE, ROOT, served

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


HELD_AGAINST_AXE = {
    (path, theme)
    for i, path in enumerate(ADDRESSES)
    for j, theme in enumerate(SCHEMES)
    if (i + j) % 2 == 0
    and (not path.startswith("reference/api/") or path == "reference/api/testing/")
}
"""What axe looks at in `make test`, too: every page in one of the themes.

Those of the API have one template: one stands for them all.
"""

ONE_OF_EACH = """() => {
  const seen = new Set();
  for (const token of document.querySelectorAll('pre code span[class]')) {
    if (seen.has(token.className)) token.replaceWith(...token.childNodes);
    seen.add(token.className);
  }
}"""
"""Takes out what axe need not look at: the second keyword in code looks as the first does. It is
twice as fast with our longest page so."""


@pytest.fixture(scope="module")
def address(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the site is served with one page to be searched for.

    Each page that is opened makes an index of all of them, which takes longer than the page.
    """
    copy = tmp_path_factory.mktemp("pages") / site.name
    copy.mkdir()
    for path in site.iterdir():
        (copy / path.name).symlink_to(path)
    (copy / "search").unlink()
    (copy / "search").mkdir()
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    index["docs"] = index["docs"][:1]
    (copy / "search/search_index.json").write_text(json.dumps(index))
    with served(copy) as address:
        yield address


def test_every_page_is_in_the_navigation(site: Path) -> None:
    """So every page is opened here, and found by those who do not search."""
    found = {str(path.relative_to(site)) for path in site.rglob("*.html")}
    assert found == {page.dest_uri for page in PAGES} | {"404.html"}


@pytest.mark.timeout(180, func_only=True)  # axe uses nothing but the processor
@each_theme
@each_page
def test_page(tab: Page, theme: str, path: str) -> None:
    """It comes in the theme that the reader's system asks for, and nothing goes wrong in it.

    On a narrow screen what is too wide scrolls by itself; the page does not. axe finds nothing
    serious: not in contrast, names, roles, order or keyboard.
    """
    tab.goto(path)
    assert tab.locator("body").get_attribute("data-md-color-scheme") == SCHEMES[theme]
    assert tab.locator("h1").count() == 1
    tab.set_viewport_size(PHONE)
    assert tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    tab.set_viewport_size(DESKTOP)
    if (path, theme) in HELD_AGAINST_AXE:
        assert _barriers(tab) == []


@pytest.mark.exhaustive
@pytest.mark.timeout(180, func_only=True)
@pytest.mark.parametrize(
    ("path", "theme"),
    [both for both in product(ADDRESSES, SCHEMES) if both not in HELD_AGAINST_AXE],
)
def test_page_is_accessible(tab: Page, path: str) -> None:
    """axe finds nothing serious on the others either."""
    tab.goto(path)
    assert _barriers(tab) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("size", [PHONE], ids=["phone"])
@each_page
def test_page_fits_a_phone(page: Page, path: str) -> None:
    """On a phone, too, which is more than a narrow screen, the page does not scroll sideways."""
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def _barriers(page: Page) -> list[str]:
    """What axe calls critical or serious, each with its place."""
    page.evaluate(ONE_OF_EACH)
    found = Axe().run(page, options={"resultTypes": ["violations"]})
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
