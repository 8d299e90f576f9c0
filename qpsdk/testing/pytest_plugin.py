"""Fixtures for pytest, which finds them by itself where qpsdk is installed.

All that they give is in `qpsdk.testing`, for other frameworks.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # imported where needed: pytest loads this file also for other projects' tests
    from qpsdk.testing import (
        Clock,
        FakeQMQPServer,
        FakeSMTPServer,
        Log,
        SyncSMTPClient,
    )
    from qpsdk.testing.fake_dns import FakeDNSServer


@pytest.fixture
def smtp() -> "Iterator[Callable[..., SyncSMTPClient]]":
    """Make clients in memory, with the arguments of `qpsdk.testing.smtp`.

    They end with the test, or with a ``with`` block.
    """
    from qpsdk.testing import smtp as client

    with ExitStack() as clients:

        def make(*plugins: Any, **options: Any) -> "SyncSMTPClient":
            __tracebackhide__ = True
            session = client(*plugins, **options)
            made = session.__enter__()
            made.session.push(session)
            clients.push(made)
            return made

        yield make


@pytest.fixture
def log() -> "Iterator[Log]":
    """Capture the log of the host and its plugins."""
    from qpsdk.testing import capture_log

    with capture_log() as captured:
        yield captured


@pytest.fixture
def clock() -> "Clock":
    """A clock that moves only when told to: for ``smtp(..., clock=clock)``."""
    from qpsdk.testing import Clock

    return Clock()


@pytest.fixture
def fake_qmqp() -> "FakeQMQPServer":
    """A QMQP server in memory: for ``smtp(..., connect=fake_qmqp.connect)``."""
    from qpsdk.testing import FakeQMQPServer

    return FakeQMQPServer()


@pytest.fixture
def fake_smtp() -> "FakeSMTPServer":
    """An SMTP server in memory: for ``smtp(..., connect=fake_smtp.connect)``."""
    from qpsdk.testing import FakeSMTPServer

    return FakeSMTPServer()


@pytest.fixture
def fake_dns() -> "Iterator[FakeDNSServer]":
    """A DNS server that listens at ``fake_dns.endpoint``; skipped where dnspython is missing."""
    pytest.importorskip("dns", reason="needs dnspython: pip install 'qpsdk[dns]'")
    from qpsdk.testing import listening
    from qpsdk.testing.fake_dns import FakeDNSServer

    fake = FakeDNSServer()
    with listening(fake):
        yield fake
