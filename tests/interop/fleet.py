"""The fleet of docs/how-to/scale-out.md, from the files that the page shows.

Each of its machines is a network namespace with the page's addresses; where the kernel makes none
for us, they are all this machine, on addresses of loopback.
"""

import csv
import os
import random
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from tests.interop.network import Machines, NotAllowedError
from tests.interop.postfix import Postfix
from tests.interop.rig import PATIENCE, Client, RunningHost, eventually
from tests.programs import needs

FILES: Final = Path(__file__).parent / "scale_out"
HOSTS: Final = "mx1", "mx2"
POSTFIXES: Final = "postfix1", "postfix2"
MACHINES: Final = {
    "clients": "192.0.2.1/24",
    "haproxy": "192.0.2.25/24 10.0.0.10/24",
    "mx1": "10.0.0.11/24",
    "mx2": "10.0.0.12/24",
    "redis": "10.0.0.20/24",
    "postfix1": "10.0.0.31/24",
    "postfix2": "10.0.0.32/24",
}
"""Their addresses on the page, and one where clients come from."""

_CLIENTS: Final = "198.18"
"""The rest of the Internet: all addresses that begin so are of the clients' machine."""

_At: TypeAlias = AbstractContextManager[None]


class Program:
    """A program that stays in the foreground, with all that it begins."""

    def __init__(self, at: Callable[[], _At], *command: str) -> None:
        """Start it; `at` is where."""
        self._at = at
        self._command = command
        self.start()

    def start(self) -> None:
        """Start it anew."""
        with self._at():
            self.process = subprocess.Popen(
                self._command,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it and its children, without a word."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


class Fleet:
    """One HAProxy, two hosts, one Redis, two Postfix.

    Attributes:
        address: Where clients send their mail.
        hosts: By the first part of their names.
        machines: What they run on; None if that is loopback.
        why_loopback: Why it is.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Start all; `stack` is what ends them."""
        self._folder = folder
        programs = needs("haproxy"), needs("redis-server")
        # On loopback a network of our own, so that the ports can be those on the page.
        self._loopback = f"127.{random.randint(64, 127)}.{random.randint(1, 254)}."
        self.machines: Machines | None = None
        self.why_loopback = ""
        try:
            self.machines = Machines(MACHINES, stack)
        except NotAllowedError as error:
            self.why_loopback = str(error)
        else:
            self.machines.configure("clients", f"route add local {_CLIENTS}.0.0/16 dev lo")
            self.machines.configure("haproxy", f"route add {_CLIENTS}.0.0/16 dev eth0")
        self.address = (self._here("192.0.2.25"), 25)
        self.postfixes = [stack.enter_context(self._postfix(name)) for name in POSTFIXES]
        redis = self._file("redis.conf")
        self.redis = Program(self._at("redis"), programs[1], str(redis), "--dir", str(folder))
        stack.callback(self.redis.kill)
        assert eventually(self._redis_listens), "redis-server does not start"
        self.hosts: dict[str, RunningHost] = {}
        stack.callback(self._kill_hosts)
        for name in HOSTS:
            self.start_host(name)
        haproxy = str(self._file("haproxy.cfg"))
        self.haproxy = Program(self._at("haproxy"), programs[0], "-W", "-f", haproxy)
        stack.callback(self.haproxy.kill)
        assert eventually(self.all_are_up), "HAProxy does not find the hosts"

    def _at(self, machine: str) -> Callable[[], _At]:
        return nullcontext if self.machines is None else partial(self.machines.at, machine)

    def source(self, number: int) -> str:
        """An address of a client; two of them are of different networks."""
        return f"{'127.200' if self.machines is None else _CLIENTS}.{number}.1"

    def client(self, number: int) -> Client:
        """A client at that address; the greeting is still to be read."""
        with self._at("clients")():
            return Client(self.address, greeted=False, source=self.source(number))

    def _here(self, text: str) -> str:
        """The text of the page with this machine's addresses and folder."""
        if self.machines is None:
            for elsewhere in ("10.0.0.", "192.0.2."):
                text = text.replace(elsewhere, self._loopback)
        return text.replace("/run/haproxy", str(self._folder))

    def _file(self, name: str) -> Path:
        path = self._folder / name
        path.write_text(self._here((FILES / name).read_text()))
        return path

    def _postfix(self, name: str) -> Postfix:
        master = self._here((FILES / "master.cf").read_text())
        lines = self._here((FILES / "main.cf").read_text()).splitlines()
        main = dict(line.split(" = ", 1) for line in lines)
        if self.machines is None:
            # To loopback the hosts do not come from the addresses that they listen on.
            main["qmqpd_authorized_clients"] += ", 127.0.0.1"
        number = name.removeprefix("postfix")
        return Postfix(master.replace(".31:", f".3{number}:"), at=self._at(name), **main)

    def start_host(self, name: str) -> None:
        """Start a host, or start it again."""
        number = name.removeprefix("mx")
        settings = {
            path.name: self._here(
                path.read_text().replace("10.0.0.11", f"10.0.0.1{number}").replace("mx1", name)
            )
            for path in (FILES / "config").iterdir()
        }
        # Who comes again does so in a moment here.
        settings["plugins"] = settings["plugins"].replace(
            "greylisting\n", "greylisting black_timeout=1\n"
        )
        settings["spool_dir"] = str(self._folder / name / "spool")
        (self._folder / name).mkdir(exist_ok=True)
        listen = settings["listen"].strip()
        with self._at(name)():
            self.hosts[name] = RunningHost(self._folder / name, settings, listen)

    def _kill_hosts(self) -> None:
        for host in self.hosts.values():
            host.kill()

    def _redis_listens(self) -> bool:
        with self._at("redis")(), socket.socket() as probe:
            return probe.connect_ex((self._here("10.0.0.20"), 6379)) == 0

    def ask_haproxy(self, command: str) -> list[str]:
        """The lines of its answer; none if it does not give one."""
        return ask_haproxy(self._folder / "admin.sock", command)

    def _stat(self, name: str, field: str) -> str:
        """What HAProxy says of a host; nothing if it says nothing."""
        rows = csv.DictReader(self.ask_haproxy("show stat"))
        return next((row[field] for row in rows if row["svname"] == name), "")

    def is_up(self, name: str) -> bool:
        """Whether HAProxy sends clients to a host, and its last check was good."""
        return self.status(name) == "UP"

    def status(self, name: str) -> str:
        """What HAProxy says of a host: UP, NOLB (it is sent nobody else), DOWN, or on its way."""
        return self._stat(name, "status")

    def sessions(self, name: str) -> int:
        """How many clients HAProxy has there."""
        return int(self._stat(name, "scur"))

    def all_are_up(self) -> bool:
        """Whether it does so to all."""
        return all(self.is_up(name) for name in HOSTS)

    def reload_haproxy(self) -> None:
        """What ``systemctl reload haproxy`` does: a new process, and the old one ends its work."""

        def process() -> list[str]:
            return [line for line in self.ask_haproxy("show info") if line.startswith("Pid:")]

        before = process()
        self.haproxy.process.send_signal(signal.SIGUSR2)
        assert eventually(lambda: bool(process()) and process() != before)


def ask_haproxy(control: Path, command: str) -> list[str]:
    """The lines that HAProxy answers on its control socket; none if it does not."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(control))
            connection.sendall(command.encode() + b"\n")
            return connection.makefile().read().splitlines()
    except OSError:
        return []


@contextmanager
def fleet() -> Iterator[Fleet]:
    """All of it, running."""
    # Not in pytest's own folders: the path of a socket has 107 characters at most.
    with TemporaryDirectory(prefix="fleet-") as folder, ExitStack() as stack:
        yield Fleet(Path(folder), stack)
