"""logging/file: every line in the file, wherever that is at the moment."""

import asyncio
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qpsdk import DECLINED, LOGERROR, LOGINFO, LOGWARN, OK, Connection, LogLevel, PluginError
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.log import configure
from qpsdk.plugins.logging.file import File
from qpsdk.testing import smtp
from qpsdk.testing.smtp import memory_host

C1 = Connection("c1")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.25

    def __call__(self) -> float:
        return self.now


@contextmanager
def loaded(line: str, clock: Clock | None = None) -> Iterator[File]:
    """The plugin of a line in config/plugins."""
    host = memory_host({})
    host.clock = clock or Clock()
    plugin = load_one(PluginLine.parse(line), host)
    assert isinstance(plugin, File)
    try:
        yield plugin
    finally:
        plugin.shutdown()


def write(plugin: File, text: str, level: LogLevel = LOGINFO) -> object:
    """Have it write a line; its answer."""
    return plugin.hook_logging(C1, None, level, "rcpt", "rcpt_ok", text)


def test_line(tmp_path: Path) -> None:
    """A line is as on standard error: time, level, connection, hook, plugin, text."""
    with loaded(f"logging/file {tmp_path}/log") as plugin:
        assert write(plugin, "hello\n    a traceback") == OK
        plugin.hook_logging(None, None, LOGERROR, "", "", "goodbye")
        lines = (tmp_path / "log").read_text().splitlines()
    time = r"2023-11-1[45] \d\d:\d\d:20,250"
    assert re.fullmatch(rf"{time} LOGINFO \[c1\] \(rcpt\) rcpt_ok: hello", lines[0])
    assert lines[1] == "    a traceback"
    assert re.fullmatch(rf"{time} LOGERROR goodbye", lines[2])


def test_appends(tmp_path: Path) -> None:
    """What the file has stays; nobody but owner and group may read a new one."""
    path = tmp_path / "log"
    with loaded(f"logging/file {path}") as plugin:
        write(plugin, "one")
    with loaded(f"logging/file {path}") as plugin:
        write(plugin, "two")
    assert [line.split()[-1] for line in path.read_text().splitlines()] == ["one", "two"]
    assert path.stat().st_mode & 0o027 == 0


def test_moved_away(tmp_path: Path) -> None:
    """A file that was moved away gets no line after its second, a new one is begun."""
    clock, path = Clock(), tmp_path / "log"
    with loaded(f"logging/file {path}", clock) as plugin:
        write(plugin, "one")
        path.rename(tmp_path / "log.1")
        write(plugin, "two")
        clock.now += 1
        write(plugin, "three")
        clock.now += 1
        (tmp_path / "log").unlink()
        write(plugin, "four")
    assert (tmp_path / "log.1").read_text().count("\n") == 2
    assert path.read_text().endswith("rcpt_ok: four\n")
    assert path.read_text().count("\n") == 1


def test_truncated(tmp_path: Path) -> None:
    """logrotate's copytruncate leaves no hole in the file."""
    path = tmp_path / "log"
    with loaded(f"logging/file {path}") as plugin:
        write(plugin, "one")
        os.truncate(path, 0)
        write(plugin, "two")
    assert path.read_bytes().startswith(b"2023-")


def test_name_of_the_day(tmp_path: Path) -> None:
    """The name follows the clock."""
    clock = Clock()
    with loaded(f"logging/file {tmp_path}/%S.log", clock) as plugin:
        write(plugin, "one")
        clock.now += 1
        write(plugin, "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20.log", "21.log"]


def test_named_pipe(tmp_path: Path) -> None:
    """A pipe gets its lines as soon as somebody reads it; nobody waits for that."""
    os.mkfifo(tmp_path / "pipe")
    with loaded(f"logging/file {tmp_path}/pipe") as plugin:
        with pytest.raises(OSError, match="No such device or address"):
            write(plugin, "one")
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            write(plugin, "two")
            assert os.read(reader, 1000).endswith(b" two\n")
        finally:
            os.close(reader)


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """However often the file changes, one is open."""
    clock = Clock()
    before = len(os.listdir("/proc/self/fd"))
    with loaded(f"logging/file {tmp_path}/%S.log", clock) as plugin:
        for _ in range(5):
            write(plugin, "line")
            clock.now += 1
        assert len(os.listdir("/proc/self/fd")) == before + 1
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("options", "maxlevel"),
    [("", None), ("maxlevel=6", LOGINFO), ("maxlevel=LOGERROR", LOGERROR), ("maxlevel=info", 6)],
)
def test_maxlevel(options: str, maxlevel: LogLevel | None, tmp_path: Path) -> None:
    """maxlevel= is a number or a name; without it config/loglevel rules."""
    with loaded(f"logging/file {tmp_path}/log {options}") as plugin:
        assert plugin.maxlevel == maxlevel


