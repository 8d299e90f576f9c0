"""Every page opens in a browser, whatever its reader likes and has."""

from playwright.sync_api import Page


def test_home(page: Page) -> None:
    """The site has a first page."""
    page.goto("")
    assert "qpsdk" in page.title()
