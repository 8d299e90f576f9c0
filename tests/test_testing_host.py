"""A host and fake servers on sockets, for plain and for async tests."""

import asyncio
import smtplib
import socket
import threading
from typing import Any

import pytest

from qpsdk import OK, Endpoint, Plugin, PluginError
from qpsdk.errors import SetupError
from qpsdk.testing import FakeQMQPServer, FakeSMTPServer, host, listening

MESSAGE = "Subject: hello\n\n.dot\n"


class Yes(Plugin):
    def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        return OK


def test_all_over_sockets() -> None:
    """A blocking client sends to the host, which forwards to a fake server; nothing is left."""
    fake = FakeQMQPServer()
    before = threading.active_count()
    with listening(fake) as at:
        with host(Yes(), f"queue/qmqp_forward {at.host} {at.port}") as running:
            assert running.qp.settings.me == "mx.example.com"
            with smtplib.SMTP(running.host, running.port) as client:
                client.sendmail("a@example.org", ["b@example.com"], MESSAGE)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((running.host, running.port))
    assert fake.only_message().recipients == (b"b@example.com",)
    assert threading.active_count() == before


def test_async() -> None:
    """In a loop, the host lives in that loop."""

    async def main() -> None:
        fake = FakeSMTPServer()
        async with (
            listening(fake) as at,
            host(Yes(), f"queue/smtp_forward {at.host} {at.port}") as running,
        ):
            reader, writer = await asyncio.open_connection(running.host, running.port)
            assert (await reader.readline()).startswith(b"220 mx.example.com")
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_wrong() -> None:
    """What is wrong is raised where the host is entered."""
    with pytest.raises(PluginError, match="rcptok: no such plugin"):
        host("rcptok").__enter__()
    with pytest.raises(SetupError, match=r"cannot listen on 192\.0\.2\.1:25"):
        host(listen=Endpoint("192.0.2.1", 25)).__enter__()


def test_lent_connection() -> None:
    """A host on a socket may still have its servers in memory."""
    fake = FakeQMQPServer()
    with (
        host(Yes(), "queue/qmqp_forward 192.0.2.1", connect=fake.connect) as running,
        smtplib.SMTP(running.host, running.port) as client,
    ):
        client.sendmail("a@example.org", ["b@example.com"], MESSAGE)
    assert fake.only_message().sender == b"a@example.org"
