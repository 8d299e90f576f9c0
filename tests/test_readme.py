"""What README.md shows is run: its plugin, and its commands against a real host."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qpsdk.testing import smtp
from tests.programs import needs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def block(language: str, words: str) -> str:
    """The one block with these words in it."""
    (found,) = [text for name, text in BLOCKS if name == language and words in text]
    return str(found)


def shell(commands: str, folder: Path) -> str:
    """Run shell commands; what they print."""
    result = subprocess.run(
        ["sh", "-ec", commands], cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@contextlib.contextmanager
def lab() -> Iterator[str]:
    """`make run`, on a port of its own; it has to show a message."""
    command = [sys.executable, "-m", "qpsdk", "lab", "--listen", "127.0.0.1:0"]
    command += ["--qmqp", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = re.search(r"listens on 127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert port is not None
        try:
            yield port[1]
        finally:
            process.send_signal(signal.SIGTERM)
            shown, _ = process.communicate(timeout=10)
            assert process.returncode == 0
            assert "queue/qmqp_forward answered OK" in shown
            assert "18:friend@example.com," in shown


def free_port() -> int:
    """A port that nobody listens on, and below those that clients are given."""
    while True:
        port = random.randrange(10_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def test_every_block_is_known() -> None:
    """README.md shows nothing that is not run here, but the two make commands."""
    known = {block("sh", "make run"), block("python", "class Gone")}
    known |= {block("sh", "sendmail"), block("sh", "swaks --server"), block("sh", "mkdir")}
    known |= {block("sh", "qpsdk send"), block("sh", "qpsdk try")}
    known |= {block("text", "C: rcpt TO"), block("text", "C: RCPT TO")}
    assert {text for _, text in BLOCKS} == known


def test_plugin() -> None:
    """The plugin refuses those who have left, with the words that the comment promises."""
    names: dict[str, Any] = {}
    exec(block("python", "class Gone"), names)

    async def main() -> None:
        async with smtp(names["Gone"]()) as client:
            reply = await client.send("hi", recipients="ann@example.org")
            assert str(reply) == "550 5.7.1 They no longer work here"

    asyncio.run(main())


def test_send_with_python(tmp_path: Path) -> None:
    """The Python that sends a message does."""
    with lab() as port:
        shell(block("sh", "sendmail").replace("2525", port), tmp_path)


def test_send_with_swaks(tmp_path: Path) -> None:
    """The swaks command that sends a message does."""
    needs("swaks")
    with lab() as port:
        shell(block("sh", "swaks --server").replace("2525", port), tmp_path)


def ours(commands: str) -> str:
    """The same, with a `qpsdk` that is this tree's."""
    return commands.replace(".venv/bin/qpsdk", f"PYTHONPATH='{ROOT}' {sys.executable} -m qpsdk")


def test_run_your_own(tmp_path: Path) -> None:
    """The commands of "Run your own" make a host that takes mail, forwards it, and logs a denial.

    `check` has nothing to say about it, and `try` shows what its plugin does.
    """
    ports = [str(free_port()), str(free_port())]
    commands = block("sh", "mkdir").replace("6281", ports[0]).replace("2526", ports[1])
    with subprocess.Popen(
        ["sh", "-ec", ours(commands)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            ready = {process.stdout.readline().strip() for _ in ports}
            assert ready == {f"listening on 127.0.0.1:{port}" for port in ports}
            send = ours(block("sh", "qpsdk send")).replace("2526", ports[1])
            assert block("text", "C: rcpt TO") in shell(f"! {send}", tmp_path)
            shell(send.replace("bob@", "friend@"), tmp_path)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
        shown, logged = process.communicate(timeout=10)
    assert "18:friend@example.com," in shown
    assert "gone: rcpt: DENY: Bob no longer works here" in logged
    check = ".venv/bin/qpsdk check --config mail"
    assert check in README
    assert "mail: no errors, no warnings\n" in shell(ours(check), tmp_path)
    tried = shell(f"! {ours(block('sh', 'qpsdk try'))}", tmp_path)
    assert block("text", "C: RCPT TO") in re.sub(r"\d+\.\d ms", "0.0 ms", tried)


def test_links() -> None:
    """What README.md links to in the repository is there."""
    paths = re.findall(r"\]\(((?!https?:)[^)#]+)", README)
    assert "docs/how-to/new-plugin.md" in paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
