"""Clients behind a proxy: the PROXY header from listed networks, and HAProxy in front of a host."""

import csv
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.fleet import ask_haproxy
from tests.interop.rig import (
    PATIENCE,
    Client,
    FakeServer,
    RunningHost,
    eventually,
    running_host,
    without_received,
)
from tests.programs import needs

WHO = """\
from qpsdk import OK, Plugin

class Who(Plugin):
    def hook_noop(self, connection, text):
        ends = (connection.remote_ip, connection.remote_port, connection.local_ip,
                connection.local_port)
        return OK, " ".join(map(str, ends))
"""

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.25 56324 25\r\n"
V2 = bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c0000201 c6336419 dc04 0019")
LOCAL = bytes.fromhex("0d0a0d0a000d0a515549540a 20 00 0000")
ENDS = b"2.0.0 192.0.2.1 56324 198.51.100.25 25"


@contextmanager
def host_behind_proxy(
    folder: Path,
    qmqp: tuple[str, int],
    *,
    networks: str = "127.0.0.0/8",
    listen: str = "127.0.0.1:0",
    wrapper: Iterable[str] = (),
    **settings: str,
) -> Iterator[RunningHost]:
    """A host that believes proxies, and tells a client's addresses in its answer to NOOP."""
    (folder / "who.py").write_text(WHO)
    plugins = f"who\nrcpt_ok\nqueue/qmqp_forward {qmqp[0]} {qmqp[1]}"
    with running_host(
        folder,
        qmqp,
        plugin_dirs=str(folder),
        listen=listen,
        wrapper=wrapper,
        proxy_networks=networks,
        **{"plugins": plugins, **settings},
    ) as host:
        yield host


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("size", [1, 1000])
def test_the_client_is_believed(tmp_path: Path, fake: FakeServer, header: bytes, size: int) -> None:
    """The header's addresses are the connection's, however it is cut, and mail passes."""
    with (
        host_behind_proxy(tmp_path, fake.address) as host,
        host.connect(greeted=False) as client,
    ):
        for at in range(0, len(header), size):
            client.send(header[at : at + size])
        assert client.reply().code == 220
        assert client.ask(b"NOOP") == (250, ENDS)
        client.hello()
        assert client.deliver(b"Subject: by proxy\n\n").code == 250
    assert b"([192.0.2.1])" in fake.take().message.split(b"\n\t")[0]


def test_pipelined_behind_the_header(tmp_path: Path, fake: FakeServer) -> None:
    """What comes with the header in one piece is the client's."""
    with (
        host_behind_proxy(tmp_path, fake.address) as host,
        host.connect(greeted=False) as client,
    ):
        client.send(V1 + b"NOOP\r\nQUIT\r\n")
        assert [answer.code for answer in client.rest()] == [220, 250, 221]


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"], ids=["LOCAL", "UNKNOWN"])
def test_the_proxy_speaks_for_itself(tmp_path: Path, fake: FakeServer, header: bytes) -> None:
    """Without addresses in the header, those of the socket hold."""
    with (
        host_behind_proxy(tmp_path, fake.address) as host,
        host.connect(greeted=False) as client,
    ):
        client.send(header)
        assert client.reply().code == 220
        answer = client.ask(b"NOOP")
        port = client.socket.getsockname()[1]
        expected = f"2.0.0 127.0.0.1 {port} 127.0.0.1 {host.address[1]}"
        assert answer == (250, expected.encode())


WRONG = {
    "nothing": (b"", "it sent no PROXY header within 1 s"),
    "half of it": (V1[:20], "it sent no PROXY header within 1 s"),
    "SMTP": (b"EHLO client.example\r\n", "it sent no PROXY header"),
    "forged lines": (b"PROXY TCP4 x\nLOGEMERG\r\n", "its PROXY line is malformed: b'PROXY TCP4 x"),
}


