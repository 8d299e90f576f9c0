"""The contract tests: each fails on a plugin that is bad in exactly that way, and says how."""

import asyncio
import re
import socket
import tempfile
import threading
import time
import unittest
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from qpsdk import (
    DECLINED,
    DENY,
    DONE,
    LOGINFO,
    OK,
    Connection,
    Endpoint,
    Plugin,
    Stream,
    Transaction,
    blocking,
)
from qpsdk.finder import bundled_plugins
from qpsdk.testing import ContractError, FakeQMQPServer, FakeSMTPServer, PluginContract, pipe
from qpsdk.testing.fake_dns import FakeDNSServer
from tests.certificates import make_certificate

HERE = Path(__file__)


def line_of(mark: str) -> int:
    """The number of the line in this file that ends in a mark."""
    lines = HERE.read_text().splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if line.endswith(f"# {mark}")]
    return number


def contract(plugin: type[Plugin], **attributes: Any) -> PluginContract:
    """The tests of a plugin."""
    made = type("Made", (PluginContract,), {"plugin": plugin, **attributes})
    assert issubclass(made, PluginContract)
    return made()


def problem(check: str, plugin: type[Plugin], **attributes: Any) -> str:
    """What one check says of a plugin."""
    with pytest.raises(ContractError) as caught:
        getattr(contract(plugin, **attributes), check)()
    return str(caught.value)


class AnswersNone(Plugin):
    def hook_mail(self, transaction: Transaction, sender: Any, params: Any) -> Any:  # none
        if sender.is_null:
            return DENY, "no bounces"
        return None


def test_answers_nothing() -> None:
    """A hook that forgets its answer is named, with the line it begins at, and the dialogue."""
    told = problem("test_answers", AnswersNone)
    assert told.startswith(
        "AnswersNone, hook_mail: answered None, which is no constant: return one of OK, DECLINED,"
        " DENY, DENYSOFT, DENY_DISCONNECT, DENYSOFT_DISCONNECT, DONE, or (constant, text)\n"
        f"  tests/test_testing_contract.py:{line_of('none')}, in AnswersNone.hook_mail: def hook"
    )
    assert "in this session:\n  S: 220 mx.example.com ESMTP qpsdk ready\n  C: EHLO" in told


class NoHook(Plugin):
    def on_rcpt(self, *_: Any) -> Any:
        return DENY


def test_no_hook() -> None:
    """A plugin without a hook holds nothing: it is told what to rename."""
    assert problem("test_each_hook", NoHook) == (
        "NoHook: has no hook, so it is never asked; rename on_rcpt to hook_rcpt"
    )


def test_instance() -> None:
    """An instance would be the same in each check: the class is asked for."""
    with pytest.raises(TypeError, match="plugin = NoHook: name the class"):
        type("Made", (PluginContract,), {"plugin": NoHook()})().test_null_sender()


class Delegates(Plugin):
    def hook_rcpt(self, *_: Any) -> Any:
        return self.later()

    async def later(self) -> Any:
        await asyncio.sleep(0)
        return DECLINED


def test_awaited_by_the_host() -> None:
    """A plain hook may give a coroutine: it is not blamed for one that was called off unbegun."""
    contract(Delegates).test_leaves_nothing_behind()
    contract(Delegates).test_disconnects()


class WrongConstant(Plugin):
    def hook_ehlo(self, connection: Connection, host: bytes) -> Any:
        return OK

    def hook_received_line(self, *_: Any) -> Any:
        return DENY


class WrongValue(Plugin):
    def hook_mail_pre(self, transaction: Transaction, address: bytes, params: Any) -> Any:
        return OK, 25


class SaysNothing(Plugin):
    def hook_vrfy(self, connection: Connection, text: bytes) -> Any:
        return DONE


class Raises(Plugin):
    def hook_auth_plain(self, *_: Any) -> Any:
        return self.check({})

    def check(self, users: dict[str, str]) -> Any:
        return users["ann"]  # raises


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        (
            WrongConstant,
            "WrongConstant, hook_received_line: answered DENY, which received_line does not take"
            " (OK, DECLINED)\n",
        ),
        (WrongValue, "WrongValue, hook_mail_pre: answered OK with 25, where bytes belongs\n"),
        (
            SaysNothing,
            "SaysNothing, hook_vrfy: answered DONE, but the client has no reply: call"
            " connection.respond() before\n",
        ),
        (Raises, "Raises, hook_auth_plain: raised KeyError: 'ann'\n"),
    ],
)
def test_wrong_answers(plugin: type[Plugin], told: str) -> None:
    """So is one that its hook does not take, and a hook that raises."""
    assert problem("test_each_hook", plugin).startswith(told)


