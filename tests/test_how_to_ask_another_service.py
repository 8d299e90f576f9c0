"""What docs/how-to/ask-another-service.md shows: the page includes the parts of this file."""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# As most who read the page would write it.

import asyncio
import re
import socket
import threading
from contextlib import suppress
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

# --8<-- [start:imports]
from qpsdk import (
    DECLINED,
    DENY,
    DENYSOFT,
    LOGERROR,
    LOGWARN,
    Endpoint,
    Plugin,
    StreamError,
    blocking,
)

# --8<-- [end:imports]
from qpsdk.errors import SetupError
from qpsdk.server.stream import connect

# --8<-- [start:test-imports]
from qpsdk.testing import (
    PluginContract,
    ask,
    assert_answer,
    memory_host,
    pipe,
    plugin,
    run,
    transaction,
)

# --8<-- [end:test-imports]


# --8<-- [start:plugin]
class People(Plugin):
    """Refuse recipients that the directory of people does not know."""

    def register(self, qp, server, *, wait="5"):
        self.server = Endpoint.parse(server)
        self.wait = float(wait)

    async def hook_rcpt(self, transaction, recipient, params):
        try:
            answer = await self.question(bytes(recipient))
        except StreamError as error:
            self.log(LOGERROR, f"{self.server}: {error}")
            return DENYSOFT, "We cannot look this recipient up now, try again later"
        return DECLINED if answer == b"yes\n" else (DENY, "Nobody here has this address")

    async def question(self, address):
        """Send a line, and read the line that comes back."""
        stream = await self.qp.connect(
            self.server,
            connect_timeout=self.wait,
            io_timeout=self.wait,
            session_timeout=self.wait,
        )
        try:
            stream.write(address + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                block = await stream.read()
                if not block:
                    raise StreamError("closed in the midst of its answer")
                answer += block
                if len(answer) > 100:
                    raise StreamError("its answer is too long")
        finally:
            stream.abort()
        if answer not in (b"yes\n", b"no\n"):
            raise StreamError(f"answered {answer!r}")
        return answer


# --8<-- [end:plugin]


# --8<-- [start:fake]
class FakeDirectory:
    """Knows ann, and answers as it is told."""

    def __init__(self, answer=None):
        self.answer = answer
        self.tasks = set()

    async def connect(self, endpoint, /, *, connect_timeout, io_timeout, session_timeout=None):
        ours, theirs = pipe()
        ours.set_timeouts(io_timeout, session_timeout)
        self.tasks.add(asyncio.create_task(self.serve(theirs)))
        return ours

    async def serve(self, stream):
        with suppress(StreamError):  # the plugin may have gone
            question = await stream.read()
            known = b"yes\n" if question == b"ann@example.com\n" else b"no\n"
            stream.write(known if self.answer is None else self.answer)
            await stream.finish()

    async def close(self):
        for task in self.tasks:
            task.cancel()


# --8<-- [end:fake]


# --8<-- [start:tests]
def people(answer=None, **options):
    """The plugin, before a directory that answers so."""
    qp = memory_host(connect=FakeDirectory(answer).connect)
    return plugin(People, "192.0.2.1:4300", qp=qp, **options)


def test_who_is_known():
    """Who is in the directory may get mail; the others are refused."""
    assert_answer(run(ask(people(), "rcpt", recipient="ann@example.com")), DECLINED)
    assert_answer(run(ask(people(), "rcpt", recipient="bob@example.com")), DENY)


@pytest.mark.parametrize("answer", [b"", b"yes", b"perhaps\n", b"yes" * 100])
def test_fails_closed(answer):
    """Without an answer that it understands it puts the recipient off."""
    assert_answer(run(ask(people(answer), "rcpt")), DENYSOFT, match="cannot look")


# --8<-- [end:tests]


# --8<-- [start:silent]
class SilentDirectory(FakeDirectory):
    """Takes the question, and never answers."""

    async def serve(self, stream):
        await asyncio.sleep(3600)


def test_does_not_wait_for_ever(log):
    """A directory that does not answer is given up, and the log says so."""
    qp = memory_host(connect=SilentDirectory().connect)
    silent = plugin(People, "192.0.2.1:4300", qp=qp, wait=0.1)
    assert_answer(run(ask(silent, "rcpt")), DENYSOFT, match="cannot look")
    assert "192.0.2.1:4300: the time for the whole session is over" in log


# --8<-- [end:silent]


async def broken(endpoint, /, **limits):
    """What reaches other servers has a fault that the plugin does not foresee."""
    raise LookupError(endpoint)


@pytest.mark.parametrize(
    ("options", "connect", "expected"),
    [
        ({}, broken, DECLINED),
        ({"on_error": "denysoft"}, broken, DENYSOFT),
        ({"timeout": 1, "on_error": "declined"}, SilentDirectory().connect, DENYSOFT),
    ],
    ids=["failed", "on_error", "timeout"],
)
def test_what_its_line_adds(options, connect, expected):
    """A failure is no opinion but with on_error=denysoft; one past timeout= is never."""
    unforeseen = plugin(People, "192.0.2.1:4300", qp=memory_host(connect=connect), **options)
    outcome = run(ask(unforeseen, "rcpt"))
    assert (outcome.constant, outcome.message) == (expected, None)  # the host's, not the plugin's


# --8<-- [start:contract]
class TestContract(PluginContract):
    """What holds for every plugin, with the directory at hand."""

    plugin = People, "192.0.2.1:4300"
    fake = FakeDirectory


# --8<-- [end:contract]


def test_over_sockets():
    """What the plugin says to the fake directory, it says to a real one."""

    async def answer(reader, writer):
        known = await reader.readline() == b"ann@example.com\n"
        writer.write(b"yes\n" if known else b"no\n")
        writer.close()

    async def main():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            over_sockets = plugin(People, f"127.0.0.1:{port}", qp=memory_host(connect=connect))
            for user, expected in (("ann", DECLINED), ("bob", DENY)):
                recipient = f"{user}@example.com"
                assert_answer(await ask(over_sockets, "rcpt", recipient=recipient), expected)
        assert_answer(await ask(over_sockets, "rcpt"), DENYSOFT)  # nobody listens any more

    asyncio.run(main())


# --8<-- [start:clamd]
class Clamd(Plugin):
    """Refuse messages in which clamd finds something."""

    def register(self, qp, server, *, wait="20", max_size="25000000", if_away="denysoft"):
        self.server = Endpoint.parse(server)
        self.wait = float(wait)
        self.max_size = int(max_size)
        if if_away not in ("denysoft", "pass"):
            raise ValueError(f"if_away={if_away}: write denysoft or pass")
        self.passes = if_away == "pass"

    async def hook_data_post(self, transaction):
        if transaction.message_size() > self.max_size:
            self.log(LOGWARN, "passes unseen, it is larger than", self.max_size)
            return DECLINED
        try:
            found = await self.scan(transaction)
        except StreamError as error:
            self.log(LOGERROR, f"{self.server}: {error}")
            if self.passes:
                return DECLINED
            return DENYSOFT, "We cannot look through this message now, try again later"
        return (DENY, f"We do not take this: {found}") if found else DECLINED

    async def scan(self, transaction):
        """Stream the message, each block behind its length; the name of what is found, or ""."""
        stream = await self.qp.connect(
            self.server,
            connect_timeout=self.wait,
            io_timeout=self.wait,
            session_timeout=self.wait,
        )
        try:
            stream.write(b"zINSTREAM\0")
            for block in transaction.message_blocks():
                stream.writelines([len(block).to_bytes(4), block])
                await stream.drain(until_input=True)  # no more than it takes is held in memory
                if stream.input_waiting:
                    break  # it has heard enough: the message is too large for it
            stream.write(bytes(4))
            answer = b""
            while not answer.endswith(b"\0"):
                block = await stream.read()
                if not block:
                    raise StreamError("closed in the midst of its answer")
                answer += block
                if len(answer) > 1000:
                    raise StreamError("its answer is too long")
        finally:
            stream.abort()
        if answer == b"stream: OK\0":
            return ""
        if (match := re.fullmatch(rb"stream: (.+) FOUND\0", answer)) is None:
            raise StreamError(f"answered {answer!r}")
        return match[1].decode("ascii", "replace")


# --8<-- [end:clamd]


# --8<-- [start:fake-clamd]
class FakeClamd(FakeDirectory):
    """Finds the word eicar, and takes so many bytes; or answers as it is told."""

    takes = 100_000_000

    async def serve(self, stream):
        unread = b""

        async def exactly(count):
            nonlocal unread
            while len(unread) < count:
                if not (block := await stream.read()):
                    raise StreamError("the plugin has gone")
                unread += block
            data, unread = unread[:count], unread[count:]
            return data

        with suppress(StreamError):
            assert await exactly(10) == b"zINSTREAM\0"
            size, answer = 0, b"stream: OK\0"
            while length := int.from_bytes(await exactly(4)):
                size += length
                if size > self.takes:
                    answer = b"INSTREAM size limit exceeded. ERROR\0"
                    break
                if b"eicar" in await exactly(length):
                    answer = b"stream: Eicar-Test FOUND\0"
            stream.write(answer if self.answer is None else self.answer)
            await stream.finish()


def clamd(fake, **options):
    """The plugin, before this clamd."""
    return plugin(Clamd, "unix:/run/clamd", qp=memory_host(connect=fake.connect), **options)


def test_what_clamd_finds():
    """A message in which something is found is refused, with its name."""
    bad = transaction("Subject: hello\n\neicar\n")
    assert_answer(run(ask(clamd(FakeClamd()), "data_post", transaction=bad)), DENY, match="Eicar")
    assert_answer(run(ask(clamd(FakeClamd()), "data_post")), DECLINED)


@pytest.mark.parametrize("answer", [b"", b"stream: OK", b"x ERROR\0", b"x" * 2000])
@pytest.mark.parametrize(("if_away", "expected"), [("denysoft", DENYSOFT), ("pass", DECLINED)])
def test_clamd_that_fails(answer, if_away, expected, log):
    """What becomes of a message that was not looked through, its line says, and the log why."""
    failing = clamd(FakeClamd(answer), if_away=if_away)
    assert_answer(run(ask(failing, "data_post")), expected)
    assert "unix:/run/clamd: " in log


# --8<-- [end:fake-clamd]


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_too_large_for_clamd(size, log):
    """Clamd's own limit ends the sending, and is told in its words; ours does not ask it."""
    fake = FakeClamd()
    fake.takes = 50_000
    large = transaction(b"Subject: large\n\n" + b"x" * size)
    assert_answer(run(ask(clamd(fake), "data_post", transaction=large)), DENYSOFT)
    assert "answered b'INSTREAM size limit exceeded. ERROR\\x00'" in log
    small = clamd(fake, max_size=50_000)
    assert_answer(run(ask(small, "data_post", transaction=large)), DECLINED)
    assert "passes unseen, it is larger than 50000" in log


def test_options_of_clamd():
    """What cannot be meant is told with what can."""
    with pytest.raises(SetupError, match="if_away=reject: write denysoft or pass"):
        clamd(FakeClamd(), if_away="reject")


def test_clamd_is_sent_large_messages_in_blocks():
    """A message of 50 MB takes little memory."""

    class Contract(PluginContract):
        plugin = Clamd, "unix:/run/clamd", "max_size=100000000"
        fake = FakeClamd

    Contract().test_large_message()


# --8<-- [start:http]
class PeopleOfWeb(Plugin):
    """Refuse recipients that the directory of people does not know, asked by HTTP."""

    def register(self, qp, url, *, wait="5"):
        self.url = url
        self.wait = float(wait)

    @blocking
    def hook_rcpt(self, transaction, recipient, params):
        try:
            with urlopen(self.url + quote(bytes(recipient), safe=""), timeout=self.wait):
                return DECLINED
        except (OSError, HTTPException) as error:  # a URLError is an OSError
            if isinstance(error, HTTPError) and error.code == 404:
                return DENY, "Nobody here has this address"
            self.log(LOGERROR, f"{self.url}: {error}")
            return DENYSOFT, "We cannot look this recipient up now, try again later"


# --8<-- [end:http]


class Web(BaseHTTPRequestHandler):
    """The directory as a web service."""

    def do_GET(self):
        if self.path == "/broken%40example.com":
            self.wfile.write(b"what?\r\n")
            return
        codes = {"/ann%40example.com": 200, "/bob%40example.com": 404}
        self.send_response(codes.get(self.path, 503))
        self.end_headers()

    def log_message(self, format, *args):
        """Nothing is printed."""


@pytest.fixture
def url(monkeypatch):
    """Where that service is; no proxy stands before it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("user", "expected"),
    [("ann", DECLINED), ("bob", DENY), ("down", DENYSOFT), ("broken", DENYSOFT)],
)
def test_http(url, user, expected):
    """By HTTP too: 404 refuses, and whatever is no answer puts the recipient off."""
    by_web = plugin(PeopleOfWeb, url)
    assert_answer(run(ask(by_web, "rcpt", recipient=f"{user}@example.com")), expected)


def test_http_server_that_hangs():
    """One that takes connections and says nothing is given up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        by_web = plugin(PeopleOfWeb, f"http://127.0.0.1:{silent.getsockname()[1]}/", wait=0.1)
        assert_answer(run(ask(by_web, "rcpt")), DENYSOFT, match="cannot look")


class TestContractByWeb(PluginContract):
    """It holds there as well."""

    plugin = PeopleOfWeb, "http://127.0.0.1:1/"
