"""A running host, what talks to it and what it talks to; nothing here goes through qpsdk's rooms.

The SMTP client writes and reads raw bytes, with dot-stuffing and reply grammar of its own, so
that a fault in the package cannot hide behind the same fault in its test. Only `FakeServer`
runs the package's own fake QMQP server, which it also tests.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from qpsdk.server.process import ROOT
from qpsdk.stream import Endpoint
from qpsdk.testing import Captured, FakeQMQPServer
from qpsdk.testing.fake_qmqp import ANY_PORT
from qpsdk.testing.qmqp_profiles import Profile
from qpsdk.testing.qmqp_script import Act
from tests.programs import needs

PATIENCE = 15.0
"""Seconds that anything may take here before the test gives up."""

_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})([ -])([ -~]*)\r\n\Z")
_FOLDED = rb"[^\n]*\n(?:[ \t][^\n]*\n)*"
_OURS = re.compile(rb"Received:" + _FOLDED + rb"Authentication-Results:" + _FOLDED)


class Answer(NamedTuple):
    """One SMTP reply."""

    code: int
    text: bytes


class Client:
    """An SMTP client of raw bytes, which holds every reply line to RFC 5321's grammar."""

    def __init__(
        self, address: tuple[str, int] | str, *, greeted: bool = True, source: str = ""
    ) -> None:
        """`address` is host and port, or the path of a unix socket; `source` our own address."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(PATIENCE)
        if source:
            self.socket.bind((source, 0))
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self.socket.makefile("rb")
        if greeted:
            assert self.reply().code == 220

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def reply(self) -> Answer:
        """The next reply; `EOFError` if the server has closed."""
        texts: list[bytes] = []
        codes: set[bytes] = set()
        while True:
            line = self._lines.readline()
            if not line:
                raise EOFError("the server closed the connection")
            match = _REPLY_LINE.match(line)
            assert match is not None, f"not an SMTP reply line: {line[:200]!r}"
            codes.add(match[1])
            texts.append(match[3])
            if match[2] == b" ":
                assert len(codes) == 1, f"one reply has several codes: {codes}"
                return Answer(int(match[1]), b"\n".join(texts))

    def rest(self) -> list[Answer]:
        """All replies until the server closes; a reset counts as a close."""
        replies = []
        try:
            while True:
                replies.append(self.reply())
        except (EOFError, ConnectionError):
            return replies

    def ask(self, line: bytes) -> Answer:
        """Send one command, and give its reply."""
        self.send(line + b"\r\n")
        return self.reply()

    def hello(self) -> None:
        """Say EHLO."""
        assert self.ask(b"EHLO client.example.org").code == 250

    def begin(self, *recipients: bytes) -> None:
        """All up to the 354 of DATA."""
        assert self.ask(b"MAIL FROM:<sender@example.org>").code == 250
        for recipient in recipients or (b"recipient@example.com",):
            assert self.ask(b"RCPT TO:<" + recipient + b">").code == 250
        assert self.ask(b"DATA").code == 354

    def deliver(self, message: bytes, block: int = 1 << 16) -> Answer:
        """Send a message with LF line ends, in blocks of so many bytes; the last reply."""
        self.begin()
        for part in blocks(wire(message), block):
            self.send(part)
        self.send(b".\r\n")
        return self.reply()

    def end(self) -> None:
        """Half-close: nothing more is sent, all may still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close, with a FIN."""
        self._lines.close()
        self.socket.close()

    def reset(self) -> None:
        """Vanish, with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def wire(message: bytes) -> bytes:
    """A message as DATA carries it: CRLF line ends, a dot before each leading dot."""
    assert message == b"" or message.endswith(b"\n"), "DATA carries whole lines only"
    lines = message.split(b"\n")[:-1]
    return b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines)


