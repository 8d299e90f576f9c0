"""The spool: in memory or in a private file, whole or not at all, and gone when it is closed."""

import errno
import io
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.errors import ConfigError
from qpsdk.spool import BLOCK_SIZE, Spool, SpoolDirectory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Name a spool folder that is not there yet."""
    return tmp_path / "var" / "spool"


@pytest.fixture(params=[0, 1000], ids=["file", "memory"])
def spool(request: pytest.FixtureRequest, folder: Path) -> Iterator[Spool]:
    """Make a spool that keeps the messages of these tests in a file, or in memory."""
    with Spool(request.param, SpoolDirectory(folder)) as spool:
        yield spool


def files(folder: Path) -> list[Path]:
    """List what is in the spool folder; nothing while it was not made."""
    return list(folder.iterdir()) if folder.exists() else []


# -- Memory, threshold, file -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "in_file"),
    [
        ([], False),
        ([b""], False),
        ([b"x" * 10], False),
        ([b"x" * 11], True),
        ([b"x" * 5, b"x" * 5], False),
        ([b"x" * 5, b"x" * 5, b""], False),
        ([b"x" * 5, b"x" * 5, b"x"], True),
        ([b"x" * 1000], True),
    ],
)
def test_threshold(folder: Path, blocks: list[bytes], in_file: bool) -> None:
    """Up to the threshold nothing touches the disk; with the first byte more, all is in a file."""
    with Spool(10, SpoolDirectory(folder)) as spool:
        for block in blocks:
            spool.write(block)
        assert [file.read_bytes() for file in files(folder)] == [b"".join(blocks)] * in_file
        assert spool.size == len(b"".join(blocks))
        assert b"".join(spool.blocks()) == b"".join(blocks)
    assert files(folder) == []


def test_modes(folder: Path) -> None:
    """Folder and file are for their owner only, whatever the umask lets others do."""
    before = os.umask(0)
    try:
        with Spool(0, SpoolDirectory(folder)) as spool:
            spool.write(b"secret")
            (file,) = files(folder)
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_two_spools(folder: Path) -> None:
    """Each message has a file of its own."""
    directory = SpoolDirectory(folder)
    with Spool(0, directory) as one, Spool(0, directory) as other:
        one.write(b"one")
        other.write(b"other")
        assert one.filename() != other.filename()
        assert one.read(0, 10) == b"one"
        assert other.read(0, 10) == b"other"


def test_filename(folder: Path) -> None:
    """Asked for its file, a message in memory is written there; what comes later, too."""
    with Spool(1000, SpoolDirectory(folder)) as spool:
        spool.write(b"A: b\n\n")
        assert files(folder) == []
        file = spool.filename()
        assert file.parent == folder
        assert file.read_bytes() == b"A: b\n\n"
        spool.write(b"body\n")
        assert spool.filename() == file
        assert file.read_bytes() == b"A: b\n\nbody\n"


# -- Reading ---------------------------------------------------------------------------------


def test_read(spool: Spool) -> None:
    """Any part can be read, in any order, while more is being written."""
    spool.write(b"0123456789")
    assert spool.read(3, 4) == b"3456"
    assert spool.read(0, 100) == b"0123456789"
    assert spool.read(8, 5) == b"89"
    assert spool.read(10, 5) == b""
    assert spool.read(100, 5) == b""
    assert spool.read(5, 0) == b""
    spool.write(b"ab")
    assert spool.read(8, 5) == b"89ab"


@pytest.mark.parametrize(
    ("offset", "size", "blocks"),
    [
        (0, 4, [b"0123", b"4567", b"89"]),
        (0, 5, [b"01234", b"56789"]),
        (0, 100, [b"0123456789"]),
        (7, 2, [b"78", b"9"]),
        (10, 4, []),
    ],
)
def test_blocks(spool: Spool, offset: int, size: int, blocks: list[bytes]) -> None:
    """All from an offset on leaves in blocks of the size that is asked for."""
    spool.write(b"0123456789")
    assert list(spool.blocks(offset, size)) == blocks


def test_blocks_are_bounded(spool: Spool) -> None:
    """Unless another size is asked for, a block has 64 KiB."""
    assert BLOCK_SIZE == 65_536
    spool.write(b"x" * 150_000)
    assert list(map(len, spool.blocks())) == [65_536, 65_536, 18_928]


def test_lines(spool: Spool) -> None:
    """Lines keep their LF and every other byte; the last may lack it; CR is no line end."""
    spool.write(b"\none\r\ntwo\rtwo\0\xe4\n\nlast")
    assert list(spool.open()) == [b"\n", b"one\r\n", b"two\rtwo\0\xe4\n", b"\n", b"last"]
    assert spool.open(17).readlines() == [b"last"]


def test_long_lines_in_pieces(spool: Spool) -> None:
    """A limit cuts a line into pieces, none of them longer."""
    spool.write(b"0123456789\nab\n")
    reader = spool.open()
    pieces = [reader.readline(4) for _ in range(6)]
    assert pieces == [b"0123", b"4567", b"89\n", b"ab\n", b"", b""]


def test_seek(spool: Spool) -> None:
    """The file object has its own position, counted from where it was opened."""
    spool.write(b"header\nbody\n")
    body, other = spool.open(7), spool.open()
    assert body.seekable()
    assert not body.writable()
    assert body.read(2) == b"bo"
    assert body.tell() == 2
    assert other.read() == b"header\nbody\n"
    assert body.read() == b"dy\n"
    assert body.seek(0) == 0
    assert body.read() == b"body\n"
    assert body.seek(-3, io.SEEK_END) == 2
    assert body.read(1) == b"d"
    assert body.seek(1, io.SEEK_CUR) == 4
    assert body.read() == b"\n"
    assert body.seek(100) == 100
    assert body.read() == b""
    for offset, whence in ((-1, io.SEEK_SET), (-6, io.SEEK_END)):
        with pytest.raises(ValueError, match="before the start"):
            body.seek(offset, whence)
    assert body.tell() == 100


@given(st.lists(st.binary(max_size=30)), st.integers(0, 60), st.integers(1, 20))
def test_what_is_written_is_read(blocks: list[bytes], threshold: int, size: int) -> None:
    """Whatever was written, with any threshold, comes back by block, by line and by file."""
    directory = SpoolDirectory()
    try:
        with Spool(threshold, directory) as spool:
            for block in blocks:
                spool.write(block)
            data = b"".join(blocks)
            assert b"".join(spool.blocks(0, size)) == data
            assert list(spool.open()) == io.BytesIO(data).readlines()
            assert spool.filename().read_bytes() == data
    finally:
        directory.close()


# -- The end ---------------------------------------------------------------------------------


def test_close(folder: Path) -> None:
    """With close the file is gone, and so is the descriptor; to close twice is no fault."""
    descriptors = os.listdir("/proc/self/fd")
    spool = Spool(0, SpoolDirectory(folder))
    spool.write(b"x")
    assert len(os.listdir("/proc/self/fd")) == len(descriptors) + 1
    spool.close()
    spool.close()
    assert files(folder) == []
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)


def test_close_of_a_deleted_file(spool: Spool) -> None:
    """Somebody else may have cleaned up before."""
    spool.write(b"x")
    spool.filename().unlink()
    assert spool.read(0, 1) == b"x"
    spool.close()


def test_close_of_a_file_that_cannot_be_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that has become read-only the room is given back; the next start deletes it."""

    def unlink(*_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    directory = SpoolDirectory(folder)
    spool = Spool(0, directory)
    spool.write(b"x")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        spool.close()
    assert directory.used == 0
    assert len(files(folder)) == 1
    assert directory.remove_orphans() == 1


def test_closed_by_with(folder: Path) -> None:
    """The file is gone also when an exception ends the block."""

    def fail() -> None:
        with Spool(0, SpoolDirectory(folder)) as spool:
            spool.write(b"x")
            raise ZeroDivisionError(len(files(folder)))

    with pytest.raises(ZeroDivisionError, match="1"):
        fail()
    assert files(folder) == []


def test_nothing_is_read_after_close(spool: Spool, folder: Path) -> None:
    """Who reads on after the end has an error, and no end of file that looks like the message's."""
    spool.write(b"one\ntwo\n")
    blocks, reader = spool.blocks(0, 4), spool.open()
    assert next(blocks) == b"one\n"
    spool.close()
    for use in (
        lambda: next(blocks),
        lambda: spool.read(0, 1),
        lambda: spool.write(b"x"),
        spool.filename,
        reader.read,
    ):
        with pytest.raises(OSError):
            use()
    assert files(folder) == []


# -- A full disk -----------------------------------------------------------------------------


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the disk take as many bytes as the list says, then none."""
    room = [0]
    real = os.pwrite

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(fd, data[: room[0]], offset)
        room[0] -= written
        return written

    monkeypatch.setattr(os, "pwrite", pwrite)
    return room


@pytest.mark.parametrize("room", [0, 1, 9, 10, 14])
def test_full_disk(folder: Path, full_disk: list[int], room: int) -> None:
    """A write that fails leaves what was there before, and no part of what was to be written."""
    with Spool(0, SpoolDirectory(folder)) as spool:
        full_disk[0] = 10
        spool.write(b"0123456789")
        full_disk[0] = room - 10 if room >= 10 else 0
        with pytest.raises(OSError, match="No space left"):
            spool.write(b"abcdef")
        assert spool.size == 10
        assert spool.read(0, 100) == b"0123456789"
        assert spool.filename().read_bytes() == b"0123456789"
        full_disk[0] = 100
        spool.write(b"ABC")
        assert b"".join(spool.blocks()) == b"0123456789ABC"
    assert files(folder) == []


@pytest.mark.parametrize("rooms", [[0], [3, 3, 3], [4, 0, 4], [5], [7], [3, 5]])
def test_full_disk_at_the_threshold(folder: Path, full_disk: list[int], rooms: list[int]) -> None:
    """If the move to a file fails, the message is where it was, and can be moved later."""
    with Spool(5, SpoolDirectory(folder)) as spool:
        spool.write(b"01234")
        for room in rooms:
            full_disk[0] = room
            with pytest.raises(OSError, match="No space left"):
                spool.write(b"56789")
            assert spool.size == 5
            assert spool.read(0, 100) == b"01234"
            assert len(files(folder)) == 1
        full_disk[0] = 100
        spool.write(b"56789")
        assert spool.filename().read_bytes() == b"0123456789"
    assert files(folder) == []


def test_full_disk_when_asked_for_a_file(folder: Path, full_disk: list[int]) -> None:
    """A plugin that wants a file and gets none has an OSError; its next try makes no second."""
    with Spool(100, SpoolDirectory(folder)) as spool:
        spool.write(b"0123456789")
        for _ in range(3):
            full_disk[0] = 4
            with pytest.raises(OSError, match="No space left"):
                spool.filename()
        assert len(files(folder)) == 1
        full_disk[0] = 100
        assert spool.filename().read_bytes() == b"0123456789"
    assert files(folder) == []


def test_a_real_limit(tmp_path: Path) -> None:
    """The same with a limit of the kernel: a process that may write 100,000 bytes to a file."""
    program = f"""
import resource
from pathlib import Path
from qpsdk.spool import Spool, SpoolDirectory

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with Spool(10_000, SpoolDirectory(Path({str(tmp_path / "spool")!r}))) as spool:
    try:
        while True:
            spool.write(b"0123456789abcdef" * 64)
    except OSError as error:
        print(type(error).__name__, spool.size, spool.filename().stat().st_size)
        print(sum(map(len, spool.blocks())), spool.read(97 * 1024 - 3, 100))
"""
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    assert process.stderr == ""
    assert process.stdout == "OSError 99328 99328\n99328 b'def'\n"
    assert list((tmp_path / "spool").iterdir()) == []


def test_folder_gone(folder: Path) -> None:
    """A folder that was deleted under us is an OSError too, and the message stays in memory."""
    directory = SpoolDirectory(folder)
    directory.path.rmdir()
    with Spool(5, directory) as spool:
        spool.write(b"01234")
        with pytest.raises(OSError):
            spool.write(b"5")
        assert spool.read(0, 10) == b"01234"


# -- The folder ------------------------------------------------------------------------------


def test_folder_is_made_when_asked_for(folder: Path) -> None:
    """A named folder is made with all above it, once it is needed, and stays after close."""
    directory = SpoolDirectory(folder)
    assert not folder.exists()
    assert directory.path == folder
    assert folder.is_dir()
    (folder / "message-of-another").touch()
    directory.close()
    assert files(folder) == [folder / "message-of-another"]


def test_temporary_folder() -> None:
    """One without a name is private too, and gone after close; closing twice is no fault."""
    directory = SpoolDirectory()
    path = directory.path
    assert directory.path == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    (path / "message-left").touch()
    directory.close()
    directory.close()
    assert not path.exists()
    assert directory.path.is_dir()
    directory.path.rmdir()
    directory.close()


def test_temporary_folder_gone() -> None:
    """One that was deleted under us, as systemd-tmpfiles does in /tmp, is made anew."""
    directory = SpoolDirectory()
    directory.path.rmdir()
    with Spool(0, directory) as spool:
        spool.write(b"x")
        assert spool.filename().read_bytes() == b"x"
    path = directory.path
    directory.close()
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o755, 0o770, 0o777, 0o1777])
def test_folder_that_others_may_enter(folder: Path, mode: int) -> None:
    """A folder that was there before must be private: it is named, and how to make it so."""
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode & 0o777:o}.*chmod 700") as refusal:
        _ = SpoolDirectory(folder).path
    assert refusal.value.path == folder


def test_folder_that_is_private(folder: Path) -> None:
    """One that is private is taken as it is."""
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    assert SpoolDirectory(folder).path == folder


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A folder that cannot be made is named, with the reason."""
    (tmp_path / "file").touch()
    for path, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file/x", "Not a dir")):
        with pytest.raises(ConfigError, match=reason) as refusal:
            _ = SpoolDirectory(path).path
        assert str(refusal.value).startswith(f"{path}: the spool folder cannot be made")


def test_folder_for_a_group(folder: Path) -> None:
    """A folder that a group may read is made so whatever the umask, and taken if it is there."""
    before = os.umask(0o077)
    try:
        assert SpoolDirectory(folder, 0o750).path == folder
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    folder.chmod(0o710)
    assert SpoolDirectory(folder, 0o750).path == folder
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match=r"mode 755.*chmod 750"):
        _ = SpoolDirectory(folder, 0o750).path


