"""TLS between a stream and its transport: records in, bytes out, and the other way round."""

import contextlib
import ssl
from typing import Final

from qpsdk.stream import TLS

_RECORD: Final = 16 * 1024
"""Bytes of the largest record (RFC 8446, 5.1)."""


class TLSLayer:
    """The server's side of one TLS connection.

    OpenSSL works on memory here, and not on the socket as in `asyncio`: the two event loops then
    behave alike, and each side can end on its own, which a last reply needs to arrive.

    Attributes:
        established: What was agreed on; None until the handshake is done.
        ended: True once the client has said that it sends nothing more.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "ended", "established")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established: TLS | None = None
        self.ended = False

    def receive(self, records: bytes) -> bytes:
        """Take what came, in any slices; the bytes that it carried.

        What TLS itself answers is for `data_to_send`.

        Raises:
            ssl.SSLError: It is no TLS, or there is nothing that both sides support.
        """
        if self.ended:
            return b""  # OpenSSL reads no more, and would only pile it up
        self._incoming.write(records)
        parts = []
        try:
            if self.established is None:
                self._object.do_handshake()
                version, cipher = self._object.version(), self._object.cipher()
                self.established = TLS(version or "", cipher[0] if cipher else "")
            while data := self._object.read(_RECORD):
                parts.append(data)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(parts)

    def send(self, data: bytes) -> bytes:
        """The records that carry `data`.

        Raises:
            ssl.SSLError: TLS has failed before.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[self._object.write(rest) :]
        return self._outgoing.read()

    def end(self) -> bytes:
        """The record that says that we send nothing more; none where TLS has failed."""
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()  # raises at best that the client has not said so yet
        return self._outgoing.read()

    def data_to_send(self) -> bytes:
        """What TLS itself has to say since the last call: its handshake, an alert."""
        return self._outgoing.read()
