"""The cells of the tutorial run in the reader's browser, and print what the page shows."""

import re
import time
from pathlib import Path
from typing import Any, Final

import jupytext
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.site.rig import ROOT
from tests.test_notebooks import DATE

pytestmark = pytest.mark.timeout(150)  # Python is started anew in each page

CHAPTERS: Final = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))

LOADING: Final = 60_000
"""Milliseconds that Python may take to start, on a machine that has more to do."""

SHOWN: Final = """boxes => boxes.map(box => {
    const parts = part => [...(part?.querySelectorAll('.highlight, .drawn') ?? [])].map(
        part => [part.querySelector('.filename')?.textContent ?? 'draws',
                 (part.querySelector('pre') ?? part).textContent.trimEnd()]);
    return {recorded: parts(box.querySelector('.recorded')),
            live: parts(box.querySelector('.live-output'))};
})"""
"""Titles and texts of what each cell showed when the site was built, and now."""


def cell(page: Page, number: int) -> Locator:
    """A live cell of a page, counted from 1."""
    return page.locator(".cell").nth(number - 1)


def press(cell: Locator, name: str) -> None:
    """Press a button of a cell."""
    cell.get_by_role("button", name=name, exact=True).click()


def ran(cell: Locator) -> None:
    """Wait until a cell has come to its end."""
    expect(cell).to_have_attribute("data-state", re.compile("^(ran)?$"), timeout=LOADING)
    assert cell.get_attribute("data-state") == "ran", cell.locator(".live-output").inner_text()


def live_cells(chapter: str) -> int:
    """How many cells of a chapter are not tagged `static`."""
    notebook = jupytext.read(ROOT / "notebooks" / f"{chapter}.py", fmt="py:percent")
    return sum(
        cell.cell_type == "code" and "static" not in cell.metadata.get("tags", [])
        for cell in notebook.cells
    )


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_cell_prints_what_the_page_shows(page: Page, chapter: str) -> None:
    """All cells of a chapter run one after the other; but for the date, nothing is another."""
    page.goto(f"tutorial/{chapter}/")
    cells = page.locator(".cell")
    expect(cells).to_have_count(live_cells(chapter))
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    last = cells.last
    press(last, "Run all above")
    page.wait_for_function(  # the last one, or one that fails and ends it
        """() => !document.querySelector('.cell[data-state=busy]')
            && document.querySelector('.live-output > *')""",
        timeout=LOADING,
    )
    ran(last)
    for number, shown in enumerate(cells.evaluate_all(SHOWN), 1):
        recorded, live = (dated(shown[part]) for part in ("recorded", "live"))
        assert live == recorded, f"cell {number}"


def dated(parts: list[Any]) -> list[list[str]]:
    """Texts with no date in them."""
    return [[title, DATE.sub("DATE", text)] for title, text in parts]
