"""Reloads, of one process and of several; workers that share the work, die and are replaced."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.interop.rig import (
    PATIENCE,
    Client,
    FakeServer,
    QMQPSink,
    RunningHost,
    command,
    eventually,
    running_host,
    without_received,
    write_config,
)
from tests.programs import needs

TWO = ("--workers", "2")
BOTH = pytest.mark.parametrize("options", [(), TWO], ids=["one", "two"])

WHO = """\
import os
from qpsdk import LOGWARN, OK, Plugin

class Who(Plugin):
    began = False

    def hook_post_fork(self):
        self.began = True
        self.log(LOGWARN, "VERSION begins")

    def hook_noop(self, connection, text): return OK, f"VERSION {os.getpid()}"

    async def shutdown(self):
        self.log(LOGWARN, "VERSION ends" if self.began else "dropped before it began")
"""


@contextmanager
def host_with_plugin(
    folder: Path, qmqp: tuple[str, int], options: tuple[str, ...]
) -> Iterator[RunningHost]:
    """A host whose answer to NOOP tells the plugin's version and the process."""
    write_version(folder, "one")
    with running_host(
        folder,
        qmqp,
        options=options,
        plugin_dirs=str(folder),
        plugins=f"who\nrcpt_ok\nqueue/qmqp_forward {qmqp[0]} {qmqp[1]}",
        loglevel="LOGNOTICE",
    ) as host:
        yield host


def write_version(folder: Path, version: str) -> None:
    """Change the plugin's code; Python notices a change of size even within a second."""
    (folder / "who.py").write_text(WHO.replace("VERSION", version))


def ask(client: Client) -> tuple[str, int]:
    """The plugin's version, and the process that serves this client."""
    _, version, pid = client.ask(b"NOOP").text.decode().split()
    return version, int(pid)


def reload(host: RunningHost, done: str) -> None:
    """Send SIGHUP, and wait for the log to say that it was heeded."""
    before = host.log().count(done)
    host.signal(signal.SIGHUP)
    assert eventually(lambda: host.log().count(done) > before), host.log()