def blocks(data: bytes, size: int) -> Iterator[bytes]:
    """The data, so many bytes at a time."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def without_received(message: bytes) -> bytes:
    """The message without what the host put on top, Received and Authentication-Results."""
    match = _OURS.match(message)
    assert match is not None, f"not our fields on top: {message[:200]!r}"
    return message[match.end() :]


def digest(data: bytes) -> str:
    """Length and SHA-256, so that a failed comparison of megabytes stays readable."""
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()}"


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """True as soon as the condition holds; its last value when the time is over."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return condition()
        time.sleep(0.01)
    return True


class RunningHost:
    """A `qpsdk serve` in a process of its own.

    Attributes:
        config: Its config directory.
        spool: Its spool folder.
        process: The process.
        address: Where it listens.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, str],
        listen: str,
        wrapper: Iterable[str] = (),
        options: Iterable[str] = (),
    ) -> None:
        """`wrapper` is a command that runs the command that follows it."""
        self.config = write_config(folder / "config", settings)
        self.spool = Path(settings["spool_dir"])
        self._stderr = folder / "stderr"
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*wrapper, *command(self.config, listen), *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on "):
            self.kill()
            raise AssertionError(f"the host said {line!r} and {self.log()!r}")
        self.listen = line.removeprefix("listening on ").rstrip()
        host, _, port = self.listen.removeprefix("tls:").rpartition(":")
        self.address = (host, int(port)) if port.isdigit() else ("", 0)

    def connect(self, *, greeted: bool = True, source: str = "") -> Client:
        """A new client of it, which may come from another loopback address."""
        return Client(self.address, greeted=greeted, source=source)

    def log(self) -> str:
        """What it has written to standard error, but for whose process it is."""
        lines = self._stderr.read_text().splitlines(keepends=True)
        return "".join(line for line in lines if ROOT not in line)

    def spooled(self) -> list[Path]:
        """The files in its spool folder."""
        return list(self.spool.iterdir())

    def workers(self) -> list[int]:
        """The ids of the processes that it has begun."""
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def descriptors(self) -> int:
        """How many file descriptors it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        times = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, name: str) -> int:
        """A value of /proc/PID/status in kB, such as VmRSS or VmHWM."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(rf"^{name}:\s+([0-9]+) kB$", status, re.MULTILINE)
        assert match is not None
        return int(match[1])

    def reset_peak(self) -> None:
        """Let VmHWM begin anew from VmRSS (proc_pid_clear_refs(5))."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Tell it to stop."""
        self.process.send_signal(number)

    def exit_status(self) -> int:
        """Wait for its end."""
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it, however it is."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def command(config: Path, *listen: str) -> list[str]:
    """The command line that runs a host."""
    options = [word for address in listen for word in ("--listen", address)]
    return [sys.executable, "-m", "qpsdk", "serve", "--config", str(config), *options]


