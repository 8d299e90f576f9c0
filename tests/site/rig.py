"""The site as its readers have it: built, served below a path, and opened in Chromium.

No name but 127.0.0.1 is known to the browser, and what it does beside opening pages is turned off.
"""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.programs import needs

ROOT: Final = Path(__file__).parent.parent.parent

Theme = Literal["light", "dark"]
"""What the reader's system asks for."""

PATIENCE: Final = 20.0
"""Seconds that anything may take in a page before the test gives up."""

BUILD: Final = 300.0
"""Seconds for the build, which runs the notebooks that have changed."""

DESKTOP: Final = ViewportSize(width=1280, height=800)
PHONE: Final = ViewportSize(width=390, height=844)

FLAGS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-first-run",
)


def build(folder: Path) -> None:
    """Build the site into a folder as `make docs` does."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    result = subprocess.run(
        [*command, "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BUILD,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


class _Files(SimpleHTTPRequestHandler):
    """Files, silently; with the types without which a browser runs no module and no program."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a failed request is told by the browser."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """A site, below a path that has its folder's name; its address, with a slash at the end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=site.parent)) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{site.name}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window.

    While it runs, the thread has a running event loop (Playwright's): nothing else in it can
    `asyncio.run`.
    """
    program = needs("chromium")
    expect.set_options(timeout=PATIENCE * 1000)  # what no context's default is for
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=FLAGS, env={"HOME": home}, timeout=PATIENCE * 1000
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def reader(
    browser: Browser, address: str, theme: Theme, size: ViewportSize
) -> Iterator[tuple[Page, list[str]]]:
    """A tab of a reader with nothing in the cache, and what goes wrong in it, as `watch` says."""
    phone = size == PHONE
    with browser.new_context(
        base_url=address, color_scheme=theme, viewport=size, is_mobile=phone, has_touch=phone
    ) as context:
        context.set_default_timeout(PATIENCE * 1000)
        problems = watch(context, address)
        yield context.new_page(), problems


def watch(context: BrowserContext, address: str) -> list[str]:
    """What goes wrong in the pages of a context from now on, in sentences.

    Errors on the console and those that no script caught, requests that fail, and requests to
    anywhere but the address.
    """
    problems: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.append(f"the console of {message.location['url']} says: {message.text}")

    def request(asked: Request) -> None:
        if not asked.url.startswith((address, "data:", "blob:")):
            problems.append(f"asks another place: {asked.url}")

    def failed(asked: Request) -> None:
        if asked.failure != "net::ERR_ABORTED":  # a page that is left stops loading
            problems.append(f"{asked.url} fails: {asked.failure}")

    context.on("console", console)
    context.on("weberror", lambda found: problems.append(f"no script caught: {found.error}"))
    context.on("request", request)
    context.on("requestfailed", failed)
    context.on(
        "response",
        lambda answer: (
            problems.append(f"{answer.url}: {answer.status}") if answer.status >= 400 else None
        ),
    )
    return problems