@BOTH
def test_a_reload(tmp_path: Path, fake: FakeServer, options: tuple[str, ...]) -> None:
    """Clients that come get the new plugins; those that are here keep theirs, also for their mail.

    The old plugins are shut down when their last client has gone.
    """
    with host_with_plugin(tmp_path, fake.address, options) as host:
        with host.connect() as old:
            assert ask(old)[0] == "one"
            old.hello()
            old.begin()
            old.send(b"Subject: over a reload\r\n\r\n")
            write_version(tmp_path, "later")
            reload(host, "all workers have reloaded" if options else "reloaded the config")
            for _ in range(8):
                with host.connect() as new:
                    assert ask(new)[0] == "later"
            old.send(b".\r\n")
            assert old.reply().code == 250
            version, pid = ask(old)
            assert version == "one"
            # Of each other worker they have ended: nobody was there.
            assert eventually(lambda: host.log().count("one ends") == len(options) // 2)
        assert eventually(lambda: host.log().count("one ends") == len(options) // 2 + 1)
        assert pid in (host.workers() or [host.process.pid])
        host.signal()
        assert host.exit_status() == 0
        processes = 1 + len(options) // 2
        said = re.findall(r"who: (.*)", host.log())
        assert sorted(said) == sorted(
            ["one begins", "one ends", "later begins", "later ends"] * processes
        )
    assert without_received(fake.take().message) == b"Subject: over a reload\n\n"


WRONG = {
    "plugins": ("plugins", "who\nwhi"),
    "a setting": ("databytes", "10M"),
    "the plugin": ("../who.py", "def ("),
}


@BOTH
@pytest.mark.parametrize(("name", "text"), WRONG.values(), ids=WRONG.keys())
def test_a_reload_of_something_wrong(
    tmp_path: Path, fake: FakeServer, options: tuple[str, ...], name: str, text: str
) -> None:
    """The log says what is wrong, and all goes on as it was; once it is right it is taken up.

    New plugins that were loaded by then are ended: they may have opened something.
    """
    with host_with_plugin(tmp_path, fake.address, options) as host:
        file = host.config / name
        before = file.read_text() if file.exists() else ""
        file.write_text(text + "\n")
        reload(host, "not reloaded, all goes on as before: ")
        if options:
            reload(host, "could not reload: it and those after it go on as before")
        for _ in range(8):
            with host.connect() as client:
                assert ask(client)[0] == "one"
                client.hello()
                assert client.deliver(b"Subject: x\n\n").code == 250
        assert "one ends" not in host.log()
        assert "later" not in host.log()
        assert ("dropped before it began" in host.log()) == (name == "plugins")
        file.write_text(before)
        write_version(host.config.parent, "later")
        reload(host, "all workers have reloaded" if options else "reloaded the config")
        with host.connect() as client:
            assert ask(client)[0] == "later"
        host.signal()
        assert host.exit_status() == 0


@BOTH
@pytest.mark.timeout(120)  # it uses nothing but the processor
def test_reloads_under_load(tmp_path: Path, sink: QMQPSink, options: tuple[str, ...]) -> None:
    """Reload after reload, no client is turned away and no message is lost."""
    program = needs("smtp-source")
    with host_with_plugin(tmp_path, sink.address, options) as host:
        target = f"inet:{host.address[0]}:{host.address[1]}"
        envelope = ["-f", "sender@example.org", "-t", "recipient@example.com"]
        load = [program, "-l", "1000", "-s", "10", "-m", "600", *envelope]
        sources = [
            subprocess.Popen([*load, *kept, target], stderr=subprocess.PIPE, text=True)
            for kept in ([], ["-d"])
        ]
        reloads = 0
        while any(source.poll() is None for source in sources) or reloads < 3:
            reload(host, "all workers have reloaded" if options else "reloaded the config")
            reloads += 1
        for source in sources:
            assert source.communicate(timeout=PATIENCE)[1] == ""
            assert source.returncode == 0
        assert eventually(lambda: sink.count() == 1200)
        host.signal()
        assert host.exit_status() == 0
        assert host.log().count("one begins") == host.log().count("one ends")
        assert "LOGERROR" not in host.log()


def test_workers_share_the_work(tmp_path: Path, fake: FakeServer) -> None:
    """Connections come to both, on TCP and on a unix socket, and mail passes through each."""
    path = tmp_path / "s"
    options = (*TWO, "--listen", f"unix:{path}")
    with host_with_plugin(tmp_path, fake.address, options) as host:
        assert host.process.stdout is not None
        assert host.process.stdout.readline().decode() == f"listening on unix:{path}\n"
        served = set()
        for number in range(40):
            with host.connect() as client:
                client.hello()
                assert client.deliver(b"Subject: %d\n\n" % number).code == 250
                served.add(ask(client)[1])
        assert served == set(host.workers())
        assert len(served) == 2
        with Client(str(path)) as client:
            assert ask(client)[1] in served
        host.signal()
        assert host.exit_status() == 0
        assert not path.exists()
    assert len(fake.messages) == 40


def test_warnings_come_once(tmp_path: Path, fake: FakeServer) -> None:
    """What may be wrong with the config one worker tells, at the start and at a reload."""
    with running_host(
        tmp_path,
        fake.address,
        options=TWO,
        loglevel="LOGNOTICE",
        max_connections="100000000",
        databyte="1",
    ) as host:
        assert [
            host.log().count(text) for text in ("did you mean databytes", "leaves room for")
        ] == [1, 1]
        reload(host, "all workers have reloaded")
        assert host.log().count("did you mean databytes") == 2


def test_a_worker_that_dies_is_replaced(tmp_path: Path, fake: FakeServer) -> None:
    """The log says how it died; who comes meanwhile waits for the next, and nobody is refused.

    One that dies soon again is replaced later.
    """
    with host_with_plugin(tmp_path, fake.address, TWO) as host:
        kept, victim = host.workers()
        os.kill(victim, signal.SIGKILL)
        with ExitStack() as stack:
            clients = [stack.enter_context(host.connect(greeted=False)) for _ in range(20)]
            for client in clients:
                assert client.reply().code == 220
            served = {ask(client)[1] for client in clients}
        (new,) = set(host.workers()) - {kept}
        assert served == {kept, new}
        line = f"LOGERROR worker 2 (process {victim}) was killed by SIGKILL; another starts in 1 s"
        assert line in host.log()
        os.kill(new, signal.SIGKILL)
        assert eventually(lambda: "another starts in 2 s" in host.log())
        host.signal()
        assert host.exit_status() == 0


def test_a_worker_that_cannot_come_back(tmp_path: Path, fake: FakeServer) -> None:
    """The others get its clients meanwhile; once it can start again, it has its share as before."""
    with host_with_plugin(tmp_path, fake.address, TWO) as host:
        plugins = host.config / "plugins"
        right = plugins.read_text()
        plugins.write_text("who\nnonsense\n")
        kept, victim = host.workers()
        os.kill(victim, signal.SIGKILL)
        assert eventually(lambda: "has ended with status 2" in host.log())
        with ExitStack() as stack:
            clients = [stack.enter_context(host.connect()) for _ in range(40)]
            assert {ask(client)[1] for client in clients} == {kept}
        plugins.write_text(right)
        served: set[int] = set()

        def both_serve() -> bool:
            with host.connect() as client:
                served.add(ask(client)[1])
            return len(served) == 2

        assert eventually(both_serve)
        host.signal()
        assert host.exit_status() == 0


def test_a_stop_of_workers_loses_nothing(tmp_path: Path, fake: FakeServer) -> None:
    """Each finishes the message on its way and tells its idle clients; new ones are refused."""
    with host_with_plugin(tmp_path, fake.address, TWO) as host:
        with ExitStack() as stack:
            clients: dict[int, Client] = {}
            while len(clients) < 2:
                client = stack.enter_context(host.connect())
                client.hello()
                clients[ask(client)[1]] = client
            idle = stack.enter_context(host.connect())
            for client in clients.values():
                client.begin()
            host.signal()
            assert idle.reply().code == 421
            assert eventually(lambda: is_refused(host))
            for client in clients.values():
                client.send(b"Subject: last\r\n\r\n.\r\n")
                assert [answer.code for answer in client.rest()] == [250, 421]
        assert host.exit_status() == 0
    assert len(fake.messages) == 2


def is_refused(host: RunningHost) -> bool:
    """Whether a new client is refused."""
    try:
        host.connect(greeted=False).close()
    except ConnectionRefusedError:
        return True
    return False


def test_workers_do_not_outlive_their_supervisor(tmp_path: Path, fake: FakeServer) -> None:
    """When the supervisor is killed, the workers finish what they have and end."""
    with host_with_plugin(tmp_path, fake.address, TWO) as host:
        workers = host.workers()
        host.process.send_signal(signal.SIGKILL)
        host.exit_status()
        assert eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers))
        assert host.log().count("LOGERROR the supervisor has gone") == 2
        assert host.log().count("one ends") == 2


