"""AUTH and STARTTLS in the dialogue, in memory: what is offered, to whom, and how it ends."""

import asyncio
import logging
import ssl
from base64 import b64encode
from typing import Any

import pytest

from qpsdk import DECLINED, DENY, DENYSOFT, DONE, OK, TLS, Connection, Constant, Plugin
from qpsdk.host import Host
from qpsdk.loader import register
from qpsdk.testing import SMTPClient, smtp
from qpsdk.testing.smtp import mark_loaded, memory_host
from tests.conversation import Takes, is_open, talk

SECRET = "tanstaaftanstaaf"
PLAIN = "AUTH PLAIN " + b64encode(f"\0tim\0{SECRET}".encode()).decode()
WRONG = "AUTH PLAIN " + b64encode(b"\0tim\0" + SECRET.encode()[::-1]).decode()


class Knows(Plugin):
    """Knows tim, in the hooks given; notes what it was asked."""

    def __init__(self, *hooks: str) -> None:
        super().__init__()
        self.asked: list[tuple[Any, ...]] = []
        for hook in hooks or ("auth_plain",):
            self.register_hook(hook, self.judge)

    def judge(self, connection: Connection, *credentials: Any) -> Constant:
        self.asked.append(credentials)
        _, user, password, hashed, _ = credentials
        return OK if user == b"tim" and (password == SECRET.encode() or hashed) else DENY


class Switches(Plugin):
    """Starts TLS, without a certificate: the connection is in memory."""

    def hook_ehlo(self, connection: Connection, host: bytes) -> Constant:
        connection.capabilities.append("STARTTLS")
        return DECLINED

    def hook_unrecognized_command(
        self, connection: Connection, command: bytes, arguments: bytes
    ) -> Constant:
        if command != b"starttls":
            return DECLINED
        connection.start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        return DONE


async def offered(client: SMTPClient) -> list[str]:
    """What EHLO lists of AUTH."""
    reply = await client.command("EHLO client")
    return [line for line in reply.text.split("\n") if line.startswith("AUTH")]


@pytest.mark.parametrize(
    ("hooks", "lines"),
    [
        (["auth"], ["AUTH PLAIN LOGIN CRAM-MD5"]),
        (["auth-plain"], ["AUTH PLAIN"]),
        (["auth_login"], ["AUTH LOGIN"]),
        (["auth_cram_md5"], ["AUTH CRAM-MD5"]),
        (["auth_cram_md5", "auth_plain"], ["AUTH PLAIN CRAM-MD5"]),
        (["auth_parse"], []),
        (["rcpt"], []),
    ],
)
def test_offered(hooks: list[str], lines: list[str]) -> None:
    """A mechanism is offered where a plugin can judge it, and after EHLO only there."""

    async def conversation(client: SMTPClient) -> None:
        assert await offered(client) == lines

    class Has(Plugin):
        def register(self, qp: Any) -> None:
            for hook in hooks:
                self.register_hook(hook, lambda *_: DECLINED)

    talk(conversation, Has())


def test_nowhere_offered() -> None:
    """Without a plugin for it AUTH is answered 502, and AUTH= on MAIL 555."""

    async def conversation(client: SMTPClient) -> None:
        assert await offered(client) == []
        assert str(await client.command(PLAIN)) == "502 5.5.1 AUTH is not offered here"
        reply = await client.command("MAIL FROM:<a@b> AUTH=<>")
        assert str(reply) == "555 5.5.4 Unknown MAIL parameter AUTH"

    talk(conversation)