# -- Room ------------------------------------------------------------------------------------


def test_max_size(folder: Path) -> None:
    """All files together have so many bytes at most; what was written stands, and closes free."""
    directory = SpoolDirectory(folder)
    directory.max_size = 100
    with Spool(0, directory) as one, Spool(0, directory) as other, Spool(50, directory) as small:
        one.write(b"x" * 60)
        other.write(b"y" * 30)
        with pytest.raises(OSError, match=r"max_spool is 100, 90 are in use$"):
            other.write(b"y" * 11)
        assert other.read(0, 100) == b"y" * 30
        other.write(b"y" * 10)
        small.write(b"z" * 50)
        with pytest.raises(OSError, match=r"max_spool is 100, 100 are in use$"):
            small.filename()
        assert small.read(0, 100) == b"z" * 50
        one.close()
        one.close()
        assert directory.used == 40
        assert small.filename().read_bytes() == b"z" * 50
    assert directory.used == 0


def test_min_free(folder: Path) -> None:
    """So much of the disk is left free; messages that stay in memory do not ask for any."""
    directory = SpoolDirectory(folder)
    directory.min_free = 1 << 60
    with Spool(10, directory) as spool:
        spool.write(b"0123456789")
        with pytest.raises(OSError, match=r"min_free_disk is 1152921504606846976, [0-9]+ are free"):
            spool.write(b"x")
        assert spool.read(0, 20) == b"0123456789"
        assert directory.used == 0
    assert files(folder) == []
    directory.min_free = 1
    directory.check_room(1)


