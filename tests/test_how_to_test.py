"""What docs/how-to/test-a-plugin.md shows: the page includes the parts of this file."""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# As most who read the page would write it.

# --8<-- [start:imports]
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from qpsdk import (
    DECLINED,
    DENY,
    DENYSOFT,
    LOGINFO,
    LOGWARN,
    OK,
    AddressList,
    MemoryStore,
    Plugin,
    StoreError,
    testing,
)
from qpsdk.testing import PluginContract, ask, assert_answer, memory_host, plugin, run

# --8<-- [end:imports]


# --8<-- [start:plugin]
class Gone(Plugin):
    """Refuse mail for people who have left."""

    def hook_rcpt(self, transaction, recipient, params):
        if recipient.user.lower() == b"bob":
            self.log(LOGINFO, "bob was asked for")
            return DENY, "Bob no longer works here"
        return DECLINED


class Rest(Plugin):
    """Takes every recipient and every message."""

    def hook_rcpt(self, transaction, recipient, params):
        return OK

    def hook_queue(self, transaction):
        return OK


# --8<-- [end:plugin]


# --8<-- [start:hook]
def test_one_hook() -> None:
    """One hook is asked as the host does it, and what it answers is checked."""
    outcome = run(ask(plugin(Gone), "rcpt", recipient="bob@example.com"))
    assert_answer(outcome, DENY, match="no longer")


# --8<-- [end:hook]


# --8<-- [start:dialogue]
def test_a_dialogue(smtp, log) -> None:
    """A client speaks to a real session, in memory."""
    client = smtp(Gone(), Rest())
    assert client.send("hi", recipients="bob@example.com").code == 550
    assert client.send("hi", recipients="ann@example.com").code == 250
    assert "bob was asked for" in log


# --8<-- [end:dialogue]


# --8<-- [start:outside]
def test_outside_pytest() -> None:
    """The client that the fixture makes, without the fixture."""
    with testing.smtp(Gone(), Rest()) as client:
        assert client.send("hi", recipients="bob@example.com").code == 550


# --8<-- [end:outside]


# --8<-- [start:coroutine]
def test_in_a_coroutine() -> None:
    """The same where an event loop runs."""

    async def main():
        async with testing.smtp(Gone(), Rest()) as client:
            return await client.send("hi", recipients="bob@example.com")

    assert run(main()).code == 550


# --8<-- [end:coroutine]


# --8<-- [start:file]
GONE = Path(__file__).parent / "samples/moving/gone.py"


def test_a_file(smtp) -> None:
    """A plugin that is one file is found by its path."""
    client = smtp(plugin(GONE))
    assert client.send("hi", recipients="bob@example.org").code == 550


class TestFile(PluginContract):
    """What holds for every plugin."""

    plugin = GONE


# --8<-- [end:file]


def test_a_file_with_words(smtp, tmp_path) -> None:
    """The words of its line reach it in each of the ways that the page names."""
    path = tmp_path / "said.py"
    path.write_text(
        "from qpsdk import DENY, Plugin\n\n\n"
        "class Said(Plugin):\n"
        "    def register(self, qp, seconds, *, reject):\n"
        "        self.said = f'{seconds} {reject}'\n\n"
        "    def hook_mail(self, transaction, sender, params):\n"
        "        return DENY, self.said\n"
    )

    class Contract(PluginContract):
        plugin = path, 60, "reject=0"

    for loaded in (plugin(path, 60, reject=0), f"{path} 60 reject=0", Contract().load()):
        assert str(smtp(loaded).send("hi")) == "550 5.7.1 60 0"


# --8<-- [start:forward]
def test_where_mail_goes(smtp, fake_qmqp) -> None:
    """A message that is not refused arrives at the QMQP server, here a fake one."""
    client = smtp(
        Gone(),
        "rcpt_ok",
        "queue/qmqp_forward 192.0.2.1",
        config={"rcpthosts": "example.com"},
        connect=fake_qmqp.connect,
    )
    client.send("Subject: hello\n\nhi\n", recipients="ann@example.com")
    fake_qmqp.only_message().assert_recipients(b"ann@example.com")


# --8<-- [end:forward]


# --8<-- [start:leaves]
class Slow(Plugin):
    """Answers late."""

    def register(self, qp):
        self.began, self.ended = asyncio.Event(), asyncio.Event()

    async def hook_rcpt(self, transaction, recipient, params):
        self.began.set()
        try:
            await asyncio.sleep(20)
        finally:
            self.ended.set()
        return OK


