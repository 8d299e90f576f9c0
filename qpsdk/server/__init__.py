"""The edges: the only sockets of the package.

`stream` makes streams of sockets in both directions, `host` listens and starts a session for
each client.
"""

from qpsdk.server.host import Server, serve
from qpsdk.server.stream import connect

__all__ = ["Server", "connect", "serve"]
