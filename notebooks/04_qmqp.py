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
# # QMQP
#
# You learn how a mail server hands a message to the one that stores it: what goes over the wire,
# what comes back, and what is promised by it. You should know what a hook returns
# ([The dialogue](01_the_dialogue.md)) and what a netstring is ([Netstrings](03_netstrings.md)).

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## Why another protocol?
#
# The server at the door judges: who may send, and to whom? Another one, behind it, stores what
# was taken, delivers it, and tries again for days if it must. How do messages get from one to the
# other? By SMTP, they could; but that is made for strangers. It goes back and forth for the
# greeting, for the sender, for each recipient, and each may be refused.
#
# Between machines that trust each other there is less to say. In
# [QMQP](https://cr.yp.to/proto/qmqp.html), the Quick Mail Queueing Protocol, the client sends one
# *package*, the server one answer, and that is all:
#
# <!-- diagram: turns -->
#
# (With `PIPELINING` an SMTP client waits less often. It asks as many questions.) qmail and Postfix
# have such servers. There is no password and no encryption in it: it belongs on a loopback
# interface or into a VPN.
#
# ## A package, piece by piece
#
# What does the server have to know? The message, and the envelope. All of it is bytes; lines of
# the message end in LF, one byte, where SMTP has two. Addresses come without angle brackets.

# %% tags=["program"]
message = b"Subject: hello\n\nHow are you?\n"
sender = b"sender@example.org"
recipients = [b"ann@example.com", b"ben@example.com"]

# %% [markdown]
# Each becomes a netstring: first the message, then the sender, then each recipient.

# %%
from qpsdk import netstring
from qpsdk.explain import explain

inside = netstring.encode(message)
inside += netstring.encode(sender)
for recipient in recipients:
    inside += netstring.encode(recipient)
explain(inside)

# %% [markdown]
# How many recipients are there? A server that reads this cannot know whether another is to come.
# So all of it goes into one more netstring. When that ends, the list does.

# %% tags=["program"]
from qpsdk import netstring


def build(message, sender, recipients):
    parts = (message, sender, *recipients)
    return netstring.encode(b"".join(netstring.encode(part) for part in parts))


# %% tags=["program"]
package = build(message, sender, recipients)

# %%
explain(package, package=True)

# %% [markdown]
# That is the whole protocol in one direction: lengths are bold, what they count is shaded, and
# on the left is the offset. `package=True` says what it is meant to be. So what is missing is
# reported, as here, where the outer netstring was forgotten:

# %%
explain(inside, package=True)

# %% [markdown]
# When does a server have the message? It reads a byte at a time, in the worst case. Do the same,
# with the decoder of the package's own server:

# %%
from qpsdk import qmqp

decoder = qmqp.PackageDecoder()
for number, byte in enumerate(package, start=1):
    received = decoder.feed(bytes([byte]))
    if received is not None:
        print(f"whole with byte {number} of {len(package)}")
print(received.sender, received.recipients)

# %% [markdown]
# With the last byte, and not before. Remember it: that comma is the moment at which the message
# may change hands.
#
# `qmqp.Package` makes the same bytes, in three parts: all that is before the message, the
# message, all that is after it. It needs the *size* of the message only, so a large one need not
# be in memory. A later chapter makes use of that.

# %%
parts = qmqp.Package.of(len(message), sender, recipients)
print(parts.head)
print(parts.tail)
assert parts.head + message + parts.tail == package

# %% [markdown]
# It also refuses what must not be sent, such as a package for nobody. The specification says *one
# or more* recipients; but qmail's server takes a package with none, says yes, and the message is
# gone.

# %%
from qpsdk import QMQPError

for nobody in ([], [b""], [b"ann\n@example.com"]):
    try:
        qmqp.Package.of(len(message), sender, nobody)
    except QMQPError as error:
        print(error)

# %% [markdown]
# ## Say it to a server
#
# A fake one, in memory, as strict as the specification. `connect` gives a stream to it, whatever
# address it is asked for. Write the package, and read until the server closes:

# %% tags=["program"]
from qpsdk import Endpoint
from qpsdk.testing import FakeQMQPServer