def test_a_supervisor_that_is_killed_before_it_has_read(tmp_path: Path, fake: FakeServer) -> None:
    """Workers end also when a supervisor that did not hear them is killed (ECONNRESET)."""
    with host_with_plugin(tmp_path, fake.address, TWO) as host:
        workers = host.workers()
        host.process.send_signal(signal.SIGSTOP)
        for pid in workers:
            os.kill(pid, signal.SIGHUP)
        assert eventually(lambda: host.log().count("reloaded the config") == 2)
        host.process.send_signal(signal.SIGKILL)
        host.exit_status()
        assert eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers))
        assert host.log().count("LOGERROR the supervisor has gone") == 2
        assert "Traceback" not in host.log()


def test_workers_that_cannot_start(tmp_path: Path) -> None:
    """What is wrong is told once, the exit status is 2, and no socket is left behind."""
    config = write_config(tmp_path / "config", {"plugins": "relay\nqueue/nothing"})
    path = tmp_path / "s"
    done = subprocess.run(
        [*command(config, "127.0.0.1:0", f"unix:{path}"), *TWO],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"{config}/plugins:2: queue/nothing: no such plugin" in line
    assert not path.exists()


def test_a_port_in_use_by_workers(tmp_path: Path, fake: FakeServer) -> None:
    """Two hosts do not share a port by accident, though the workers of each do."""
    with host_with_plugin(tmp_path, fake.address, TWO) as host:
        config = write_config(tmp_path / "config", {"me": "mx.example.com"})
        done = subprocess.run(
            [*command(config, host.listen), *TWO],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 2
        told = f"cannot listen on {host.listen}: Address already in use; --listen names another"
        assert done.stderr == f"qpsdk: {told}\n"


def test_a_stop_right_after_the_start_of_workers(tmp_path: Path, fake: FakeServer) -> None:
    """A signal at any time of the start ends all well."""
    for delay in (0.0, 0.2, 0.5):
        config = write_config(tmp_path / "config", {"me": "mx.example.com"})
        with subprocess.Popen(
            [*command(config, "127.0.0.1:0"), *TWO],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            if not delay:
                assert process.stdout.readline().startswith(b"listening on ")
            time.sleep(delay)
            process.terminate()
            assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
