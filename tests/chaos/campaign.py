"""Runs a lane: a host, its QMQP servers, clients that send, and kills."""

import contextlib
import hashlib
import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.books import MAILDIR, Books, Kill, Record, Try
from tests.chaos.plan import IO_TIMEOUT, Client, Forward, Leave, plan
from tests.chaos.server import digest, label
from tests.interop.rig import Answer, RunningHost, blocks, wire
from tests.interop.rig import Client as SMTPClient

MOST_TRIES: Final = 6
"""Then a client gives up."""

SENDER: Final = "sender@example.org"
FORWARDER: Final = (
    "queue/qmqp_forward {servers} connect_timeout=2 "
    f"io_timeout={IO_TIMEOUT:g} session_timeout=10 rest=0.05"
)
"""The line in `config/plugins`."""

CRASHED: Final = re.compile(r"Traceback|a session failed|LOGCRIT|LOGALERT|LOGEMERG")


@dataclass(frozen=True)
class Lane:
    """One kind of campaign.

    Attributes:
        servers: The profile of each QMQP server.
        forwarder: The line in `config/plugins`; {servers} is their list.
        maildir: There is a queue/maildir behind it.
        sessions: Clients at once. One by one, each try meets its plan's acts; among several, the
            acts come in their order, to whoever connects next.
        second_on_defer: The forwarder asks the next server when one says Z.
        plugin_dirs: Where other forwarders are.
    """

    name: str
    servers: tuple[str, ...] = ("strict",)
    forwarder: str = FORWARDER
    maildir: bool = False
    sessions: int = 1
    second_on_defer: bool = False
    plugin_dirs: str = ""


# One server; one with the maildir behind; two servers; two with the maildir; two in turn, the next
# one also asked on Z; and many clients at once.
LANES: Final = (
    Lane("one"),
    Lane("maildir", ("qmail",), maildir=True),
    Lane("failover", ("strict", "postfix")),
    Lane("both", ("strict", "strict"), maildir=True),
    Lane(
        "rotate",
        ("strict", "qmail"),
        FORWARDER + " balance=rotate on_defer=next",
        maildir=True,
        second_on_defer=True,
    ),
    Lane("crowd", ("strict", "strict"), maildir=True, sessions=12),
)


