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
# # Streaming
#
# You learn to forward a message of any size in a little memory: lengths first, then blocks, as
# fast as the server takes them, and with an ear for what it says meanwhile. You should know the
# [naive forwarder](05_the_naive_forwarder.md) and what it costs.

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## Lengths first
#
# A package begins with its length. The naive plugin made the whole package to learn it. But the
# length of a netstring can be known without the string:

# %%
from qpsdk import netstring

message_size = 1_000_000_000
envelope = netstring.encode(b"ann@example.org") + netstring.encode(b"bob@example.com")
length = netstring.encoded_size(message_size) + len(envelope)

print("first    ", netstring.head(length) + netstring.head(message_size))
print("then      a message of", message_size, "bytes")
print("at last  ", b"," + envelope + b",")

# %% [markdown]
# That is a package of a gigabyte, and here are all bytes of it but the message's own. The message
# has a place of its own already, the spool, so it never has to be in memory.
#
# `qmqp.Package.of` does the same sums. It also refuses an envelope that QMQP cannot carry, before
# anybody connects:

# %%
from qpsdk import QMQPError, qmqp

package = qmqp.Package.of(message_size, b"ann@example.org", [b"bob@example.com"])
print(package.head, package.tail)
assert package.tail == b"," + envelope + b","

for sender, recipients in [(b"ann@example.org", []), (b"ann\n@example.org", [b"bob"])]:
    try:
        qmqp.Package.of(message_size, sender, recipients)
    except QMQPError as error:
        print(type(error).__name__, error)

# %% [markdown]
# So the new plugin begins with a new `package`. These are its final words: they stand in
# `qpsdk/plugins/queue/qmqp_forward.py`, the plugin that comes with qpsdk. The LF that may be
# missing at the end has to be counted now before it is sent, so it has a function of its own.

# %%
# queue/qmqp_forward.py
from qpsdk import Plugin, Transaction


class QMQPForward(Plugin):
    """Hand a message to a QMQP server; its K is our OK, its Z DENYSOFT, its D DENY."""

    def package(self, transaction: Transaction) -> qmqp.Package:
        """All that goes before and after the message; its lengths are known by now."""
        assert transaction.sender is not None
        return qmqp.Package.of(
            transaction.message_size() + len(last_lf(transaction)),
            transaction.sender.unquoted,
            [recipient.unquoted for recipient in transaction.recipients],
            smtputf8=transaction.smtputf8,
        )


def last_lf(transaction: Transaction) -> bytes:
    """The LF that a plugin left off the last line; qmail cannot deliver without it."""
    return b"" if transaction.ends_in_lf() else b"\n"


# %% [markdown]
# The rest of the class is as it was in the naive plugin, but for one thing. What is done with the
# stream is left to a function, `deliver`. It is given the message as something to iterate over:
# the blocks of the spool, and the last LF.

# %%
from itertools import chain

from qpsdk import DENY, DENYSOFT, LOGERROR, OK, StreamError

ANSWERS = {
    qmqp.Verdict.ACCEPTED: OK,
    qmqp.Verdict.DEFERRED: DENYSOFT,
    qmqp.Verdict.REJECTED: DENY,
}


class QMQPForward(QMQPForward):
    def register(self, qp, server, port=""):
        self.server = qmqp.parse_server(server, port)

    async def hook_queue(self, transaction):
        try:
            response = await self.send(self.package(transaction), transaction)
        except (QMQPError, StreamError) as error:
            self.log(LOGERROR, f"{self.server}: {error}")
            return DENYSOFT, "Cannot queue the message now, try again later"
        return ANSWERS[response.verdict], response.text.decode("ascii", "replace")

    async def send(self, package, transaction):
        stream = await self.qp.connect(
            self.server,
            connect_timeout=qmqp.CONNECT_TIMEOUT,
            io_timeout=qmqp.IO_TIMEOUT,
            session_timeout=qmqp.SESSION_TIMEOUT,
        )
        message = chain(transaction.message_blocks(), [last_lf(transaction)])
        try:
            return await deliver(stream, package, message, transaction.hand_over)
        finally:
            stream.abort()


