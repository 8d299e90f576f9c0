"""A message while it is ours: in memory when small, else in a file."""

import contextlib
import errno
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from weakref import finalize

from qpsdk.errors import ConfigError

BLOCK_SIZE = 64 * 1024
"""Bytes that leave a spool at a time."""

_PREFIX: Final = "message-"


class Spool:
    """Bytes that are appended as they arrive and read at any offset.

    At most `threshold` bytes are held in memory; once there are more, all go to a file of
    mode 0600 in `directory`, and what is read comes from there.

    Attributes:
        size: How many bytes have been written.

    >>> with Spool(threshold=100, directory=SpoolDirectory()) as spool:
    ...     spool.write(b"Subject: hello\\n")
    ...     spool.read(9, 5)
    b'hello'
    """

    __slots__ = ("_directory", "_fd", "_memory", "_path", "_threshold", "size")

    def __init__(self, threshold: int, directory: "SpoolDirectory") -> None:
        """`threshold` is in bytes."""
        self._memory: bytes | bytearray | None = b""
        self._threshold = threshold
        self._directory = directory
        self._fd = -1
        self._path: Path | None = None
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append `data`.

        Raises:
            OSError: The disk is full, or cannot be written to; what was written before stands.
        """
        if self._memory is not None:
            if self.size + len(data) <= self._threshold:
                if not self.size:
                    self._memory = bytes(data)  # no copy: most messages come in one block
                else:
                    if isinstance(self._memory, bytes):
                        self._memory = bytearray(self._memory)
                    self._memory += data
                self.size += len(data)
                return
            self._move_to_file()
        self._write_at(self.size, data)
        self.size += len(data)

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; none at the end."""
        if self._memory is not None:
            return bytes(self._memory[offset : offset + size])
        return os.pread(self._fd, size, offset)

    def blocks(self, offset: int = 0, size: int = BLOCK_SIZE) -> Iterator[bytes]:
        """All from `offset` on, `size` bytes at a time."""
        while offset < self.size and (block := self.read(offset, size)):
            offset += len(block)
            yield block

    def open(self, offset: int = 0) -> io.BufferedReader:
        """A file object that reads all from `offset` on, which is its position 0."""
        return io.BufferedReader(_SpoolReader(self, offset), BLOCK_SIZE)

    def filename(self) -> Path:
        """The file that holds the message, which is written there if it was in memory.

        Raises:
            OSError: The disk is full, or cannot be written to.
        """
        if self._memory is not None:
            self._move_to_file()
        if self._path is None:
            raise OSError(errno.EBADF, "the message has been closed")
        return self._path

    def close(self) -> None:
        """Let go of the message, and delete its file. May be called twice.

        From then on, reading and writing fail with `OSError`: a reader that is late must not
        take what it has for the whole message.
        """
        if self._path is not None and self._memory is None:
            self._directory.used -= self.size
        self._memory = None
        if self._fd >= 0:
            # Forgotten first: a thread that still reads must not find its number used anew.
            fd, self._fd = self._fd, -1
            os.close(fd)
        if self._path is not None:
            path, self._path = self._path, None
            # What cannot be deleted, on a disk that has become read-only, the next start removes:
            # nobody holds its lock any more.
            with contextlib.suppress(OSError):
                path.unlink()

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _move_to_file(self) -> None:
        assert self._memory is not None
        if self._path is None:  # else the disk was full, and this is another try
            self._fd, self._path = self._directory.new_file()
        self._write_at(0, self._memory)
        self._memory = None

    def _write_at(self, offset: int, data: bytes | bytearray) -> None:
        written = 0
        self._directory.check_room(len(data))
        try:
            with memoryview(data) as view:
                while written < len(data):
                    written += os.pwrite(self._fd, view[written:], offset + written)
        except OSError:
            os.ftruncate(self._fd, offset)  # a part of a block is nobody's
            raise
        self._directory.used += len(data)