class Server:
    """A fake QMQP server in its own process."""

    def __init__(self, name: str, profile: str, journal: Path) -> None:
        self.name, self._profile, self._journal = name, profile, journal
        self.port = 0
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.chaos.server"),
                *(self.name, self._profile, str(self.port), str(self._journal)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"server {self.name} has ended"
        return line

    def script(self, *acts: object) -> None:
        """What it does with its next connections; in force when this returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(", ".join(map(str, acts)) + "\n")
        self._process.stdin.flush()
        self._line()

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start another one at the same port, after a kill."""
        self._close()
        self._start()

    def stop(self) -> None:
        """End it."""
        self._close()
        self._process.wait(10)

    def _close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()


class Recorded(SMTPClient):
    """A client that notes what is said."""

    def __init__(self, address: tuple[str, int] | str, dialogue: list[str]) -> None:
        self.dialogue = dialogue
        super().__init__(address, greeted=False)

    def send(self, data: bytes) -> None:
        """Send, and note it."""
        self.dialogue.append(f"> {data.decode().strip()}")
        super().send(data)

    def reply(self) -> Answer:
        """Take a reply, and note it."""
        try:
            answer = super().reply()
        except (OSError, EOFError) as error:
            self.dialogue.append(f"< {type(error).__name__}: {error}")
            raise
        self.dialogue.append(f"< {answer.code} {answer.text.decode()!r}")
        return answer


class RefusedError(Exception):
    """The host would not even take the envelope."""


class Campaign:
    """One lane, while it runs."""

    def __init__(self, lane: Lane, folder: Path, seed: int, forwards: int) -> None:
        """`folder` is where all of its files go."""
        self.lane = lane
        self.books = Books(
            lane.name, second_on_defer=lane.second_on_defer, one_by_one=lane.sessions == 1
        )
        self._folder = folder
        self._seed = seed
        self._plans = self._all_plans(forwards)
        self._lock = threading.Lock()
        self._host_generation = 0
        self._restarting = threading.Lock()
        self._done = 0

    def _all_plans(self, forwards: int) -> Iterator[Forward]:
        for number in range(forwards):
            yield self._plan(number)

    def _plan(self, number: int) -> Forward:
        lane = self.lane
        crowd = lane.sessions > 1
        return plan(self._seed, lane.name, number, len(lane.servers), crowd=crowd)

    def run(self) -> Books:
        """Send all, stop all, and give the books."""
        self._folder.mkdir(parents=True)
        with ExitStack() as stack:
            self._servers = []
            for number, profile in enumerate(self.lane.servers, 1):
                server = Server(f"server {number}", profile, self._folder / f"journal{number}")
                stack.callback(server.stop)
                self._servers.append(server)
            if not self.books.one_by_one:
                self._script_all()
            self._start_host()
            stack.callback(self._kill_host)
            self._run_sessions()
            self._stop_host()
        self._read_records()
        return self.books

    def _run_sessions(self) -> None:
        failures: list[BaseException] = []

        def run() -> None:
            try:
                self._session()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=run) for _ in range(self.lane.sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    # The host

    def _start_host(self) -> None:
        self._host_generation += 1
        addresses = ",".join(f"127.0.0.1:{server.port}" for server in self._servers)
        plugins = ["rcpt_ok", self.lane.forwarder.format(servers=addresses)]
        if self.lane.maildir:
            (self._folder / "mail").mkdir(exist_ok=True)
            plugins.append(f"queue/maildir {self._folder / 'mail'}")
        settings = {
            "me": "mx.example.com",
            "rcpthosts": "example.com",
            "plugins": "\n".join(plugins),
            "plugin_dirs": self.lane.plugin_dirs,
            "spool_dir": str(self._folder / "spool"),
            "size_threshold": "16384",  # what is larger goes through a file
            "loglevel": "LOGINFO",
        }
        folder = self._folder / f"host{self._host_generation}"
        self._started = time.time()
        self._host = RunningHost(folder, settings, "127.0.0.1:0")
        self._log = folder / "stderr"

    def _kill_host(self) -> None:
        self._host.kill()

    def _stop_host(self) -> None:
        self._host.signal(signal.SIGTERM)
        try:
            status = self._host.exit_status()
        except subprocess.TimeoutExpired:
            status = None
        if status != 0:
            self.books.host_problems.append(f"9. told to stop, the host ended with {status}")
        # A host that is killed leaves its files behind; what is newer is this one's.
        left = [path for path in self._host.spooled() if path.stat().st_mtime > self._started]
        if left:
            self.books.host_problems.append(f"9. left in the spool: {left}")
        for log in self._folder.glob("host*/stderr"):
            text = log.read_text()
            if found := CRASHED.search(text):
                around = text[max(0, found.start() - 500) : found.end() + 2000]
                self.books.host_problems.append(f"9. the host's log has\n{around}")

    # Kills

    def _kill(self, forward: Forward) -> threading.Timer | None:
        """Have somebody killed soon."""
        kill = forward.kill
        if kill is None:
            return None
        timer = threading.Timer(kill.after, self._kill_now, (kill.victim,))
        timer.start()
        return timer

    def _kill_now(self, victim: str) -> None:
        with self._restarting:
            begun = time.monotonic()
            if victim == "host":
                self._kill_host()
                self._start_host()
            else:
                self._servers[0].kill()
                time.sleep(0.01)
                self._servers[0].restart()
                if not self.books.one_by_one:
                    self._script_all()
            self.books.kills.append(Kill(victim, begun, time.monotonic()))

    def _script_all(self) -> None:
        """Give each server the acts of all forwards that are still to come."""
        plans = [self._plan(number) for number in range(self._done, self._done + 4000)]
        for number, server in enumerate(self._servers):
            server.script(*(forward.acts[number] for forward in plans))

    # The clients

    def _session(self) -> None:
        client: Recorded | None = None
        message, tried = "", 0
        first: Forward | None = None
        while (forward := self._next()) is not None:
            if not message:
                message, tried, first = f"{self._seed}-{forward.number}", 0, forward
            assert first is not None
            tried += 1
            one, client = self._try(client, message, tried, first, forward)
            if one.code == 250 or one.code >= 500 or tried == MOST_TRIES:
                message = ""
        if client is not None:
            client.close()

    def _next(self) -> Forward | None:
        with self._lock:
            self._done += 1
            return next(self._plans, None)

    def _try(
        self,
        client: Recorded | None,
        message: str,
        tried: int,
        first: Forward,
        forward: Forward,
    ) -> tuple[Try, Recorded | None]:
        """Send the message once; what came of it, and the connection if it is kept."""
        text = _text(message, tried, first)
        recipients = [f"recipient{number}@example.com" for number in range(first.recipients)]
        one = Try(message, tried, forward, digest(text), SENDER, recipients)
        one.began = time.monotonic()
        log, log_size = self._log, self._log.stat().st_size
        if self.books.one_by_one:
            for server, act in zip(self._servers, forward.acts, strict=True):
                server.script(act)
        timer: threading.Timer | None = None
        kept = None
        try:
            if client is None:
                client = self._connect(one.dialogue)
            client.dialogue = one.dialogue
            _envelope(client, one, forward.client)
            timer = self._kill(forward)
            answer = _message(client, one, wire(text), forward.client)
            if answer is not None:
                one.code, one.text = answer.code, answer.text.decode()
            if forward.client.keeps and answer is not None:
                kept = client
        except TimeoutError:
            one.hung = True
        except (EOFError, OSError):
            one.lost = forward.client.hears or not one.sent
        except RefusedError as refusal:
            one.code, one.text = refusal.args
        one.ended = time.monotonic()
        if timer is not None:
            timer.join()
            kept = None
        if client is not None and kept is None:
            client.close()
        if self.books.one_by_one:
            with log.open() as file:
                file.seek(log_size)
                one.log = file.read()
        with self._lock:
            self.books.tries.append(one)
        return one, kept

    def _connect(self, dialogue: list[str]) -> Recorded:
        until = time.monotonic() + 30
        while True:
            with self._restarting:  # who comes while there is no host waits
                address = self._host.address
            with contextlib.suppress(EOFError, ConnectionError), ExitStack() as stack:
                client = stack.enter_context(Recorded(address, dialogue))
                if client.reply().code == 220:
                    client.hello()
                    stack.pop_all()
                    return client
            if time.monotonic() > until:
                raise TimeoutError("the host cannot be reached")
            time.sleep(0.01)

    # The other side's records

    def _read_records(self) -> None:
        for path in self._folder.glob("journal*"):
            for line in path.read_text().splitlines():
                self.books.records.append(Record(**json.loads(line)))
        for file in self._folder.glob("mail/new/*"):
            data = file.read_bytes()
            name, tried = label(data) or (file.name, 0)
            self.books.records.append(
                Record(file.stat().st_mtime, MAILDIR, name, tried, True, digest(data), whole=True)
            )


def _envelope(client: Recorded, one: Try, how: Client) -> None:
    commands = [
        b"MAIL FROM:<" + one.sender.encode() + b">",
        *(b"RCPT TO:<" + recipient.encode() + b">" for recipient in one.recipients),
        b"DATA",
    ]
    if how.pipelines:
        client.send(b"".join(command + b"\r\n" for command in commands))
    for command in commands:
        answer = client.reply() if how.pipelines else client.ask(command)
        if answer.code != (354 if command == b"DATA" else 250):
            raise RefusedError(answer.code, answer.text.decode())


def _message(client: Recorded, one: Try, data: bytes, how: Client) -> Answer | None:
    """Send the message as this client does; the answer, if it hears one."""
    data += b".\r\n"
    until = len(data) if how.at == 1.0 else int(len(data) * how.at)
    client.dialogue.append(f"> {until} of {len(data)} bytes, {how.block} at a time")
    for block in blocks(data[:until], how.block):
        client.socket.sendall(block)
    if until == len(data):
        one.sent = time.monotonic()
    if how.leaves is not None:
        time.sleep(how.delay)
        client.dialogue.append(f"> {how.leaves.value}")
        match how.leaves:
            case Leave.CLOSE:
                client.close()
            case Leave.RESET:
                client.reset()
            case Leave.HALF_CLOSE:
                client.end()
                if not one.sent:
                    client.rest()
    return client.reply() if how.hears else None


_POOL: Final = random.Random(0).choices(
    [b".", b"..x", b"", b"From me", b"\xe4\xf6\xfc", b"a:b,", b"3:Kok,", b"x" * 70, b"y" * 400],
    k=40_000,
)


def _text(message: str, tried: int, first: Forward) -> bytes:
    """A message of about its plan's size; each try has a Subject of its own."""
    start = int(hashlib.sha256(message.encode()).hexdigest(), 16) % (len(_POOL) // 2)
    head = f"Subject: chaos {message} try {tried}\n\n".encode()
    body = b"\n".join(_POOL[start : start + 4 + first.size // 40])
    while len(body) < first.size:
        body += b"\n" + body
    return head + body[: max(0, first.size - len(head) - 1)] + b"\n"