def test_success() -> None:
    """A user that is known may relay, and plugins know who it is."""
    knows = Knows()

    async def conversation(client: SMTPClient) -> None:
        connection = client.connection
        await client.command("EHLO client")
        assert (connection.relay_client, connection.auth_user) == (False, b"")
        assert str(await client.command(PLAIN)) == "235 2.7.0 Authentication succeeded"
        assert (connection.relay_client, connection.auth_user) == (True, b"tim")
        assert connection.auth_mechanism == "plain"
        assert str(await client.command(PLAIN)) == "503 5.5.1 You have authenticated already"
        assert (await client.command("MAIL FROM:<a@b> AUTH=tim@b")).code == 250
        await client.command("RSET")
        assert str(await client.send("Subject: x\n\n")) == "250 2.0.0 taken"

    takes = Takes()
    talk(conversation, knows, takes)
    assert knows.asked == [("plain", b"tim", SECRET.encode(), b"", b"")]
    (message,) = takes.taken
    assert b" with ESMTPA id " in message
    assert (
        b"\nAuthentication-Results: mx.example.com;\n\tauth=pass (plain) smtp.auth=tim\n" in message
    )


def test_order_of_hooks() -> None:
    """The hook of the mechanism is asked first, `auth` only where that has no opinion."""
    said: list[str] = []

    class Asked(Plugin):
        def hook_auth(self, *_: Any) -> Constant:
            said.append("auth")
            return OK

        def hook_auth_plain(self, connection: Any, mechanism: str, user: bytes, *_: Any) -> Any:
            said.append("auth_plain")
            return {b"denied": (DENY, "5.7.1 not you"), b"soft": DENYSOFT}.get(user, DECLINED)

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        for user, reply, asked in [
            (b"denied", "535 5.7.1 not you", ["auth_plain"]),
            (
                b"soft",
                "454 4.7.0 Not accepted now, try again later",
                ["auth_plain"],
            ),
            (b"other", "235 2.7.0 Authentication succeeded", ["auth_plain", "auth"]),
        ]:
            said.clear()
            token = b64encode(b"\0" + user + b"\0pw").decode()
            assert str(await client.command(f"AUTH PLAIN {token}")) == reply
            assert said == asked

    talk(conversation, Asked())


def test_login_and_cram_md5() -> None:
    """The exchanges of several lines; each CRAM-MD5 challenge is another."""
    knows = Knows("auth")

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        assert str(await client.command("AUTH LOGIN")) == "334 VXNlcm5hbWU6"
        assert str(await client.command("dGlt")) == "334 UGFzc3dvcmQ6"
        assert (await client.command("d3Jvbmc=")).code == 535
        challenge = await client.command("auth cram-md5")
        assert challenge.code == 334
        await client.command("*")
        assert await client.command("AUTH CRAM-MD5") != challenge
        digest = b64encode(b"tim " + b"0" * 32).decode()
        assert (await client.command(digest)).code == 235

    talk(conversation, knows)
    (login, cram) = knows.asked
    assert login == ("login", b"tim", b"wrong", b"", b"")
    assert cram[:4] == ("cram-md5", b"tim", b"", b"0" * 32)
    assert cram[4].startswith(b"<")
    assert cram[4].endswith(b"@mx.example.com>")


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["AUTH PLAIN AHRpbQB4"], "503 5.5.1 Say EHLO first, and authenticate before MAIL FROM"),
        (
            ["EHLO client", "MAIL FROM:<a@b>", PLAIN],
            "503 5.5.1 Say EHLO first, and authenticate before MAIL FROM",
        ),
        (["EHLO client", "AUTH"], "501 5.5.4 Syntax: AUTH mechanism [initial-response]"),
        (["EHLO client", "AUTH GSSAPI"], "504 5.5.4 Authentication mechanism not offered"),
        (["EHLO client", "AUTH LOGIN"], "504 5.5.4 Authentication mechanism not offered"),
        (["EHLO client", "AUTH PLAIN", "*"], "501 5.7.0 Authentication cancelled"),
        (["EHLO client", "AUTH PLAIN %"], "501 5.5.2 Not base64"),
        (
            ["EHLO client", "AUTH PLAIN", "A" * 13_000],
            "500 5.5.6 Authentication line too long",
        ),
    ],
    ids=str,
)
def test_refused(lines: list[str], reply: str) -> None:
    """What is no attempt is refused with one reply; no plugin is asked; another may follow."""
    knows = Knows()

    async def conversation(client: SMTPClient) -> None:
        for line in lines:
            answer = await client.command(line)
        assert str(answer) == reply
        await client.command("RSET")
        await client.command("EHLO client")
        assert (await client.command(PLAIN)).code == 235

    talk(conversation, knows)
    assert len(knows.asked) == 1


