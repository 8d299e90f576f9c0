"""Fakes for tests of plugins, free of any test framework."""

from qpsdk.testing.fake_qmqp import FakeQMQPServer
from qpsdk.testing.fake_smtp import CapturedMail, FakeSMTPServer
from qpsdk.testing.memory import MemoryStream, pipe
from qpsdk.testing.qmqp_capture import Captured, Conversation
from qpsdk.testing.smtp import SMTPClient, smtp

__all__ = [
    "Captured",
    "CapturedMail",
    "Conversation",
    "FakeQMQPServer",
    "FakeSMTPServer",
    "MemoryStream",
    "SMTPClient",
    "pipe",
    "smtp",
]