def test_raises_where() -> None:
    """An exception is told with the line that raised it."""
    told = problem("test_each_hook", Raises)
    assert f":{line_of('raises')}, in Raises.check: return users" in told


class ASCIIOnly(Plugin):
    def hook_data_post(self, transaction: Transaction) -> Any:
        (transaction.header or {}).get("Subject", b"").decode()  # type: ignore[call-overload] # utf8
        return DECLINED


class NeedsASender(Plugin):
    def hook_queue(self, transaction: Transaction) -> Any:
        assert transaction.sender is not None
        if not transaction.sender.host:
            raise ValueError("no host")
        return OK


class FewRecipients(Plugin):
    seats = [OK] * 500

    def hook_rcpt(self, transaction: Transaction, recipient: Any, params: Any) -> Any:
        return self.seats[len(transaction.recipients)]


@pytest.mark.parametrize(
    ("check", "plugin", "told"),
    [
        (
            "test_eight_bit",
            ASCIIOnly,
            "ASCIIOnly, hook_data_post: raised UnicodeDecodeError: 'utf-",
        ),
        (
            "test_null_sender",
            NeedsASender,
            "NeedsASender, hook_queue: raised ValueError: no host\n",
        ),
        ("test_many_recipients", FewRecipients, "FewRecipients, hook_rcpt: raised IndexError: "),
    ],
)
def test_odd_envelopes(check: str, plugin: type[Plugin], told: str) -> None:
    """A null sender, 8-bit text and 1,000 recipients find out who did not reckon with them."""
    assert problem(check, plugin).startswith(told)
    for other in {"test_eight_bit", "test_null_sender", "test_many_recipients"} - {check}:
        getattr(contract(plugin), other)()


class Stays(Plugin):
    async def hook_rcpt(self, transaction: Transaction, recipient: Any, params: Any) -> Any:
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            await asyncio.sleep(5)  # stays
        return DECLINED


class Breaks(Plugin):
    """Does not tidy up when it is cancelled, and then cannot go on."""

    busy = False

    async def hook_mail(self, transaction: Transaction, sender: Any, params: Any) -> Any:
        if self.busy:
            raise RuntimeError("still busy")
        self.busy = True
        await asyncio.sleep(0.01)
        self.busy = False
        return DECLINED


def test_disconnects() -> None:
    """A hook that goes on when its client has gone is told, with the line where it waits."""
    told = problem("test_disconnects", Stays)
    assert re.match(
        r"Stays, hook_rcpt: did not end within 2 s \(the client had gone as it (began|waited)\)\n"
        rf"  tests/test_testing_contract\.py:{line_of('stays')}, in Stays\.hook_rcpt: await",
        told,
    )


def test_disconnects_break() -> None:
    """So is one that fails from then on."""
    told = problem("test_disconnects", Breaks)
    assert told.startswith("Breaks, hook_mail: raised RuntimeError: still busy (")


class Sleeps(Plugin):
    def hook_connect(self, connection: Connection) -> Any:
        return self.look_up()

    def look_up(self) -> Any:
        time.sleep(0.3)  # sleeps
        return DECLINED


class SleepsInThread(Plugin):
    @blocking
    def hook_connect(self, connection: Connection) -> Any:
        time.sleep(0.3)
        return DECLINED


def test_holds_the_loop() -> None:
    """A hook that holds up all others is told, with the line; one in a thread may."""
    told = problem("test_holds_no_loop", Sleeps)
    assert re.match(
        r"Sleeps, hook_connect: held up all connections for \d+\.\d\d s, at\n"
        r"  tests/test_testing_contract\.py:\d+, in Sleeps\.hook_connect: return self\.look_up.*\n"
        rf"  tests/test_testing_contract\.py:{line_of('sleeps')}, in Sleeps\.look_up: time\.sleep",
        told,
    )
    contract(SleepsInThread).test_holds_no_loop()


class HoldsAll(Plugin):
    def hook_data_post(self, transaction: Transaction) -> Any:
        whole = b"".join(transaction.body_blocks())  # holds
        return DENY if self.scan(whole) else DECLINED

    def scan(self, whole: bytes) -> bool:
        return whole.count(b"virus") > len(whole)


class HoldsNothing(Plugin):
    def hook_data_post(self, transaction: Transaction) -> Any:
        longest = max(len(line) for line in transaction.body_lines())
        return DENY if longest > 1_000_000 else DECLINED