@pytest.mark.parametrize(("data", "problem"), WRONG.values(), ids=WRONG.keys())
def test_a_proxy_without_header(
    tmp_path: Path, fake: FakeServer, data: bytes, problem: str
) -> None:
    """It is told nothing, and the log says in one line what was wrong; others are served."""
    with host_behind_proxy(tmp_path, fake.address, proxy_timeout="1") as host:
        with host.connect(greeted=False) as client:
            client.send(data)
            with host.connect(greeted=False) as other:
                other.send(V1)
                assert other.reply().code == 220
            assert client.rest() == []
        (line,) = host.log().splitlines()
    assert f"LOGWARN 127.0.0.1 is refused: {problem}" in line
    assert line.endswith(f"; it is in {host.config / 'proxy_networks'}")


def test_a_look_whether_somebody_listens(tmp_path: Path, fake: FakeServer) -> None:
    """A connection that is closed without a byte, as health checks are, is not told of."""
    with host_behind_proxy(tmp_path, fake.address) as host:
        host.connect(greeted=False).close()
        host.connect(greeted=False).reset()
        with host.connect(greeted=False) as client:
            client.send(V1[:20])
        assert eventually(lambda: "within its PROXY header" in host.log())
        assert len(host.log().splitlines()) == 1
        host.signal()
        assert host.exit_status() == 0


@pytest.mark.parametrize("networks", ["192.0.2.0/24", ""], ids=["others", "none"])
def test_others_are_not_believed(tmp_path: Path, fake: FakeServer, networks: str) -> None:
    """From a peer that is not listed the header is a command that nobody knows.

    That of version 2 was made so that a mail server takes it for some rubbish and a QUIT.
    """
    with host_behind_proxy(tmp_path, fake.address, networks=networks) as host:
        with host.connect() as client:
            client.send(V1)
            assert client.reply().code == 500
            assert client.ask(b"NOOP").text.startswith(b"2.0.0 127.0.0.1 ")
        with host.connect() as client:
            client.send(V2)
            assert [answer.code for answer in client.rest()] == [500, 500, 500, 221]


def test_a_listed_proxy_is_taken_up_at_once(tmp_path: Path, fake: FakeServer) -> None:
    """A change of the setting holds for the next connections."""
    with host_behind_proxy(tmp_path, fake.address, networks="192.0.2.1") as host:
        with host.connect() as client:
            assert client.ask(b"NOOP").code == 250
        (host.config / "proxy_networks").write_text("127.0.0.1\n")

        def believed() -> bool:
            with host.connect(greeted=False) as client:
                client.send(V1 + b"NOOP\r\nQUIT\r\n")
                return (250, ENDS) in client.rest()

        assert eventually(believed)


def test_a_stop_waits_for_no_header(tmp_path: Path, fake: FakeServer) -> None:
    """A proxy that has not said whose connection it is holds nothing up."""
    with (
        host_behind_proxy(tmp_path, fake.address) as host,
        host.connect(greeted=False) as silent,
        host.connect(greeted=False) as client,
    ):
        client.send(V1)
        assert client.reply().code == 220  # so that both have been accepted
        host.signal()
        assert silent.rest() == []
        assert client.reply().code == 421
        client.close()
        assert host.exit_status() == 0


@pytest.mark.parametrize(
    ("networks", "reply"),
    [("unix:", (250, ENDS)), ("0.0.0.0/0\n::/0", (500, b"5.5.1 Unrecognized command"))],
)
def test_unix_socket(
    tmp_path: Path, fake: FakeServer, networks: str, reply: tuple[int, bytes]
) -> None:
    """Who connects to a unix socket is believed where `unix:` is listed, and no network is it."""
    path = tmp_path / "s"
    with (
        host_behind_proxy(tmp_path, fake.address, networks=networks, listen=f"unix:{path}") as host,
        Client(str(path), greeted=False) as client,
    ):
        client.send(V1 + b"NOOP\r\nQUIT\r\n")
        assert reply in client.rest()
        assert host.log() == ""


