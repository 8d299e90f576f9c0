"""A config directory that is edited while its host runs."""

from pathlib import Path

from tests.interop.rig import FakeServer, RunningHost, eventually, running_host


def code_for(host: RunningHost, recipient: bytes) -> int:
    """What a new client is told about a recipient."""
    with host.connect() as client:
        client.hello()
        client.ask(b"MAIL FROM:<>")
        return client.ask(b"RCPT TO:<" + recipient + b">").code


def test_edited_while_it_runs(tmp_path: Path, fake: FakeServer) -> None:
    """A new client has the new settings, one that was there keeps the old ones.

    A broken edit is told with file and line, and changes nothing.
    """
    with running_host(tmp_path, fake.address, databytes="1000") as host:
        with host.connect() as old:
            old.hello()
            (host.config / "rcpthosts").write_text("example.net\n")
            (host.config / "timeout").write_text("1\n")
            (host.config / "smtpgreeting").write_text("ESMTP after the edit\n")
            assert eventually(lambda: code_for(host, b"x@example.net") == 250)
            assert old.ask(b"MAIL FROM:<>").code == 250
            assert old.ask(b"RCPT TO:<x@example.net>").code == 550
            assert old.ask(b"RCPT TO:<x@example.com>").code == 250
        (host.config / "databytes").write_text("# no limit\n\nnone\n")
        (host.config / "rcpthosts").write_text("example.org\n")
        told = f"LOGERROR {host.config}/databytes:3: 'none' is no number of bytes"
        assert eventually(lambda: bool(code_for(host, b"x@example.net")) and told in host.log())
        assert code_for(host, b"x@example.org") == 550
        assert code_for(host, b"x@example.net") == 250
        assert host.log().count(told) == 1
        with host.connect(greeted=False) as patient:
            assert patient.reply().text == b"mx.example.com ESMTP after the edit"
            assert patient.reply().code == 421
