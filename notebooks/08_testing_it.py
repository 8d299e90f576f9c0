# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Testing it
#
# You learn to test a plugin: one hook, a dialogue, a server that misbehaves, every message there
# is, and what holds for all plugins. You should know [streaming](06_streaming.md). In the end a
# forwarder that was written in a hurry has lost its four mistakes, to three kinds of test.

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## The plugin under test
#
# Somebody needed a forwarder that logs the subject of each message, and wrote this. It works: mail
# has gone through it all afternoon.

# %%
from qpsdk import DENY, LOGINFO, OK, Plugin, qmqp


class Forward(Plugin):
    """Hand a message to a QMQP server, and log its subject."""

    def register(self, qp, server):
        self.server = qmqp.parse_server(server)

    async def hook_queue(self, transaction):
        subject = transaction.header.get("Subject").decode()
        self.log(LOGINFO, f"subject: {subject}")
        message = b"".join(transaction.message_blocks())
        stream = await self.qp.connect(self.server, connect_timeout=10, io_timeout=60)
        package = qmqp.Package.of(
            len(message),
            transaction.sender.unquoted,
            [recipient.unquoted for recipient in transaction.recipients],
        )
        try:
            response = await qmqp.deliver(
                stream, package, [message], transaction.hand_over
            )
        finally:
            stream.abort()
        if response.verdict is qmqp.Verdict.ACCEPTED:
            return OK, response.text.decode()
        if response.verdict is qmqp.Verdict.REJECTED:
            return DENY, response.text.decode()


# %% [markdown]
# ## One hook
#
# The smallest test asks one hook. `plugin` loads a plugin as the host would, from its class and the
# words of its line; `ask` runs one of its hooks, as the host would, and gives what it decided.
# What you do not tell it, it makes up: here a transaction with a sender, a recipient and a message.
# `ask(..., transaction=transaction(message=b"..."))` gives it one of yours.
#
# A forwarder needs somebody to forward to. `memory_host` is a host for one plugin, and takes the
# `connect` of a fake server: nothing leaves this page.

# %%
from qpsdk.testing import (
    FakeQMQPServer,
    ask,
    assert_answer,
    memory_host,
    plugin,
    transaction,
)

fake = FakeQMQPServer()
host = memory_host({}, fake.connect)
forward = plugin(Forward, "192.0.2.1", qp=host)

assert_answer(await ask(forward, "queue"), OK)
print("sender and recipients:", fake.only_message().sender, fake.messages[0].recipients)

# %% [markdown]
# Assertions that say what came are worth more than those that say `False`. This is what you would
# read in the morning:

# %%
try:
    assert_answer(await ask(forward, "queue"), DENY)
except AssertionError as error:
    print(error)

# %% [markdown]
# ## A dialogue
#
# A hook is asked in a dialogue, and other plugins are there. `smtp` is a client that speaks to a
# real session with your plugins; the reply is what a mail server of somebody else would read.

# %%
from qpsdk import LOGERROR
from qpsdk.testing import capture_log, smtp


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK


FORWARD = "__main__.Forward 192.0.2.1"


async def send(message, *acts):
    """Send a message to a server that acts so; the reply, and the errors in the log."""
    fake = FakeQMQPServer()
    fake.script(*acts)
    with capture_log() as log:
        async with smtp(TakeAll(), FORWARD, connect=fake.connect) as client:
            reply = await client.send(message)
    return reply, log.lines(level=LOGERROR), fake


# %%
from qpsdk.testing.qmqp_script import accept, defer, reject

HELLO = b"Subject: hello\n\nHow are you?\n"
for act in accept("ok"), reject("no"), defer("busy"):
    reply, errors, _ = await send(HELLO, act)
    print(act, "->", reply, [str(line) for line in errors])

# %% [markdown]
# The first two are right. At `Z` the plugin falls off its end and answers nothing. The host
# does not let that pass: the client is told to try again, which happens to be right, and the log
# has it. So a test that looks only at the reply is content. **Look at the log as well:** the first
# mistake is found.
#
# ## A file of tests
#
# What was found once is to be found again, by itself. From here on the plugin is a file, and its
# tests are files beside it: do this in a terminal, or in a Jupyter of your own. Here Python types
# for you: `pytest` runs tests, and `change` edits a file.

# %% tags=["static", "terminal"]
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

os.chdir(tempfile.mkdtemp())


