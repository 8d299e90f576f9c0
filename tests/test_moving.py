"""What the pages for those who come from elsewhere show: both sides do the same."""

import asyncio
import json
import re
import shutil
import smtplib
import subprocess
import sys
from pathlib import Path

import pytest

from qpsdk.testing import run, smtp
from tests.programs import missing

FOLDER = Path(__file__).parent / "samples/moving"
HOW_TO = Path(__file__).parent.parent / "docs/how-to"
MESSAGE = b"Subject: hello\r\n\r\n.hidden\r\nhow are you?\r\n"
KEPT = b"Subject: hello\n\n.hidden\nhow are you?\n"

HARAKA = """\
const fs = require('node:fs'), vm = require('node:vm'), { Readable } = require('node:stream')
const [folder, kept] = process.argv.slice(1)
const names = ['CONT', 'OK', 'DENY', 'DENYSOFT']
const answers = {}
function plugin(name) {
    const self = { config: { get: () => ({ main: { folder: kept } }) } }
    const sandbox = { require, exports: self }
    for (const constant of names) sandbox[constant] = constant
    vm.runInNewContext(fs.readFileSync(`${folder}/${name}.js`, 'utf8'), sandbox)
    if (self.register) self.register()
    return self
}
function ask(key, self, hook, connection, params) {
    return new Promise((done) => {
        self[hook]((...answer) => { answers[key] = answer; done() }, connection, params)
    })
}
async function main() {
    const gone = plugin('gone'), keep = plugin('keep')
    const connection = { logerror() {}, transaction: { uuid: 'A.1' } }
    for (const address of ['bob@example.org', 'bob@EXAMPLE.org', 'carl@example.org']) {
        const [user, host] = address.split('@')
        await ask(address, gone, 'hook_rcpt', connection, [{ user, host: host.toLowerCase() }])
    }
    for (const key of ['kept', 'again']) {  // the second finds the file there
        const stream = Readable.from([Buffer.from('Subject: hello\\n')])
        connection.transaction.message_stream = { pipe: (file) => stream.pipe(file) }
        await ask(key, keep, 'hook_queue', connection, [])
    }
    console.log(JSON.stringify(answers))
}
main()
"""
"""As much of Haraka as the two plugins need: its sandbox, its constants and its callback."""


def test_plugins(tmp_path: Path) -> None:
    """Our two plugins refuse whom they are to refuse, and keep the message as it was sent."""

    async def dialogue() -> None:
        plugins = ("gone", f"keep {tmp_path}")
        async with smtp(*plugins, config={"plugin_dirs": str(FOLDER)}) as client:
            for gone in "bob@example.org", "bob@EXAMPLE.org":
                refused = await client.send(MESSAGE, recipients=gone)
                assert str(refused) == "550 5.7.1 They no longer work here"
            assert str(await client.send(MESSAGE, recipients="carl@example.org")) == (
                "250 2.0.0 Kept"
            )

    run(dialogue())
    (kept,) = tmp_path.glob("*.eml")
    received, _, message = kept.read_bytes().partition(b"Subject:")
    assert received.startswith(b"Received: from ")
    assert b"Subject:" + message == KEPT


def test_a_full_disk(tmp_path: Path) -> None:
    """Where the message cannot be kept, the client keeps it."""

    async def dialogue() -> None:
        plugins = ("gone", f"keep {tmp_path / 'missing'}")
        async with smtp(*plugins, config={"plugin_dirs": str(FOLDER)}) as client:
            assert (await client.send(MESSAGE, recipients="carl@example.org")).code == 451

    run(dialogue())


def aiosmtpd(folder: Path) -> dict[str, tuple[int, bytes]]:
    """What aiosmtpd with the handler says to two recipients and a message."""
    aiosmtpd_smtp = pytest.importorskip("aiosmtpd.smtp", reason="the extra bench")
    from tests.samples.moving.handler import Handler

    def talk(port: int) -> dict[str, tuple[int, bytes]]:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.ehlo("client.example.org")
            client.mail("me@example.org")
            recipients = "bob@example.org", "bob@EXAMPLE.org", "carl@example.org"
            said = {recipient: client.rcpt(recipient) for recipient in recipients}
            return said | {"data": client.data(MESSAGE)}

    async def serve() -> dict[str, tuple[int, bytes]]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: aiosmtpd_smtp.SMTP(Handler(folder), hostname="mx.example.com"), "127.0.0.1", 0
        )
        async with server:
            return await asyncio.to_thread(talk, server.sockets[0].getsockname()[1])

    return asyncio.run(serve())


def test_aiosmtpd_handler(tmp_path: Path) -> None:
    """The handler of aiosmtpd does what the two plugins do."""
    assert aiosmtpd(tmp_path) == {
        "bob@example.org": (550, b"5.7.1 They no longer work here"),
        "bob@EXAMPLE.org": (550, b"5.7.1 They no longer work here"),
        "carl@example.org": (250, b"2.1.5 Recipient OK"),
        "data": (250, b"2.0.0 Kept"),
    }
    (kept,) = tmp_path.glob("*.eml")
    assert kept.read_bytes() == KEPT.replace(b"\n", b"\r\n")


def test_aiosmtpd_and_a_crash(tmp_path: Path) -> None:
    """What the page says of a handler that fails is so: aiosmtpd's client is told to give up."""
    code, text = aiosmtpd(tmp_path / "missing")["data"]
    assert code == 500
    assert text.startswith(b"Error: (FileNotFoundError)")


def test_haraka_plugins(tmp_path: Path) -> None:
    """The JavaScript does, too: it is run by Node as Haraka would."""
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if node is None:
        missing("node is not installed")
    ran = subprocess.run(
        [node, "-e", HARAKA, str(FOLDER), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert json.loads(ran.stdout) == {
        "bob@example.org": ["DENY", "They no longer work here"],
        "bob@EXAMPLE.org": ["DENY", "They no longer work here"],
        "carl@example.org": ["OK"],
        "kept": ["OK", "Kept"],
        "again": ["DENYSOFT", "Try again later"],
    }
    assert (tmp_path / "A.1.eml").read_bytes() == b"Subject: hello\n"


@pytest.mark.parametrize("page", ["from-haraka", "from-aiosmtpd"])
def test_all_that_is_shown_is_run(page: str) -> None:
    """Each block of the page is a file of these tests, but for the line of `config/plugins`."""
    text = (HOW_TO / f"{page}.md").read_text()
    blocks = re.findall(r"^ *```(?:python|js).*\n((?:.*\n)*?) *```$", text, re.MULTILINE)
    files = [re.findall(r"tests/samples/moving/(\S+)\n", block) for block in blocks]
    assert all(len(names) == 1 and (FOLDER / names[0]).is_file() for names in files)
    assert "    keep /var/mail/kept\n" in text or page == "from-haraka"