# %% [markdown]
# ## Then blocks
#
# The first `deliver` that comes to mind: head, blocks, tail, answer.


# %%
async def deliver(stream, package, message, hand_over):
    stream.write(package.head)
    for block in message:
        stream.write(block)
    hand_over()
    stream.write(package.tail)
    return await response_from(stream)


async def response_from(stream):
    decoder = qmqp.ResponseDecoder()
    while data := await stream.read():
        if (response := decoder.feed(data)) is not None:
            return response
    raise decoder.finish()


# %% [markdown]
# We measure it as we measured the naive one, by the same function.

# %%
import tracemalloc

from qpsdk import DECLINED
from qpsdk.testing import FakeQMQPServer, smtp


class TakeAll(Plugin):
    """Take every recipient, so that there is something to queue."""

    def hook_rcpt(self, transaction, recipient, params):
        return OK


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


FORWARD = "__main__.QMQPForward 192.0.2.1"

for megabytes in 1, 2, 4, 8:
    most = await peak(FORWARD, megabytes * 1_000_000)
    print(f"{megabytes} MB to forward: {most:.0f} MB in use")

# %% [markdown]
# Twice is better than three times, and just as bad: it grows with the message. Why? `write` never
# waits. It puts the block into the stream's buffer and returns, so the loop reads the whole spool
# into that buffer before the server has taken its first byte. (Twice, because the other end of a
# connection in memory has a buffer here, too.)
#
# ## Back-pressure
#
# The slower side has to set the pace. `await stream.drain()` returns when there is room in the
# buffer again. If the server is slow to read, the network fills up, then our buffer; then `drain`
# waits, and nothing is read from the spool. That is *back-pressure*:
#
# <!-- diagram: pressure -->


# %%
async def deliver(stream, package, message, hand_over):
    stream.write(package.head)
    for block in message:
        stream.write(block)
        await stream.drain()
    hand_over()
    stream.write(package.tail)
    return await response_from(stream)


for megabytes in 1, 2, 4, 8:
    most = await peak(FORWARD, megabytes * 1_000_000)
    print(f"{megabytes} MB to forward: {most:.0f} MB in use")

# %% [markdown]
# One more line, and what is in use, a few blocks, rounds to nothing.
#
# ## The same on the wire
#
# Does it still send what the naive plugin sends? Let one plugin ask both, with the same
# transaction, and compare every byte that came.

# %%
from qpsdk.plugins.queue.qmqp_forward_naive import NaiveQMQPForward


class Both(Plugin):
    def register(self, qp):
        self.plugins = NaiveQMQPForward(), QMQPForward()
        for plugin in self.plugins:
            plugin.attach(qp)  # the host does so when it loads one
            plugin.register(qp, "192.0.2.1")

    async def hook_queue(self, transaction):
        for plugin in self.plugins:
            answer = await plugin.hook_queue(transaction)
        return answer


fake = FakeQMQPServer()
async with smtp(TakeAll(), Both(), connect=fake.connect) as client:
    for size in 0, 1, 1_000, 65_535, 65_536, 65_537, 1_000_000:
        await client.send(b"Subject: hello\n\n" + b"x" * size + b"\n")

for naive, streamed in zip(fake.messages[::2], fake.messages[1::2], strict=True):
    assert naive.raw == streamed.raw
    streamed.assert_canonical()
print(len(fake.messages), "packages, in pairs the same to the byte")

# %% [markdown]
# Some of the sizes are around that of a block, where such code goes wrong.
#
# ## A server that interrupts
#
# QMQP's text says that a server answers after the package. Real ones speak up as soon as they
# know. Postfix says `D` to a message that is over its limit when it has read the length, and
# closes. What does our client hear of it?

# %%
from qpsdk.testing.qmqp_script import reject


class ShowLog(Plugin):
    def hook_logging(self, *line):
        _, _, level, _, _, text = line
        print(level.name, text)
        return OK


async def send_to(*acts):
    fake = FakeQMQPServer()
    fake.script(*acts)
    async with smtp(ShowLog(), TakeAll(), FORWARD, connect=fake.connect) as client:
        print(await client.send(b"Subject: big\n\n" + b"x" * 1_000_000 + b"\n"))
    print("read by the server:", fake.connections[0].size, "bytes")


