"""What tests share: how hard hypothesis searches, a certificate, log and modules as before."""

import logging
import os
import sys
from collections.abc import Iterator

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
