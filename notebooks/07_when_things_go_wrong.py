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
# # When things go wrong
#
# You learn what a forwarder owes its client when the server is down, slow, half-closed or lying,
# and when it is safe to ask another server. You should know [streaming](06_streaming.md). In the
# end you have written the plugin that comes with qpsdk, line for line.

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## The plugin so far
#
# As before, cells that begin with `# queue/qmqp_forward.py` are that file. The first is the
# answers again, with a word for the log, and what we say when there is none:

# %%
# queue/qmqp_forward.py
from qpsdk import DENY, DENYSOFT, OK, qmqp

ANSWERS = {
    qmqp.Verdict.ACCEPTED: (OK, "accepted"),
    qmqp.Verdict.DEFERRED: (DENYSOFT, "deferred"),
    qmqp.Verdict.REJECTED: (DENY, "rejected"),
}
TRY_LATER = DENYSOFT, "Cannot queue the message now, try again later"

# %% [markdown]
# `package` is the last chapter's. `send` is, too, but for its parameters: it may be called for
# several servers, and has only so much time left. `qmqp.deliver` does the work.

# %%
# queue/qmqp_forward.py
from itertools import chain

from qpsdk import Endpoint, Plugin, Transaction


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

    async def send(
        self,
        server: Endpoint,
        package: qmqp.Package,
        transaction: Transaction,
        time_left: float,
    ) -> qmqp.Response:
        """One try: the lengths first, then the message in blocks, then the envelope."""
        stream = await self.qp.connect(
            server,
            connect_timeout=min(self.connect_timeout, time_left),
            io_timeout=self.io_timeout,
            session_timeout=time_left,
        )
        message = chain(transaction.message_blocks(), [last_lf(transaction)])
        try:
            return await qmqp.deliver(stream, package, message, transaction.hand_over)
        finally:
            stream.abort()


def last_lf(transaction: Transaction) -> bytes:
    """The LF that a plugin left off the last line; qmail cannot deliver without it."""
    return b"" if transaction.ends_in_lf() else b"\n"


# %% [markdown]
# What is missing is the hook, and what to do about errors. Here is a way that looks right, and
# that you will find in plugins for other servers. If our server cannot be had, say `DECLINED`, *no
# opinion*: then the host asks the next queue plugin, if there is one.

# %%
from qpsdk import DECLINED, LOGERROR, QMQPError, StreamError


class QMQPForward(QMQPForward):
    connect_timeout, io_timeout = qmqp.CONNECT_TIMEOUT, qmqp.IO_TIMEOUT

    def register(self, qp, server, port=""):
        self.server = qmqp.parse_server(server, port)

    async def hook_queue(self, transaction):
        package = self.package(transaction)
        try:
            response = await self.send(self.server, package, transaction, 300.0)
        except (QMQPError, StreamError) as error:
            self.log(LOGERROR, f"{self.server}: {error}")
            return DECLINED
        return ANSWERS[response.verdict][0], response.text.decode("ascii", "replace")


# %% [markdown]
# To try it we need a server that can be told to fail, a plugin that prints the log, and a queue
# plugin behind ours that takes what it is offered. `trial` sends one message and says what became
# of it.

# %%
from qpsdk.testing import FakeQMQPServer, smtp
from qpsdk.testing.qmqp_script import cut_reply, refuse


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK


class ShowLog(Plugin):
    def hook_logging(self, *line):
        _, _, level, _, _, text = line
        print("   ", level.name, text)
        return OK


class NextQueue(Plugin):
    taken = 0

    def hook_queue(self, transaction):
        self.taken += 1
        return OK, "the next plugin took it"


FORWARD = "__main__.QMQPForward 192.0.2.1"
SMALL = b"Subject: hello\n\nHow are you?\n"
LARGE = b"Subject: hello\n\n" + (b"x" * 69 + b"\n") * 3_000


async def trial(act, plugin=FORWARD, message=SMALL):
    """Send a message while the server does one of its acts."""
    print(act)
    fake, next_queue = FakeQMQPServer(), NextQueue()
    fake.script(act)
    plugins = ShowLog(), TakeAll(), plugin, next_queue
    async with smtp(*plugins, connect=fake.connect) as client:
        print("   ", await client.send(message))
    await fake.close()
    print(f"    copies: {len(fake.messages)} server, {next_queue.taken} next plugin")


