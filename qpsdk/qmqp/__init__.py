"""QMQP, the Quick Mail Queueing Protocol, for both sides and without I/O.

Source: https://cr.yp.to/proto/qmqp.html. `protocol` knows packages and responses, `client`
sends a package over any stream, `servers` chooses among several servers. Only `send`, which is
for scripts, opens files and sockets; it lives on a higher floor.

QMQP is plain text and knows no password: let it cross loopback or a VPN only.
"""

import typing

from qpsdk.qmqp.client import (
    CONNECT_TIMEOUT,
    IO_TIMEOUT,
    SESSION_TIMEOUT,
    check_time_limits,
    deliver,
)
from qpsdk.qmqp.line_ends import to_lf
from qpsdk.qmqp.protocol import (
    DEFAULT_PORT,
    Package,
    PackageDecoder,
    Received,
    Response,
    ResponseDecoder,
    Verdict,
)
from qpsdk.qmqp.servers import ServerList, parse_server, parse_servers

if typing.TYPE_CHECKING:
    from qpsdk.server.qmqp import send

__all__ = [
    "CONNECT_TIMEOUT",
    "DEFAULT_PORT",
    "IO_TIMEOUT",
    "SESSION_TIMEOUT",
    "Package",
    "PackageDecoder",
    "Received",
    "Response",
    "ResponseDecoder",
    "ServerList",
    "Verdict",
    "check_time_limits",
    "deliver",
    "parse_server",
    "parse_servers",
    "send",
    "to_lf",
]


def __getattr__(name: str) -> typing.Any:
    # Loaded when it is first asked for: the rest of this package does without a loop and sockets.
    if name == "send":
        from qpsdk.server.qmqp import send

        return send
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