await send_to(reject("5.3.4 too big for us", at=1_000))

# %% [markdown]
# *Try again later.* So the client will, for days, with a megabyte each time, and its user will
# learn on Friday what the server said on Monday. The server had closed with our bytes unread,
# which resets the connection; `drain` failed, and nobody read the answer that had come before.
#
# The cure is to listen while talking. `drain(until_input=True)` returns also when something has
# come, and then the rest is not sent. `flush` is `drain` for the whole buffer: what is left of the
# message goes out, and only then the tail.


# %%
async def deliver(stream, package, message, hand_over):
    stream.write(package.head)
    for block in message:
        stream.write(block)
        await stream.drain(until_input=True)
        if stream.input_waiting:
            return await response_from(stream)
    await stream.flush(until_input=True)
    if stream.input_waiting:
        return await response_from(stream)
    hand_over()
    stream.write(package.tail)
    return await response_from(stream)


await send_to(reject("5.3.4 too big for us", at=1_000))

# %% [markdown]
# The user learns on Monday.
#
# ## What remains
#
# `deliver` has come to be a dozen lines, and is not done. What if a server says `K` when it has
# half of the message? If the message is not as long as was announced? If the connection breaks,
# and the answer had arrived just before? `qmqp.deliver` is this function with all such care. It
# takes what ours takes:

# %%
from qpsdk.qmqp import deliver

await send_to(reject("5.3.4 too big for us", at=1_000))

for megabytes in 1, 2, 4, 8:
    most = await peak(FORWARD, megabytes * 1_000_000)
    print(f"{megabytes} MB to forward: {most:.0f} MB in use")

# %% [markdown]
# Here is the plot again, measured with real hosts and Postfix's `qmqp-sink`. The flat line is
# what you have now.

# %% tags=["static"]
from IPython.display import SVG

SVG("../docs/assets/naive-memory.svg")

# %% tags=["static"]
import json
from pathlib import Path

measured = json.loads(Path("../docs/assets/naive-memory.json").read_text())["plugins"]
naive, streaming = (
    {int(size): max(runs["peak_mb"]) for size, runs in by_size.items()}
    for by_size in (
        measured["queue/qmqp_forward_naive"],
        measured["queue/qmqp_forward"],
    )
)
print("message, bytes   naive, MB   streaming, MB")
for size in naive:
    print(f"{size:14,} {naive[size]:11.0f} {streaming[size]:15.0f}")

# %% [markdown]
# A host that forwards 200 MB is as large as one that forwards a line. It is faster, too: the
# server works while we are still sending.
#
# All this was for servers that behave. [The next chapter](07_when_things_go_wrong.md) is for the
# others.
#
# ## Exercises
#
# **1.** How many bytes does QMQP add to a message of 10 MB for 1,000 recipients, each
# `user0000@example.com` or alike? First estimate it.

# %% tags=["answer"]
recipients = [b"user%04d@example.com" % number for number in range(1_000)]
package = qmqp.Package.of(10_000_000, b"ann@example.org", recipients)
added = package.size - package.message_size
print(added, "bytes")
# 24 bytes for each recipient. The message travels once for all of them.
assert added == 1_000 * len(b"20:user0000@example.com,") + 39

# %% [markdown]
# **2.** Announce a message of 100,000 bytes, and give `qmqp.deliver` only 70,000. What does it
# do, and what does the server have in the end?

# %% tags=["answer"]
from qpsdk import Endpoint

fake = FakeQMQPServer()
stream = await fake.connect(Endpoint("192.0.2.1", 628), connect_timeout=5, io_timeout=5)
package = qmqp.Package.of(100_000, b"ann@example.org", [b"bob@example.com"])
try:
    await qmqp.deliver(stream, package, [b"x" * 35_000, b"x" * 35_000])
except QMQPError as error:
    print(error)
stream.abort()
await fake.close()
# It did not send the tail: the server would read the envelope as a part of the message.
# Without its last byte the package is not whole, and the server discards it.
assert fake.messages == []
assert len(fake.discarded) == 1
