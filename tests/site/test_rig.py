"""The rig sees what goes wrong in a page."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.site.rig import served, watch


@pytest.mark.parametrize(
    ("markup", "problem"),
    [
        ("<script>console.error('oh')</script>", "says: oh"),
        ("<script>throw Error('oh')</script>", "no script caught: oh"),
        ("<img src=missing.png>", "missing.png: 404"),
        ("<img src='http://example.com/a.png'>", "asks another place: http://example.com/a.png"),
        ("<img src='http://example.com/a.png'>", "a.png fails: net::ERR_NAME_NOT_RESOLVED"),
    ],
    ids=["console", "uncaught", "missing", "elsewhere", "unknown name"],
)
def test_problems_are_seen(browser: Browser, tmp_path: Path, markup: str, problem: str) -> None:
    """Each kind of trouble is told, once the page has loaded."""
    (tmp_path / "index.html").write_text(f"<!doctype html><link rel=icon href=data:,>{markup}")
    with served(tmp_path) as address, browser.new_context() as context:
        problems = watch(context, address)
        context.new_page().goto(address)
        assert any(problem in found for found in problems), problems


def test_a_sound_page_has_no_problem(browser: Browser, tmp_path: Path) -> None:
    """Modules run, whatever their file is called, and a picture in the page is no request."""
    (tmp_path / "m.mjs").write_text("document.title = 'run'")
    (tmp_path / "index.html").write_text(
        "<!doctype html><link rel=icon href=data:,><script type=module src=m.mjs></script>"
    )
    with served(tmp_path) as address, browser.new_context() as context:
        problems = watch(context, address)
        page = context.new_page()
        page.goto(address)
        assert page.title() == "run"
        assert problems == []
