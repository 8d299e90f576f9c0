"""The edges: the only sockets of the package.

`stream` makes streams of sockets in both directions, `host` listens and starts a session for
each client, `process` runs a host until it is told to stop, `workers` runs several.
"""

from qpsdk.server.host import Server
from qpsdk.server.process import serve
from qpsdk.server.stream import connect

__all__ = ["Server", "connect", "serve"]
