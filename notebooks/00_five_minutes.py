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
# # Five minutes
#
# A mail server asks the same few questions of every message. Who is calling? Is this recipient
# ours? What shall become of the message? In qpsdk each question is a *hook*, and a plugin is a
# class that answers some of them. Here is one of three lines:

# %%
from qpsdk import DENY, Plugin


class Quiet(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return DENY, "we like it quiet here"


# %% [markdown]
# The name says which question it answers: `hook_rcpt` is called for each `RCPT TO`, the command by
# which a client names a recipient. `DENY` is its answer.
#
# To see what a client makes of it, send a message. No server has to be started: `smtp` holds the
# whole conversation in memory, with the same code that answers real clients. A client waits for
# answers, so there is `async with`, and `await` before what it does. A notebook, such as this page,
# allows that anywhere; in a program it stands in an `async def main()`, and `asyncio.run(main())`
# runs it.

# %%
from qpsdk.testing import smtp

async with smtp(Quiet()) as client:
    await client.send("Subject: hello\n\nHow are you?\n")
    print(client.transcript)

# %% [markdown]
# `C:` is the client, `S:` the server. They greet each other, and the server lists what it can do;
# the [next chapter](01_the_dialogue.md) goes through that. Sender and recipient were made up, as we
# gave none. Then the last line: the plugin said `DENY`; the server made a reply of it, `550`, which
# tells the client not to try again, and added the plugin's words.
#
# ## No opinion
#
# Most plugins care about few messages. To all others they answer `DECLINED`, *no opinion*, and
# the next plugin is asked. The first that has an opinion decides.

# %%
from qpsdk import DECLINED, OK


class Gone(Plugin):
    """Refuse mail for those who have left."""

    def hook_rcpt(self, transaction, recipient, params):
        if recipient.user == b"bob":
            return DENY, "Bob no longer works here"
        return DECLINED


class Ours(Plugin):
    """Take mail for our domain."""

    def hook_rcpt(self, transaction, recipient, params):
        return OK if recipient.host.lower() == b"example.com" else DECLINED


async with smtp(Gone(), Ours()) as client:
    await client.command("EHLO client.example.org")
    await client.command("MAIL FROM:<sender@example.org>")
    for recipient in ("bob@example.com", "ann@example.com", "eve@example.net"):
        await client.command(f"RCPT TO:<{recipient}>")
    print(client.transcript)

# %% [markdown]
# Bob was refused by the first plugin, Ann taken by the second. For Eve nobody had an opinion.
# Then the server takes no responsibility, and says `450`: not now.
#
# ## Somewhere to go
#
# A message that is accepted must go somewhere, and that too is a plugin's decision, in the hook
# `queue`. The bundled `queue/qmqp_forward` hands it to a QMQP server, a trusted machine that
# delivers. It is named as in the settings of a server, with what it has to know: where that machine
# is. (192.0.2.1 is an address for examples; nobody has it.) A fake one stands in for it here, in
# memory as well: `connect` is how a host reaches another machine, and here it is the fake one's.

# %%
from qpsdk.testing import FakeQMQPServer

fake = FakeQMQPServer()
async with smtp(
    Gone(), Ours(), "queue/qmqp_forward 192.0.2.1", connect=fake.connect
) as client:
    reply = await client.send(
        "Subject: hello\n\nHow are you?\n",
        recipients=["bob@example.com", "ann@example.com"],
    )
    print(reply)

# %% [markdown]
# The client got its `250`, *yes*, only when the QMQP server had said that it has the message; the
# words are the fake server's. This is what arrived there, with the offset of each part on the left:

# %%
message = fake.only_message()
message.explain()

# %% [markdown]
# A message travels over QMQP as netstrings: each is a length, a colon, so many bytes, and a comma.
# Ann gets the mail, Bob does not, and the server has written on top where it came from. Addresses
# and messages are `bytes`, as on the wire: nothing is decoded that nobody asked to read.
#
# ## Where to go from here
#
# The [quick start](../quick-start.md) has a real server, a real client, and a plugin in a file. The
# chapters go step by step:
#
# - [1](01_the_dialogue.md) and [2](02_register.md): what any plugin is asked, is given, and may do.
# - [3](03_netstrings.md) to [7](07_when_things_go_wrong.md): one plugin, from its first bytes to
#   `queue/qmqp_forward` as it is shipped.
# - [8](08_testing_it.md), [9](09_your_own.md) and [10](10_in_production.md): to test a plugin, to
#   give it to others, and to run a host that strangers reach.
#
# Each says first what you should know for it, and has exercises at its end.
