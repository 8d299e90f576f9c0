"""Where chapter 10 arrives: a host between a proxy and a server, run and stopped."""

import asyncio
import signal
import socket
import sys
import tempfile
from pathlib import Path

from qpsdk import Endpoint
from qpsdk.testing import FakeQMQPServer

LETTER = b"From: ann@example.org\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n\r\nHow are you?\r\n"


async def send(port: int, client: str, recipient: str) -> str:
    """Send the letter as a proxy does for a client; the last reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"PROXY TCP4 {client} 127.0.0.1 40000 25\r\n".encode())
    for command in (
        b"",
        b"HELO client.example.org\r\n",
        b"MAIL FROM:<ann@example.org>\r\n",
        f"RCPT TO:<{recipient}>\r\n".encode(),
        b"DATA\r\n",
        LETTER + b".\r\n",
    ):
        writer.write(command)
        reply = (await reader.readline()).decode().rstrip()
        if reply[0] in "45":
            break
    writer.close()
    await writer.wait_closed()
    return reply


async def main() -> None:
    """Show what is told to whom, before there is a server and after."""
    behind = socket.socket()
    behind.bind(("127.0.0.1", 0))  # keeps the port, and listens not
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "me": "mx.example.com",
            "listen": "127.0.0.1:0",
            "rcpthosts": "example.com",
            "relayclients": "127.0.0.1",
            "proxy_networks": "127.0.0.1",
            "plugins": "relay\nrcpt_ok\nheaders\n"
            f"queue/qmqp_forward 127.0.0.1:{behind.getsockname()[1]} rest=0",
        }
        for name, text in settings.items():
            Path(folder, name).write_text(text + "\n")
        host = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "qpsdk", "serve", "--config", folder),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert host.stdout is not None
            port = int((await host.stdout.readline()).rpartition(b":")[2])
            print("a stranger:   ", await send(port, "192.0.2.1", "bob@example.net"))
            print("no server:    ", await send(port, "192.0.2.1", "bob@example.com"))
            address = behind.getsockname()
            behind.close()
            fake = FakeQMQPServer()
            await fake.listen(Endpoint(*address))
            print("with a server:", await send(port, "192.0.2.1", "bob@example.com"))
            print(
                "it has seen:  ", fake.only_message().message.splitlines()[0].decode()
            )
            await fake.close()
        finally:
            host.send_signal(signal.SIGTERM)
            print("exit status:  ", await host.wait())


if __name__ == "__main__":
    asyncio.run(main())
