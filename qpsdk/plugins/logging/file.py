"""Writes the log to a file.

In `config/plugins`, before the plugins whose lines it is to write::

    logging/file PATH [maxlevel=LEVEL] [then=next]

PATH may have conversions of strftime(3), such as ``/var/log/qpsdk/%Y-%m-%d.log``, and may be a
named pipe, which nobody waits for. ``maxlevel=`` has it write lines up to this level, more or fewer
than `config/loglevel` lets be written. ``then=next`` offers what it has written to the next logging
plugin as well.
"""

import errno
import os
import time
from pathlib import Path

from qpsdk import (
    DECLINED,
    LOGWARN,
    OK,
    Connection,
    Host,
    LogLevel,
    Plugin,
    Result,
    Transaction,
    log_line,
)

FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
NAMES = {level: level.name for level in LogLevel}
MODE = 0o640  # senders and recipients are nobody else's business


class File(Plugin):
    """Append each line with one write: a crash of the host loses none, its file shows all.

    A file that was moved away, as logrotate does, is noticed within a second, and a new one is
    begun. What cannot be written, on a full disk say, goes to standard error.
    """

    def register(self, qp: Host, path: str, *, maxlevel: str = "", then: str = "stop") -> None:
        """Check the arguments; the file is made with its first line."""
        if then not in ("stop", "next"):
            raise ValueError(f"then={then}: write stop or next")
        self.answer = OK if then == "stop" else DECLINED
        self.maxlevel = LogLevel.parse(maxlevel) if maxlevel else None
        self.pattern = str(qp.configuration.resolve(path))
        now = Path(time.strftime(self.pattern))
        if not now.parent.is_dir():
            raise ValueError(f"{now.parent}: there is no such directory for the log")
        if now.is_dir():
            raise ValueError(f"{now}: a directory; write the path of a file")
        if not os.access(now if now.exists() else now.parent, os.W_OK):
            self.log(LOGWARN, f"this user cannot write to {now}: the log goes to standard error")
        self.file = -1  # its descriptor
        self.identity: tuple[int, int] | None = None  # its device and inode, if it is open
        self.second = 0  # of the latest line
        self.time = ""  # the same to read
        self.torn = b""  # ends a line that was only written in part

    def hook_logging(  # noqa: PLR0917 - what the table gives
        self,
        connection: Connection | None,
        transaction: Transaction | None,
        level: LogLevel,
        hook: str,
        plugin: str,
        text: str,
    ) -> Result:
        """Write a line; that it raises OSError leaves the line to others."""
        now = self.qp.clock()
        second = int(now)
        if second != self.second:
            self.reopen(second)
        who_and_what = log_line(connection, hook, plugin, text)
        line = f"{self.time},{int(now % 1 * 1000):03d} {NAMES[level]} {who_and_what}\n"
        self.write(line.encode())
        return self.answer

    def reopen(self, second: int) -> None:
        """Open the file that has the name of this second, unless that is the one we have."""
        local = time.localtime(second)
        path = time.strftime(self.pattern, local)
        try:
            found = os.stat(path)
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self.identity:
            self.shutdown()
            self.file = os.open(path, FLAGS, MODE)
            opened = os.fstat(self.file)
            self.identity = (opened.st_dev, opened.st_ino)
        self.time = time.strftime("%Y-%m-%d %H:%M:%S", local)
        self.second = second

    def write(self, line: bytes) -> None:
        """Append a line, on a line of its own even if the one before is not whole."""
        line = self.torn + line
        whole = os.write(self.file, line) == len(line)
        self.torn = b"" if whole else b"\n"
        if not whole:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def shutdown(self) -> None:
        """Close the file; a line that comes later opens it again."""
        if self.identity is not None:
            os.close(self.file)
        self.identity, self.second, self.torn = None, 0, b""