async def exchange(server, package):
    """Send the package over a fresh connection; all that comes back."""
    to = Endpoint("192.0.2.1", 628)
    stream = await server.connect(to, connect_timeout=5, io_timeout=5)
    stream.write(package)
    answer = b""
    while data := await stream.read():
        answer += data
    stream.abort()
    return answer


# %%
fake = FakeQMQPServer()
print(await exchange(fake, package))

# %% [markdown]
# The answer is a netstring too. Its first byte is what counts: `K`. The rest is for people. And
# the server has the message:

# %%
captured = fake.only_message()
print(captured.message.decode())
captured.assert_recipients(b"ann@example.com", b"ben@example.com")

# %% [markdown]
# ## K, Z, D
#
# There are three answers: `K`, I have it. `Z`, not now, try again later. `D`, never, do not try
# again. A *script* tells the fake server what to do, an act for each connection. Have it say each
# of them:

# %% tags=["program"]
from qpsdk.testing.qmqp_script import accept, defer, reject

fake = FakeQMQPServer()
fake.script(accept("queued as 17"), defer("the disk is full"), reject("too large"))
for _ in range(3):
    print(await exchange(fake, package))

# %% [markdown]
# That looks familiar: `OK`, `DENYSOFT`, `DENY`. A plugin that forwards mail need only pass it on.
# The bundled `queue/qmqp_forward` does so. This is what a client hears:

# %% tags=["program"]
from qpsdk import OK, Plugin
from qpsdk.testing import smtp


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK


async def send(server, *users):
    """Send a message by SMTP to a host that forwards it; the last reply."""
    plugins = [TakeAll(), "queue/qmqp_forward 192.0.2.1"]
    async with smtp(*plugins, connect=server.connect) as client:
        addresses = [f"{user}@example.com" for user in users]
        return await client.send(
            "Subject: hello\n\nHow are you?\n", recipients=addresses
        )


# %% tags=["program"]
fake.script(accept("queued as 17"), defer("the disk is full"), reject("too large"))
for _ in range(3):
    print(await send(fake, "ann", "ben"))

# %% [markdown]
# What if it says something else? That happens: a server crashes half-way, or another service
# listens on that port. Here are some bad answers, and what `qmqp.deliver` makes of them, the
# function that the plugin uses:

# %%
from qpsdk.testing.qmqp_script import answer, empty, leading_zeros, no_reply, unknown

fake.script(empty(), unknown("X"), leading_zeros(), answer("220 ready\r\n"), no_reply())
for _ in range(5):
    to = Endpoint("192.0.2.1", 628)
    stream = await fake.connect(to, connect_timeout=5, io_timeout=5)
    try:
        print(await qmqp.deliver(stream, parts, [message]))
    except QMQPError as error:
        print(f"{type(error).__name__}\n    {error}")
    stream.abort()

# %% [markdown]
# None of these is a yes. *It may have been accepted* is not pessimism, as the rest of this
# chapter shows.
#
# ## One answer for all
#
# A message goes to Ann, to Ben, and to Zoe, who does not exist. In SMTP each `RCPT TO` has an
# answer of its own. A QMQP server can say one thing only. If it says `D` because of Zoe:

# %%
fake.script(reject("no mailbox here by that name: zoe"))
print(await send(fake, "ann", "ben", "zoe"))

# %% [markdown]
# Ann and Ben get nothing, either. So servers do not do that: they say `K`, and for Zoe they send
# a bounce to the sender. In spam the sender's address is forged. The bounce then goes to somebody
# who has sent nothing, and your server is a nuisance to the world.
#
# The conclusion is about *our* side. Before the package is built, each recipient must have been
# checked, by a plugin in `hook_rcpt`. There Zoe alone can be refused, in time:

# %%
from qpsdk import DENY


