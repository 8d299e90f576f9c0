"""queue/maildir: where each message goes, what is in the file, and what a failure leaves behind."""

import asyncio
import errno
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import DECLINED, OK, Plugin, PluginError, Transaction
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.plugins.queue.maildir import Maildir, expand, safe
from qpsdk.testing import smtp
from qpsdk.testing.smtp import memory_host

MESSAGE = "Subject: hello\n\n.a dot\nhow are you?\n"
LARGE = "Subject: large\n\n" + ("x" * 70 + "\n") * 5_000
LATER = "452 4.3.0 Cannot store the message now, try again later"
OURS = re.compile(
    rb"Received: from [^\n]*\n(?:\t[^\n]*\n)+Authentication-Results: [^\n]*\n(?:\t[^\n]*\n)+"
)


class TakesAll(Plugin):
    """Accepts every recipient."""

    def hook_rcpt(self, transaction: Transaction, recipient: Any, params: Any) -> Any:
        return OK


class Next(Plugin):
    """The next queue plugin; shows that it was asked."""

    asked = 0

    def hook_queue(self, transaction: Transaction) -> Any:
        self.asked += 1
        return OK, "the next plugin took it"


def load(line: str) -> Maildir:
    """The plugin of a line in config/plugins."""
    plugin = load_one(PluginLine.parse(line), memory_host({}))
    assert isinstance(plugin, Maildir)
    return plugin


def send(
    words: str,
    *recipients: str,
    message: str = MESSAGE,
    sender: str = "sender@example.org",
) -> str:
    """Send one message through a host with the plugin; the reply to its final dot."""
    following = Next()

    async def main() -> str:
        async with smtp(TakesAll(), f"queue/maildir {words}", following) as client:
            return str(await client.send(message, sender, recipients or ("one@example.com",)))

    reply = asyncio.run(asyncio.wait_for(main(), 20))
    assert following.asked == 0
    return reply


def files(folder: Path) -> list[str]:
    """All files below a folder, with the unique name of each left out."""
    return sorted(
        str(path.parent.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )


def content(folder: Path) -> bytes:
    """The only file in a folder, without our two fields, which must be there."""
    (path,) = folder.iterdir()
    text, found = OURS.subn(b"", path.read_bytes(), count=1)
    assert found == 1
    return text


@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["small", "large"])
def test_stored(tmp_path: Path, message: str) -> None:
    """The message is in new, as it came, under the fields of its delivery, and nowhere else."""
    assert send(f"{tmp_path}/box", message=message) == "250 2.0.0 Stored"
    assert files(tmp_path) == ["box/new"]
    assert sorted(os.listdir(tmp_path / "box")) == ["cur", "new", "tmp"]
    assert content(tmp_path / "box/new") == (
        b"Return-Path: <sender@example.org>\nDelivered-To: one@example.com\n" + message.encode()
    )


def test_bounce(tmp_path: Path) -> None:
    """A bounce has an empty Return-Path."""
    assert send(f"{tmp_path}/box", sender="") == "250 2.0.0 Stored"
    assert content(tmp_path / "box/new").startswith(b"Return-Path: <>\nDelivered-To: ")


def test_modes(tmp_path: Path) -> None:
    """Only the owner may look into the folders and the file, whatever the umask."""
    before = os.umask(0)
    try:
        send(f"{tmp_path}/base %d/%l")
    finally:
        os.umask(before)
    paths = [tmp_path / "base", *(tmp_path / "base").rglob("*")]
    assert len(paths) == 7
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}


def test_unique_names(tmp_path: Path) -> None:
    """Two messages at the same moment have two names, of the form time.unique.host."""
    plugin = load(f"queue/maildir {tmp_path}")
    plugin.qp.clock = lambda: 1_000_000_000.25
    first, second = plugin.unique_name(), plugin.unique_name()
    assert first != second
    assert re.fullmatch(r"1000000000\.M250000P[0-9]+Q1\.[^/:]+", first)


def test_unique_name_of_an_odd_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slash and a colon in the host's name are written as the specification says."""
    monkeypatch.setattr("socket.gethostname", lambda: "a/b:c")
    assert load(f"queue/maildir {tmp_path}").unique_name().endswith(r".a\057b\072c")


