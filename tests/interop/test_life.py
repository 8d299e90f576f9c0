"""How a host starts, how it refuses to start, and how it stops."""

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from qpsdk.server.host import FAREWELL
from tests.interop.rig import (
    PATIENCE,
    Client,
    FakeServer,
    command,
    eventually,
    refusal,
    running_host,
    without_received,
    write_config,
)
from tests.programs import needs_ipv6

STOPPED = b"4.3.2 mx.example.com Stopping, try again later"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_loses_nothing(tmp_path: Path, fake: FakeServer, number: signal.Signals) -> None:
    """Idle clients get 421, a message on its way is finished and answered, then exit status 0.

    The port is free at once: while the old host finishes its last message, the next one
    listens there.
    """
    with running_host(tmp_path / "one", fake.address) as host:
        with host.connect() as idle, host.connect() as greeted, host.connect() as busy:
            greeted.hello()
            busy.hello()
            busy.begin()
            busy.send(b"Subject: last\r\n\r\n")
            host.signal(number)
            for client in (idle, greeted):
                answer = client.reply()
                assert answer.code == 421
                assert b"mx.example.com" in answer.text
                assert client.rest() == []
                client.close()
            with pytest.raises(ConnectionRefusedError):
                host.connect()
            with (
                running_host(tmp_path / "two", fake.address, listen=host.listen) as second,
                second.connect() as client,
            ):
                assert second.address == host.address
                client.hello()
                assert client.deliver(b"Subject: next\n\n").code == 250
            assert host.process.poll() is None
            busy.send(b"body\r\n.\r\n")
            assert [answer.code for answer in busy.rest()] == [250, 421]
        assert host.exit_status() == 0
        assert host.log() == ""
    subjects = [without_received(m.message) for m in fake.messages]
    assert subjects == [b"Subject: next\n\n", b"Subject: last\n\nbody\n"]


@pytest.mark.parametrize(
    ("last", "codes"),
    [(b"RSET\r\n", [250, 421]), (b"QUIT\r\n", [221]), (b"RCPT TO:<x@y.example>\r\n", [550])],
)
def test_a_transaction_without_data_may_go_on(
    tmp_path: Path, fake: FakeServer, last: bytes, codes: list[int]
) -> None:
    """After MAIL the client may still finish; once its transaction is over, it gets 421."""
    with running_host(tmp_path, fake.address) as host:
        with host.connect() as client:
            client.hello()
            assert client.ask(b"MAIL FROM:<sender@example.org>").code == 250
            host.signal()
            client.send(last)
            if codes == [550]:
                assert client.reply().code == 550
                client.close()
            else:
                assert [answer.code for answer in client.rest()] == codes
        assert host.exit_status() == 0


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one", "two"])
def test_a_second_interrupt(tmp_path: Path, fake: FakeServer, options: tuple[str, ...]) -> None:
    """A second SIGINT ends the wait for a transaction; the first, beside a SIGTERM, does not.

    Workers get the terminal's Control-C as well, beside what their supervisor says of it.
    """
    with running_host(tmp_path, fake.address, options=options, loglevel="LOGNOTICE") as host:
        processes = [host.process.pid, *host.workers()]

        def press_control_c() -> None:
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):  # a worker without clients has ended
                    os.kill(pid, signal.SIGINT)

        with host.connect() as busy:
            busy.hello()
            busy.begin()
            busy.send(b"Subject: last\r\n\r\n")
            host.signal(signal.SIGTERM)
            press_control_c()
            assert eventually(lambda: "stopping; a second SIGINT stops at once" in host.log())
            with pytest.raises(subprocess.TimeoutExpired):
                host.process.wait(0.5)
            press_control_c()
            assert host.process.wait(FAREWELL) == 0
            assert busy.rest() == []


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one", "two"])
def test_two_interrupts_of_one_process(
    tmp_path: Path, fake: FakeServer, options: tuple[str, ...]
) -> None:
    """The supervisor hands it on to workers whom no terminal has told."""
    with (
        running_host(tmp_path, fake.address, options=options, loglevel="LOGNOTICE") as host,
        host.connect() as busy,
    ):
        busy.hello()
        busy.begin()
        host.signal(signal.SIGINT)
        # Two that come before it looks would be one.
        assert eventually(lambda: host.log().count("stopping; ") == max(1, len(options)))
        host.signal(signal.SIGINT)
        assert host.process.wait(FAREWELL) == 0


