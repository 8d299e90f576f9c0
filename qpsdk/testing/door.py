"""A listening socket that can be shut for a while."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

from qpsdk.stream import Endpoint, Stream


class Door:
    """A listening socket that can be shut for a while and keeps its address.

    Attributes:
        endpoint: Where it is.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        begin: Callable[[Stream], None],
        io_timeout: float,
        session_timeout: float,
    ) -> None:
        """Bind the address; nobody is let in yet.

        Args:
            begin: Given each connection's stream.
            io_timeout: Seconds that it may be idle.
            session_timeout: Seconds that it may last.

        Raises:
            OSError: The address cannot be had.
        """
        self.endpoint = endpoint
        self._limits = io_timeout, session_timeout
        self._begin = begin
        self._open = False
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._socket = self._bind()
        if not endpoint.path:
            self.endpoint = Endpoint(*self._socket.getsockname()[:2])

    def _bind(self) -> socket.socket:
        host, port, path, _ = self.endpoint
        family: int = socket.AF_UNIX
        address: object = path
        if not path:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family)
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)  # type: ignore[arg-type]
        except OSError:
            made.close()
            raise
        return made

    def set_open(self, wanted: bool) -> None:
        """Open or shut it: where a socket is bound that nobody listens on, all are refused."""
        if wanted and not self._open:
            self._socket.listen(1024)
            self._loop.add_reader(self._socket, self._accept)
        elif self._open and not wanted:
            self.close()
            self._socket = self._bind()
        self._open = wanted

    def close(self) -> None:
        """Let nobody in any more."""
        if self._open:
            self._loop.remove_reader(self._socket)
        self._socket.close()
        if self.endpoint.path:
            with contextlib.suppress(OSError):
                os.unlink(self.endpoint.path)
        self._open = False

    def _accept(self) -> None:
        try:
            accepted, _ = self._socket.accept()
        except OSError:  # it has gone again
            return
        task = self._loop.create_task(self._welcome(accepted))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _welcome(self, accepted: socket.socket) -> None:
        from qpsdk.server.stream import SocketStream  # in a browser there is no server

        accepted.setblocking(False)
        with contextlib.suppress(OSError):  # the client has gone again
            await self._loop.connect_accepted_socket(
                lambda: SocketStream(self._loop, *self._limits, on_made=self._begin), accepted
            )
