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
# # The dialogue
#
# You learn what a mail server is asked, which hook answers, and what each answer becomes on the
# wire. You should know Python; what `async` means in detail does not matter yet.
#
# This line is the whole set-up. If it prints a version, all below will run:

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## What does a server say by itself?
#
# The *host* is the program that speaks SMTP and asks the plugins. Let a client talk to one that has
# no plugin at all.

# %%
from qpsdk.testing import smtp

async with smtp() as client:
    await client.send("Subject: hello\n\nHow are you?\n")
    print(client.transcript)

# %% [markdown]
# SMTP is a dialogue of lines. The client gives a command, the server a *reply*: a number of three
# digits and a text for people. The first digit is the verdict. 2 is yes, 3 is *go on*, 4 is *not
# now, try again*, 5 is *never, do not try again*. The second number, such as `2.1.0`, says the
# same once more and in finer steps; the replies to a greeting have none.
#
# The server greets first. The client says its name: `EHLO`, or `HELO` as in the SMTP of 1982. To
# `EHLO` the server answers with a line for each thing that it can do beyond that; a `-` after the
# number says that another line follows. `PIPELINING` lets a client send commands without waiting
# for the replies, with `SIZE` it may say how large its message is. `8BITMIME` and `SMTPUTF8` let
# bytes above 127 into messages and addresses, `ENHANCEDSTATUSCODES` are the second numbers.
#
# `MAIL FROM` and `RCPT TO` name the sender and the recipients of this delivery. Together they
# are the *envelope*. As on paper, it need not agree with the letter inside.
#
# Our host greeted, listened, and then said `450`: nobody had told it for whom it may take mail.
# Telling it is what plugins are for.
#
# ## Each step is a hook
#
# At each step of the dialogue the host asks its plugins. Such a question is a *hook*. The package
# has one table of all hooks, and everything that knows about hooks reads it, this page too:

# %%
from qpsdk.hooks import HOOKS

for name in ["connect", "ehlo", "mail", "rcpt", "data", "queue", "quit"]:
    hook = HOOKS[name]
    print(f"{name:8}{hook.meaning}")
    print(f"        hook_{name}(self, {', '.join(hook.arguments)})")

# %% [markdown]
# A plugin answers a hook with a method of that name, and is given those arguments. A *connection*
# is one client; a *transaction* is one message on its way, with its envelope. A connection may
# carry several transactions, one after the other. `params` is what the client has put behind an
# address, such as `SIZE=1000`.
#
# <!-- diagram: lifetimes -->
#
# `notes` are where a plugin keeps what belongs to one of them;
# [the next chapter](02_register.md#where-to-keep-what) needs them.
#
# ## Watch a message pass
#
# Which hooks run, and when? This plugin puts itself into all of them, says so, and has no
# opinion:

# %% tags=["program"]
from qpsdk import DECLINED, Plugin
from qpsdk.hooks import HOOKS


class Witness(Plugin):
    """Say which hook is run."""

    def register(self, qp):
        for name, hook in HOOKS.items():
            if not hook.sync and name not in ("ok", "deny"):
                self.register_hook(name, self.saying(name))

    def saying(self, name):
        def method(*arguments):
            print(f"       {name}")
            return DECLINED

        return method


# %% [markdown]
# `register` is called once, when the plugin is loaded; the [next chapter](02_register.md) is
# about it. Left out are the hooks that are no step of the dialogue: `ok` and `deny` follow each
# answer, and others are about settings and the log.
#
# The message also needs somebody who takes the recipient, and somebody who takes the message. This
# plugin says yes to both, and forgets the message. That is good enough for a look; on a server it
# would be a lie, and mail would be lost.

# %% tags=["program"]
from qpsdk import OK


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK

    def hook_queue(self, transaction):
        return OK


async def say(client, line):
    print(f"C: {line}")
    print(f"S: {await client.command(line)}")


# %% tags=["program"]
async with smtp(Witness(), TakeAll()) as client:
    await say(client, "HELO client.example.org")
    await say(client, "MAIL FROM:<sender@example.org>")
    await say(client, "RCPT TO:<ann@example.com>")
    await say(client, "DATA")
    print("C: Subject: hello ...")
    print("S:", await client.send_data("Subject: hello\n\nHow are you?\n"))
    await say(client, "QUIT")