def pytest(*arguments):
    """Run `pytest` here; what it says, but for seconds, sizes and places."""
    options = "--show-capture=no", "--tb=short"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--color=no", *options, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.sub(r"\x1b\[[\d;]*m", "", ran.stdout)
    said = re.sub(r" in [\d.]+s$|^/.*\n", "", said, flags=re.MULTILINE)
    print(re.sub(r"\d+( MB of (?:it|memory),?)", r"N\1", said))


def change(old, new, file="forward.py"):
    """Put something else in the place of a piece of a file."""
    text = Path(file).read_text()
    assert text.count(old) == 1, old
    Path(file).write_text(text.replace(old, new))


# %% [markdown]
# The cure of the first mistake is a table, which cannot fall off its end:

# %% tags=["static"]
# %%writefile forward.py
from qpsdk import DENY, DENYSOFT, LOGINFO, OK, Plugin, qmqp

ANSWERS = {
    qmqp.Verdict.ACCEPTED: OK,
    qmqp.Verdict.DEFERRED: DENYSOFT,
    qmqp.Verdict.REJECTED: DENY,
}


class Forward(Plugin):
    """Hand a message to a QMQP server, and log its subject."""

    def register(self, qp, server):
        self.server = qmqp.parse_server(server)

    async def hook_queue(self, transaction):
        subject = transaction.header.get("Subject").decode()
        self.log(LOGINFO, f"subject: {subject}")
        response = await self.send(transaction)
        return ANSWERS[response.verdict], response.text.decode()

    async def send(self, transaction):
        message = b"".join(transaction.message_blocks())
        package = qmqp.Package.of(
            len(message),
            transaction.sender.unquoted,
            [recipient.unquoted for recipient in transaction.recipients],
        )
        stream = await self.qp.connect(self.server, connect_timeout=10, io_timeout=60)
        try:
            return await qmqp.deliver(stream, package, [message], transaction.hand_over)
        finally:
            stream.abort()


# %% [markdown]
# Where qpsdk is installed, pytest has the fixtures `smtp`, `fake_qmqp`, `log` and some more. Here
# `smtp` is used without `await`. What a plugin logs as an error is in `log`, and a test asks for
# none:

# %% tags=["static"]
# %%writefile test_forward.py
import pytest
from qpsdk import LOGERROR, OK, Plugin
from qpsdk.testing.qmqp_script import accept, defer, reject

FORWARD = "forward.Forward 192.0.2.1"


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK


@pytest.mark.parametrize(
    ("act", "code"), [(accept("ok"), 250), (defer("busy"), 452), (reject("no"), 552)]
)
def test_answers(smtp, fake_qmqp, log, act, code):
    """K, Z and D are passed on, and nothing is wrong with that."""
    fake_qmqp.script(act)
    client = smtp(TakeAll(), FORWARD, connect=fake_qmqp.connect)
    assert client.send(b"Subject: hello\n\nHow are you?\n").code == code
    assert log.lines(level=LOGERROR) == []


# %% tags=["static"]
pytest("test_forward.py")

# %% [markdown]
# ## Every message there is
#
# We tested with the message that we thought of. What clients send, others thought of. A *property*
# is a sentence that holds for all input, such as:
#
# > What is sent to the host arrives at the QMQP server, byte for byte, below what the host adds.
#
# [Hypothesis](https://hypothesis.readthedocs.io/) looks for input that breaks the sentence, and
# then for the smallest that does. `qpsdk.testing.strategies` draws what clients send, and what they
# should not: addresses, headers, messages, whole sessions. The settings make this page the same
# each time; yours should be another each night.

# %% tags=["static"]
# %%writefile conftest.py
from hypothesis import Phase, settings

settings.register_profile(
    "page",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=15,
    phases=(Phase.generate, Phase.shrink),
    report_multiple_bugs=False,
)
settings.load_profile("page")

# %% tags=["static"]
# %%writefile test_messages.py
from hypothesis import given
from qpsdk.testing import FakeQMQPServer, smtp, strategies
from test_forward import FORWARD, TakeAll


@given(strategies.headers())
def test_arrives(header):
    """Whatever header a message has, it arrives as it was sent."""
    message = header + b"\nHow are you?\n"
    fake = FakeQMQPServer()
    with smtp(TakeAll(), FORWARD, connect=fake.connect) as client:
        reply = client.send(message)
    assert reply.code == 250, reply
    assert fake.only_message().message.endswith(message)


# %% tags=["static"]
pytest("test_messages.py")

# %% [markdown]
# A message without a subject. It is easy to think of, now. So the second mistake is
# cured, and Hypothesis asked again:

# %% tags=["static"]
change('get("Subject")', 'get("Subject", b"")')
pytest("test_messages.py")

# %% [markdown]
# And there are bytes that are not UTF-8. A subject is what somebody sent; a log is for people:

# %% tags=["static"]
change(
    ".decode()\n        self.log",
    '.decode("utf-8", "backslashreplace")\n        self.log',
)
pytest("test_messages.py")

# %% [markdown]
# ## What holds for every plugin
#
# Some sentences are true of all plugins: each hook answers what it may; a bounce is as good as any
# message; bytes above 127 come; a client that leaves does no harm; a message of 50 MB passes in
# little memory; nothing is left behind; the log has no password. You need not write them again.
# Inherit them:

# %% tags=["static"]
# %%writefile test_contract.py
from functools import partial

from qpsdk.testing import FakeQMQPServer, PluginContract


class TestForward(PluginContract):
    """What holds for every plugin."""

    plugin = "forward.Forward", "192.0.2.1"
    fake = partial(FakeQMQPServer, keep=0)  # it keeps nothing of 50 MB either


# %% tags=["static"]
pytest("test_contract.py", "--tb=line")

# %% [markdown]
# It says what is wrong, at which line, and in which session. The cure is that of
# [chapter 6](06_streaming.md): the lengths first, then the message in blocks.

# %% tags=["static"]
change('        message = b"".join(transaction.message_blocks())\n', "")
change("len(message)", "transaction.message_size()")
change("[message]", "transaction.message_blocks()")
pytest()

# %% [markdown]
# All pass, and none needed a network.
#
# ## A dialogue as a file
#
# What a server says is a promise to others, and read more often than written. A file with the
# suffix `.smtp` is a test that says it as they see it. Write what the client says, leave an empty
# `S:` for each reply, and have them filled in:

# %% tags=["static"]
dialogue = """\
plugin: test_forward.TakeAll
plugin: queue/qmqp_forward 192.0.2.1

[the QMQP server is not there]
S:
C: HELO client.example.org
S:
C: MAIL FROM:<you@example.org>
S:
C: RCPT TO:<friend@example.com>
S:
C: DATA
S:
C: Subject: hello
C:
C: How are you?
C: .
S:
"""
Path("busy.smtp").write_text(dialogue)
pytest("busy.smtp", "--update-transcripts")
print(Path("busy.smtp").read_text())

# %% [markdown]
# Read it before you commit it: from now on it is what you promise. When the server says something
# else one day, the test says which line.
#
# ## What to test how
#
# | You want to know | Use |
# |---|---|
# | what one hook answers | `ask`, `assert_answer` |
# | what a client reads | `smtp`, or a `.smtp` file |
# | what is logged | `log`, or `capture_log` |
# | what happens when the server fails | the fake server's `script` |
# | that it holds for all input | `strategies` |
# | that it is a good neighbour | `PluginContract` |
# | that real programs agree | `host`: a real port for swaks, or your own client |
#
# ## Exercises
#
# **1.** What a client sends may be in the log, but may not forge a line of it. Ask for a subject
# that tries, folded with a tab: what does the log have? Put it into an assertion.

# %% tags=["answer"]
fake = FakeQMQPServer()
message = b"Subject: hello\n\tLOGERROR: disk full\n\nHi\n"
with_log = plugin(Forward, "192.0.2.1", qp=memory_host({}, fake.connect))
with capture_log() as log:
    await ask(with_log, "queue", transaction=transaction(message=message))
print(*log.lines(), sep="\n")
# `header.get` unfolds: the line end is gone. Were there one left, the host would escape
# it.
assert len(log.lines()) == 1

# %% [markdown]
# **2.** The server closes after 100 bytes of the package. Decide what the client should read, write
# it as a test, and see whether the first `Forward` of this chapter passes.

# %% tags=["answer"]
from qpsdk.testing.qmqp_script import close_at

reply, errors, fake = await send(HELLO, close_at(100))
# Not accepted, and worth another try: it is the host that saves the plugin, for whom an
# exception in a queue hook is "not now". A plugin of ours would have said why in the
# log.
assert 400 <= reply.code < 500
assert len(errors) == 1

# %% [markdown]
# **3.** A message has two recipients. Does the QMQP server get both, in their order?

# %% tags=["answer"]
fake = FakeQMQPServer()
async with smtp(TakeAll(), FORWARD, connect=fake.connect) as client:
    await client.send(HELLO, recipients=["ann@example.com", "ben@example.com"])
fake.only_message().assert_recipients(b"ann@example.com", b"ben@example.com")
assert len(fake.messages) == 1
