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
# # register()
#
# You learn how a plugin gets its arguments and refuses wrong ones, where it keeps what it knows,
# how it logs, reads settings and waits. You should know what a hook is and what it returns:
# [The dialogue](01_the_dialogue.md).

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## A line of words
#
# On a server, the file `config/plugins` names the plugins, one a line, in the order in which they
# are asked. After the name come words:
#
# ```text title="config/plugins"
# rcpt_ok
# queue/qmqp_forward 192.0.2.1 628 io_timeout=20
# ```
#
# A word is an argument, `key=value` is an option. The plugin gets them in its method `register`,
# once, when it is loaded. Say in its signature what you take.
#
# The example of this chapter limits the recipients of a message: a program that has got hold of a
# password likes to send to thousands at once.

# %%
from qpsdk import DECLINED, DENYSOFT, OK, Plugin


class Limit(Plugin):
    """Take so many recipients in one message, and no more."""

    def register(self, qp, most):
        self.most = int(most)

    def hook_rcpt(self, transaction, recipient, params):
        if len(transaction.recipients) >= self.most:
            return DENYSOFT, "too many recipients"
        return DECLINED


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK


# %% [markdown]
# `smtp` takes such lines too. On a server the name would be `limit`, that of a file. Here it is
# the dotted name of a class, and what is written in a notebook is in the module `__main__`:

# %% tags=["program"]
from qpsdk.testing import smtp


async def recipients(client, *users, sender="<sender@example.org>"):
    """Name some recipients, and show what the server says of each."""
    await client.command("HELO client.example.org")
    await client.command(f"MAIL FROM:{sender}")
    for user in users:
        print(user, "->", await client.command(f"RCPT TO:<{user}@example.com>"))


# %%
async with smtp("__main__.Limit 2", TakeAll()) as client:
    await recipients(client, "ann", "ben", "cat")

# %% [markdown]
# It answers `DENYSOFT`, *not now*, and a client tries the rest again later. And it answers
# `DECLINED` where it has no objection: whether there is an Ann is not its business. `qp` is the
# host, which lends a plugin a clock and connections to other machines; we need it from
# [chapter 5](05_the_naive_forwarder.md#to-the-server-and-back) on.
#
# ## Wrong words
#
# What becomes of a line that the plugin does not take?

# %% tags=["program"]
from qpsdk import PluginError


async def load(line):
    """Load a plugin, or say why it cannot be."""
    try:
        async with smtp(line):
            print(f"{line}: fine")
    except PluginError as error:
        print(error)


# %%
await load("__main__.Limit")
await load("__main__.Limit 2 3")

# %% [markdown]
# The host does not start, and says what is wrong and what would be right. On a server, file and
# line of it come first. You wrote nothing for this: it is read off the signature. What the words
# *mean* only you can check:

# %%
await load("__main__.Limit two")

# %% [markdown]
# Refused as well, since a `ValueError` in `register` is reported as a mistake in the line. But that
# text is for someone who knows Python. Whoever reads it runs a mail server, perhaps at night. Tell
# what would be right:


# %%
class Limit(Plugin):
    """Take so many recipients in one message, and no more."""

    def register(self, qp, most):
        if not most.isdigit():
            raise ValueError(
                f"{most!r} is no number of recipients; write one such as 100"
            )
        self.most = int(most)


await load("__main__.Limit two")
await load("__main__.Limit 100")

# %% [markdown]
# The log has a warning, which is right: to save room, the hook was left out here, and a plugin
# without one does nothing. Below it is the same.
#
# ## Options
#
# What has a default is optional. What is to be written as `key=value` is a keyword-only
# parameter, after the `*`:


# %%
class Limit(Plugin):
    """Take so many recipients in one message, and no more."""

    def register(self, qp, most="100", *, bounces="1"):
        self.most, self.bounces = int(most), int(bounces)


await load("__main__.Limit")
await load("__main__.Limit 10 bounces=2")
await load("__main__.Limit 10 bounce=2")

# %% [markdown]
# Three options are the host's own, for every plugin, and `register` never sees them:
# `loglevel=`, `timeout=` and `on_error=`. Each has its place below. They are checked as well:

# %%
await load("__main__.Limit 10 loglevel=9")
await load("__main__.Limit 10 on_error=deny")