await trial(refuse())

# %% [markdown]
# ## Why DECLINED doubles mail
#
# Nobody listened, the next plugin took the message, all is well. Now the server takes the message,
# and the connection breaks in the middle of its `K`:

# %%
await trial(cut_reply())

# %% [markdown]
# There is no second copy, but only since the host did not trust us. `qmqp.deliver` had called
# `transaction.hand_over()` before it sent the last byte. From there on somebody else may have the
# message, so the host offers it to nobody, whatever the plugin says, and complains.
#
# This is what happens without that net. A plugin that does not call `hand_over` is believed:


# %%
class Careless(QMQPForward):
    async def send(self, server, package, transaction, time_left):
        stream = await self.qp.connect(
            server, connect_timeout=self.connect_timeout, io_timeout=self.io_timeout
        )
        try:
            return await qmqp.deliver(stream, package, transaction.message_blocks())
        finally:
            stream.abort()


await trial(cut_reply(), "__main__.Careless 192.0.2.1")

# %% [markdown]
# Two copies. And if the plugin behind is one that throws mail away, and the server did fail, then
# nobody has the message, while our client was told 250.
#
# The rule, drawn in [chapter 4](04_qmqp.md#what-k-promises): **from the last byte on, the only
# answers are what the server said, and *try again later*.** Our client has the message still. It
# comes again, and nothing is lost. If the server did have it, there are two copies then; but that
# takes a connection that breaks in one moment of all, and no protocol of this kind can do better
# (RFC 1047). DECLINED does it each time.
#
# So the cure is one line:


# %%
class QMQPForward(QMQPForward):
    async def hook_queue(self, transaction):
        package = self.package(transaction)
        try:
            response = await self.send(self.server, package, transaction, 300.0)
        except (QMQPError, StreamError) as error:
            self.log(LOGERROR, f"{self.server}: {error}")
            return TRY_LATER
        return ANSWERS[response.verdict][0], response.text.decode("ascii", "replace")


await trial(refuse())
await trial(cut_reply())

# %% [markdown]
# ## Half-closed, resetting, lying
#
# How does `deliver` know where the last byte is? Let us see what it makes of a server's worst
# moments. The message is large, so that it leaves in several blocks.

# %%
from qpsdk.testing.qmqp_script import accept, close_at, no_reply, reject, rst

ANYWHERE = Endpoint("192.0.2.1", 628)


async def outcome(act, message=LARGE):
    """What `deliver` makes of an act."""
    fake = FakeQMQPServer()
    fake.script(act)
    package = qmqp.Package.of(len(message), b"ann@example.org", [b"bob@example.com"])
    stream = await fake.connect(ANYWHERE, connect_timeout=5, io_timeout=5)
    blocks = (message[at : at + 65_536] for at in range(0, len(message), 65_536))
    try:
        response = await qmqp.deliver(stream, package, blocks)
        said = f"{response.verdict.name} {response.text.decode()}"
    except (QMQPError, StreamError) as error:
        said = f"{type(error).__name__}: {error}"
    stream.abort()
    await fake.close()
    print(act)
    print("   ", said)


for act in (
    close_at(1_000),  # closes its side while we send
    rst(1_000),
    reject("too big", at=1_000),
    accept("thanks", at=1_000),  # K to the first thousand bytes
    no_reply(),
    rst(),  # all of these have read the whole package
    cut_reply(),
):
    await outcome(act)

# %% [markdown]
# The first four interrupt. The package was not whole, and a QMQP server has to discard it then, so
# it is certain that nobody has the message: the connection failed, or the server said `D`. Its `K`
# to a part of the message is a lie, for what it did not see it cannot have queued. The `deliver`
# that we wrote ourselves in the last chapter believed it, and lost the mail.
#
# The last three got the last byte. Nobody knows what they did with the message, and the error
# says so: `QMQPUnconfirmedError`, *it may have been accepted*.
#
# A small message leaves in one write, last byte and all. After that a reset proves nothing:

# %%
await outcome(rst(10), SMALL)

# %% [markdown]
# And there are answers that are none. What would you do with `3:Kok;`? It looks like yes. But a
# server that cannot count, or something that is no QMQP server at all, has not promised anything:

# %%
from qpsdk.testing.qmqp_script import (
    empty,
    huge_length,
    leading_zeros,
    no_comma,
    unknown,
)

for act in no_comma(), empty(), unknown(), leading_zeros(), huge_length():
    await outcome(act)

# %% [markdown]
# The huge length is refused when it is read: an answer of more than 10 KB is none, so a server
# cannot fill our memory either.
#
# ## Several servers
#
# Mail should flow when one machine is down. So let the line name several servers, with commas
# between them, and try one after the other. `parse_servers` reads such a list, and a `ServerList`
# gives for each message its `candidates()`, in the order in which to try them. First the wrong way:
# on to the next at any error.


# %%
class QMQPForward(QMQPForward):
    session_timeout = 300.0  # this and asks_on become options below

    def register(self, qp, server, port=""):
        self.servers = qmqp.ServerList(qmqp.parse_servers(server, port), qp.clock)
        self.asks_on = False

    async def hook_queue(self, transaction):
        package = self.package(transaction)
        for server in self.servers.candidates():
            try:
                response = await self.send(server, package, transaction, 300.0)
            except (QMQPError, StreamError) as error:
                self.log(LOGERROR, f"{server}: {error}")
                continue
            text = response.text.decode("ascii", "replace")
            return ANSWERS[response.verdict][0], text
        return TRY_LATER


TWO_SERVERS = "__main__.QMQPForward 192.0.2.1,192.0.2.2"


async def trial_of_two(*acts, plugin=TWO_SERVERS, messages=1):
    """Send messages while the first of two servers does its acts."""
    print(*acts)
    first, second = FakeQMQPServer(), FakeQMQPServer()
    first.script(*acts)

    async def connect(endpoint, /, **limits):
        fake = first if endpoint.host == "192.0.2.1" else second
        return await fake.connect(endpoint, **limits)

    async with smtp(ShowLog(), TakeAll(), plugin, connect=connect) as client:
        for _ in range(messages):
            print("   ", await client.send(LARGE))
    await first.close()
    copies = len(first.messages), len(second.messages)
    print("    copies: {} first server, {} second".format(*copies))
    return copies


assert await trial_of_two(refuse()) == (0, 1)
assert await trial_of_two(cut_reply()) == (1, 1)

# %% [markdown]
# Doubled again, and no host can help here: it is one plugin that did both. Failover is safe as
# long as it is certain that no server has the message, which is until the first
# `QMQPUnconfirmedError`. That one ends the loop: it is the `break` with a comment in the final
# hook, which has a few more lines that we come to below.

# %%
# queue/qmqp_forward.py
from qpsdk import (
    LOGINFO,
    LOGWARN,
    Constant,
    QMQPResponseError,
    QMQPUnconfirmedError,
    Result,
)


class QMQPForward(QMQPForward):
    async def hook_queue(self, transaction: Transaction) -> Result:
        """Try one server after the other, as long as surely none has the message."""
        started = self.qp.clock()
        try:
            package = self.package(transaction)
        except QMQPError as error:
            self.log(LOGERROR, f"not sent: {error}")
            return TRY_LATER
        answer = TRY_LATER
        for server in self.servers.candidates():
            began = self.qp.clock()
            time_left = self.session_timeout - max(began - started, 0)
            if time_left <= 0:
                break
            try:
                response = await self.send(server, package, transaction, time_left)
            except (QMQPResponseError, StreamError) as error:
                self.servers.failed(server)
                self.qp.forwarded(server, "failed", began)
                self.log(LOGERROR, f"{server}: {error}")
                if isinstance(error, QMQPUnconfirmedError):
                    break  # the next server might deliver it a second time
                continue
            self.servers.answered(server)
            self.qp.forwarded(server, response.verdict.name.lower(), began)
            ms = round((self.qp.clock() - started) * 1000)
            count = len(transaction.recipients)
            sent = f"{package.message_size} bytes for {count} recipients in {ms} ms"
            answer = self.answer(server, response, sent)
            if answer[0] is not DENYSOFT or not self.asks_on:
                break
        return answer

    def answer(
        self,
        server: Endpoint,
        response: qmqp.Response,
        sent: str,
    ) -> tuple[Constant, str]:
        """What the server said, for our client and for the log."""
        constant, verb = ANSWERS[response.verdict]
        text = response.text.decode("ascii", "replace")
        self.log(LOGINFO, server, verb, f"{sent}: {text}")
        if excess := response.excess:
            self.log(LOGWARN, f"{server}: ignoring {excess} bytes after its answer")
        return constant, text