def test_unix_is_for_no_tcp_client(tmp_path: Path, fake: FakeServer) -> None:
    """A client who comes by TCP is not believed because those of unix sockets are."""
    with (
        host_behind_proxy(tmp_path, fake.address, networks="unix:") as host,
        host.connect() as client,
    ):
        client.send(V1)
        assert client.reply().code == 500


def test_unix_socket_without_header(tmp_path: Path, fake: FakeServer) -> None:
    """It is told nothing, and the log says what was wrong."""
    path = tmp_path / "s"
    with (
        host_behind_proxy(tmp_path, fake.address, networks="unix:", listen=f"unix:{path}") as host,
        Client(str(path), greeted=False) as client,
    ):
        client.send(b"EHLO client.example\r\n")
        assert client.rest() == []
        listed = host.config / "proxy_networks"
        problem = f"unix: is refused: it sent no PROXY header; it is in {listed}\n"
        assert host.log().endswith(f" LOGWARN {problem}")


def test_unix_socket_for_all(tmp_path: Path, fake: FakeServer) -> None:
    """A socket that lets every user say who the client is is warned of."""
    # Not in pytest's own folders, which are private.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with host_behind_proxy(
            tmp_path,
            fake.address,
            networks="unix:",
            listen=f"unix:{folder}/s",
            wrapper=["sh", "-c", 'umask 0; exec "$@"', "sh"],
        ) as host:
            assert host.log().endswith(
                f" LOGWARN unix:{folder}/s: every user of this machine may connect there and say"
                " who the client is; give it a mode such as 0660\n"
            )


HAPROXY = """\
global
    stats socket {folder}/haproxy.sock
defaults
    mode tcp
    timeout connect 5s
    timeout check 10s
    timeout client 60s
    timeout server 60s
frontend smtp
    bind fd@{fd}
    default_backend hosts
backend hosts
    option smtpchk EHLO haproxy.example.com
    default-server inter 10s fastinter 100ms downinter 100ms fall 1 rise 1
    server one {at} {send} check check-send-proxy
"""


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
@pytest.mark.parametrize("by", ["127.0.0.1:0", "unix:{}/s"], ids=["TCP", "unix"])
def test_haproxy(tmp_path: Path, fake: FakeServer, by: str, send: str) -> None:
    """Through HAProxy a plugin sees the client, its health check finds a host, and mail passes."""
    haproxy = needs("haproxy")
    proxies = "127.0.0.0/8\nunix:"
    with (
        host_behind_proxy(
            tmp_path, fake.address, networks=proxies, listen=by.format(tmp_path)
        ) as host,
        socket.socket() as listening,
    ):
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        configuration = tmp_path / "haproxy.cfg"
        configuration.write_text(
            HAPROXY.format(
                fd=listening.fileno(),
                folder=tmp_path,
                at=host.listen.replace("unix:", "unix@"),
                send=send,
            )
        )
        process = subprocess.Popen(
            [haproxy, "-db", "-f", str(configuration)],
            pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert eventually(lambda: _status(tmp_path / "haproxy.sock") == "L7OK")
            with Client(listening.getsockname()) as client:
                ports = client.socket.getsockname()[1], listening.getsockname()[1]
                expected = f"2.0.0 127.0.0.1 {ports[0]} 127.0.0.1 {ports[1]}"
                assert client.ask(b"NOOP") == (250, expected.encode())
                client.hello()
                assert client.deliver(b"Subject: through HAProxy\n\n").code == 250
        finally:
            process.terminate()
            process.wait(PATIENCE)
        assert "is refused" not in host.log()
    assert without_received(fake.take().message) == b"Subject: through HAProxy\n\n"


def _status(path: Path) -> str:
    """How HAProxy's last check of its server ended."""
    rows = csv.DictReader(ask_haproxy(path, "show stat"))
    return next((row["check_status"] for row in rows if row["svname"] == "one"), "")
