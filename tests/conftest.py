"""What tests share: how hard hypothesis searches, a certificate, log and modules as before."""

import gc
import logging
import os
import sys
from collections.abc import Iterator
from itertools import chain
from typing import Final

import pytest
from hypothesis import settings

from qpsdk.log import Scene, scene
from tests.certificates import Certificate, make_certificate

# No deadline: a slow machine is no failure. CI draws the same examples every time, so that a
# red run can be repeated; at home each run looks elsewhere.
settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
# In Pyodide everything takes ten times as long, and what is looked for is only what it does not do.
settings.register_profile("pyodide", max_examples=5, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")


LONG: Final = (
    ("tests/site/",),
    ("tests/test_new_project.py", "tests/test_scaffold_project.py"),
    ("tests/test_pyodide.py", "tests/soak/"),
)
"""Tests that take a minute, or share what takes one to make: each group is for one worker."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long ones, or the last of them would hold up all other workers.

    `--dist worksteal` cuts the list into as many pieces as there are workers; who has nothing left
    takes from the end of another's. So what is in front of a piece stays together.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    pieces: list[list[pytest.Item]] = [[] for _ in range(workers)]
    others: list[pytest.Item] = []
    for item in items:
        group = next((n for n, names in enumerate(LONG) if item.nodeid.startswith(names)), None)
        (others if group is None else pieces[group % workers]).append(item)
    for number, piece in enumerate(pieces):
        wanted = (len(items) - sum(map(len, pieces[:number]))) // (workers - number)
        missing = max(0, wanted - len(piece))
        piece.extend(others[:missing])
        del others[:missing]
    items[:] = [*chain.from_iterable(pieces), *others]


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over the 8,000 tests and their modules, each time it looks."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for mx.example.com."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def modules_as_before() -> Iterator[None]:
    """Forget the modules that a test imported."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Put the process's log back as it was, and whom its lines are about."""
    scene.set(Scene())
    logger, root = logging.getLogger("qpsdk"), logging.getLogger()
    before = logger.handlers[:], logger.level, root.handlers[:]
    yield
    logger.handlers[:], level, root.handlers[:] = before
    logger.setLevel(level)