# %%
assert await trial_of_two(refuse()) == (0, 1)
assert await trial_of_two(close_at(1_000)) == (0, 1)
assert await trial_of_two(cut_reply()) == (1, 0)
assert await trial_of_two(reject("no")) == (0, 0)

# %% [markdown]
# The other lines:
#
# - An envelope that QMQP cannot carry is no server's fault, so it is reported before one is tried.
# - An answer ends the loop, too: after a `D` nobody else is asked. (After a `Z` somebody may be, if
#   the line in `config/plugins` says so: exercise 3.)
# - `answer` logs what was said, and in how many milliseconds. A server that hangs a little more
#   each day can be seen in that line.
# - `time_left` is for the next section. `forwarded` counts for the host's metrics, which
#   [chapter 10](10_in_production.md#numbers) looks at.
# - `failed` and `answered` tell the `ServerList` how it went. A server that failed is left alone
#   for ten seconds, then tried by one message, then left for twenty. So of three messages only the
#   first meets the dead server:

# %%
assert await trial_of_two(refuse(), messages=3) == (0, 3)

# %% [markdown]
# ## Slow
#
# The last kind of failure is the worst, since nothing happens. A server that takes the package
# and says nothing would keep us, and our client, for ever. So each wait has a limit, and each limit
# lies within the next:
#
# | limit | seconds | if it passes |
# |---|---|---|
# | `connect_timeout` | 10 | the next server is tried |
# | `io_timeout` | 60 | the server neither took nor gave a byte: it is given up |
# | `session_timeout` | 486 | our client is told to come again |
# | the host's for the hook | 540 | the plugin is cancelled |
# | our client's | 600 | it gives up; RFC 5321, 4.5.3.2.6 asks for that much |
#
# Why is `io_timeout` not enough? A server that gives one byte a minute would never exceed it. And
# why does ours end before the client's? A client that gives up does not hear our 250. It sends the
# message again, and there are two copies. The limits are options, and must fit together:


# %%
# queue/qmqp_forward.py
class QMQPForward(QMQPForward):
    def set_time_limits(self, connect: str, io: str, session: str) -> None:
        """Read the three options: they must fit into each other and into the hook's."""
        self.connect_timeout = seconds("connect_timeout", connect)
        self.io_timeout = seconds("io_timeout", io)
        # The host gives up before its client does, and we before the host.
        limit = self.time_limit("queue")
        self.session_timeout = min(limit * 0.9, qmqp.SESSION_TIMEOUT)
        if session:
            self.session_timeout = seconds("session_timeout", session)
        mine = self.connect_timeout, self.io_timeout, self.session_timeout
        qmqp.check_time_limits(*mine)
        if self.session_timeout >= limit:
            raise ValueError(
                f"session_timeout={session}: the host gives this plugin {limit:g}"
                " seconds (timeout=); write less"
            )
        if self.connect_timeout * len(self.servers) >= self.session_timeout:
            raise ValueError(
                f"connect_timeout={mine[0]:g}: for {len(self.servers)} server(s) it"
                f" does not fit into session_timeout={mine[2]:g}"
            )


def seconds(option: str, text: str) -> float:
    """The number of seconds that an option gives."""
    if not text.isascii() or not text.replace(".", "", 1).isdigit():
        raise ValueError(f"{option}={text}: write a number of seconds, such as 10")
    return float(text)


# %% [markdown]
# All options are checked when the host starts, not when the first message comes. This is the
# last method, and the first in the file:

# %%
# queue/qmqp_forward.py
from qpsdk import Host


