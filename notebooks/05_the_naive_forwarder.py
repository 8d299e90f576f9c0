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
# # The naive forwarder
#
# You learn to write a queue plugin that hands each message to a QMQP server, and to measure what
# it costs. You should know [register()](02_register.md) and what a
# [QMQP package](04_qmqp.md) is.

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## What is there to forward?
#
# The hook `queue` is asked when a message has come, all of it. It is given the *transaction*:
# the envelope, and the message as it lies in our *spool*, which is memory for a small message and
# a file for a large one. Before we send anything, let us look at what we have.

# %%
from qpsdk import OK, Plugin
from qpsdk.testing import smtp


class TakeAll(Plugin):
    """Take every recipient, so that there is something to queue."""

    def hook_rcpt(self, transaction, recipient, params):
        return OK


class Look(Plugin):
    """Print what a queue plugin is given, and throw it away."""

    def hook_queue(self, transaction):
        print("sender    ", transaction.sender.address)
        for recipient in transaction.recipients:
            print("recipient ", recipient.address)
        for block in transaction.message_blocks():
            print("block     ", block[:9], "...", block[-14:])
        return OK, "seen"


MESSAGE = "Subject: hello\n\nHow are you?\n"

async with smtp(TakeAll(), Look()) as client:
    reply = await client.send(
        MESSAGE, recipients=["ann@example.com", "bob@example.com"]
    )
    print(reply)

# %% [markdown]
# Addresses are `bytes`, without angle brackets. The message comes in *blocks*: first the header,
# to which the host has added its `Received:`, then the body, 64 KB at a time. All lines end in
# LF, as QMQP wants it; the host has seen to that.
#
# ## The answers
#
# A QMQP server says `K`, `Z` or `D`, and our client waits for 250, a 4xx or a 5xx. So the first
# thing to write is a dictionary, from one language to the other.

# %%
# queue/qmqp_forward_naive.py
from qpsdk import DENY, DENYSOFT, qmqp

ANSWERS = {
    qmqp.Verdict.ACCEPTED: OK,
    qmqp.Verdict.DEFERRED: DENYSOFT,
    qmqp.Verdict.REJECTED: DENY,
}

# %% [markdown]
# A cell that begins with the name of a file is a part of that file, word for word. When this
# chapter ends you will have written `qpsdk/plugins/queue/qmqp_forward_naive.py`, which comes with
# the package; a test holds the two equal. The file's code has type annotations, as all code of
# the package does. A plugin needs none.
#
# ## The server
#
# The line in `config/plugins` names the server. `parse_server` knows all the ways to write one,
# and complains of the rest before the host starts.

# %%
# queue/qmqp_forward_naive.py
from qpsdk import Host


class NaiveQMQPForward(Plugin):
    """Join the message, wrap it in netstrings, write it at once."""

    def register(self, qp: Host, server: str, port: str = "") -> None:
        """Take the one server that there is."""
        self.server = qmqp.parse_server(server, port)


# %% [markdown]
# ## The package
#
# A package is the message, the sender and each recipient as netstrings, one after the other, and
# a netstring around them all. `netstring.encode` does the rest.
#
# There are two traps. QMQP leaves it open whether the last line ends in LF, but qmail cannot
# deliver a message whose last line does not. A client's always does; a plugin that writes to the
# body may forget. And SMTP has some addresses in quotes, as `"ann lee"@example.org`. QMQP has no
# quotes: to its servers they would be a part of the name. So the addresses are sent `unquoted`.

# %%
# queue/qmqp_forward_naive.py
from qpsdk import Transaction, netstring


class NaiveQMQPForward(NaiveQMQPForward):
    def package(self, transaction: Transaction) -> bytes:
        """The message, the sender and each recipient as netstrings, all in one more."""
        assert transaction.sender is not None
        message = b"".join(transaction.message_blocks())
        if message and not message.endswith(b"\n"):
            message += b"\n"
        sender = transaction.sender.unquoted
        recipients = [recipient.unquoted for recipient in transaction.recipients]
        parts = [message, sender, *recipients]
        return netstring.encode(b"".join(map(netstring.encode, parts)))


# %% [markdown]
# A class cannot be continued in another cell, but `class X(X)` comes close: it is the old class
# with one more method. In the file all methods stand under one `class`.
#
# Does it do what we think? Here is a version that makes the package and only looks at it. The
# address 192.0.2.1 is one for examples; nobody has it.