def test_one_maildir(tmp_path: Path) -> None:
    """Without a pattern there is one file, which names every recipient."""
    send(f"{tmp_path}/box", "one@example.com", "two@example.net")
    assert content(tmp_path / "box/new").split(b"\n")[1:3] == [
        b"Delivered-To: one@example.com",
        b"Delivered-To: two@example.net",
    ]


@pytest.mark.parametrize(
    ("pattern", "folders"),
    [
        ("%d/%l", ["example.com/Two/new", "example.com/one/new", "example.net/one/new"]),
        ("%a", ["Two@example.com/new", "one@example.com/new", "one@example.net/new"]),
        ("%u", ["Two@example.com/new", "one@example.com/new", "one@example.net/new"]),
        ("%d", ["example.com/new", "example.net/new"]),
        ("users/%l/Maildir", ["users/Two/Maildir/new", "users/one/Maildir/new"]),
    ],
)
def test_pattern(tmp_path: Path, pattern: str, folders: list[str]) -> None:
    """Each recipient has its folder; those with the same share one file."""
    send(f"{tmp_path} {pattern}", "one@example.com", "Two@example.COM", "one@example.net")
    assert files(tmp_path) == folders


def test_nobody_sees_the_others(tmp_path: Path) -> None:
    """A file names only the recipients that it is for."""
    send(f"{tmp_path} %l", "one@example.com", "two@example.com")
    assert b"two@" not in content(tmp_path / "one/new").partition(b"\n\n")[0]


def test_postmaster_without_a_domain(tmp_path: Path) -> None:
    """<postmaster> is at our own name."""
    send(f"{tmp_path} %d/%l", "postmaster")
    assert files(tmp_path) == ["mx.example.com/postmaster/new"]


@pytest.mark.parametrize(
    ("recipient", "folder"),
    [
        ("../../x@example.com", None),
        ('"../../x"@example.com', "%2E.%2F..%2Fx"),
        ('".."@example.com', "%2E."),
        ('"."@example.com', "%2E"),
        ('""@example.com', "%"),
        ('"/etc/passwd"@example.com', "%2Fetc%2Fpasswd"),
        ('".hidden"@example.com', "%2Ehidden"),
        ("a/b@example.com", "a%2Fb"),
        ("a%2Fb@example.com", "a%252Fb"),
        ("%d@example.com", "%25d"),
        ('"a b"@example.com', "a%20b"),
        ("user+list=x@example.com", "user+list=x"),
    ],
)
def test_no_address_leads_elsewhere(tmp_path: Path, recipient: str, folder: str | None) -> None:
    """Whatever the local part, the message stays in a folder of its own below the first word."""
    reply = send(f"{tmp_path}/base %l", recipient)
    if folder is None:  # no address at all
        assert reply.startswith("501 ")
        return
    assert reply == "250 2.0.0 Stored"
    assert files(tmp_path) == [f"base/{folder}/new"]


def test_long_names(tmp_path: Path) -> None:
    """A name that no folder can have is cut, and still nobody else's."""
    for local in ("/" * 86, "/" * 85 + "$"):
        assert send(f"{tmp_path} %d/%l", f"{local}@example.com") == "250 2.0.0 Stored"
    names = [path.name for path in (tmp_path / "example.com").iterdir()]
    assert len(names) == 2
    assert all(re.fullmatch("(%2F){13}%%%[0-9a-f]{64}", name) for name in names)
    assert expand("x%l", "a" * 254, "") == "x" + "a" * 254


def test_utf8(tmp_path: Path) -> None:
    """An address in UTF-8 has a folder of ASCII."""
    plugin = load(f"queue/maildir {tmp_path} %a")
    assert safe("jörg".encode()) == "j%C3%B6rg"
    assert plugin.pattern == "%a"


