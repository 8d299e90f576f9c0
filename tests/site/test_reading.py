"""What a reader does on the site, in a browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.site.rig import PHONE

FOCUS = """parts => parts.find(part => document.activeElement.closest('.' + part))"""
"""In which part of the page the focus is."""


def test_skip_link(page: Page) -> None:
    """The first thing that Tab reaches leads past the navigation, into the text."""
    page.goto("quick-start/")
    page.keyboard.press("Tab")
    expect(page.locator(".md-skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#"))
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS, ["md-content"]) == "md-content"


def test_tab_order(page: Page) -> None:
    """Tab goes through header, navigation, table of contents, text and footer, in this order."""
    order = ["md-skip", "md-header", "md-sidebar--primary", "md-sidebar--secondary", "md-content"]
    order.append("md-footer")
    page.goto("how-to/test-a-plugin/")
    seen: list[str] = []
    while not seen or seen[-1] != order[-1]:
        page.keyboard.press("Tab")
        part = page.evaluate(FOCUS, order)
        assert part in order[len(seen) - 1 if seen else 0 :], (part, seen)
        if part not in seen:
            seen.append(part)
    assert seen == order


def test_search_and_theme_have_names(page: Page) -> None:
    """What Tab reaches in the header says what it is."""
    page.goto("quick-start/")
    expect(page.get_by_role("dialog", name="Search")).to_be_attached()
    expect(page.get_by_role("textbox", name="Search")).to_be_visible()
    expect(page.get_by_role("radio", name="Switch to dark mode")).to_be_attached()


def test_search(page: Page) -> None:
    """A slash opens the search; what it finds is reached without the mouse."""
    page.goto("./")
    page.keyboard.press("/")
    page.keyboard.type("when things go wrong")
    found = page.locator(".md-search-result__link").first
    # Of all words: those for the first few are replaced.
    expect(found).to_have_attribute("href", re.compile(r"/07_.*\?h=things\+go\+wrong"))
    expect(found).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/tutorial/07_when_things_go_wrong/"))
    expect(page.locator("mark").first).to_be_visible()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("qmqp_forward", "reference/plugins/"),
        ("FakeQMQPServer", "reference/api/fakes/"),
        ("DENYSOFT", "reference/constants/"),
    ],
)
def test_search_finds_a_name(tab: Page, query: str, found: str) -> None:
    """The page that explains a name is the first result, whatever the name has before it."""
    tab.goto(f"./?q={query}")
    first = tab.locator(".md-search-result__link").first
    expect(first).to_have_attribute("href", re.compile(rf"/{re.escape(found)}\?h="))


def test_theme_by_hand(page: Page) -> None:
    """The reader's choice of theme, made by keyboard, holds on the next page."""
    page.goto("./")
    page.get_by_role("radio", name="Switch to dark mode").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")
    page.goto("quick-start/")
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")


@pytest.mark.parametrize("size", [PHONE], ids=["phone"])
def test_navigation_on_a_phone(page: Page) -> None:
    """The menu opens, and leads to a page."""
    page.goto("./")
    page.locator("label.md-header__button[for=__drawer]").tap()
    page.locator(".md-sidebar--primary").get_by_role("link", name="Quick start").tap()
    expect(page).to_have_title("Quick start - qpsdk")