def test_a_failed_write_takes_no_room(folder: Path) -> None:
    """What the disk did not take is not counted."""
    directory = SpoolDirectory(folder)
    with Spool(0, directory) as spool:
        spool.write(b"x" * 10)
        os.close(spool._fd)
        spool._fd = os.open(spool.filename(), os.O_RDONLY)
        with pytest.raises(OSError):
            spool.write(b"x")
        assert directory.used == 10


# -- What the dead have left -----------------------------------------------------------------

OTHER = """
import sys, time
from pathlib import Path
from qpsdk.spool import Spool, SpoolDirectory

spool = Spool(0, SpoolDirectory(Path(sys.argv[1])))
spool.write(b"other")
print("written", flush=True)
time.sleep(60)
"""


def test_orphans(folder: Path) -> None:
    """Files of a process that was killed go, those of ours and of another that lives stay."""
    directory = SpoolDirectory(folder)
    assert directory.remove_orphans() == 0
    (folder / "notes").write_text("of the administrator")
    with (
        Spool(0, directory) as mine,
        subprocess.Popen(
            [sys.executable, "-c", OTHER, str(folder)], stdout=subprocess.PIPE, text=True
        ) as other,
    ):
        try:
            mine.write(b"mine")
            assert other.stdout is not None
            assert other.stdout.readline() == "written\n"
            left = {path.name: path.read_bytes() for path in files(folder)}
            assert directory.remove_orphans() == 0
            assert SpoolDirectory(folder).remove_orphans() == 0
            assert {path.name: path.read_bytes() for path in files(folder)} == left
        finally:
            other.kill()
        other.wait()
        assert len(files(folder)) == 3
        assert SpoolDirectory(folder).remove_orphans() == 1
        assert {path.read_bytes() for path in files(folder)} == {b"mine", b"of the administrator"}
    assert [path.name for path in files(folder)] == ["notes"]


