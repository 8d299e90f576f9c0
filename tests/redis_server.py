"""A real Redis server, on a unix socket of its own."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.interop.rig import eventually
from tests.programs import needs


class RedisServer(NamedTuple):
    """One that runs; `url` is for config/store."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """Start one that keeps nothing on disk; `options` are as on its command line."""
    program = needs("redis-server")
    # Not in pytest's own folders: the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        path = Path(folder, "socket")
        command = [program, "--port", "0", "--unixsocket", str(path), "--dir", folder]
        process = subprocess.Popen(
            [*command, "--save", "", "--daemonize", "no", *options], stdout=subprocess.DEVNULL
        )
        try:
            assert eventually(lambda: _listens(path)), "redis-server does not start"
            yield RedisServer(f"unix://{path}?db=0", process)
        finally:
            process.kill()
            process.wait()


def _listens(path: Path) -> bool:
    """Whether it does: the file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
