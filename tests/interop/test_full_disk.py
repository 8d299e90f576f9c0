"""A disk that is full is the next message's trouble, and nobody else's."""

import subprocess
from pathlib import Path

from tests.interop.rig import FakeServer, RunningHost, eventually, running_host, without_received
from tests.programs import missing

LARGE = b"Subject: large\n\n" + b"x" * 76 * 40_000 + b"\n"


def _private_mount(spool: Path) -> list[str]:
    """A command that runs a host which alone sees a tiny disk at its spool folder."""
    root = ["unshare", "--mount"]
    mount = 'mount -t tmpfs -o size=1m,mode=0700 tmpfs "$0" && exec "$@"'
    for privileges in ([], ["--user", "--map-root-user"]):
        wrapper = [*root, *privileges, "sh", "-c", mount, str(spool)]
        try:
            if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode == 0:
                return wrapper
        except FileNotFoundError:
            break
    return missing(
        "no tmpfs can be mounted here (by unshare and mount, as root or in a user namespace)"
    )


def _refused(host: RunningHost) -> str:
    """Send what does not fit, then what does; the log."""
    with host.connect() as client:
        client.hello()
        for _ in range(3):
            answer = client.deliver(LARGE)
            assert answer.code == 452, answer
            assert answer.text.startswith(b"4.3.1 ")
        assert client.deliver(b"Subject: small\n\n").code == 250
        assert client.ask(b"QUIT").code == 221
    return host.log()


def test_a_full_disk(tmp_path: Path, fake: FakeServer) -> None:
    """452 after the final dot, a line in the log, and the next message passes: room was made."""
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    before = len(fake.messages)
    with running_host(
        tmp_path,
        fake.address,
        wrapper=_private_mount(spool),
        size_threshold="0",
        min_free_disk="0",
    ) as host:
        log = _refused(host)
        lines = log.splitlines()
        assert len(lines) == 3
        assert all("LOGERROR" in line and "No space left" in line for line in lines)
        # What it has open is all that could still hold space: the files are gone.
        inside = Path(f"/proc/{host.process.pid}/root{spool}")
        assert list(inside.iterdir()) == []
    assert before == 0
    assert without_received(fake.take().message) == b"Subject: small\n\n"


def test_a_file_that_may_not_grow(tmp_path: Path, fake: FakeServer) -> None:
    """The same where the limit is on the file's size (RLIMIT_FSIZE), which sends a signal too."""
    wrapper = ["sh", "-c", 'ulimit -f 1024 && exec "$@"', "sh"]
    with running_host(tmp_path, fake.address, wrapper=wrapper, size_threshold="100000") as host:
        log = _refused(host)
        assert log.count("LOGERROR") == 3
        assert "File too large" in log
        assert eventually(lambda: not host.spooled())
    assert without_received(fake.take().message) == b"Subject: small\n\n"


def test_two_clients_on_a_full_disk(tmp_path: Path, fake: FakeServer) -> None:
    """While one client fills the disk, another's message that fits in memory passes."""
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    with (
        running_host(
            tmp_path,
            fake.address,
            wrapper=_private_mount(spool),
            size_threshold="1000",
            min_free_disk="0",
        ) as host,
        host.connect() as greedy,
        host.connect() as modest,
    ):
        greedy.hello()
        greedy.begin()
        greedy.send(b"Subject: x\r\n\r\n" + (b"x" * 998 + b"\r\n") * 2000)
        modest.hello()
        assert modest.deliver(b"Subject: modest\n\n").code == 250
        assert greedy.ask(b".").code == 452
    assert without_received(fake.take().message) == b"Subject: modest\n\n"


def test_a_disk_that_is_kept_free(tmp_path: Path, fake: FakeServer) -> None:
    """With min_free_disk the disk is never full; SIZE tells who would fill it before it sends."""
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    wrapper = _private_mount(spool)
    with (
        running_host(tmp_path, fake.address, wrapper=wrapper, min_free_disk="500000") as host,
        host.connect() as client,
    ):
        client.hello()
        assert client.ask(b"MAIL FROM:<sender@example.org> SIZE=600000").code == 452
        assert client.deliver(LARGE).code == 452
        assert client.deliver(b"Subject: x\n\n" + b"x" * 76 * 4000 + b"\n").code == 250
        lines = host.log().splitlines()
    assert len(lines) == 2
    assert "LOGERROR" in lines[0]
    assert "a message of 600000 bytes was put off: min_free_disk is 500000, " in lines[0]
    assert "cannot write to the spool: [Errno 28] min_free_disk is 500000, " in lines[1]