def test_failures_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    """The third attempt that fails is the last, and each is in the log with the user's name."""

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        for _ in range(2):
            assert str(await client.command(WRONG)) == "535 5.7.8 Authentication failed"
        reply = await client.command(WRONG)
        assert str(reply) == "421 4.7.0 mx.example.com Too many failed authentications"
        assert not await is_open(client)

    with caplog.at_level(logging.DEBUG, "qpsdk"):
        talk(conversation, Knows())
    assert caplog.text.count("authentication failed: tim (plain)") == 3


@pytest.mark.parametrize("outcome", ["good", "wrong", "crash"])
def test_passwords_are_not_logged(caplog: pytest.LogCaptureFixture, outcome: str) -> None:
    """Whatever becomes of it, at LOGDEBUG too: no password is in the log, in no encoding."""

    class Crashes(Plugin):
        def hook_auth(self, *_: Any) -> Constant:
            raise ValueError("the directory is down")

    async def conversation(client: SMTPClient) -> None:
        await client.command(f" {PLAIN}")  # too early
        await client.command("EHLO client")
        await client.command(f"AUTH {PLAIN[11:]} x y")
        await client.command(WRONG if outcome == "wrong" else PLAIN)
        await client.command("AUTH LOGIN")
        await client.command(b64encode(b"joe").decode())
        await client.command(b64encode(SECRET.encode()).decode())

    with caplog.at_level(logging.DEBUG, "qpsdk"):
        talk(conversation, Crashes() if outcome == "crash" else Knows("auth"))
    log = "".join(f"{r.getMessage()} {r.exc_text} {r.args}" for r in caplog.records) + caplog.text
    assert "auth" in log
    for secret in (
        SECRET,
        SECRET[::-1],
        PLAIN[11:],
        WRONG[11:],
        b64encode(SECRET.encode()).decode(),
    ):
        assert secret not in log


def test_parser_of_a_plugin() -> None:
    """`auth_parse` may read the arguments, and say what is wrong with them."""

    class Parses(Plugin):
        parser: Any = staticmethod(lambda arguments: ("PLAIN", arguments.split(b"|")[1]))

        def hook_auth_parse(self, connection: Connection) -> tuple[Constant, Any]:
            return OK, self.parser

    def fails(arguments: bytes) -> Any:
        raise ValueError("We know better")

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        parses.parser = fails
        assert str(await client.command("AUTH x")) == "501 5.5.4 We know better"
        del parses.parser
        assert (await client.command(f"AUTH any|{PLAIN[11:]}")).code == 235

    parses = Parses()
    talk(conversation, parses, Knows())


def test_parser_that_crashes(caplog: pytest.LogCaptureFixture) -> None:
    """Where a plugin's parser is none, AUTH is read as usual, and the log keeps the secret."""

    class Parses(Plugin):
        def hook_auth_parse(self, connection: Connection) -> tuple[Constant, Any]:
            return OK, parsers.pop()

    parsers: list[Any] = [7, lambda arguments: arguments, lambda arguments: {}[arguments]]

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        for _ in range(2):
            assert (await client.command(WRONG)).code == 535
        assert (await client.command(PLAIN)).code == 235

    talk(conversation, Parses(), Knows())
    assert caplog.text.count("auth_parse: the parser failed: KeyError") == 1
    assert caplog.text.count("auth_parse: the parser failed: TypeError") == 1
    assert caplog.text.count("auth_parse: the parser gave no mechanism") == 1
    assert not any(secret in caplog.text for secret in (SECRET, PLAIN[11:], WRONG[11:]))


# TLS


