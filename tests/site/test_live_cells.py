"""The cells of the tutorial run in the reader's browser, and print what the page shows."""

import re
from typing import Any, Final

import jupytext
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

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


def edit(cell: Locator) -> None:
    """Make a cell's code an editor: until it is there, keys go nowhere."""
    press(cell, "Edit")
    expect(cell.get_by_role("textbox")).to_be_focused()


def ran(cell: Locator) -> None:
    """Wait until a cell has come to its end."""
    expect(cell).to_have_attribute("data-state", "ran", timeout=LOADING)


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
    for number, shown in enumerate(cells.evaluate_all(SHOWN), 1):
        recorded, live = (dated(shown[part]) for part in ("recorded", "live"))
        assert live == recorded, f"cell {number}"
    assert last.get_attribute("data-state") == "ran"


def dated(parts: list[Any]) -> list[list[str]]:
    """Texts with no date in them; and with no tab, since Markdown has made spaces of those."""
    return [[title, DATE.sub("DATE", text.expandtabs(4))] for title, text in parts]


def test_cells_at_work(page: Page) -> None:
    """A mistake, a run, a change, an endless loop: in one visit, since Python is slow to start."""
    page.goto("tutorial/00_five_minutes/")
    _an_error_is_shown_from_the_cell_on(page)
    _run_all_above(page)
    _a_cell_is_edited(page)
    _a_cell_that_never_ends_is_stopped(page)


def _an_error_is_shown_from_the_cell_on(page: Page) -> None:
    """A name that is not there yet is told by its line, as text; and the cells after wait."""
    press(cell(page, 2), "Run")
    output = cell(page, 2).locator(".live-output")
    expect(output).to_contain_text("NameError: name 'Quiet' is not defined", timeout=LOADING)
    assert output.locator("pre").inner_text().splitlines()[:2] == [
        "Traceback (most recent call last):",
        '  File "cell 2", line 3, in <module>',
    ]
    status = cell(page, 2).get_by_role("status")
    expect(status).to_have_text("It may need the cells above: Run all above.")


def _run_all_above(page: Page) -> None:
    """Who starts in the middle has the cells above run first, and no other; each only once."""
    press(cell(page, 3), "Run all above")
    ran(cell(page, 3))
    states = [box.get_attribute("data-state") for box in page.locator(".cell").all()]
    assert states == ["ran", "ran", "ran", "", ""]
    expect(cell(page, 4).get_by_role("button", name="Run all above")).to_be_hidden()
    expect(cell(page, 5).get_by_role("button", name="Run all above")).to_be_visible()


def _a_cell_is_edited(page: Page) -> None:
    """Typing into a cell and Control-Enter shows another answer; Reset brings back the page's."""
    first, second = cell(page, 1), cell(page, 2)
    expect(second.locator(".live-output")).to_contain_text("S: 550 5.7.1 we like it quiet here")
    edit(first)
    page.keyboard.press("Control+End")
    for _ in range(len('quiet here"')):
        page.keyboard.press("ArrowLeft")
    page.keyboard.type("very ")
    expect(first).to_have_attribute("data-state", "")
    page.keyboard.press("Control+Enter")
    ran(first)
    press(second, "Run")
    expect(second.locator(".live-output")).to_contain_text("S: 550 5.7.1 we like it very quiet")
    expect(second.locator(".recorded")).to_be_hidden()
    press(first, "Reset")
    expect(first.get_by_role("textbox")).not_to_contain_text("very")
    expect(first).to_have_attribute("data-state", "")


def _a_cell_that_never_ends_is_stopped(page: Page) -> None:
    """The page stays alive; Stop ends Python, and what runs next has a fresh one."""
    first, second = cell(page, 1), cell(page, 2)
    edit(second)
    page.keyboard.press("Control+A")
    page.keyboard.type("print('round and round')\nwhile True: pass")
    press(second, "Run")
    expect(second.locator(".live-output")).to_contain_text("round and round")
    press(second, "Stop")
    expect(second.locator(".live-output")).to_contain_text("Python begins afresh")
    expect(cell(page, 3)).to_have_attribute("data-state", "")
    press(first, "Run")
    ran(first)


def test_a_click_into_the_code_edits_it(page: Page) -> None:
    """The cursor is where the click was; there is nothing else to load the editor for."""
    page.goto("tutorial/00_five_minutes/")
    assert page.locator(".cm-content").count() == 0
    cell(page, 1).locator("code").get_by_text("Quiet", exact=True).click()
    expect(cell(page, 1).get_by_role("textbox")).to_be_focused()
    page.keyboard.type("er")
    expect(cell(page, 1).get_by_role("textbox")).to_contain_text(re.compile("Q.*er.*(Plugin)"))


def test_a_reader_is_faster_than_the_editor(page: Page) -> None:
    """Until it is loaded, keys lead to no other page, and a second click to no second editor."""
    held: list[Route] = []
    page.route("**/editor.js", lambda route: held.append(route))  # noqa: PLW0108 Playwright marks it
    page.goto("tutorial/00_five_minutes/")
    with page.expect_request("**/editor.js"):
        cell(page, 1).get_by_role("button", name="Edit").dblclick()
    page.keyboard.type("n")
    while not held:
        page.wait_for_timeout(10)
    held[0].continue_()
    expect(cell(page, 1).get_by_role("textbox")).to_be_focused()
    expect(page).to_have_url(re.compile(r"/00_five_minutes/$"))


def test_by_keyboard_alone(page: Page) -> None:
    """Tab reaches the buttons, Enter presses them, and Escape and Tab lead out of the editor."""
    page.goto("tutorial/00_five_minutes/")
    first = cell(page, 1)
    first.get_by_role("button", name="Run", exact=True).focus()
    page.keyboard.press("Tab")
    expect(first.get_by_role("button", name="Edit")).to_be_focused()
    page.keyboard.press("Enter")
    expect(first.get_by_role("textbox")).to_be_focused()
    page.keyboard.press("Tab")
    expect(first.get_by_role("textbox")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(first.get_by_role("button", name="Run", exact=True)).to_be_focused()


def test_without_javascript(browser: Browser, address: str) -> None:
    """Code and recorded output are there to read, and nothing that does not work."""
    with browser.new_context(base_url=address, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto("tutorial/00_five_minutes/")
        expect(cell(page, 2).locator(".recorded")).to_be_visible()
        expect(cell(page, 2)).to_contain_text("S: 550 5.7.1 we like it quiet here")
        assert cell(page, 2).get_by_role("button").count() == 0


def test_nothing_is_loaded_before_the_first_run(page: Page) -> None:
    """A reader who only reads waits for no Python and no editor."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("tutorial/00_five_minutes/", wait_until="networkidle")
    assert [url for url in asked if "/npm/" in url or url.endswith("python.zip")] == []
