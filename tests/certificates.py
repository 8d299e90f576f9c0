"""Certificates for tests, made by the openssl program, and clients that trust them."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.programs import needs


class Certificate(NamedTuple):
    """A certificate for mx.example.com that signs itself, and its key."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """What a server needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self)
        return context

    def client_context(self) -> ssl.SSLContext:
        """What a client needs that trusts nothing else."""
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False
        return context

    def der(self) -> bytes:
        """The certificate as a peer shows it."""
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())


def make_certificate(folder: Path) -> Certificate:
    """A new one: ``cert.pem`` and ``key.pem`` in a folder."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        [
            *(needs("openssl"), "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", "/CN=mx.example.com"),
            *("-addext", "subjectAltName=DNS:mx.example.com,DNS:localhost,IP:127.0.0.1"),
            *("-out", str(made.certificate), "-keyout", str(made.key)),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return made


class TLSPeer:
    """The client's side of TLS over a plain socket that does not block, step by step.

    Unlike an ssl.SSLSocket it can end its side of TLS and still read.
    """

    def __init__(self, peer: socket.socket, context: ssl.SSLContext) -> None:
        self.socket = peer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing)

    async def handshake(self) -> None:
        """Shake hands."""
        while True:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            else:
                return await self._flush()

    async def send(self, data: bytes, cut: int = 1 << 20) -> None:
        """Send, in slices of the encrypted bytes."""
        self.object.write(data)
        records = self._outgoing.read()
        for at in range(0, len(records), cut):
            await asyncio.get_running_loop().sock_sendall(self.socket, records[at : at + cut])

    async def receive(self) -> bytes:
        """The next bytes; none at the server's close_notify. EOFError at an end without one."""
        while True:
            try:
                return self.object.read(1 << 20)
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    raise EOFError("the end, without close_notify") from None
            except ssl.SSLZeroReturnError:
                return b""

    async def end(self) -> None:
        """Say that we send nothing more."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.object.unwrap()
        await self._flush()

    async def _fill(self) -> bytes:
        data = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 20)
        if data:
            self._incoming.write(data)
        return data

    async def _flush(self) -> None:
        if records := self._outgoing.read():
            await asyncio.get_running_loop().sock_sendall(self.socket, records)