def test_memory() -> None:
    """A plugin that needs the whole message in memory is told, with the line that made it so."""
    told = problem("test_large_message", HoldsAll)
    assert re.match(
        r"HoldsAll: a message of 50 MB took \d+ MB of memory, where 10 MB are allowed: read it in"
        rf" blocks\n  \d+ MB of it made at tests/test_testing_contract\.py:{line_of('holds')}: ",
        told,
    )
    contract(HoldsNothing).test_large_message()


class LeavesTask(Plugin):
    async def hook_mail(self, transaction: Transaction, sender: Any, params: Any) -> Any:
        self.task = asyncio.get_running_loop().create_task(self.later())
        return DECLINED

    async def later(self) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(30)  # task


class LeavesFile(Plugin):
    def hook_data_post(self, transaction: Transaction) -> Any:
        transaction.notes["file"] = open(__file__, "rb")  # noqa: SIM115 # file
        return DECLINED


class LeavesTemporary(Plugin):
    def hook_data_post(self, transaction: Transaction) -> Any:
        with tempfile.NamedTemporaryFile(prefix="scan-", delete=False) as file:
            file.write(b"x")
        return DECLINED


class LeavesConnection(Plugin):
    async def hook_queue(self, transaction: Transaction) -> Any:
        self.stream = await self.qp.connect(  # connection
            Endpoint("192.0.2.1", 25), connect_timeout=5, io_timeout=5
        )
        return OK


class LeavesThread(Plugin):
    def register(self, qp: Any) -> None:
        self.end = threading.Event()

    def hook_quit(self, connection: Connection) -> Any:
        threading.Thread(target=self.end.wait, args=(60,), name="counter", daemon=True).start()
        return DECLINED

    def hook_post_connection(self, connection: Connection) -> Any: ...


class ForgetsToAwait(Plugin):
    async def hook_mail(self, transaction: Transaction, sender: Any, params: Any) -> Any:
        self.look_up()  # type: ignore[unused-coroutine] # await
        return DECLINED

    async def look_up(self) -> bool:
        return True


class Nowhere:
    """A server that says nothing."""

    async def connect(self, endpoint: Endpoint, /, **_: float | None) -> Stream:
        ours, self.theirs = pipe()
        return ours

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("plugin", "told", "mark"),
    [
        (LeavesTask, "LeavesTask: left behind a task, waiting at\n", "task"),
        (LeavesFile, "LeavesFile: unclosed file <_io.BufferedReader name=", "file"),
        (LeavesTemporary, "LeavesTemporary: left behind a file in the temporary folder, scan-", ""),
        (
            LeavesConnection,
            "LeavesConnection: left behind a connection to 192.0.2.1:25, made at\n",
            "connection",
        ),
        (LeavesThread, "LeavesThread: left behind a thread, counter", ""),
        (ForgetsToAwait, "ForgetsToAwait: coroutine 'ForgetsToAwait.look_up' was never", "await"),
    ],
)
def test_leaves_something(plugin: type[Plugin], told: str, mark: str) -> None:
    """What is left behind is named, with the line that made it."""
    text = problem("test_leaves_nothing_behind", plugin, fake=Nowhere)
    assert text.startswith(told)
    if mark:
        assert f"tests/test_testing_contract.py:{line_of(mark)}" in text


class LogsPassword(Plugin):
    def hook_auth(self, connection: Connection, *credentials: Any) -> Any:
        self.log(LOGINFO, "credentials:", credentials)  # password
        return DECLINED


class LogsSecret(Plugin):
    def hook_queue(self, transaction: Transaction) -> Any:
        self.log(LOGINFO, "posting to https://example.com/?key=hunter2")
        return OK


def test_secrets() -> None:
    """A password in the log is told, with the line that wrote it; so are the author's own."""
    told = problem("test_logs_no_secret", LogsPassword)
    assert told.startswith(
        "LogsPassword, hook_auth: the password is in the log, as 'correct-horse-7461': credentials:"
    )
    assert f":{line_of('password')}, in LogsPassword.hook_auth: self.log(" in told
    told = problem("test_logs_no_secret", LogsSecret, secrets=["hunter2"])
    assert told.startswith("LogsSecret, hook_queue: 'hunter2' is in the log, as 'hunter2': posting")
    contract(LogsSecret).test_logs_no_secret()


class TestWithUnittest(PluginContract, unittest.TestCase):
    """The same class serves unittest."""

    plugin = "rcpt_ok"
    config = {"rcpthosts": "example.com"}  # noqa: RUF012 - as an author would write it
    test_many_recipients = None  # type: ignore[assignment] # switched off