# %% [markdown]
# ## What it says in the log
#
# `self.log(level, ...)` writes a line. There are eight levels, from `LOGEMERG`, 0, to `LOGDEBUG`,
# 7. A server writes those up to the one in `config/loglevel`, unless told otherwise up to
# `LOGWARN`, 4. So a plugin may be talkative at the higher levels.
#
# To see the lines here, let a plugin read the log. That is a hook, too. It is given the lines up to
# the level in the plugin's `maxlevel`, and its `OK` says that the line is dealt with, so it is
# written nowhere else. What the host logs by itself has no hook's name, and is left alone:

# %%
from qpsdk import LOGDEBUG, LOGINFO, log_line


class ShowLog(Plugin):
    """Print what plugins log."""

    def register(self, qp, maxlevel):
        self.maxlevel = qpsdk.LogLevel.parse(maxlevel)

    def hook_logging(self, connection, transaction, level, hook, plugin, text):
        if not hook:
            return DECLINED
        print(f"    {level.name} {log_line(connection, hook, plugin, text)}")
        return OK


class Limit(Plugin):
    """Take so many recipients in one message, and no more."""

    def register(self, qp, most):
        self.most = int(most)

    def hook_rcpt(self, transaction, recipient, params):
        if len(transaction.recipients) >= self.most:
            self.log(LOGINFO, "limit of", self.most, "reached:", recipient)
            return DENYSOFT, "too many recipients"
        self.log(LOGDEBUG, "still room for", recipient)
        return DECLINED


async with smtp("__main__.ShowLog LOGDEBUG", "__main__.Limit 1", TakeAll()) as client:
    await recipients(client, "ann", "ben")

# %% [markdown]
# Connection, hook and plugin are put before your text. `c1` is the connection's name, so that one
# client's lines can be picked out of many. Now up to `LOGINFO`, as a server might run:

# %%
async with smtp("__main__.ShowLog LOGINFO", "__main__.Limit 1", TakeAll()) as client:
    await recipients(client, "ann", "ben")

# %% [markdown]
# Suppose this plugin needs watching, and the others do not. `loglevel=` in its line puts all it
# says at one level, or shifts it: `loglevel=-1` makes LOGINFO of LOGDEBUG, and so on.

# %%
watched = "__main__.Limit 1 loglevel=-1"
async with smtp("__main__.ShowLog LOGINFO", watched, TakeAll()) as client:
    await recipients(client, "ann", "ben")

# %% [markdown]
# Can a client forge a line, with a line end in what it sends? No: whatever is no printable ASCII
# is escaped.
#
# ## When it fails
#
# Plugins have mistakes. This one refuses senders in domains that are for tests only, and does not
# think of a domain that is a single word. What is the client told? (The log has the traceback as
# well; its first line is enough here.)

# %%
from qpsdk import DENY


class NoTests(Plugin):
    """Refuse senders in domains that are for tests only."""

    def hook_mail(self, transaction, sender, params):
        if sender.host.split(b".")[1] == b"test":
            return DENY, "no such domain"
        return DECLINED


class ShowFirstLine(ShowLog):
    """Print what plugins log, without the tracebacks."""

    def hook_logging(self, connection, transaction, level, hook, plugin, text):
        text = text.partition("\n")[0]
        return super().hook_logging(connection, transaction, level, hook, plugin, text)


async def senders(line):
    async with smtp("__main__.ShowFirstLine LOGERROR", line) as client:
        await client.command("HELO client.example.org")
        for host in ("shop.test", "localhost"):
            print(host, "->", await client.command(f"MAIL FROM:<sender@{host}>"))


await senders("__main__.NoTests")

# %% [markdown]
# A hook that fails harms nobody else, and counts as `DECLINED`: the mail may pass. Most plugins
# should fail so. One that is there to refuse should not, and `on_error=denysoft` on its line says
# it:

# %%
await senders("__main__.NoTests on_error=denysoft")

# %% [markdown]
# *Not now*: the client comes again, and until then somebody has read the log. In `queue` it is so
# without the option, since nobody has taken the message.
#
# ## Settings
#
# A long list does not fit into a line of words. It has a file of its own in the config directory:
# one value a line, and `#` for remarks. `self.config(name)` returns its values, as a list of
# `str`; an empty one if there is no such file. In memory, `config=` stands for the directory.
#
# Mailing lists do send to many at once. So let the domains in `config/limit_exempt` do so:

# %% tags=["program"]
from qpsdk import DECLINED, DENYSOFT, LOGINFO, OK, Plugin


class Limit(Plugin):
    """Take so many recipients in one message; more for those in limit_exempt."""

    def register(self, qp, most="100", *, bounces="1"):
        self.most = number("MOST", most)
        self.bounces = number("bounces", bounces)

    def hook_rcpt(self, transaction, recipient, params):
        host = transaction.sender.host.decode("ascii", "replace").lower()
        if host in self.config("limit_exempt"):
            return DECLINED
        most = self.bounces if transaction.sender.is_null else self.most
        if len(transaction.recipients) >= most:
            self.log(LOGINFO, "limit of", most, "reached:", recipient)
            return DENYSOFT, "too many recipients"
        return DECLINED


def number(name, text):
    """The number that an argument gives."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ValueError(f"{name} is {text!r}: write a number from 1 up, such as 100")
    return int(text)


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK


# %% tags=["program"]
await load("__main__.Limit bounces=none")

settings = {"limit_exempt": "# they ask before they send\nlists.example.org\n"}
async with smtp("__main__.Limit 1", TakeAll(), config=settings) as client:
    print("from a person:")
    await recipients(client, "ann", "ben")
    print("from a list:")
    await recipients(client, "ann", "ben", sender="<news@lists.example.org>")
    print("a bounce:")
    await recipients(client, "ann", "ben", sender="<>")

# %% [markdown]
# Why is the setting read in the hook, and not once in `register`? Because a server reads a file
# again when it has changed. A hook always sees the values as they were when its client came; it
# costs no look at the disk.
#
# ## Where to keep what
#
# There is *one* object of your class for each line of `config/plugins`, and all clients share it.
# What does that mean for what you keep in `self`? This plugin hangs up on clients who guess
# addresses. It counts in the wrong place:

# %%
from qpsdk import DENY, DENY_DISCONNECT


class Guesses(Plugin):
    """Hang up on clients who guess addresses."""

    def __init__(self):
        super().__init__()
        self.wrong = 0

    def hook_rcpt(self, transaction, recipient, params):
        if recipient.user == b"ann":
            return OK
        self.wrong += 1
        if self.wrong < 3:
            return DENY, "no such mailbox"
        return DENY_DISCONNECT, "stop guessing"


plugin = Guesses()
async with smtp(plugin) as guesser:
    await recipients(guesser, "adam", "alan")
async with smtp(plugin) as honest:
    await recipients(honest, "anne")

# %% [markdown]
# The second client made one typing error, and paid for the first. A busy server would soon hang
# up on everybody. What belongs to a client goes into its `connection.notes`, a dictionary that
# comes and goes with it; what belongs to a message, into `transaction.notes`:


# %%
class Guesses(Plugin):
    """Hang up on clients who guess addresses."""

    def hook_rcpt(self, transaction, recipient, params):
        if recipient.user == b"ann":
            return OK
        notes = transaction.connection.notes
        notes["guesses"] = notes.get("guesses", 0) + 1
        if notes["guesses"] < 3:
            return DENY, "no such mailbox"
        return DENY_DISCONNECT, "stop guessing"


plugin = Guesses()
async with smtp(plugin) as guesser:
    await recipients(guesser, "adam", "alan", "alma")
async with smtp(plugin) as honest:
    await recipients(honest, "anne", "ann")

# %% [markdown]
# Other plugins read the same notes: name a note after your plugin, or leave one there for
# another to find. In `self` belongs what `register` makes and nobody changes.
#
# ## Before all others
#
# Every mail server must take mail for `postmaster` (RFC 5321, 4.5.1), also one that refuses
# everything else. A plugin for that is of use only if it is asked first, wherever its line stands.
# Methods named `hook_...` run in the order of the lines; `register_hook` can say more:


# %%
class Postmaster(Plugin):
    """Take mail for postmaster, whatever the others say."""

    def register(self, qp):
        self.register_hook("rcpt", self.take_postmaster, first=True)

    def take_postmaster(self, transaction, recipient, params):
        return OK if recipient.user.lower() == b"postmaster" else DECLINED


class NobodyHere(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return DENY, "nobody here"


async with smtp(NobodyHere(), Postmaster()) as client:
    await recipients(client, "ann", "postmaster")

# %% [markdown]
# ## Waiting
#
# Who is Ann? Often another server knows, and that takes time. All clients are served by one
# thread, in turns. So what does a plugin do to them that simply waits? `time.sleep` stands for
# its question here, and two clients come at once:

# %%
import asyncio
import time


class Lookup(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        print(recipient, "is looked up")
        time.sleep(0.05)
        print(recipient, "is found")
        return OK


async def two_at_once(line):
    async with smtp(line) as one, smtp(line) as other:
        for client in (one, other):
            await client.command("HELO client.example.org")
            await client.command("MAIL FROM:<sender@example.org>")
        await asyncio.gather(
            one.command("RCPT TO:<ann@example.com>"),
            other.command("RCPT TO:<ben@example.com>"),
        )


await two_at_once("__main__.Lookup")

# %% [markdown]
# Ben had to wait for Ann's answer, and so would a thousand others. The cure: make the hook an
# `async def`, and `await` what takes time. While it waits, others have their turn.


# %%
class Lookup(Plugin):
    async def hook_rcpt(self, transaction, recipient, params):
        print(recipient, "is looked up")
        await asyncio.sleep(0.05)
        print(recipient, "is found")
        return OK


await two_at_once("__main__.Lookup")

# %% [markdown]
# And if the answer never comes? The host waits 30 seconds for a plugin (540 in `queue`), or what
# `timeout=` says. Then the client is told to come again, and the log tells who was late:


# %%
class Forever(Plugin):
    async def hook_rcpt(self, transaction, recipient, params):
        await asyncio.Event().wait()


async with smtp("__main__.ShowLog LOGERROR", "__main__.Forever timeout=1") as client:
    await recipients(client, "ann")

# %% [markdown]
# Some libraries cannot be awaited: they just block. Mark the hook `@blocking`, leave it a plain
# `def`, and a server runs it in a thread. (In memory there are no threads; there it is called as
# any other.) Both at once makes no sense, and is refused when the class is made:

# %%
from qpsdk import blocking

try:

    class Both(Plugin):
        @blocking
        async def hook_rcpt(self, transaction, recipient, params):
            return OK

except TypeError as error:
    print(error)

# %% [markdown]
# ## Exercises
#
# **1.** In a later chapter we write a plugin whose line is `forward SERVER [PORT]`. Write its
# `register`: without a port it is 628, and what is no port, 1 to 65535, is refused.


# %% tags=["answer"]
class Forward(Plugin):
    def register(self, qp, server, port="628"):
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise ValueError(
                f"{port!r} is no port; write one from 1 to 65535, such as 628"
            )
        self.server, self.port = server, int(port)


await load("__main__.Forward")
await load("__main__.Forward 192.0.2.1 0")
forward = Forward()
forward.register(None, "192.0.2.1")
print(forward.server, forward.port)
assert (forward.server, forward.port) == ("192.0.2.1", 628)

# %% [markdown]
# **2.** An option's value cannot have spaces. Let `Limit` take its text for the client from the
# file `config/limit_text`, and keep `too many recipients` if there is none. (A subclass is the
# shortest way.)


# %% tags=["answer"]
class Told(Limit):
    def hook_rcpt(self, transaction, recipient, params):
        answer = super().hook_rcpt(transaction, recipient, params)
        text = self.config("limit_text")
        if answer is DECLINED or not text:
            return answer
        return DENYSOFT, "\n".join(text)


async with smtp(
    "__main__.Told 1", TakeAll(), config={"limit_text": "one by one"}
) as client:
    await recipients(client, "ann", "ben")
    assert "450 4.7.1 one by one" in client.transcript

# %% [markdown]
# **3.** In the last chapter one method answered both HELO and EHLO, by `hook_ehlo = hook_helo`. Do
# the same by `register_hook`: refuse clients who call themselves `localhost`.


# %% tags=["answer"]
class NotLocal(Plugin):
    def register(self, qp):
        for hook in ("helo", "ehlo"):
            self.register_hook(hook, self.check_name)

    def check_name(self, connection, host):
        return (DENY, "so am I") if host.lower() == b"localhost" else DECLINED


async with smtp(NotLocal()) as client:
    for command in ("HELO localhost", "EHLO LOCALHOST"):
        reply = await client.command(command)
        print(reply)
        assert reply.code == 550