WAITS = """\
import asyncio
from pathlib import Path
from qpsdk import LOGWARN, Plugin

class Waits(Plugin):
    async def hook_post_fork(self):
        if Path("HERE").exists():
            self.log(LOGWARN, "waits")
            await asyncio.sleep(25)

    async def shutdown(self):
        self.log(LOGWARN, "ends")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_within_a_reload(tmp_path: Path, fake: FakeServer, number: signal.Signals) -> None:
    """A reload that waits for a plugin is given up; all that were loaded end, and the host."""
    here = tmp_path / "here"
    (tmp_path / "waits.py").write_text(WAITS.replace("HERE", str(here)))
    with running_host(tmp_path, fake.address, plugin_dirs=str(tmp_path), plugins="waits") as host:
        here.touch()
        host.signal(signal.SIGHUP)
        assert eventually(lambda: "waits: waits" in host.log())
        host.signal(number)
        assert host.process.wait(FAREWELL) == 0
        assert host.log().count("waits: ends") == 2


def test_a_stop_within_the_start(tmp_path: Path) -> None:
    """A host that waits for a plugin before it serves gives that up, too."""
    here = tmp_path / "here"
    here.touch()
    (tmp_path / "waits.py").write_text(WAITS.replace("HERE", str(here)))
    settings = {"me": "mx.example.com", "plugin_dirs": str(tmp_path), "plugins": "waits"}
    config = write_config(tmp_path / "config", settings)
    with subprocess.Popen(
        command(config, "127.0.0.1:0"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "waits: waits" in process.stderr.readline()
        process.terminate()
        printed, log = process.communicate(timeout=PATIENCE)
    assert (process.returncode, printed) == (0, "")
    assert "waits: ends" in log
    assert len(log.splitlines()) == 1


def test_a_stop_right_after_the_start(tmp_path: Path, fake: FakeServer) -> None:
    """Who has read "listening on" may stop the host: it ends well, and not by the signal.

    What could go wrong is a race, so it is tried several times.
    """
    for attempt in range(5):
        with running_host(tmp_path / str(attempt), fake.address) as host:
            host.signal()
            assert host.exit_status() == 0
            assert host.log() == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(tmp_path: Path, closed: str) -> None:
    """A host that was started without standard input, output or error serves, and ends well."""
    config = write_config(tmp_path / "config", {"me": "mx.example.com"})
    path = tmp_path / "s"
    start = ["sh", "-c", f'exec "$@" {closed}', "sh", *command(config, f"unix:{path}")]
    with subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert eventually(lambda: accepts(path))
        with Client(str(path)) as client:
            client.hello()
        process.terminate()
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one", "two"])
def test_nobody_reads_what_is_printed(tmp_path: Path, options: tuple[str, ...]) -> None:
    """A host whose standard output is a pipe that nobody reads serves, and ends well."""
    config = write_config(tmp_path / "config", {"me": "mx.example.com"})
    path = tmp_path / "s"
    reads, writes = os.pipe()
    os.close(reads)
    with subprocess.Popen([*command(config, f"unix:{path}"), *options], stdout=writes) as process:
        os.close(writes)
        assert eventually(lambda: accepts(path))
        with Client(str(path)) as client:
            client.hello()
        process.terminate()
        assert process.wait(PATIENCE) == 0


def accepts(path: Path) -> bool:
    """Whether a host listens at this path."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def test_a_plugins_life(tmp_path: Path, fake: FakeServer) -> None:
    """post_fork runs before anybody is served; a plugin's shutdown after the last has gone."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "life.py").write_text(
        "from qpsdk import DECLINED, LOGWARN, Plugin\n"
        "class Life(Plugin):\n"
        "    def hook_post_fork(self): self.log(LOGWARN, 'begins')\n"
        "    def hook_connect(self, connection):\n"
        "        self.log(LOGWARN, 'serves')\n"
        "        return DECLINED\n"
        "    def hook_disconnect(self, connection): self.log(LOGWARN, 'has served')\n"
        "    async def shutdown(self): self.log(LOGWARN, 'ends')\n"
    )
    with running_host(
        tmp_path / "host", fake.address, plugins="life", plugin_dirs=str(plugins)
    ) as host:
        with host.connect():
            host.signal(signal.SIGTERM)
        assert host.exit_status() == 0
        said = re.findall(r"life: (.*)", host.log())
    assert said == ["begins", "serves", "has served", "ends"]


STUBBORN = """\
import asyncio
from qpsdk import Plugin

