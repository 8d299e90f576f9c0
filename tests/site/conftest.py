"""The built site, its address, and pages of it in a browser."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from tests.site.rig import DESKTOP, Theme, build, chromium, reader, served


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test of the site its time without the build of the site, which the first waits for."""
    if item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built once for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "served" / "qpsdk"
    with (base / "site.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not folder.exists():
            build(base / "built")
            folder.parent.mkdir()
            (base / "built").rename(folder)
    return folder


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the site is served, below a path, with a slash at the end."""
    with served(site) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the module's tests; not for longer, since other tests use asyncio."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def theme() -> Theme:
    """What the reader's system asks for."""
    return "light"


@pytest.fixture
def size() -> ViewportSize:
    """The reader's screen."""
    return DESKTOP


@pytest.fixture
def page(browser: Browser, address: str, theme: Theme, size: ViewportSize) -> Iterator[Page]:
    """An empty tab; `page.goto("tutorial/04_qmqp/")` opens a page of the site.

    The test fails if anything goes wrong in it. Tests parametrize `theme` and `size` for another
    reader.
    """
    with reader(browser, address, theme, size) as (page, problems):
        yield page
    assert problems == []


@pytest.fixture(scope="module")
def tabs(browser: Browser, address: str) -> Iterator[Callable[[Theme], tuple[Page, list[str]]]]:
    """For each theme a tab, and what goes wrong in it."""
    with ExitStack() as stack:
        yield cache(lambda theme: stack.enter_context(reader(browser, address, theme, DESKTOP)))


@pytest.fixture
def tab(tabs: Callable[[Theme], tuple[Page, list[str]]], theme: Theme) -> Iterator[Page]:
    """The same as `page`, but the module's tests share it: what one has loaded, is there."""
    page, problems = tabs(theme)
    yield page
    found = problems.copy()
    problems.clear()
    assert found == []