def refusal(config: Path, *listen: str) -> str:
    """The one line with which a host refuses to start, behind what else the log has."""
    done = subprocess.run(
        command(config, *listen), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2, done
    assert done.stdout == ""
    *log, line = done.stderr.splitlines()
    assert line.startswith("qpsdk: ")
    assert all(" LOGWARN " in one for one in log)
    return line


def write_config(folder: Path, settings: dict[str, str]) -> Path:
    """A config directory with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in settings.items():
        (folder / name).write_text(text + "\n")
    return folder


@contextmanager
def running_host(
    folder: Path,
    qmqp: tuple[str, int],
    *,
    listen: str = "127.0.0.1:0",
    wrapper: Iterable[str] = (),
    options: Iterable[str] = (),
    **settings: str,
) -> Iterator[RunningHost]:
    """A host with rcpt_ok for example.com that forwards to a QMQP server."""
    host = RunningHost(
        folder,
        {
            "me": "mx.example.com",
            "rcpthosts": "example.com",
            "plugins": f"rcpt_ok\nqueue/qmqp_forward {qmqp[0]} {qmqp[1]}",
            "spool_dir": str(folder / "spool"),
            **settings,
        },
        listen,
        wrapper,
        options,
    )
    try:
        yield host
    finally:
        host.kill()


class FakeServer:
    """The package's fake QMQP server on a socket, with a loop and a thread of its own."""

    def __init__(
        self,
        *,
        profile: Profile | str = "strict",
        keep: int | None = None,
        endpoint: Endpoint = ANY_PORT,
    ) -> None:
        """See `FakeQMQPServer`; `endpoint` is where it listens."""
        self.fake = FakeQMQPServer(profile=profile, keep=keep)
        self.address = ("", 0)
        self._endpoint = endpoint
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        endpoint = await self.fake.listen(self._endpoint)
        self.address = (endpoint.host, endpoint.port)
        self._ready.set()
        await self._stopped.wait()
        await self.fake.close()
        await asyncio.sleep(0)  # the transports' last callbacks

    @property
    def messages(self) -> list[Captured]:
        """All that it has accepted."""
        return self.fake.messages

    def take(self) -> Captured:
        """The only message that it has accepted since the last call."""
        (message,) = self.fake.messages
        self.fake.messages.clear()
        return message

    def script(self, *acts: Act) -> None:
        """Say what to do with the next connections; done when this returns."""
        done = threading.Event()

        def change() -> None:
            self.fake.script(*acts)
            done.set()

        self._loop.call_soon_threadsafe(change)
        assert done.wait(PATIENCE)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(PATIENCE)
        self._loop.close()


class ScriptedServer:
    """A QMQP server that does to each connection what `script` says.

    Attributes:
        script: Given the connection; it is closed when this returns.
        packages: How many whole packages came.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        """`address` is where it listens, on a free port."""
        self.script: Callable[[socket.socket], None] = lambda _: None
        self.packages = 0
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(PATIENCE)
                with contextlib.suppress(ConnectionError):  # the host may well close first
                    outer.script(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True

            def shutdown_request(self, request: object) -> None:
                # The base class half-closes first, which would turn an RST into a FIN.
                assert isinstance(request, socket.socket)
                request.close()

        self._server = Server((address, 0), Handler)
        self.address: tuple[str, int] = self._server.socket.getsockname()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def package(self, connection: socket.socket) -> bytes:
        """Read one whole package, as its outer netstring measures it."""
        length = b""
        while not length.endswith(b":"):
            length += _exactly(connection, 1)
        package = length + _exactly(connection, int(length[:-1]) + 1)
        self.packages += 1
        return package

    def answer(self, response: bytes) -> None:
        """From now on read a package, and answer these bytes."""

        def script(connection: socket.socket) -> None:
            self.package(connection)
            connection.sendall(response)

        self.script = script

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), 1 << 20))
        if not part:
            raise ConnectionError(f"the client closed {size - len(data)} bytes early")
        data += part
    return bytes(data)


def reset(connection: socket.socket) -> None:
    """Let the close of this connection be an RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class QMQPSink:
    """Postfix's qmqp-sink, which takes everything and counts."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where it writes its count."""
        program = needs("qmqp-sink")
        self._count = folder / "count"
        with self._count.open("wb") as count:
            self.process = subprocess.Popen(
                [program, "-c", "127.0.0.1:0", "100"], stdout=count, stdin=subprocess.DEVNULL
            )
        assert eventually(lambda: bool(self._ports())), "it does not listen"
        self.address = ("127.0.0.1", self._ports()[0])

    def _ports(self) -> list[int]:
        """The ports that the process listens on: it takes port 0, but does not tell."""
        folder = Path(f"/proc/{self.process.pid}")
        inodes = set()
        for entry in (folder / "fd").iterdir():
            try:
                name = os.readlink(entry)
            except FileNotFoundError:
                continue
            if match := re.fullmatch(r"socket:\[([0-9]+)\]", name):
                inodes.add(match[1])
        rows = [line.split() for line in (folder / "net/tcp").read_text().splitlines()[1:]]
        # 0A is LISTEN; the local address is in hexadecimal.
        return [int(r[1].rpartition(":")[2], 16) for r in rows if r[3] == "0A" and r[9] in inodes]

    def count(self) -> int:
        """How many messages it has taken."""
        return int((self._count.read_bytes().split() or [b"0"])[-1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