@given(st.binary(), st.binary())
def test_safe(one: bytes, other: bytes) -> None:
    """A name is never empty, hidden or a path, and no two words share one."""
    name = safe(one)
    assert re.fullmatch(r"[A-Za-z0-9_~+=,%-][A-Za-z0-9_.~+=,%-]*", name)
    assert (name == safe(other)) == (one == other)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "missing a required argument: 'folder'"),
        ("mail", "'mail' is no absolute path; write one such as /var/mail/incoming"),
        ("/mail %x", "'%x' is no path of %l, %d or %a; write one such as %d/%l"),
        ("/mail %d/../%l", "'%d/../%l' is no path of"),
        ("/mail /%d", "'/%d' is no path of"),
        ("/mail %d/", "'%d/' is no path of"),
        ("/mail %", "'%' is no path of"),
        ("/mail %l 700", "too many positional arguments"),
    ],
)
def test_refuses_to_start(words: str, problem: str) -> None:
    """A folder or pattern that cannot be meant does not load, and says why."""
    with pytest.raises(PluginError, match=re.escape(problem)):
        load(f"queue/maildir {words}")


def test_nothing_above_the_folder_is_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the folder's own place is missing, the client is told to come again."""
    assert send(f"{tmp_path}/missing/box") == LATER
    assert os.listdir(tmp_path) == []
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "cannot store c1.1: [Errno 2] No such file or directory" in record.getMessage()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    """A file where a folder should be is a temporary failure, too."""
    (tmp_path / "box").write_text("")
    assert send(f"{tmp_path}/box") == LATER


def fails_at(count: int, call: Callable[..., Any], number: int = errno.ENOSPC) -> Any:
    """The function, but its call of this count fails; the list of its calls is an attribute."""

    def function(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == count:
            raise OSError(number, os.strerror(number))
        return call(*arguments, **options)

    calls: list[Any] = []
    return function


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", ["os.fsync", "os.link"])
def test_all_or_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    count: int,
) -> None:
    """Whichever step fails for whichever recipient, nobody gets the message and tmp is empty."""
    send(f"{tmp_path} %l", "a@example.com", "b@example.com", "c@example.com")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == 3
    monkeypatch.setattr(name, fails_at(count, getattr(os, name.removeprefix("os."))))
    assert send(f"{tmp_path} %l", "a@example.com", "b@example.com", "c@example.com") == LATER
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert "No space left on device" in caplog.text


def test_the_folders_reach_the_disk_or_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a new folder's names cannot be written down, the files are taken back."""
    send(f"{tmp_path} %l", "a@example.com", "b@example.com")
    synced: list[str] = []

    def fsync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        if len(synced) == 4:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fsync", fsync)
    assert send(f"{tmp_path} %l", "a@example.com", "b@example.com") == LATER
    # First the messages, then the folders that they are linked into.
    assert [Path(path).parent.name for path in synced[:2]] == ["tmp", "tmp"]
    assert synced[2:] == [str(tmp_path / "a/new"), str(tmp_path / "b/new")]
    assert files(tmp_path) == ["a/new", "b/new"]


def test_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is there already, in tmp or in new, is somebody else's and stays."""
    monkeypatch.setattr(Maildir, "unique_name", lambda self: "taken")
    assert send(f"{tmp_path}/box") == "250 2.0.0 Stored"
    mine = (tmp_path / "box/new/taken").read_bytes()
    assert send(f"{tmp_path}/box") == LATER
    assert (tmp_path / "box/new/taken").read_bytes() == mine
    (tmp_path / "box/tmp/taken").write_text("being written")
    assert send(f"{tmp_path}/box") == LATER
    assert (tmp_path / "box/tmp/taken").read_text() == "being written"


def test_no_recipients(tmp_path: Path) -> None:
    """A message that a plugin has taken all recipients from is not said to be stored."""

    class Strips(Plugin):
        def hook_data_post(self, transaction: Transaction) -> Any:
            for recipient in list(transaction.recipients):
                transaction.remove_recipient(recipient)
            return DECLINED

    async def main() -> str:
        async with smtp(TakesAll(), Strips(), f"queue/maildir {tmp_path}") as client:
            return str(await client.send(MESSAGE, "a@example.org", ("b@example.com",)))

    assert asyncio.run(asyncio.wait_for(main(), 20)) == LATER
    assert files(tmp_path) == []


def test_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says where the message is."""
    caplog.set_level(logging.INFO, "qpsdk")
    send(f"{tmp_path}/box")
    (path,) = (tmp_path / "box/new").iterdir()
    assert f"stored c1.1 as {path}" in caplog.text