class SpoolDirectory:
    """Where spools have their files.

    It is made when it is first asked for; one that was not named is a temporary folder of mode
    0700, gone with `close`. One that was named may be that of several hosts: each file is locked
    by the process that has it, so that the others can tell what a dead one has left.

    Attributes:
        max_size: Bytes that the files may have together; 0 for no limit.
        min_free: Bytes that they leave free on their disk.
        used: Bytes that they have.
    """

    __slots__ = (
        "__weakref__",
        "_given",
        "_made",
        "_perms",
        "_remove",
        "max_size",
        "min_free",
        "used",
    )

    def __init__(self, path: Path | None = None, perms: int = 0o700) -> None:
        """`perms` is the mode of the folder; one that is there may have no more than these."""
        self._given = path
        self._perms = perms
        self.max_size = self.min_free = self.used = 0
        self._made: Path | None = None
        self._remove: finalize[..., SpoolDirectory] | None = None

    @property
    def path(self) -> Path:
        """The folder.

        Raises:
            ConfigError: It cannot be made, or others may look into it.
        """
        if self._remove is not None and not os.path.isdir(str(self._made)):
            self.close()  # systemd-tmpfiles takes away what was not touched for ten days
        if self._made is None:
            if self._given is not None:
                self._made = _private_directory(self._given, self._perms)
            else:
                self._made = Path(tempfile.mkdtemp(prefix="qpsdk-"))
                # Also when nobody calls `close`: when we are forgotten, or the process ends.
                self._remove = finalize(self, shutil.rmtree, self._made, ignore_errors=True)
        return self._made

    def check_room(self, size: int) -> None:
        """Nothing, if there is room for `size` bytes more.

        Raises:
            OSError: There is none; `strerror` names the limit.
        """
        if 0 < self.max_size < self.used + size:
            raise OSError(errno.ENOSPC, f"max_spool is {self.max_size}, {self.used} are in use")
        if self.min_free:
            disk = os.statvfs(self.path)
            free = disk.f_bavail * disk.f_frsize
            if free < self.min_free + size:
                raise OSError(errno.ENOSPC, f"min_free_disk is {self.min_free}, {free} are free")

    def new_file(self) -> tuple[int, Path]:
        """The descriptor and path of a new file that is ours.

        Raises:
            OSError: It cannot be made.
        """
        while True:
            fd, name = tempfile.mkstemp(prefix=_PREFIX, dir=self.path)
            # A host that starts just now may take it for left over until it is locked, and has
            # then deleted it.
            try:
                if self._given is None or (_lock(fd) and os.fstat(fd).st_nlink):
                    return fd, Path(name)
            except OSError:  # a file system that has no locks
                os.close(fd)
                os.unlink(name)
                raise
            os.close(fd)

    def remove_orphans(self) -> int:
        """Delete the files of processes that have died; how many there were.

        No message is lost: none of them had been acknowledged.
        """
        removed = 0
        for path in self.path.glob(_PREFIX + "*") if self._given is not None else ():
            try:
                fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                continue  # gone by now, or somebody else's
            with contextlib.suppress(OSError):
                if _lock(fd):
                    path.unlink()
                    removed += 1
            os.close(fd)
        return removed

    def close(self) -> None:
        """Delete the folder if it is a temporary one."""
        if self._remove is not None:
            self._remove()
            self._made = self._remove = None


def _lock(fd: int) -> bool:
    """Lock a file for as long as we have it open; False if another process has."""
    import fcntl  # not in a browser, where no folder is shared

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _private_directory(path: Path, perms: int) -> Path:
    try:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True)
            path.chmod(perms)  # the umask is for files that nobody has thought about
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise ConfigError(f"the spool folder cannot be made: {error.strerror}", path) from None
    if mode & ~perms:
        raise ConfigError(
            f"the spool folder has mode {mode:o}, so that others may look into it;"
            f" chmod {perms:o} it",
            path,
        )
    return path


class _SpoolReader(io.RawIOBase):
    """The raw file under `Spool.open`."""

    def __init__(self, spool: Spool, start: int) -> None:
        super().__init__()
        self._spool = spool
        self._start = start
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {
            os.SEEK_SET: 0,
            os.SEEK_CUR: self._position,
            os.SEEK_END: self._spool.size - self._start,
        }[whence]
        if base + offset < 0:
            raise ValueError("seek before the start of the message")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self._spool.read(self._start + self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
