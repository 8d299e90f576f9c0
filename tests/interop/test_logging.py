"""The log of a real host, on both event loops: files, JSON, what a client would like to forge."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.interop.rig import (
    PATIENCE,
    Client,
    FakeServer,
    command,
    eventually,
    running_host,
    write_config,
)

FORGED = b"MAIL FROM:<a@b>\r2026-01-01 00:00:00,000 LOGINFO forged\n"


def test_file(tmp_path: Path, fake: FakeServer) -> None:
    """The plugin reads the lines of all connections, from the list of plugins to the end.

    It loses nothing when the host is killed, and goes on in a new file when the old one is moved.
    """
    path = tmp_path / "log"
    plugins = f"logging/file {path} maxlevel=7\nrcpt_ok\nqueue/qmqp_forward {fake.address[0]} "
    with running_host(
        tmp_path / "host", fake.address, plugins=f"{plugins}{fake.address[1]}"
    ) as host:
        for _ in range(2):
            with host.connect() as client:
                client.hello()
                assert client.deliver(b"Subject: hello\n\n").code == 250
                client.send(FORGED)
                assert client.reply().code == 500
        assert eventually(lambda: path.read_text().count("connection closed") == 2)
        path.rename(tmp_path / "log.1")

        def a_line_comes_to_the_new_one() -> bool:
            with host.connect() as client:
                client.hello()
            return path.exists()

        assert eventually(a_line_comes_to_the_new_one)
        host.kill()
        assert host.log() == ""
    lines = (tmp_path / "log.1").read_text().splitlines()
    pattern = r"[-0-9]{10} [:0-9]{8},\d{3} LOG[A-Z]+ (\[[0-9a-f]+\] )?[ -~]+"
    assert all(re.fullmatch(pattern, line) for line in lines)
    assert "LOGINFO plugins: logging/file, rcpt_ok, queue/qmqp_forward" in lines[0]
    assert sum("250 2.0.0" in line for line in lines) == 2
    assert sum(r"\r2026-01-01" in line for line in lines) == 2
    assert re.fullmatch(pattern, path.read_text().splitlines()[0])


def test_json(tmp_path: Path, fake: FakeServer) -> None:
    """With --log-format json standard error has an object a line, whatever a client sends."""
    settings = {"me": "mx.example.com", "rcpthosts": "example.com"}
    settings |= {"plugins": "rcpt_ok", "loglevel": "LOGDEBUG"}
    config = write_config(tmp_path / "config", settings)
    with subprocess.Popen(
        [*command(config, "127.0.0.1:0"), "--log-format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(b":")[2])
        with Client(("127.0.0.1", port)) as client:
            client.hello()
            client.send(FORGED)
            client.reply()
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
    lines = [json.loads(line) for line in errors.splitlines()]
    assert {tuple(line)[:2] for line in lines} == {("time", "level")}
    assert lines[0]["text"] == "plugins: rcpt_ok"
    (refused,) = [line for line in lines if line["text"].startswith("refused")]
    assert refused["remote_ip"] == "127.0.0.1"
    assert refused["level"] == "LOGDEBUG"
    assert "forged" in refused["text"]
    # The end of the connection may be told after it.
    assert any(line["text"].startswith("stopping;") for line in lines[-3:])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_disk(tmp_path: Path, fake: FakeServer) -> None:
    """A disk that is full costs no line and no message."""
    plugins = "logging/file /dev/full\nrcpt_ok\nqueue/discard"
    with (
        running_host(tmp_path, fake.address, plugins=plugins, loglevel="LOGINFO") as host,
        host.connect() as client,
    ):
        client.hello()
        assert client.deliver(b"Subject: hello\n\n").code == 451
        log = host.log()
    assert log.count("No space left on device") == 1  # an expected failure: no traceback
    assert "connection from 127.0.0.1" in log
    assert "451 4.3.0 No plugin took the message" in log


FORGETS = """\
from qpsdk import DECLINED, Plugin

class Forgets(Plugin):
    async def look(self): ...

    def hook_noop(self, connection, text):
        self.look()
        return DECLINED
"""


def test_warnings_of_python(tmp_path: Path, fake: FakeServer) -> None:
    """What Python warns of is a line of the log like any other."""
    (tmp_path / "forgets.py").write_text(FORGETS)
    with (
        running_host(tmp_path, fake.address, plugin_dirs=str(tmp_path), plugins="forgets") as host,
        host.connect() as client,
    ):
        assert client.ask(b"NOOP").code == 250
        lines = host.log().splitlines()
    (told,) = [line for line in lines if "coroutine 'Forgets.look' was never awaited" in line]
    assert re.match(r"[-0-9]{10} [:0-9]{8},\d{3} LOGWARN py\.warnings: ", told)
    assert all(" LOGWARN " in line for line in lines)  # and that is all of it