def test_unittest() -> None:
    """Its loader finds the tests, but for those that are switched off."""
    names = unittest.defaultTestLoader.getTestCaseNames(TestWithUnittest)
    assert "test_disconnects" in names
    assert "test_many_recipients" not in names
    result = unittest.TestResult()
    TestWithUnittest("test_null_sender").run(result)
    assert (result.testsRun, result.failures, result.errors) == (1, [], [])


def sink() -> FakeQMQPServer:
    """A QMQP server that keeps no large message."""
    return FakeQMQPServer(keep=1000)


BUNDLED: dict[str, dict[str, Any]] = {
    "auth/auth_flat_file": {"config": {"flat_auth_pw": "ann:correct-horse-7461"}},
    "badmailfrom": {"config": {"badmailfrom": "sender@example.org"}},
    "badrcptto": {"config": {"badrcptto": "@example.net"}},
    "count_unrecognized_commands": {"plugin": ("count_unrecognized_commands", "2")},
    "earlytalker": {"plugin": "earlytalker wait=0.001 check_at=connect,data"},
    "greylisting": {},
    "headers": {"plugin": "headers require=From,Date past=5 future=5"},
    "logging/adaptive": {},
    "naughty": {},
    "queue/discard": {},
    "queue/qmqp_forward": {"plugin": ("queue/qmqp_forward", "192.0.2.1"), "fake": sink},
    "queue/qmqp_forward_naive": {"plugin": "queue/qmqp_forward_naive 192.0.2.1", "fake": sink},
    "quit_fortune": {"config": {"fortunes": "All mail is good mail."}},
    "ratelimit": {"plugin": ("ratelimit", "10", "60")},
    "rcpt_ok": {"config": {"rcpthosts": "example.com"}},
    "relay": {"config": {"relayclients": "192.0.2.0/24"}},
}
"""The bundled plugins, with what each needs."""

SEPARATE = {
    "dnsbl",
    "logging/file",
    "logging/syslog",
    "queue/maildir",
    "queue/smtp_forward",
    "tls",
}
"""Those with a class of their own, below."""

CHECKS = [name for name in vars(PluginContract) if name.startswith("test_")]


def test_all_bundled() -> None:
    """No bundled plugin is forgotten."""
    assert {*BUNDLED, *SEPARATE} == set(bundled_plugins())


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", BUNDLED)
def test_bundled(name: str, check: str) -> None:
    """The bundled plugins hold the contract, but for the one that is naive on purpose."""
    attributes = {"plugin": name, **BUNDLED[name]}
    if "fake" in attributes:
        attributes["fake"] = staticmethod(attributes["fake"])
    run = getattr(type("Made", (PluginContract,), attributes)(), check)
    if (name, check) == ("queue/qmqp_forward_naive", "test_large_message"):
        with pytest.raises(
            ContractError, match=r"qmqp_forward_naive\.py:\d+: message = b\"\"\.join"
        ):
            run()
    else:
        run()


class TestDNSBL(PluginContract):
    """dnsbl, which asks a DNS server on a socket."""

    plugin = "dnsbl"
    config = {"dnsbl_zones": "bl.example:Listed\nother.example"}  # noqa: RUF012

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[Plugin]:
        fake = FakeDNSServer()
        at = await fake.listen()
        try:
            yield self.load(f"nameserver={at}")
        finally:
            fake.close()


class TestLoggingFile(PluginContract):
    """logging/file, into a file of its own."""

    plugin = "logging/file"

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[Plugin]:
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            yield self.load(f"{folder}/log")


class TestLoggingSyslog(PluginContract):
    """logging/syslog, into a socket that nobody reads from."""

    plugin = "logging/syslog"

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[Plugin]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            yield self.load(f"127.0.0.1:{server.getsockname()[1]}")


class TestTLS(PluginContract):
    """tls, with a certificate."""

    plugin = "tls"

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[Plugin]:
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            made = make_certificate(Path(folder))
            yield self.load(made.certificate, made.key)


class TestMaildir(PluginContract):
    """queue/maildir, in a folder of its own."""

    plugin = "queue/maildir"

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[Plugin]:
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            yield self.load(folder)


class TestSMTPForward(PluginContract):
    """queue/smtp_forward, to a server on a socket."""

    plugin = "queue/smtp_forward"

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[Plugin]:
        fake = FakeSMTPServer(keep=1000)
        at = await fake.listen()
        try:
            yield self.load(at.host, at.port)
        finally:
            await fake.close()
