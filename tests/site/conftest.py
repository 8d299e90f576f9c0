"""The built site, its address, and pages of it in a browser."""

import os
from collections.abc import Iterator
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from tests.site.rig import DESKTOP, PATIENCE, PHONE, build, chromium, served, watch


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
def theme() -> Literal["light", "dark"]:
    """What the reader's system asks for."""
    return "light"


@pytest.fixture
def size() -> ViewportSize:
    """The reader's screen."""
    return DESKTOP


@pytest.fixture
def context(
    browser: Browser, address: str, theme: Literal["light", "dark"], size: ViewportSize
) -> Iterator[BrowserContext]:
    """A reader with nothing in the cache. The test fails if anything goes wrong in a page.

    Tests parametrize `theme` and `size` for another reader.
    """
    phone = size == PHONE
    with browser.new_context(
        base_url=address, color_scheme=theme, viewport=size, is_mobile=phone, has_touch=phone
    ) as context:
        context.set_default_timeout(PATIENCE * 1000)
        problems = watch(context, address)
        yield context
    assert problems == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty tab; `page.goto("tutorial/04_qmqp/")` opens a page of the site."""
    return context.new_page()
