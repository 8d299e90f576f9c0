"""QMQP, the Quick Mail Queueing Protocol, for both sides and without I/O.

Source: https://cr.yp.to/proto/qmqp.html. `protocol` knows packages and responses, `client`
sends a package over any stream.
"""

from qpsdk.qmqp.client import deliver
from qpsdk.qmqp.protocol import (
    DEFAULT_PORT,
    Package,
    PackageDecoder,
    Received,
    Response,
    ResponseDecoder,
    Verdict,
)

__all__ = [
    "DEFAULT_PORT",
    "Package",
    "PackageDecoder",
    "Received",
    "Response",
    "ResponseDecoder",
    "Verdict",
    "deliver",
]