# %% [markdown]
# `post_fork` is asked once, when the process that serves has started; the client comes after that.
# Each reply waits for its hooks. A command has up to three: one that may bring a parser of its
# own (`mail_parse`), one that may change the address (`mail_pre`), and the one that decides
# (`mail`). When the message itself has come, it is asked about from its header to its end. The
# last question, `queue`, is the one that counts: *who takes this message, and answers for it?*
#
# `reset_transaction` and `post_connection` run however things ended: there a plugin tidies up.
#
# ## Seven words
#
# A hook returns one of seven constants. What does each do? Try them all, in one hook. A second
# command shows whether anybody is still listening:

# %%
from qpsdk import Constant, StreamError


class Answer(Plugin):
    """Answer each recipient with one constant."""

    def __init__(self, constant):
        super().__init__()
        self.constant = constant

    def hook_rcpt(self, transaction, recipient, params):
        return self.constant


async def reply_to(*plugins):
    """What a client is told about a recipient."""
    async with smtp(*plugins) as client:
        await client.command("HELO client.example.org")
        await client.command("MAIL FROM:<sender@example.org>")
        reply = await client.command("RCPT TO:<ann@example.com>")
        try:
            await client.command("NOOP")
        except StreamError as error:
            return f"{reply}\n({error})"
        return str(reply)


for constant in Constant:
    if constant.name != "DONE":
        print(f"{constant.name}\n    {await reply_to(Answer(constant))}\n")

# %% [markdown]
# `DENY` is *never*, `DENYSOFT` is *not now*, and either can hang up as well. `DECLINED` is *no
# opinion*: the next plugin is asked. Here there is none, so nobody has an opinion, and that is
# the same 450 as at the top of this page.
#
# The seventh, `DONE`, says: *I have answered the client myself.* Then it has to be true:

# %%
from qpsdk import DONE