# %%
class Packed(NaiveQMQPForward):
    def hook_queue(self, transaction):
        package = self.package(transaction)
        print(package[:8], "...", package[-66:])
        return OK


async with smtp(TakeAll(), "__main__.Packed 192.0.2.1") as client:
    await client.send(MESSAGE, recipients=["ann@example.com", "bob@example.com"])

# %% [markdown]
# In front stand two lengths, of the package and of the message. The comma after the body ends the
# message; sender and recipients follow, and the last comma ends the package.
#
# ## To the server and back
#
# A plugin opens no socket. The host lends it `self.qp.connect`, which gives a *stream*: `write`
# queues bytes, `await read()` gives what has come, and nothing once the server has closed. On a
# real host the stream is a socket, in a test it is memory; the plugin cannot tell.


# %%
# queue/qmqp_forward_naive.py
class NaiveQMQPForward(NaiveQMQPForward):
    async def send(self, transaction: Transaction) -> qmqp.Response:
        """One connection: write, then read until there is an answer."""
        package = self.package(transaction)
        stream = await self.qp.connect(
            self.server,
            connect_timeout=qmqp.CONNECT_TIMEOUT,
            io_timeout=qmqp.IO_TIMEOUT,
            session_timeout=qmqp.SESSION_TIMEOUT,
        )
        try:
            transaction.hand_over()
            stream.write(package)
            decoder = qmqp.ResponseDecoder()
            while data := await stream.read():
                if (response := decoder.feed(data)) is not None:
                    return response
            raise decoder.finish()
        finally:
            stream.abort()


# %% [markdown]
# The answer may come in any slices, so a decoder collects it. If the server closes before it is
# whole, `decoder.finish()` knows what to say. `hand_over()` tells the host that from here on
# somebody else may have the message; what that is good for is the matter of
# [chapter 7](07_when_things_go_wrong.md).
#
# The hook itself is what is left. Whatever goes wrong, our client is told to try again. It keeps
# the message, so nothing is lost.

# %%
# queue/qmqp_forward_naive.py
from qpsdk import LOGERROR, QMQPError, Result, StreamError


class NaiveQMQPForward(NaiveQMQPForward):
    async def hook_queue(self, transaction: Transaction) -> Result:
        """Tell our client what the server said; without an answer, to come again."""
        try:
            response = await self.send(transaction)
        except (QMQPError, StreamError) as error:
            self.log(LOGERROR, f"{self.server}: {error}")
            return DENYSOFT, "Cannot queue the message now, try again later"
        return ANSWERS[response.verdict], response.text.decode("ascii", "replace")


# %% [markdown]
# ## It works
#
# The fake server lends its `connect` to the host. By its script it accepts, then says *later*, then
# *never*, and to the fourth connection it is not there.
# What the plugin logs would go to standard error; a plugin on the hook `logging` prints it here.

# %%
from qpsdk.testing import FakeQMQPServer
from qpsdk.testing.qmqp_script import accept, defer, refuse, reject

NAIVE = "__main__.NaiveQMQPForward 192.0.2.1"


class ShowLog(Plugin):
    def hook_logging(self, *line):
        _, _, level, _, _, text = line
        print(level.name, text)
        return OK


fake = FakeQMQPServer()
fake.script(accept("queued as 1"), defer("disk full"), reject("no"), refuse())

async with smtp(ShowLog(), TakeAll(), NAIVE, connect=fake.connect) as client:
    for _ in range(4):
        print(await client.send(MESSAGE))

# %% [markdown]
# Nobody listens at the fourth try, so our client is told to come again. One message was accepted,
# and it arrived whole:

# %%
message = fake.only_message()
message.assert_sender(b"sender@example.org")
message.assert_recipients(b"recipient@example.com")
message.assert_lf_only()
message.assert_canonical()
print(message.message_size, "bytes in a package of", message.size)

# %% [markdown]
# Sixty lines of Python, and they forward mail. With `queue/qmqp_forward_naive 192.0.2.1` in
# `config/plugins` they would do so on a real host. Are we done?
#
# ## What does it cost?
#
# `package` joins the blocks of the message that the spool had so carefully kept apart. To see
# what that means, count. Python's `tracemalloc` knows how much memory has been asked for; a
# plugin in front of the forwarder starts it, so that it counts what the forwarder does, and
# nothing of what came before.

# %%
import tracemalloc

from qpsdk import DECLINED


class StartCounting(Plugin):
    def hook_queue(self, transaction):
        tracemalloc.start()
        return DECLINED