def test_tls_before_auth() -> None:
    """With `tls_before_auth` AUTH is offered under TLS only, and refused before it."""

    async def conversation(client: SMTPClient) -> None:
        assert await offered(client) == []
        assert str(await client.command(PLAIN)) == "530 5.7.0 Must issue a STARTTLS command first"
        assert (await client.command("MAIL FROM:<a@b> AUTH=<>")).code == 555
        await client.command("STARTTLS")
        assert await offered(client) == ["AUTH PLAIN"]
        assert (await client.command(PLAIN)).code == 235

    talk(conversation, Knows(), Switches(), config={"tls_before_auth": "1"})


def test_switch_forgets() -> None:
    """After STARTTLS nothing counts that was said before: EHLO, transaction, user (RFC 3207)."""
    reset: list[str] = []

    class Resets(Plugin):
        def hook_reset_transaction(self, transaction: Any) -> None:
            reset.append(transaction.id)

    async def conversation(client: SMTPClient) -> None:
        connection = client.connection
        await client.command("EHLO client")
        await client.command(PLAIN)
        await client.command("MAIL FROM:<a@b>")
        assert str(await client.command("STARTTLS")) == "220 2.0.0 Ready to start TLS"
        assert len(reset) == 1
        assert str(await client.command("RCPT TO:<c@d>")) == "503 5.5.1 Send MAIL FROM first"
        assert connection.tls == TLS("TLSv1.3", "NULL-IN-MEMORY")
        assert (connection.hello, connection.hello_host, connection.capabilities) == ("", b"", [])
        assert (connection.auth_user, connection.auth_mechanism) == (b"", "")
        assert not connection.relay_client
        assert connection.transaction is None
        reply = await client.command("MAIL FROM:<a@b>")
        assert str(reply) == "503 5.5.1 Say HELO or EHLO first"
        await client.command("EHLO client")
        assert (await client.command(PLAIN)).code == 235
        assert (await client.send("Subject: x\n\n")).code == 250

    takes = Takes()
    talk(conversation, Knows(), Switches(), Resets(), takes)
    assert b" with ESMTPSA\n\t(TLSv1.3 NULL-IN-MEMORY) id " in takes.taken[0]


def test_switch_keeps_what_a_plugin_gave() -> None:
    """A client that may relay for its address may still do so after STARTTLS."""

    async def conversation(client: SMTPClient) -> None:
        client.connection.relay_client = True
        await client.command("EHLO client")
        await client.command(PLAIN)
        await client.command("STARTTLS")
        await client.command("NOOP")
        assert client.connection.relay_client

    talk(conversation, Knows(), Switches())