class Mailboxes(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        if recipient.user not in (b"ann", b"ben"):
            return DENY, "no mailbox here by that name"
        return OK


fake = FakeQMQPServer()
plugins = [Mailboxes(), "queue/qmqp_forward 192.0.2.1"]
async with smtp(*plugins, connect=fake.connect) as client:
    everybody = ["ann@example.com", "zoe@example.com", "ben@example.com"]
    print(await client.send("Subject: hello\n\nHow are you?\n", recipients=everybody))
print(fake.only_message().recipients)

# %% [markdown]
# ## What K promises
#
# Whoever says yes to a message answers for it: deliver it to all recipients, or tell the sender,
# and do not lose it because the machine crashes a moment later (RFC 5321, 4.2.5 and 6.1). With `K`
# that passes from us to the QMQP server; with our 250 it has passed from our client to us. So
# the order is fixed: first their `K`, then our 250. And if there is no `K`? Two cases look alike,
# and are not.
#
# **The connection breaks before the last byte.** Let the server break it there:

# %% tags=["program"]
from qpsdk.testing.qmqp_script import close_at, cut_reply

fake = FakeQMQPServer()
fake.script(close_at(len(package) - 1))
print("answer:  ", await exchange(fake, package))
print("accepted:", fake.connections[0].accepted)

# %% [markdown]
# What is not whole must be thrown away; so the specification says to servers. Nobody has the
# message but us, and we may try another server at once.
#
# **The connection breaks after the last byte.** Here the server has taken the message, and what
# it said gets lost on the way:

# %% tags=["program"]
fake = FakeQMQPServer()
fake.script(cut_reply(0), accept())
print("answer:  ", await exchange(fake, package))
print("accepted:", fake.connections[0].accepted)

# %% [markdown]
# From the outside this is the same as before: a connection that closed. But the server has
# queued the message. What should a client do, which cannot know that? Send it again?

# %% tags=["program"]
await exchange(fake, package)
print(len(fake.messages), "messages for Ann")

# %% [markdown]
# Ann has it twice. Not to send it again might have meant: not at all. There is no third way; no
# protocol can have one. Mail prefers twice to never, but no more often than it must. So what a
# client may do depends on how far it has come:
#
# <!-- diagram: tail -->
#
# A plugin that has sent the last byte and got no answer says `DENYSOFT`, and the SMTP client, which
# still has the message, comes again later. What `DECLINED` would do,
# [chapter 7](07_when_things_go_wrong.md) tries.

# %%
fake = FakeQMQPServer()
fake.script(cut_reply(0))
print(await send(fake, "ann"))

# %% [markdown]
# You now know all that a forwarder has to do. In the next chapters we write one.
#
# ## Exercises
#
# **1.** A bounce has an empty sender. Build the package of a bounce to `ann@example.com`, and have
# the fake server take it.

# %% tags=["answer"]
bounce = build(b"Subject: not delivered\n\nSorry.\n", b"", [b"ann@example.com"])
fake = FakeQMQPServer()
assert (await exchange(fake, bounce)).endswith(b",")
fake.only_message().assert_sender(b"")
print(explain(bounce, package=True))

# %% [markdown]
# **2.** Write `verdict(answer)`: it takes the bytes of an answer and returns `OK`, `DENYSOFT` or
# `DENY`. For whatever is no answer it returns what is safe.

# %% tags=["answer"]
from qpsdk import DENYSOFT, NetstringError


def verdict(answer):
    try:
        text = netstring.decode(answer)
    except NetstringError:
        return DENYSOFT
    return {b"K": OK, b"D": DENY}.get(text[:1], DENYSOFT)


for data in [b"3:Kok,", b"5:Zbusy,", b"3:Dno,", b"", b"3:Kok", b"0:,", b"K", b"2:Xx,"]:
    print(data, "->", verdict(data).name)
assert verdict(b"3:Kok,") is OK
assert verdict(b"3:Dno,") is DENY
assert all(verdict(data) is DENYSOFT for data in [b"5:Zbusy,", b"", b"3:Kok", b"K"])

# %% [markdown]
# **3.** How many bytes more is the package for each further recipient, `user17@example.com`?
# Calculate it, then compare with `qmqp.Package.of(...).size` for 100 and 101 of them.

# %% tags=["answer"]
many = [b"user17@example.com"] * 101
more = netstring.encoded_size(len(b"user17@example.com"))
sizes = [qmqp.Package.of(10_000, b"", many[:count]).size for count in (100, 101)]
print(more, sizes)
assert sizes[1] - sizes[0] == more