class Own(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        transaction.connection.respond(450, "come back after lunch", "4.2.1")
        return DONE


print(await reply_to(Own()))

# %% [markdown]
# It is rarely needed: the other constants can bring words of their own, of any number of lines.
# Return both, and the host makes the reply.

# %%
from qpsdk import DENY

print(await reply_to(Answer((DENY, "no such mailbox\nask postmaster@example.com"))))

# %% [markdown]
# ## The same word at another hook
#
# You say `DENY`; which number that is depends on the step. Here is the table, for the hooks of a
# short dialogue. `!` hangs up, `-` is not taken there, `own` is what the plugin has said itself:

# %%
steps = ["connect", "ehlo", "mail", "rcpt", "data", "queue", "quit"]


def shown(effect):
    if effect is None:
        return "- "
    return f"{effect.code or 'own'}{'!' if effect.close else ' '}"


print(f"{'':20}", *(f"{step:>7}" for step in steps))
for constant in Constant:
    replies = [shown(HOOKS[step].effects.get(constant)) for step in steps]
    print(f"{constant.name:20}", *(f"{reply:>7}" for reply in replies))

# %% [markdown]
# Read the row of `DECLINED`. Nobody needs to have an opinion on the sender: 250. But a recipient
# that no plugin takes is 450, and a message that no plugin takes is 451. Mail is never accepted
# by accident. The [reference](../reference/hooks.md) has the whole table.
#
# ## Mistakes
#
# What if a method forgets its `return`?


# %%
class Forgetful(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        OK  # meant to be returned


print(await reply_to(Forgetful()))

# %% [markdown]
# What the log says is shown below the output. `None` counts as `DECLINED`: a slip does not let
# mail in. The cure is in the text: return a constant. One that the hook does not take is
# reported in the same way:

# %%
from qpsdk import DENY_DISCONNECT


class Rude(Plugin):
    def hook_quit(self, connection):
        return DENY_DISCONNECT


async with smtp(Rude()) as client:
    print(await client.command("QUIT"))

# %% [markdown]
# And a name that is no hook's? That is found before the first client comes:

# %%
from qpsdk import PluginError


class Misspelt(Plugin):
    def hook_rctp(self, transaction, recipient, params):
        return OK


try:
    await reply_to(Misspelt())
except PluginError as error:
    print(error)

# %% [markdown]
# So is a method that does not take what its hook gives:


# %%
class TooFew(Plugin):
    def hook_rcpt(self, recipient):
        return OK


try:
    await reply_to(TooFew())
except PluginError as error:
    print(error)

# %% [markdown]
# ## A doorkeeper
#
# Now something of use, from what we have. Three rules that real servers keep:
#
# * A client that introduces itself by *our* name lies. There is nothing to talk about: refuse
#   it and hang up.
# * `MAIL FROM:<>`, the *null sender*, marks a bounce: a report that a message could not be
#   delivered. A bounce goes back to one sender, so it has one recipient.
# * We take mail for our own domain only. On any other we have no opinion; maybe the next plugin
#   has.


# %% tags=["program"]
class Doorkeeper(Plugin):
    """Keep out liars, and take what is ours."""

    def hook_helo(self, connection, host):
        if host.lower() == b"mx.example.com":
            return DENY_DISCONNECT, "that is my name"
        return DECLINED

    hook_ehlo = hook_helo

    def hook_rcpt(self, transaction, recipient, params):
        if transaction.sender.is_null and transaction.recipients:
            return DENY, "a bounce has one recipient"
        if recipient.host.lower() == b"example.com":
            return OK
        return DECLINED


# %% tags=["program"]
async with smtp(Doorkeeper()) as client:
    await client.command("EHLO mx.example.com")
    print(client.transcript)

# %% tags=["program"]
async with smtp(Doorkeeper()) as client:
    await say(client, "HELO client.example.org")
    await say(client, "MAIL FROM:<>")
    await say(client, "RCPT TO:<ann@example.com>")
    await say(client, "RCPT TO:<ben@example.com>")
    await say(client, "RSET")
    await say(client, "MAIL FROM:<sender@example.org>")
    await say(client, "RCPT TO:<ann@example.com>")
    await say(client, "RCPT TO:<ben@example.com>")
    await say(client, "RCPT TO:<eve@example.net>")

# %% [markdown]
# `RSET` gives up the transaction, so that another can begin. The bounce has one recipient, the
# message two, and Eve is left to the next plugin.
#
# Addresses and names are `bytes`, as they came over the wire. Comparing `recipient.host` with
# `"example.com"` would always be false, and quietly refuse everything.
#
# ## Exercises
#
# **1.** Some clients call themselves by a bare word: `HELO localhost`. Write a plugin that asks
# them to come back with a full name, one with a dot, and stays connected.

# %% tags=["answer"]
from qpsdk import DENYSOFT


class FullNames(Plugin):
    def hook_helo(self, connection, host):
        if b"." not in host:
            return DENYSOFT, "please use your full name"
        return DECLINED

    hook_ehlo = hook_helo


async with smtp(FullNames()) as client:
    reply = await client.command("EHLO localhost")
    print(reply)
    assert reply.code == 450
    reply = await client.command("EHLO client.example.org")
    assert reply.code == 250

# %% [markdown]
# **2.** `VRFY postmaster` asks whether there is such a mailbox. Here there is: answer that one
# with a yes, and have no opinion on others. What are they told? (The hook is `vrfy`; the table has
# its arguments.)


# %% tags=["answer"]
class Verify(Plugin):
    def hook_vrfy(self, connection, text):
        if text.lower() == b"postmaster":
            return OK, "postmaster@example.com"
        return DECLINED


async with smtp(Verify()) as client:
    yes = await client.command("VRFY postmaster")
    other = await client.command("VRFY ann")
    print(yes, other, sep="\n")
    assert (yes.code, other.code) == (250, 252)

# %% [markdown]
# **3.** At which hooks does even `DENYSOFT` end the connection? Ask the table.

# %% tags=["answer"]
ending = [
    name
    for name, hook in HOOKS.items()
    if DENYSOFT in hook.effects and hook.effects[DENYSOFT].close
]
print(ending)
assert ending == ["pre_connection", "connect"]