def test_a_client_that_leaves() -> None:
    """The hook ends with its client."""

    async def leave():
        slow = plugin(Slow)
        async with testing.smtp(slow) as client:
            await client.mail()
            client.write(b"RCPT TO:<ann@example.com>\r\n")
            await slow.began.wait()  # else the reset could be faster than the command
            client.abort()
            await slow.ended.wait()

    run(leave(), limit=5)


# --8<-- [end:leaves]


# --8<-- [start:store]
class OneADay(Plugin):
    """Take one message a day from each sender, on all hosts together."""

    async def hook_mail(self, transaction, sender, params):
        try:
            earlier = await self.qp.store.add(b"day:" + sender.address, b"", 86400)
        except StoreError as error:
            self.log(LOGWARN, f"the store fails, so nobody waits: {error}")
            return DECLINED
        return DECLINED if earlier is None else (DENYSOFT, "Come again tomorrow")


def on_a_host(store, clock):
    """The plugin on a host of its own, to which the store is lent."""
    qp = memory_host(clock=clock)
    qp.store = store
    return plugin(OneADay, qp=qp)


def test_two_hosts_share_a_store(smtp, clock) -> None:
    """What one host has seen, the other knows."""
    store = MemoryStore(clock)
    one, two = smtp(on_a_host(store, clock)), smtp(on_a_host(store, clock))
    assert one.mail().code == 250
    assert two.mail().code == 450
    clock.advance(86400)
    two.command("RSET")
    assert two.mail().code == 250


class Away(MemoryStore):
    """A store that does not answer."""

    async def add(self, key, value, ttl):
        raise StoreError("nobody is there")


def test_the_store_is_away(smtp, log, clock) -> None:
    """Mail passes, and the log says why."""
    assert smtp(on_a_host(Away(), clock)).mail().code == 250
    assert "the store fails, so nobody waits: nobody is there" in log


# --8<-- [end:store]


# --8<-- [start:changed]
class Listed(Plugin):
    """Refuse mail for the addresses in config/gone."""

    def register(self, qp):
        self.parse_config("gone", AddressList)  # what is wrong in it is told at the start

    def hook_rcpt(self, transaction, recipient, params):
        if self.parse_config("gone", AddressList).find(recipient):
            return DENY, "They no longer work here"
        return DECLINED


def test_a_changed_setting(smtp, log, clock, tmp_path):
    """A change holds for who comes then, and a wrong one for nobody."""
    gone = tmp_path / "gone"
    gone.write_text("ann@example.com\n")
    listed = plugin(Listed, qp=memory_host(tmp_path, clock=clock))
    early = smtp(listed, Rest())
    gone.write_text("ann@example.com\nbob@example.com\n")
    clock.advance(1)
    late = smtp(listed, Rest())
    assert early.send("hi", recipients="bob@example.com").code == 250
    assert late.send("hi", recipients="bob@example.com").code == 550
    gone.write_text("ann@example.com\n(bob\n")
    clock.advance(1)
    later = smtp(listed, Rest())
    assert later.send("hi", recipients="bob@example.com").code == 550
    assert f"{gone}:2: " in log
    assert "the values before this change stay in use" in log


# --8<-- [end:changed]


# --8<-- [start:reload]
class Diary(Plugin):
    """Write down who is sent mail."""

    def register(self, qp, path):
        self.file = Path(path).open("ab", buffering=0)

    def hook_rcpt(self, transaction, recipient, params):
        self.file.write(bytes(recipient) + b"\n")
        return DECLINED

    def shutdown(self):
        self.file.close()


def test_a_reload(smtp, tmp_path):
    """Before and after a reload write to one file, and the one before is closed at its end."""
    path = tmp_path / "diary"
    before = plugin(Diary, path)
    with smtp(before, Rest()) as early:
        after = plugin(Diary, path)
        late = smtp(after, Rest())
        early.send("hi", recipients="ann@example.com")
        late.send("hi", recipients="bob@example.com")
    assert path.read_text() == "ann@example.com\nbob@example.com\n"
    assert (before.file.closed, after.file.closed) == (True, False)


# --8<-- [end:reload]


# --8<-- [start:contract]
class TestContract(PluginContract):
    """What holds for every plugin."""

    plugin = Gone


# --8<-- [end:contract]


# --8<-- [start:files]
class TestContractOfFiles(PluginContract):
    """The contract of a plugin that is given a folder to write to."""

    plugin = "queue/maildir"

    @asynccontextmanager
    async def loaded(self):
        with TemporaryDirectory(dir="/tmp") as folder:
            yield self.load(folder)


# --8<-- [end:files]