async def peak(plugin, size):
    """Megabytes in use at most while a plugin forwards a message of `size` bytes."""
    fake = FakeQMQPServer(keep=0)  # it checks what it gets, and keeps nothing of it
    message = b"Subject: big\n\n" + b"x" * (size - 15) + b"\n"
    plugins = TakeAll(), StartCounting(), plugin
    async with smtp(*plugins, connect=fake.connect) as client:
        reply = await client.send(message)
        assert reply.accepted, reply
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most / 1_000_000


for megabytes in 1, 2, 4, 8:
    most = await peak(NAIVE, megabytes * 1_000_000)
    print(f"{megabytes} MB to forward: {most / megabytes:.0f} times as much in use")

# %% [markdown]
# While the outer netstring is made there are the message, all parts in a
# row, and the package, each as long as the message. And the server has not seen one byte: the
# first is sent when the last copy is made.
#
# What does that do to a whole host? This was measured with real processes and sockets, and
# Postfix's `qmqp-sink` as the server (`make bench ARGS=naive-memory`). Each dot is a host of its
# own, and both axes are logarithmic:

# %% tags=["static"]
from IPython.display import SVG

SVG("../docs/assets/naive-memory.svg")

# %% [markdown]
# The dashed line is our plugin. In numbers:

# %% tags=["static"]
import json
from pathlib import Path

measured = json.loads(Path("../docs/assets/naive-memory.json").read_text())
print("measured on", measured["time"][:10], "with Python", measured["python"])
print("message, bytes   host, MB   seconds")
for size, runs in measured["plugins"]["queue/qmqp_forward_naive"].items():
    megabytes, seconds = max(runs["peak_mb"]), min(runs["seconds"])
    print(f"{int(size):14,} {megabytes:10.0f} {seconds:9.4f}")

# %% [markdown]
# Up to 100 KB nobody would notice, and most mail is smaller. But the sender decides on the size,
# up to `config/databytes` if there is such a file, and several may send at once: twenty clients
# with 100 MB each are 6 GB. Then the system kills the host, and with it every other conversation.
# A mail server that anyone can end by sending mail is not one.
#
# The other line is flat. It is [the next chapter](06_streaming.md).
#
# ## Exercises
#
# **1.** A bounce has an empty sender, written `MAIL FROM:<>`. What does the package hold in its
# place? Predict it, then look.

# %% tags=["answer"]
fake = FakeQMQPServer()
async with smtp(TakeAll(), NAIVE, connect=fake.connect) as client:
    await client.send(MESSAGE, sender="")
package = fake.only_message().raw
print(package[-29:])
# The netstring of nothing. Without it the recipient would be taken for the sender.
assert package.endswith(b"\n,0:,21:recipient@example.com,,")

# %% [markdown]
# **2.** Write a plugin that appends a footer to each message in the hook `data_post`, which is
# given the transaction: with `transaction.body_write`, and without an LF at its end. Show that the
# message arrives with one.


# %% tags=["answer"]
class Footer(Plugin):
    def hook_data_post(self, transaction):
        transaction.body_write(b"-- \nsent by a robot")
        return DECLINED


fake = FakeQMQPServer()
async with smtp(TakeAll(), Footer(), NAIVE, connect=fake.connect) as client:
    await client.send(MESSAGE)
message = fake.only_message()
print(message.message[-32:])
message.assert_lf_only()
assert message.message.endswith(b"\n-- \nsent by a robot\n")

# %% [markdown]
# **3.** Change `package` so that it needs less memory, without a single change to the bytes.
# How far down can you get?


# %% tags=["answer"]
class Thrifty(NaiveQMQPForward):
    def package(self, transaction):
        size = transaction.message_size()
        parts = [transaction.sender, *transaction.recipients]
        envelope = b"".join(netstring.encode(part.unquoted) for part in parts)
        length = netstring.encoded_size(size) + len(envelope)
        head = netstring.head(length) + netstring.head(size)
        blocks = list(transaction.message_blocks())
        return b"".join([head, *blocks, b",", envelope, b","])


most = await peak("__main__.Thrifty 192.0.2.1", 8_000_000)
print(f"{most / 8:.0f} times as much in use")
# One join instead of three: the blocks, and the package made of them. (The last LF is
# left out here.) As long as a package is in one piece, it takes its own length. But the
# lengths were known before a byte of the message was read. That is the way out.
assert most < 17
