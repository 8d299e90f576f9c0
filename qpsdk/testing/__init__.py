"""What tests of plugins need, free of any test framework."""

from qpsdk.testing.answers import assert_answer
from qpsdk.testing.client import SMTPClient, Step, SyncSMTPClient
from qpsdk.testing.contract import PluginContract
from qpsdk.testing.fake_qmqp import FakeQMQPServer
from qpsdk.testing.fake_smtp import CapturedMail, FakeSMTPServer
from qpsdk.testing.host import RunningHost, host, listening
from qpsdk.testing.logs import Log, LogLine, capture_log
from qpsdk.testing.loop import HangError, run
from qpsdk.testing.make import Clock, ask, connection, plugin, transaction
from qpsdk.testing.memory import MemoryStream, pipe
from qpsdk.testing.qmqp_capture import Captured, Conversation
from qpsdk.testing.smtp import memory_host, smtp
from qpsdk.testing.witnesses import ContractError

__all__ = [
    "Captured",
    "CapturedMail",
    "Clock",
    "ContractError",
    "Conversation",
    "FakeQMQPServer",
    "FakeSMTPServer",
    "HangError",
    "Log",
    "LogLine",
    "MemoryStream",
    "PluginContract",
    "RunningHost",
    "SMTPClient",
    "Step",
    "SyncSMTPClient",
    "ask",
    "assert_answer",
    "capture_log",
    "connection",
    "host",
    "listening",
    "memory_host",
    "pipe",
    "plugin",
    "run",
    "smtp",
    "transaction",
]