def test_commands_behind_starttls_are_dropped() -> None:
    """What a client, or somebody between, puts behind STARTTLS in clear is never answered."""

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        client.write(b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@example.org>\r\nNOOP injected")
        assert (await client.read_reply()).code == 220
        assert str(await client.command("NOOP")) == "250 2.0.0 OK"
        assert client.connection.hello == ""

    talk(conversation, Switches())


def test_start_tls_without_done(caplog: pytest.LogCaptureFixture) -> None:
    """A plugin that starts TLS and then says something else has not: the dialogue goes on."""

    class Changes(Plugin):
        def hook_unrecognized_command(self, connection: Connection, *_: Any) -> Constant:
            connection.start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            return DENY

    async def conversation(client: SMTPClient) -> None:
        await client.command("EHLO client")
        assert (await client.command("STARTTLS")).code == 500
        assert client.connection.hello == "ehlo"
        assert client.connection.tls is None
        assert client.connection.tls_to_start is None

    talk(conversation, Changes())
    assert "not sent, one command has one reply: 220" in caplog.text


def test_forged_results() -> None:
    """Forged Authentication-Results are renamed after data_post_headers and before data_post."""
    seen: list[bytes] = []

    class Looks(Plugin):
        def hook_data_post_headers(self, transaction: Any) -> Constant:
            transaction.authentication_results.append("dkim=pass header.d=x.example")
            seen.append(bytes(transaction.header))
            return DECLINED

        def hook_data_post(self, transaction: Any) -> Constant:
            seen.append(bytes(transaction.header).split(b"+0000\n")[1])
            return DECLINED

    forged = b"Authentication-Results: mail.example.com; dkim=pass\n"
    forged += b"Authentication-Results: mx.example.com; dkim=pass\n"
    other = b"Authentication-Results: example.net; dkim=pass\n"

    async def conversation(client: SMTPClient) -> None:
        assert (await client.send(forged + other + b"\nhi\n")).code == 250

    talk(conversation, Looks(), Takes(), config={"me-auth-results": "mail.example.com"})
    ours = (
        b"Authentication-Results: mail.example.com;\n\tauth=none;\n\tdkim=pass header.d=x.example\n"
    )
    assert seen == [
        forged + other,
        ours + forged.replace(b"Auth", b"Original-Auth") + other,
    ]


def test_received_line_arguments() -> None:
    """`received_line` is given the protocol, and user and TLS as comments."""
    given: list[tuple[str, str, str]] = []

    class Writes(Plugin):
        def hook_received_line(self, transaction: Any, smtp: str, auth: str, tls: str) -> Constant:
            given.append((smtp, auth, tls))
            return DECLINED

    async def conversation(client: SMTPClient) -> None:
        await client.send("Subject: x\n\n")
        await client.command("STARTTLS")
        await client.command("EHLO client")
        await client.command(PLAIN)
        await client.send("Subject: x\n\n")

    talk(conversation, Knows(), Switches(), Writes(), Takes())
    assert given == [
        ("ESMTP", "", ""),
        ("ESMTPSA", "(smtp-auth username tim, mechanism plain)", "(TLSv1.3 NULL-IN-MEMORY)"),
    ]


# -- Of one address --------------------------------------------------------------------------

TOO_MANY = (
    "454 4.7.0 Too many failed authentications from your address, try again later",
    "421 4.7.0 mx.example.com Too many failed authentications",
)


def test_failures_of_one_address(caplog: pytest.LogCaptureFixture) -> None:
    """Failures count over all connections of an address; beyond the limit no plugin is asked."""
    caplog.set_level(logging.INFO, "qpsdk")
    host = memory_host({"max_auth_failures_per_address": "4", "max_auth_failures": "3"})
    plugin = Knows()
    register(plugin, host, (), {})
    mark_loaded(plugin)

    async def attempt(ip: str, *lines: str) -> list[str]:
        async with smtp(plugin, connection=Connection("c", ip)) as client:
            await client.command("EHLO client")
            return [str(await client.command(line)) for line in lines]

    async def main() -> None:
        assert (await attempt("192.0.2.1", WRONG, WRONG, WRONG))[-1] == TOO_MANY[1]
        assert (await attempt("192.0.2.1", WRONG, PLAIN)) == [
            "535 5.7.8 Authentication failed",
            TOO_MANY[0],
        ]
        assert len(plugin.asked) == 4
        assert (await attempt("192.0.2.2", PLAIN))[0][:3] == "235"

    asyncio.run(main())
    assert f"AUTH refused: {TOO_MANY[0]}" in caplog.messages
    assert f"sent away: {TOO_MANY[1]}" in caplog.messages


class Slow(Plugin):
    """Knows nobody's password but tim's, and takes its time to say so.

    Attributes:
        at_once: How many it was asked about at the same time, at most.
        asked: In all.
    """

    at_once = asked = 0
    _now = 0

    async def hook_auth_plain(self, _: Connection, *credentials: Any) -> Constant:
        self.asked += 1
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        try:
            await asyncio.sleep(0.02)
        finally:
            self._now -= 1
        return OK if credentials[2] == SECRET.encode() else DENY


def slow_host(limit: int) -> tuple[Slow, Host]:
    """A host with such a plugin."""
    host = memory_host({"max_auth_failures_per_address": str(limit)})
    plugin = Slow()
    register(plugin, host, (), {})
    mark_loaded(plugin)
    return plugin, host


async def one_line(plugin: Plugin, line: str, ip: str) -> int:
    """The code of the reply to one AUTH from an address."""
    async with smtp(plugin, connection=Connection("c", ip)) as client:
        await client.command("EHLO client")
        return (await client.command(line)).code


def test_guesses_at_once() -> None:
    """Guesses on many connections get no further than one after another, in an IPv6 network too."""
    plugin, host = slow_host(3)

    async def main() -> list[int]:
        guesses = [one_line(plugin, WRONG, f"2001:db8::{number}") for number in range(9)]
        return await asyncio.gather(*guesses)

    assert sorted(asyncio.run(main())) == [454] * 6 + [535] * 3
    assert plugin.asked == 3
    assert not host.auth_gates


def test_users_at_once() -> None:
    """Users behind one address wait for each other, and none is refused for how many they are."""
    plugin, host = slow_host(2)

    async def main() -> list[int]:
        wrong = one_line(plugin, WRONG, "192.0.2.1")
        right = [one_line(plugin, PLAIN, "192.0.2.1") for _ in range(9)]
        return await asyncio.gather(wrong, *right)

    assert sorted(asyncio.run(main())) == [235] * 9 + [535]
    assert plugin.at_once == 2
    assert not host.auth_gates


class Stuck(Plugin):
    """Answers at once if the password is right, else never."""

    asked = 0

    async def hook_auth_plain(self, _: Connection, *credentials: Any) -> Constant:
        self.asked += 1
        if credentials[2] != SECRET.encode():
            await asyncio.Event().wait()
        return OK


async def guess(client: SMTPClient) -> None:
    """Say a wrong password, and do not wait for the answer."""
    await client.command("EHLO client")
    client.write(f"{WRONG}\r\n".encode())


def test_gone_before_the_answer() -> None:
    """A client that goes while it is asked about, or while it waits, is in nobody's way."""
    host = memory_host({"max_auth_failures_per_address": "1"})
    plugin = Stuck()
    register(plugin, host, (), {})
    mark_loaded(plugin)

    async def main() -> None:
        async with (
            smtp(plugin, connection=Connection("a", "192.0.2.1")) as asked,
            smtp(plugin, connection=Connection("b", "192.0.2.1")) as waiting,
        ):
            await guess(asked)
            while plugin.asked == 0:
                await asyncio.sleep(0)
            await guess(waiting)
            while not any(gate._waiting for gate in host.auth_gates.values()):
                await asyncio.sleep(0)
            waiting.abort()
            asked.abort()
            assert await one_line(plugin, PLAIN, "192.0.2.1") == 235
        assert plugin.asked == 2

    asyncio.run(main())
    assert not host.auth_gates


def test_too_many_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who has waited too long for the others is told to try again; that is no failure."""
    monkeypatch.setattr("qpsdk.gate.Gate.wait.__defaults__", (0.001,))
    caplog.set_level(logging.INFO, "qpsdk")
    host = memory_host({"max_auth_failures_per_address": "1"})
    plugin = Stuck()
    register(plugin, host, (), {})
    mark_loaded(plugin)

    async def main() -> None:
        async with smtp(plugin, connection=Connection("a", "192.0.2.1")) as asked:
            await guess(asked)
            while plugin.asked == 0:
                await asyncio.sleep(0)
            assert await one_line(plugin, PLAIN, "192.0.2.1") == 454
            asked.abort()

    asyncio.run(main())
    told = "454 4.7.0 Too many authentications at once from your address, try again later"
    assert f"AUTH refused: {told}" in caplog.messages
    assert host.failed_auth.count("192.0.2.1") == 0


@pytest.mark.parametrize("ip", ["127.0.0.1", ""])
def test_failures_of_an_unlimited_client(ip: str) -> None:
    """A webmail on this machine is not locked out for what its users mistype."""
    host = memory_host({"max_auth_failures_per_address": "1"})
    plugin = Knows()
    register(plugin, host, (), {})
    mark_loaded(plugin)

    async def main() -> None:
        async with smtp(plugin, connection=Connection("c", ip)) as client:
            await client.command("EHLO client")
            assert (await client.command(WRONG)).code == 535
            assert (await client.command(PLAIN)).code == 235

    asyncio.run(main())