class QMQPForward(QMQPForward):
    def register(
        self,
        qp: Host,
        server: str,
        port: str = "",
        *more: str,
        balance: str = "failover",
        on_defer: str = "tell",
        rest: str = "10",
        connect_timeout: str = str(qmqp.CONNECT_TIMEOUT),
        io_timeout: str = str(qmqp.IO_TIMEOUT),
        session_timeout: str = "",
    ) -> None:
        """Check the arguments: what cannot be meant stops the host from starting."""
        if more:
            self.log(LOGWARN, "ignoring arguments after the port:", *more)
        self.servers = qmqp.ServerList(
            qmqp.parse_servers(server, port),
            qp.clock,
            rotate=is_second("balance", balance, "failover", "rotate"),
            rest=seconds("rest", rest),
        )
        self.asks_on = is_second("on_defer", on_defer, "tell", "next")
        self.set_time_limits(connect_timeout, io_timeout, session_timeout)


def is_second(option: str, word: str, first: str, second: str) -> bool:
    """Which of two words an option gives."""
    if word not in (first, second):
        raise ValueError(f"{option}={word}: write {first} or {second}")
    return word == second


# %% [markdown]
# Here is silence, in each of the ways there are. A tenth of a second is enough to see it.

# %%
from qpsdk.testing.qmqp_script import drip, silence, stall

IMPATIENT = f"{FORWARD} io_timeout=0.1"

await trial(silence(), IMPATIENT)
await trial(stall(), IMPATIENT, LARGE)  # takes nothing
await trial(drip(delay=0.05), f"{FORWARD} connect_timeout=0.1 session_timeout=0.3")

# %% [markdown]
# The last one dripped a byte every twentieth of a second, well within any `io_timeout`. Its message
# is one that will come twice: the server has it, and did not manage to say so in time.
#
# What cannot work is reported at once:

# %%
from qpsdk import PluginError

for options in "io_timeout=soon", "session_timeout=900", "balance=random":
    try:
        async with smtp(f"{FORWARD} {options}"):
            pass
    except PluginError as error:
        print(error)

# %% [markdown]
# ## This is the plugin
#
# There is no more to it. The methods above, under one `class`, are
# `qpsdk/plugins/queue/qmqp_forward.py`, to the letter; a test compares them, and the page of
# this chapter has the file to download. In `config/plugins` it
# is the line `queue/qmqp_forward 192.0.2.1`, and here it meets some of its trials once more:

# %%
for act in (
    refuse(),
    close_at(1_000),
    accept("thanks", at=1_000),
    cut_reply(),
    accept("ok"),
):
    await trial(act, "queue/qmqp_forward 192.0.2.1", LARGE)

# %% [markdown]
# Before the last byte or after it, our client has the message or somebody has said `K`. At no
# point does nobody.
#
# ## Exercises
#
# **1.** A server says `3:Kok,` and then `3:Dno,` (the act is `trailing`). What should our client
# hear? Decide, then try.

# %% tags=["answer"]
from qpsdk.testing.qmqp_script import trailing

fake = FakeQMQPServer()
fake.script(trailing("3:Dno,"))
async with smtp(ShowLog(), TakeAll(), FORWARD, connect=fake.connect) as client:
    reply = await client.send(SMALL)
print(reply)
# The first answer counts: with its comma the server took responsibility. What follows
# is worth a warning in the log, for the administrator to look into.
assert reply.code == 250

# %% [markdown]
# **2.** With `balance=rotate` each server is the first in its turn. Show that of four messages two
# go to each.

# %% tags=["answer"]
copies = await trial_of_two(
    accept(), plugin=f"{TWO_SERVERS} balance=rotate", messages=4
)
assert copies == (2, 2)

# %% [markdown]
# **3.** `on_defer=next` asks the next server when one says `Z`. Why is that safe, although the
# server got the whole package? Show it.

# %% tags=["answer"]
from qpsdk.testing.qmqp_script import defer

copies = await trial_of_two(defer("busy"), plugin=f"{TWO_SERVERS} on_defer=next")
# A Z leaves no doubt: the server has said itself that it has not taken the message.
assert copies == (0, 1)
