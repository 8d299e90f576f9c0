"""A Postfix of the test's own: configuration and queue in a folder, its qmqpd on loopback."""

import contextlib
import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryDirectory
from typing import Self

from tests.interop.rig import PATIENCE, eventually
from tests.programs import missing, needs

_SERVICES = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A running Postfix that takes mail by QMQP and delivers it to maildirs.

    Attributes:
        address: Where its qmqpd listens.
    """

    def __init__(
        self,
        qmqpd: str = "",
        at: Callable[[], AbstractContextManager[None]] = nullcontext,
        **settings: str,
    ) -> None:
        """Start it, or skip the test where that cannot be.

        Args:
            qmqpd: Its line of master.cf; without one it gets a free port.
            at: What a thread does to be on its machine.
            settings: More of main.cf.
        """
        needs("qmqpd")
        if os.geteuid() != 0:
            missing("only root can start a Postfix")
        self._at = at
        # pytest's own folders are private, and Postfix runs as a user of its own.
        self._temporary = TemporaryDirectory(prefix="qpsdk-postfix-")
        folder = Path(self._temporary.name)
        folder.chmod(0o755)
        self._config = folder / "config"
        self._mail = folder / "mail"
        self._log = folder / "log"
        self._queue = folder / "queue"
        user = pwd.getpwnam("postfix")
        for name in ("config", "queue", "data", "mail"):
            (folder / name).mkdir()
        for name in ("data", "mail"):
            os.chown(folder / name, user.pw_uid, user.pw_gid)
        if not qmqpd:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                qmqpd = f"127.0.0.1:{free.getsockname()[1]} inet n - n - - qmqpd\n"
        host, _, port = qmqpd.split()[0].partition(":")
        self.address = (host, int(port))
        (self._config / "master.cf").write_text(qmqpd + _SERVICES)
        main = {
            "compatibility_level": "3.6",
            "queue_directory": str(self._queue),
            "data_directory": str(folder / "data"),
            "maillog_file": str(self._log),
            "maillog_file_prefixes": str(folder),
            "myhostname": "mx.example.net",
            "mydestination": "",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "alias_maps": "",
            "qmqpd_authorized_clients": "127.0.0.1",
            "qmqpd_error_delay": "0s",
            "virtual_mailbox_domains": "example.com",
            "virtual_mailbox_base": str(self._mail),
            "virtual_mailbox_maps": "static:all/",
            "virtual_uid_maps": f"static:{user.pw_uid}",
            "virtual_gid_maps": f"static:{user.pw_gid}",
            "virtual_minimum_uid": "1",
            # Nothing leaves this machine: what is not for example.com vanishes.
            "default_transport": "discard",
            **settings,
        }
        lines = [f"{name} = {value}\n" for name, value in main.items()]
        (self._config / "main.cf").write_text("".join(lines))
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it, with the queue that it has."""
        self._run("start")
        assert eventually(self._listens), f"Postfix does not listen: {self.log()}"

    def kill(self) -> None:
        """End the master and all that it has begun, as the end of their machine would."""
        pid = int((self._queue / "pid/master.pid").read_text())
        os.killpg(pid, signal.SIGKILL)
        # Until it is gone, another one is not let in.
        assert eventually(lambda: self._run("status", check=False) != 0 and not self._listens())

    def close(self) -> None:
        """End it, and remove all that it has."""
        self._run("stop", check=False)
        self._temporary.cleanup()

    def _run(self, command: str, *, check: bool = True) -> int:
        with self._at():
            done = subprocess.run(
                [needs("postfix"), "-c", str(self._config), command],
                capture_output=True,
                timeout=2 * PATIENCE,
                check=check,
            )
        return done.returncode

    def _listens(self) -> bool:
        with self._at(), socket.socket() as probe:
            return probe.connect_ex(self.address) == 0

    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text() if self._log.exists() else ""

    def delivered(self) -> list[bytes]:
        """The messages in the maildir, oldest first."""
        files = sorted((self._mail / "all/new").glob("*"), key=lambda f: f.stat().st_mtime_ns)
        return [file.read_bytes() for file in files]

    def is_idle(self) -> bool:
        """Whether all that it has queued is delivered."""
        folders = (self._queue / name for name in ("incoming", "active", "deferred"))
        files = (path for folder in folders for path in folder.rglob("*"))
        # One that is not whole, as of a qmqpd that was killed, has no x bit yet.
        return not any(_mode(path) & 0o100 for path in files)

    def wait_for(self, number: int) -> list[bytes]:
        """The messages, once there are so many."""
        assert eventually(lambda: len(self.delivered()) >= number), self.log()
        return self.delivered()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _mode(path: Path) -> int:
    """Of a file; that of a folder, or of a file that has just gone, is 0."""
    try:
        found = path.stat().st_mode
    except FileNotFoundError:
        return 0
    return found if S_ISREG(found) else 0


def ask(address: tuple[str, int], data: bytes, source: str = "127.0.0.1") -> bytes:
    """Send bytes to a QMQP server from a local address, end our side; all that it says."""
    answer = b""
    with socket.create_connection(address, PATIENCE, (source, 0)) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                answer += part
    return answer
