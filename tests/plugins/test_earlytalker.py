"""earlytalker: clients that do not wait for their turn."""

import asyncio
from collections.abc import Mapping

import pytest

from qpsdk import DECLINED, Connection, Plugin, Result
from qpsdk.dispatcher import Dispatcher
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one, register
from qpsdk.session import Session
from qpsdk.testing import pipe
from qpsdk.testing.smtp import memory_host
from tests.dialogue import TakesAll, hold, refusal


def talk(
    *plugins: Plugin | str, early: bytes = b"", config: Mapping[str, str] | None = None
) -> tuple[str, Connection]:
    """What the server says in all to a client that sends everything before the greeting."""
    connection = Connection("c1", "192.0.2.1")

    async def main() -> bytes:
        host = memory_host(config or {})
        loaded = [
            load_one(PluginLine.parse(plugin), host) if isinstance(plugin, str) else plugin
            for plugin in plugins
        ]
        takes_all = TakesAll()
        register(takes_all, host, (), {})
        dispatcher = Dispatcher([*loaded, takes_all], host.run_blocking)
        ours, theirs = pipe()
        ours.write(early)
        task = asyncio.ensure_future(Session(theirs, connection, dispatcher, host).run())
        said = b""
        if not early:
            said = await ours.read()
            ours.write(b"QUIT\r\n")
        while data := await ours.read():
            said += data
        await task
        return said

    return asyncio.run(asyncio.wait_for(main(), 20)).decode(), connection


GREETING = "220 mx.example.com ESMTP qpsdk ready\r\n"
BYE = "221 2.0.0 mx.example.com Closing the connection\r\n"
EARLY = "You have started to speak before the greeting"
DIALOGUE = b"HELO client.example\r\nMAIL FROM:<a@example.org>\r\nQUIT\r\n"


def test_waits() -> None:
    """A client that waits for the greeting gets it."""
    said, connection = talk("earlytalker wait=0.01")
    assert said == GREETING + BYE
    assert connection.notes == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", f"550 {EARLY}\r\n"),
        ("reject_type=temp", f"450 {EARLY}\r\n"),
        ("check_at=connect,data", f"550 {EARLY}\r\n"),
        ("reject=0", f"{GREETING}250 mx.example.com\r\n250 2.1.0 Sender OK\r\n{BYE}"),
        ("check_at=data", f"{GREETING}250 mx.example.com\r\n250 2.1.0 Sender OK\r\n{BYE}"),
        ("defer_reject=1", f"{GREETING}250 mx.example.com\r\n550 5.7.1 {EARLY}\r\n{BYE}"),
        (
            "defer_reject=1 reject_type=disconnect",
            f"{GREETING}250 mx.example.com\r\n550 5.7.1 {EARLY}\r\n",
        ),
    ],
)
def test_early(options: str, said: str) -> None:
    """One that does not is refused, at once or at MAIL, or only written down."""
    answers, connection = talk(f"earlytalker wait=0.01 {options}", early=DIALOGUE)
    assert answers == said
    assert connection.notes.get("earlytalker") == (None if options == "check_at=data" else EARLY)


def test_speaks_while_we_wait() -> None:
    """It is no use to be silent for the first moment: what comes during the wait counts."""

    async def main() -> bytes:
        host = memory_host({})
        plugin = load_one(PluginLine.parse("earlytalker wait=0.05"), host)
        ours, theirs = pipe()
        session = Session(theirs, Connection(), Dispatcher([plugin], host.run_blocking), host)
        task = asyncio.ensure_future(session.run())
        await asyncio.sleep(0)
        assert not ours.input_waiting
        ours.write(b"HELO a\r\n")
        said = await ours.read()
        ours.end()
        await task
        return said

    assert asyncio.run(main()) == f"550 {EARLY}\r\n".encode()


def test_naughty() -> None:
    """With reject=naughty the plugin of that name refuses it."""
    said, _ = talk("earlytalker wait=0.01 reject=naughty", "naughty reject=mail", early=DIALOGUE)
    assert said == f"{GREETING}250 mx.example.com\r\n550 5.7.1 {EARLY}\r\n"


def test_relay_client() -> None:
    """A relay client does not even have to wait: were it to, this test would run into its limit."""
    config = {"relayclients": "192.0.2.1"}
    said, _ = talk("relay", "earlytalker wait=25", early=DIALOGUE, config=config)
    assert said == f"{GREETING}250 mx.example.com\r\n250 2.1.0 Sender OK\r\n{BYE}"


class LetsRelay(Plugin):
    """Lets a client relay after the greeting, as AUTH does."""

    def hook_helo(self, connection: Connection, host: bytes) -> Result:
        connection.relay_client = True
        return DECLINED


def test_relay_client_since() -> None:
    """Who may relay by the time of MAIL is forgiven."""
    plugin = LetsRelay()
    register(plugin, memory_host({}), (), {})
    said, _ = talk("earlytalker wait=0.01 defer_reject=1", plugin, early=DIALOGUE)
    assert said == f"{GREETING}250 mx.example.com\r\n250 2.1.0 Sender OK\r\n{BYE}"


TO_DATA = """
    C: MAIL FROM:<a@example.org>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<b@example.com>
    S: 250 2.1.5 Recipient OK
    """


def test_waits_at_data() -> None:
    """A client that waits for the answer to DATA gets it."""
    hold(
        TO_DATA
        + """C: DATA
    S: 354 Go ahead, end with a dot on a line of its own
    C: hello
    C: .
    S: 250 2.0.0 taken
    """,
        "earlytalker wait=0.01 check_at=data",
    )


GROUP = b"HELO client.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
TO_354 = f"{GREETING}250 mx.example.com\r\n250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n"


def test_early_at_data() -> None:
    """One that sends the message at once is refused, though what it sent was read long ago."""
    said, connection = talk(
        "earlytalker wait=0.01 check_at=data reject_type=disconnect",
        early=GROUP + b"hello\r\n.\r\n",
    )
    text = "You have started to send the message before you were told to"
    assert said == f"{TO_354}554 5.7.1 {text}\r\n"
    assert connection.notes == {"earlytalker": text}


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("wait=long", "wait=long: write a number of seconds below 30"),
        ("wait=-1", "wait=-1: write a number of seconds below 30"),
        ("wait=30", "wait=30: write a number of seconds below 30"),
        ("wait=5 timeout=5", "wait=5: write a number of seconds below 5"),
        ("wait=nan", "wait=nan: write a number of seconds below 30"),
        ("check_at=CONNECT", "check_at=CONNECT: write connect, data or connect,data"),
        ("check_at=", "check_at=: write connect, data or connect,data"),
        ("defer_reject=yes", "defer_reject=yes: write 0 or 1"),
        ("reject=denysoft", "reject=denysoft: write 0, 1 or naughty"),
    ],
)
def test_refuses_to_start(option: str, problem: str) -> None:
    """A wrong option is reported."""
    assert refusal(f"earlytalker {option}") == f"earlytalker: {problem}"
