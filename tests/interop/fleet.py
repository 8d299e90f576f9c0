"""The fleet of docs/how-to/scale-out.md on loopback, from the files that the page shows."""

import csv
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.interop.postfix import Postfix
from tests.interop.rig import PATIENCE, RunningHost, eventually
from tests.programs import needs

FILES: Final = Path(__file__).parent / "scale_out"
HOSTS: Final = "mx1", "mx2"


class Program:
    """A program that stays in the foreground, with all that it begins."""

    def __init__(self, *command: str) -> None:
        """Start it."""
        self._command = command
        self.start()

    def start(self) -> None:
        """Start it anew."""
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
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Start all; `stack` is what ends them."""
        self._folder = folder
        programs = needs("haproxy"), needs("redis-server")
        # Of our own, so that the ports can be those on the page.
        self._network = f"127.{random.randint(64, 127)}.{random.randint(1, 254)}."
        self.address = (f"{self._network}25", 25)
        self.postfixes = [stack.enter_context(self._postfix(number)) for number in (1, 2)]
        redis = self._file("redis.conf")
        self.redis = Program(programs[1], str(redis), "--dir", str(folder))
        stack.callback(self.redis.kill)
        assert eventually(lambda: self._listens(20, 6379)), "redis-server does not start"
        self.hosts: dict[str, RunningHost] = {}
        stack.callback(self._kill_hosts)
        for name in HOSTS:
            self.start_host(name)
        self.haproxy = Program(programs[0], "-W", "-f", str(self._file("haproxy.cfg")))
        stack.callback(self.haproxy.kill)
        assert eventually(self.all_are_up), "HAProxy does not find the hosts"

    def _here(self, text: str) -> str:
        """The text of the page with this machine's addresses and folder."""
        for elsewhere in ("10.0.0.", "192.0.2."):
            text = text.replace(elsewhere, self._network)
        return text.replace("/run/haproxy", str(self._folder))

    def _file(self, name: str) -> Path:
        path = self._folder / name
        path.write_text(self._here((FILES / name).read_text()))
        return path

    def _postfix(self, number: int) -> Postfix:
        master = self._here((FILES / "master.cf").read_text())
        lines = self._here((FILES / "main.cf").read_text()).splitlines()
        main = dict(line.split(" = ", 1) for line in lines)
        # To loopback the hosts do not come from the addresses that they listen on.
        main["qmqpd_authorized_clients"] += ", 127.0.0.1"
        return Postfix(master.replace(".31:", f".3{number}:"), **main)

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
        self.hosts[name] = RunningHost(self._folder / name, settings, settings["listen"].strip())

    def _kill_hosts(self) -> None:
        for host in self.hosts.values():
            host.kill()

    def _listens(self, host: int, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((f"{self._network}{host}", port)) == 0

    def ask_haproxy(self, command: str) -> list[str]:
        """The lines of its answer; none if it does not give one."""
        return ask_haproxy(self._folder / "admin.sock", command)

    def is_up(self, name: str) -> bool:
        """Whether HAProxy sends clients to a host."""
        rows = csv.DictReader(self.ask_haproxy("show stat"))
        return any(row["svname"] == name and row["status"] == "UP" for row in rows)

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