class Stubborn(Plugin):
    async def hook_post_fork(self):
        self.task = asyncio.create_task(self.work())

    async def work(self):
        while True:
            try:
                await asyncio.sleep(60)
            except BaseException:
                pass
"""


def test_a_task_that_does_not_end(tmp_path: Path, fake: FakeServer) -> None:
    """A plugin's task that ignores its cancellation does not keep the host: the log names it."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    with running_host(
        tmp_path, fake.address, plugin_dirs=str(tmp_path), plugins="stubborn"
    ) as host:
        host.signal()
        assert host.exit_status() == 0
        assert "LOGERROR the task Stubborn.work was cancelled and does not end" in host.log()


def test_a_unix_socket(tmp_path: Path, fake: FakeServer) -> None:
    """The host listens on a unix socket too, and takes it away when it ends."""
    path = tmp_path / "s"
    with running_host(tmp_path, fake.address, listen=f"unix:{path}") as host:
        assert host.listen == f"unix:{path}"
        with Client(str(path)) as client:
            client.hello()
            assert client.deliver(b"Subject: local\n\n").code == 250
        host.signal()
        assert host.exit_status() == 0
        assert not path.exists()
    message = fake.take().message
    assert without_received(message) == b"Subject: local\n\n"


def test_ipv6(tmp_path: Path, fake: FakeServer) -> None:
    """The host listens on IPv6, and says so in brackets."""
    needs_ipv6()
    with running_host(tmp_path, fake.address, listen="[::1]:0") as host:
        assert host.listen.startswith("[::1]:")
        with socket.create_connection(("::1", host.address[1]), PATIENCE) as client:
            assert client.recv(3) == b"220"


def test_several_listeners_from_the_config(tmp_path: Path, fake: FakeServer) -> None:
    """Without --listen the host listens where config/listen says, and tells each address."""
    config = write_config(
        tmp_path / "config",
        {"listen": f"127.0.0.1:0\nunix:{tmp_path}/s\n127.0.0.1:0", "me": "mx.example.com"},
    )
    with subprocess.Popen(command(config), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().decode() for _ in range(3)]
            for line in lines:
                host, _, port = line.removeprefix("listening on ").rstrip().rpartition(":")
                address = (host, int(port)) if port.isdigit() else port
                with Client(address) as client:
                    assert client.ask(b"QUIT").code == 221
        finally:
            process.terminate()
    assert process.returncode == 0
    assert all(line.startswith("listening on ") for line in lines)
    assert len(set(lines)) == 3


def test_a_temporary_spool_goes_with_the_host(tmp_path: Path, fake: FakeServer) -> None:
    """Without config/spool_dir there is a private temporary folder, deleted at the end."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    config = write_config(
        tmp_path / "config",
        {
            "rcpthosts": "example.com",
            "plugins": f"rcpt_ok\nqueue/qmqp_forward {fake.address[0]} {fake.address[1]}",
            "size_threshold": "0",
        },
    )
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command(config, "127.0.0.1:0"), stdout=subprocess.PIPE, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(b":")[2])
            with Client(("127.0.0.1", port)) as client:
                client.hello()
                client.begin()
                client.send(b"Subject: x\r\n\r\n")
                (spool,) = temporary.iterdir()
                assert eventually(lambda: len(list(spool.iterdir())) == 1)
                assert stat.S_IMODE(spool.stat().st_mode) == 0o700
        finally:
            process.terminate()
    assert process.returncode == 0
    assert list(temporary.iterdir()) == []


def test_a_port_in_use(tmp_path: Path) -> None:
    """A port that another program has is named."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        line = refusal(write_config(tmp_path, {"me": "mx.example.com"}), address)
    assert address in line
    assert "in use" in line
