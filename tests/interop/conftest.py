"""Real hosts, in processes of their own, for tests that talk to them over real sockets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.rig import FakeServer, QMQPSink, RunningHost, ScriptedServer, running_host


@pytest.fixture(scope="module", autouse=True, params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The hosts run on uvloop, and once more on the standard library's loop; its name."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "asyncio":
            hidden = tmp_path_factory.mktemp("hidden")
            (hidden / "uvloop.py").write_text('raise ImportError("hidden by the tests")\n')
            patch.setenv("PYTHONPATH", str(hidden), prepend=os.pathsep)
        yield request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the module's host."""
    return tmp_path_factory.mktemp("host")


@pytest.fixture(scope="module")
def fake_of_module() -> Iterator[FakeServer]:
    """The module's fake QMQP server."""
    with FakeServer() as server:
        yield server


@pytest.fixture
def fake(fake_of_module: FakeServer) -> FakeServer:
    """The module's fake QMQP server, with nothing in it yet."""
    fake_of_module.fake.clear()
    return fake_of_module


@pytest.fixture(scope="module")
def host(folder: Path, fake_of_module: FakeServer) -> Iterator[RunningHost]:
    """The module's host, forwarding to its fake server. Every message goes through a file."""
    with running_host(folder, fake_of_module.address, size_threshold="0") as running:
        yield running


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[QMQPSink]:
    """A qmqp-sink for one test."""
    with QMQPSink(tmp_path) as running:
        yield running


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """A QMQP server that does what the test tells it to."""
    with ScriptedServer() as running:
        yield running
