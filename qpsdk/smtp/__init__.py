"""SMTP as a server speaks it, without I/O: bytes in, events out, replies in, bytes out.

`events` are what a client may do, `steps` is the table of when it may, `commands` the grammar
of a line, `data` the decoder of a message, `sasl` the exchange that follows AUTH, and `engine`
puts them together.
"""

from qpsdk.smtp.engine import Engine
from qpsdk.smtp.events import (
    Auth,
    Block,
    Credentials,
    Data,
    Event,
    Hangup,
    Hello,
    Help,
    Mail,
    MessageEnd,
    Noop,
    Quit,
    Recipient,
    Reset,
    Unknown,
    Unparsed,
    Verify,
)
from qpsdk.smtp.limits import Limits

__all__ = [
    "Auth",
    "Block",
    "Credentials",
    "Data",
    "Engine",
    "Event",
    "Hangup",
    "Hello",
    "Help",
    "Limits",
    "Mail",
    "MessageEnd",
    "Noop",
    "Quit",
    "Recipient",
    "Reset",
    "Unknown",
    "Unparsed",
    "Verify",
]