def test_no_link_is_followed(folder: Path, tmp_path: Path) -> None:
    """What only looks like one of our files is left alone."""
    directory = SpoolDirectory(folder)
    (tmp_path / "elsewhere").write_text("precious")
    (directory.path / "message-link").symlink_to(tmp_path / "elsewhere")
    (directory.path / "message-folder").mkdir()
    assert directory.remove_orphans() == 0
    assert (tmp_path / "elsewhere").exists()


def test_a_file_that_was_taken_for_an_orphan(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that starts while we make a file may delete it; then we make another."""
    directory, other = SpoolDirectory(folder), SpoolDirectory(folder)
    real = tempfile.mkstemp
    removed: list[int] = []

    def mkstemp(**options: Any) -> tuple[int, str]:
        made = real(**options)
        if len(removed) < 2:
            removed.append(other.remove_orphans())
        return made

    monkeypatch.setattr("tempfile.mkstemp", mkstemp)
    with Spool(0, directory) as spool:
        spool.write(b"x")
        assert spool.filename().read_bytes() == b"x"
        assert removed == [1, 1]
        assert other.remove_orphans() == 0


def test_no_locks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that has no locks no message is taken, and nothing is left of it."""

    def flock(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    descriptors = os.listdir("/proc/self/fd")
    with Spool(0, SpoolDirectory(folder)) as spool, pytest.raises(OSError, match="No locks"):
        spool.write(b"x")
    assert files(folder) == []
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)
