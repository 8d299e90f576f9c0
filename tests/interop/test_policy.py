"""The policy plugins in a real host: over sockets, with threads."""

import signal
from pathlib import Path

from tests.interop.rig import FakeServer, running_host

PLUGINS = """\
relay
count_unrecognized_commands 2
earlytalker wait=0.2 check_at=connect,data reject_type=disconnect
badmailfrom
headers
quit_fortune
rcpt_ok
queue/qmqp_forward {} {}
"""

GROUP = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
MESSAGE = b"From: a@example.org\nDate: 1 Jan 2026 12:00:00 +0000\n\nhello\n"


def test_in_a_host(tmp_path: Path) -> None:
    """Each does over a socket what it does in memory."""
    settings = {"badmailfrom": "@spam.example Go away", "fortunes": "What you see is all."}
    with FakeServer() as qmqp:
        plugins = PLUGINS.format(*qmqp.address)
        with running_host(tmp_path, qmqp.address, **settings, plugins=plugins) as host:
            # Stopped, so that it finds client and command at once, and not one after the other.
            host.signal(signal.SIGSTOP)
            with host.connect(greeted=False) as client:
                client.send(b"HELO client.example\r\n")
                host.signal(signal.SIGCONT)
                assert client.rest() == [(550, b"You have started to speak before the greeting")]

            with host.connect() as client:
                client.hello()
                client.send(GROUP + MESSAGE.replace(b"\n", b"\r\n") + b".\r\n")
                text = b"5.7.1 You have started to send the message before you were told to"
                assert client.rest()[2:] == [(554, text)]
            assert qmqp.messages == []

            with host.connect() as client:
                assert client.ask(b"HELO client.example").code == 250
                assert client.deliver(b"Subject: hello\n\n").code == 552
                assert client.deliver(MESSAGE) == (250, b"2.0.0 fake, nothing is queued")
                code, text = client.ask(b"QUIT")
                assert code == 221
                assert text.startswith(b"2.0.0 mx.example.com Closing the connection\n2.0.0   / ")
            assert len(qmqp.messages) == 1

            with host.connect() as client:
                client.hello()
                client.send(b"MAIL FROM:<a@spam.example>\r\nGET /\r\nHost: a\r\n")
                text = b"5.5.1 Too many unknown commands, closing the connection; see RFC 5321"
                assert client.rest() == [
                    (550, b"5.7.1 Go away"),
                    (500, b"5.5.1 Unrecognized command"),
                    (521, text),
                ]


ASKS = """\
from qpsdk import OK, Plugin

class Asks(Plugin):
    async def hook_noop(self, connection, text):
        return OK, await connection.resolve_remote_host() or "nameless"
"""


def test_remote_host(tmp_path: Path, fake: FakeServer) -> None:
    """A plugin that asks is told the client's name, and then the Received field has it, too."""
    (tmp_path / "asks.py").write_text(ASKS)
    plugins = f"asks\nrcpt_ok\nqueue/qmqp_forward {fake.address[0]} {fake.address[1]}"
    with running_host(tmp_path, fake.address, plugin_dirs=str(tmp_path), plugins=plugins) as host:
        with host.connect(source="127.0.0.99") as stranger:
            assert stranger.ask(b"NOOP").text == b"2.0.0 nameless"
        with host.connect() as client:
            name = client.ask(b"NOOP").text.removeprefix(b"2.0.0 ")
            assert name != b"nameless"
            client.hello()
            assert client.deliver(b"Subject: x\n\n").code == 250
    assert b" (%b [127.0.0.1])\n" % name in fake.take().message