def test_then_next(tmp_path: Path) -> None:
    """then=next lets others write the line too."""
    with loaded(f"logging/file {tmp_path}/log then=next") as plugin:
        assert write(plugin, "hello") == DECLINED
    assert "hello" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("", "missing a required argument: 'path'"),
        ("/no/such/log", "/no/such: there is no such directory for the log"),
        ("{}", ": a directory; write the path of a file"),
        ("{}/log maxlevel=9", "'9' is no log level; write 0 to 7, or a name such as LOGINFO"),
        ("{}/log then=go", "then=go: write stop or next"),
        ("{}/log reopen", "it takes: logging/file PATH"),
    ],
)
def test_refuses_to_start(arguments: str, problem: str, tmp_path: Path) -> None:
    """Wrong arguments are told at the start, with what would be right."""
    with (
        pytest.raises(PluginError, match=re.escape(problem)),
        loaded(f"logging/file {arguments.format(tmp_path)}"),
    ):
        pass


@pytest.mark.parametrize("there", [False, True])
def test_not_ours(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that cannot be written is told at the start, and by `qpsdk check`."""
    log, refused = tmp_path / "log", tmp_path
    if there:
        log.touch()
        refused = log
    # Root may write anywhere, so the system's answer is made up.
    monkeypatch.setattr("qpsdk.plugins.logging.file.os.access", lambda path, _: path != refused)
    with loaded(f"logging/file {log}"):
        pass
    told = f"this user cannot write to {log}: the log goes to standard error"
    assert caplog.messages == [told]


def test_written_in_part(tmp_path: Path) -> None:
    """A line that a full disk cuts is left to others; the next one begins on its own line."""
    path = tmp_path / "log"
    with loaded(f"logging/file {path}") as plugin:
        write(plugin, "one")
        size = path.stat().st_size
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
        try:
            for _ in range(2):
                with pytest.raises(OSError, match=r"No space left|File too large"):
                    write(plugin, "two")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        write(plugin, "three")
    lines = path.read_text().splitlines()
    assert [line[24:] or line[:10] for line in lines] == [
        "LOGINFO [c1] (rcpt) rcpt_ok: one",
        "2023-11-14"[:8] + lines[1][8:10],
        "LOGINFO [c1] (rcpt) rcpt_ok: three",
    ]


def test_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    """On a full disk the lines go to standard error, where the reason is told once, in one line."""
    configure(LOGINFO)

    async def main() -> None:
        config = {"rcpthosts": "example.com"}
        async with smtp("logging/file /dev/full", "rcpt_ok", config=config) as client:
            await client.command("MAIL FROM:<a@b>")

    asyncio.run(main())
    lines = [line[24:] for line in capsys.readouterr().err.splitlines()]
    assert lines[0] == (
        "LOGERROR [c1] (logging) logging/file: failed: OSError: [Errno 28] No space left on device;"
        " not reported again until it works"
    )
    assert lines[1] == "LOGINFO [c1] connection from 192.0.2.1"


def test_in_a_dialogue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It writes more than config/loglevel would, and standard error gets nothing."""
    configure(LOGWARN)

    async def main() -> Any:
        line = f"logging/file {tmp_path}/log maxlevel=6"
        async with smtp(line, "queue/discard", config={"rcpthosts": "example.com"}) as client:
            return await client.send("hello")

    asyncio.run(main())
    assert " LOGINFO [c1] connection from 192.0.2.1\n" in (tmp_path / "log").read_text()
    assert "LOGDEBUG" not in (tmp_path / "log").read_text()
    assert capsys.readouterr().err == ""
