"""The SMTP console: the reader's plugin answers what the reader types."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.site.test_live_cells import LOADING

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def console(tab: Page) -> Page:
    """The page, opened; with a session, if another test has been here."""
    if tab.url.endswith("/console/"):
        press(tab, "Reset")
        expect(log(tab)).to_contain_text("S: 220 ", timeout=LOADING)
    else:
        tab.goto("console/")
    return tab


def log(page: Page) -> Locator:
    """What the session has shown."""
    return page.get_by_role("log")


def press(page: Page, name: str) -> None:
    """Press a button."""
    page.get_by_role("button", name=name, exact=True).click()


def say(page: Page, line: str, then: str) -> None:
    """Type a line, and wait for what comes of it."""
    field = page.get_by_label("Your line")
    field.fill(line)
    while field.input_value() == line:  # for a moment after a reply, no line is taken
        field.press("Enter")
    expect(log(page)).to_contain_text(then, timeout=LOADING)


def test_a_session_typed_by_hand(console: Page) -> None:
    """Replies, the hooks with their answers and the QMQP package appear as the reader types."""
    say(console, "EHLO client.example.org", "S: 250 ENHANCEDSTATUSCODES")
    say(console, "MAIL FROM:<sender@example.org>", "S: 250 2.1.0 Sender OK")
    say(console, "RCPT TO:<bob@example.com>", "S: 550 5.7.1 Bob no longer works here")
    expect(log(console)).to_contain_text("rcpt: Mine answered DENY, 'Bob no longer works here'")
    say(console, "RCPT TO:<ann@example.com>", "S: 250 2.1.5 Recipient OK")
    expect(log(console)).to_contain_text("rcpt: Mine answered OK")
    say(console, "DATA", "S: 354")
    message = console.get_by_label("Your message")
    expect(message).to_be_focused()
    message.fill("Subject: a test\n\n.A dot\n")
    press(console, "Send the message")
    expect(log(console)).to_contain_text("S: 250 2.0.0 fake, nothing is queued")
    expect(log(console).locator("pre").first).to_contain_text("15:ann@example.com,  recipient")
    expect(log(console).locator("pre").first).to_contain_text("Subject: a test")
    expect(console.get_by_label("Your line")).to_be_focused()
    say(console, "QUIT", "The server has closed the connection.")


def test_the_sample_is_played(console: Page) -> None:
    """One click shows a whole session, from the greeting to the end."""
    press(console, "Play a sample")
    expect(log(console)).to_contain_text("The server has closed", timeout=LOADING)
    text = log(console).inner_text()
    for part in ("S: 220 ", "550 5.7.1 Bob", "QMQP   the package", "24:Kfake", "S: 221 "):
        assert part in text


def test_an_edited_plugin_answers(console: Page) -> None:
    """What was typed into the editor is what runs in the next session; Reset takes it back."""
    console.get_by_role("textbox", name="Your plugins").click()
    console.keyboard.press("Control+A")
    console.keyboard.type(
        "from qpsdk import DENY, Plugin\n\n"
        "class NoBounces(Plugin):\n"
        "def hook_mail(self, transaction, address, params):\n"
        "print('asked')\n"
        "return DENY, 'no bounces'\n"
    )
    console.keyboard.press("Shift+Tab")
    console.keyboard.press("Shift+Tab")
    console.keyboard.type("\nplugins = [NoBounces()]")
    console.keyboard.press("Control+Enter")
    expect(log(console)).to_contain_text("S: 220 ", timeout=LOADING)
    say(console, "HELO client.example.org", "S: 250 ")
    say(console, "MAIL FROM:<>", "S: 550 5.7.1 no bounces")
    assert "asked" in log(console).inner_text().splitlines()
    press(console, "Reset")
    expect(console.get_by_role("textbox", name="Your plugins")).to_contain_text("class Mine")
    expect(log(console)).not_to_contain_text("no bounces")


def test_a_mistake_in_a_hook(console: Page) -> None:
    """It counts as no opinion, and the log has the traceback."""
    console.get_by_role("textbox", name="Your plugins").click()
    console.keyboard.press("Control+A")
    console.keyboard.insert_text(
        "from qpsdk import Plugin\n"
        "class Mine(Plugin):\n"
        "    def hook_helo(self, connection, host):\n"
        "        return Ok\n"
        "plugins = [Mine()]"
    )
    press(console, "Begin a session")
    expect(log(console)).to_contain_text("S: 220 ", timeout=LOADING)
    say(console, "HELO client.example.org", "helo: Mine answered DECLINED")
    text = log(console).inner_text()
    assert 'File "your plugin", line 4, in hook_helo' in text
    assert "NameError: name 'Ok' is not defined" in text


MISTAKES = {
    "oops(": "SyntaxError",
    "oops": 'File "your plugin", line 1',
    "x = 1": "There is no list `plugins`",
    "plugins = ['no_such_plugin']": "no_such_plugin",
    "plugins = [int]": "<class 'int'> is no plugin",
}
"""Code that cannot be loaded, with what is said of it."""


def test_code_that_does_not_load(console: Page) -> None:
    """What is wrong is said in the log, and a session can be begun when it is mended."""
    for code, told in MISTAKES.items():
        console.get_by_role("textbox", name="Your plugins").click()
        console.keyboard.press("Control+A")
        console.keyboard.insert_text(code)
        press(console, "Begin a session")
        expect(log(console)).to_contain_text(told, timeout=LOADING)
    press(console, "Reset")
    expect(log(console)).to_contain_text("S: 220 ")


def test_lines_are_recalled(console: Page) -> None:
    """The arrow keys bring back what was said."""
    say(console, "HELO one", "S: 250 ")
    say(console, "HELO two", "C: HELO two")
    line = console.get_by_label("Your line")
    console.keyboard.press("ArrowUp")
    console.keyboard.press("ArrowUp")
    expect(line).to_have_value("HELO one")
    console.keyboard.press("ArrowDown")
    expect(line).to_have_value("HELO two")
    console.keyboard.press("ArrowDown")
    expect(line).to_have_value("")


def test_a_hook_that_never_ends(console: Page) -> None:
    """Another session can be begun while one hangs."""
    console.get_by_role("textbox", name="Your plugins").click()
    console.keyboard.press("Control+A")
    console.keyboard.insert_text("while True: pass")
    press(console, "Begin a session")
    press(console, "Reset")
    expect(log(console)).to_contain_text("S: 220 ", timeout=LOADING)
