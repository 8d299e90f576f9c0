"""A plugin development kit for programmable mail servers, in the tradition of qpsmtpd.

The names here are the public API: all that a plugin needs. `qpsdk.testing` has what its tests
need; `qpsdk.netstring` and `qpsdk.qmqp` are public as modules.
"""

from qpsdk import netstring, qmqp
from qpsdk.address import Address
from qpsdk.constants import (
    DECLINED,
    DENY,
    DENY_DISCONNECT,
    DENYHARD,
    DENYSOFT,
    DENYSOFT_DISCONNECT,
    DONE,
    LOGALERT,
    LOGCRIT,
    LOGDEBUG,
    LOGEMERG,
    LOGERROR,
    LOGINFO,
    LOGNOTICE,
    LOGRADAR,
    LOGWARN,
    OK,
    Constant,
    LogLevel,
)
from qpsdk.errors import (
    AddressError,
    ConfigError,
    HeaderError,
    NetstringError,
    PluginError,
    QMQPError,
    QMQPResponseError,
    QMQPUnconfirmedError,
    QpsdkError,
    StoreError,
    StreamError,
)
from qpsdk.header import Field, Header
from qpsdk.host import Host
from qpsdk.lists import AddressList, Listed, NetworkList, network_of
from qpsdk.log import log_line
from qpsdk.message import Answer, Connection, Outcome, Transaction
from qpsdk.plugin import Plugin, Result, blocking
from qpsdk.reject import RejectMixin
from qpsdk.reply import Reply
from qpsdk.smtp.events import Parameters
from qpsdk.store import MemoryStore, Store
from qpsdk.stream import TLS, Endpoint, Stream

__version__ = "0.1.0"

__all__ = [
    "DECLINED",
    "DENY",
    "DENYHARD",
    "DENYSOFT",
    "DENYSOFT_DISCONNECT",
    "DENY_DISCONNECT",
    "DONE",
    "LOGALERT",
    "LOGCRIT",
    "LOGDEBUG",
    "LOGEMERG",
    "LOGERROR",
    "LOGINFO",
    "LOGNOTICE",
    "LOGRADAR",
    "LOGWARN",
    "OK",
    "TLS",
    "Address",
    "AddressError",
    "AddressList",
    "Answer",
    "ConfigError",
    "Connection",
    "Constant",
    "Endpoint",
    "Field",
    "Header",
    "HeaderError",
    "Host",
    "Listed",
    "LogLevel",
    "MemoryStore",
    "NetstringError",
    "NetworkList",
    "Outcome",
    "Parameters",
    "Plugin",
    "PluginError",
    "QMQPError",
    "QMQPResponseError",
    "QMQPUnconfirmedError",
    "QpsdkError",
    "RejectMixin",
    "Reply",
    "Result",
    "Store",
    "StoreError",
    "Stream",
    "StreamError",
    "Transaction",
    "__version__",
    "blocking",
    "log_line",
    "netstring",
    "network_of",
    "qmqp",
]
