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
# # In production
#
# You learn to run a host that strangers reach: its config directory, Postfix behind it, HAProxy
# before it, its log, and how it is changed while it runs. You should know
# [what goes wrong](07_when_things_go_wrong.md). In the end you have a checklist, and have seen each
# of its lines go wrong.

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## A terminal
#
# So far, all mail was yours. A host that the Internet reaches takes mail from strangers: many
# of them want to send spam to you, some want to send it through you to others, and none of them reads
# your log. What was a detail is now a question to be answered before the first message: for whom do
# you take mail? Who has it when something fails? How do you find out?
#
# This chapter happens in a terminal. Python types for you: `sh` runs a command, `start` one that
# stays. Four ports are used, which this page calls 2525, 628, 25 and 26; the system gives others
# each time. Times and ids are also made the same for this page.

# %% tags=["static"]
import atexit
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

page = Path.cwd()
folder = tempfile.TemporaryDirectory()
os.chmod(folder.name, 0o755)  # Postfix comes as a user of its own
os.chdir(folder.name)
os.environ.update(COLUMNS="100", TERM="dumb", TZ="UTC")
for name in "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR":
    os.environ.pop(name, None)

held = {port: socket.socket() for port in ("2525", "628", "25")}
for held_port in held.values():
    held_port.bind(("127.0.0.1", 0))
ports = {port: str(one.getsockname()[1]) for port, one in held.items()}


def real(text):
    """The text with the ports that we were given."""
    return re.sub(
        r"127\.0\.0\.1:(2525|628|25)\b", lambda m: f"127.0.0.1:{ports[m[1]]}", text
    )


def same(text):
    """The text with what differs each time made the same."""
    for port, given in ports.items():
        text = text.replace(f"127.0.0.1:{given}", f"127.0.0.1:{port}")
    text = re.sub(r"\d{4}-\d\d-\d\d[ T](\d\d:){2}\d\d[,.]\d{3}Z?", "TIME", text)
    text = re.sub(r"\w{3}, +\d+ \w{3} \d{4} (\d\d:){2}\d\d [+-]\d{4}", "DATE", text)
    text = re.sub(r"\d+(\.\d)? ms", "1 ms", text)
    text = re.sub(r"\b[0-9a-f]{6}(?=[0-9a-f]+(\]|\"|\.1\b))", "4f1e2a", text)
    return re.sub(r"(queued as|QMQP id) [0-9A-F]+", r"\1 4BCD12345", text)


def shell(command):
    """The command with our Python and our ports."""
    python = shlex.quote(sys.executable)
    return real(re.sub(r"^qpsdk ", f"{python} -m qpsdk ", command))


def sh(command):
    """Run a command as in a terminal; print what it says."""
    ran = subprocess.run(
        shell(command),
        shell=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(same(ran.stdout).rstrip())
    if ran.returncode:
        print("exit status:", ran.returncode)


running = []


def start(command):
    """Run a command that stays, up to the line that says where it listens."""
    for one in held.values():
        one.close()
    process = subprocess.Popen(
        f"exec {shell(command)}", shell=True, stdout=subprocess.PIPE, text=True
    )
    running.append(process)
    print(same(process.stdout.readline()).rstrip())
    return process


def stop(process):
    """End it, and say how it ended."""
    process.terminate()
    print("exit status:", process.wait(20))
    process.stdout.close()


@atexit.register
def stop_all():
    """Leave nothing running, whatever happened."""
    for process in running:
        process.kill()
    if Path("postfix").exists():
        subprocess.run("postfix -c $PWD/postfix stop 2>/dev/null", shell=True, check=False)
    if Path("haproxy.pid").exists():
        os.kill(int(Path("haproxy.pid").read_text()), signal.SIGTERM)


def write(file, text):
    """Write a file of the config directory, or of somebody else's."""
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(real(text))


def wait_for(text, file="log"):
    """Wait until something stands in the log."""
    until = time.monotonic() + 10
    while text not in Path(file).read_text():
        assert time.monotonic() < until, Path(file).read_text()
        time.sleep(0.01)


# %% [markdown]
# ## The config directory
#
# A *config directory* has a file for each setting. These five are the least for a host that
# strangers reach: its name, where it listens, whose mail it takes, who decides, and how much it
# tells. This one was written in a hurry:

# %% tags=["static"]
write("config/me", "mx.example.com\n")
write("config/listen", "2525\n")
write("config/rcpthosts", "example.com\n")
write("config/loglevel", "LOGINFO\n")
PLUGINS = """\
earlytalker wait=0.2
badmailfrom
rcpt_okk
headers
queue/qmqp_forward 127.0.0.1:628
"""
write("config/plugins", PLUGINS)
sh("qpsdk check --config config")

# %% [markdown]
# A host with errors does not start. `check` says all of them at once, without a host: run it before
# each start and each reload. Corrected:

# %% tags=["static"]
write("config/listen", "127.0.0.1:2525\n")
PLUGINS = PLUGINS.replace("okk", "ok")
write("config/plugins", PLUGINS)
sh("qpsdk check --config config")

# %% [markdown]
# That it starts does not mean that it does what you want. `order` says who is asked what, and when.
# Read it like a stranger's message: what is cheap comes first, and somebody decides about each
# recipient.

# %% tags=["static"]
sh("qpsdk order --config config")

# %% [markdown]
# `earlytalker` catches clients that speak before they are greeted, which programs that only throw
# out spam do. (It waits a second; this page is less patient.) `badmailfrom` refuses senders that
# you list, `rcpt_ok` every domain but yours, `headers` messages without a date or a sender. And
# `queue/qmqp_forward` you have written yourself.
#
# ## Start it
#
# `qpsdk serve` stays in the foreground, and writes its log to standard error.

# %% tags=["static"]
host = start("qpsdk serve --config config 2>log")

# %% [markdown]
# First the question of all strangers: will you send this to somebody else for me? A host that says
# yes is an *open relay*. It is found within hours, and then no one takes mail from it.

# %% tags=["static"]
write(
    "letter.eml",
    """\
From: Ann <ann@example.org>
Date: Mon, 23 Nov 2026 12:00:00 +0000
Message-Id: <1@example.org>
Subject: hello

How are you?
""",
)
sh("qpsdk send --server 127.0.0.1:2525 --to bob@example.net letter.eml | tail -4")

# %% [markdown]
# It says no. Now a message for us. There is no QMQP server yet, as on a day when it is down:

# %% tags=["static"]
sh("qpsdk send --server 127.0.0.1:2525 --to bob@example.com letter.eml >told || tail -3 told")
sh("grep LOGERROR log")

# %% [markdown]
# Nothing is lost: 452 says *try again later*, and the message stays where it is, in the queue of
# the client, which comes back for days. The host itself keeps no mail. It says 250 only after the
# server behind it has said K.
#
# ## Postfix behind it
#
# Behind the host, somebody has to keep the mail and deliver it. Postfix takes it by QMQP: its
# program for that is `qmqpd`, off until a line of `master.cf` has it listen. On your host you would
# add two lines to a Postfix that is there:
#
# ```text
# /etc/postfix/master.cf   127.0.0.1:628 inet n - n - - qmqpd
# /etc/postfix/main.cf     qmqpd_authorized_clients = 127.0.0.1
# ```
#
# To leave yours alone, this page has a Postfix of its own in a folder. It takes root to start one,
# and not every machine has one: where it cannot run, the cells that begin with `%%needs` show what
# they have printed elsewhere.

# %% tags=["static"]
from IPython import get_ipython
from IPython.core.magic import register_cell_magic


@register_cell_magic
def needs(line, cell):
    """Run a cell where its program is; else show what it printed where it was."""
    program, record = line.split()
    root = os.geteuid() == 0
    if shutil.which(program) and (root or program != "postfix"):
        exec(compile(cell, f"<{record}>", "exec"), get_ipython().user_ns)
        return
    recorded = page / "recorded" / f"{record}.txt"
    print(f"({program} cannot run here; recorded where it can)")
    print(recorded.read_text().rstrip() if recorded.exists() else "See the page.")


# %% [markdown]
# The whole Postfix: where its files are, what it takes and where that goes, and its programs. We
# forget one of the two lines.

# %% tags=["static"]
MAIN = """\
compatibility_level = 3.6
myhostname = mail.example.com
queue_directory = FOLDER/queue
data_directory = FOLDER/data
maillog_file = FOLDER/postfix.log
maillog_file_prefixes = FOLDER
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
alias_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_base = FOLDER
virtual_mailbox_maps = static:mail/
virtual_uid_maps = static:UID
virtual_gid_maps = static:UID
virtual_minimum_uid = 1
default_transport = discard
"""
MASTER = """\
127.0.0.1:628 inet n - n - - qmqpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

# %% tags=["static"]
# %%needs postfix 10_not_authorized
uid = shutil.os.stat("/var/lib/postfix").st_uid
for name in "queue", "data", "mail":
    Path(name).mkdir()
    if name != "queue":
        os.chown(name, uid, uid)
MAIN = MAIN.replace("FOLDER", folder.name).replace("UID", str(uid))
write("postfix/main.cf", MAIN)
write("postfix/master.cf", MASTER)
subprocess.run("postfix -c $PWD/postfix start 2>start.log", shell=True, check=True)
sh("qpsdk send --server 127.0.0.1:2525 --to bob@example.com letter.eml >told || tail -3 told")

# %% [markdown]
# This is worse than a server that is down. 552 says *never*: the client gives up, and its user gets
# the message back. Postfix takes QMQP from nobody whom it does not know, and says so with a D. So
# the order in which things are made ready matters: **first what is behind, then what is before it.**
# (The first exercise mends it in the plugin.) With the second line:

# %% tags=["static"]
# %%needs postfix 10_accepted
write("postfix/main.cf", MAIN + "qmqpd_authorized_clients = 127.0.0.1\n")
subprocess.run("postfix -c $PWD/postfix reload 2>start.log", shell=True, check=True)
sh("qpsdk send --server 127.0.0.1:2525 --to bob@example.com letter.eml | tail -3")

# %% [markdown]
# `queued as` and a name: that is Postfix's K, passed on. From here on the message is Postfix's. It
# has delivered it to a *maildir*, a folder with a file for each message:

# %% tags=["static"]
# %%needs postfix 10_delivered
until = time.monotonic() + 10
while not (found := list(Path("mail/new").glob("*"))) and time.monotonic() < until:
    time.sleep(0.02)
print(same(found[0].read_text()).rstrip())

# %% [markdown]
# Read it from below, as a message travels: below is what the client sent. Above is what the host
# put on top, `Authentication-Results` and `Received`, with the client that it saw and the id that
# its log has. On top of it is Postfix's own `Received`, with QMQP, and the name it said. Each
# `Received` is one hand-over, and each of its ids can be looked up in a log.
#
# Then it is stopped, and the host is as it was before it: 452, and the client tries again later.

# %% tags=["static"]
# %%needs postfix 10_stopped
subprocess.run("postfix -c $PWD/postfix stop 2>start.log", shell=True, check=True)
sh("qpsdk send --server 127.0.0.1:2525 --to bob@example.com letter.eml >told || tail -3 told")

# %% [markdown]
# The rest of the chapter needs no delivery: the fake server stands in for Postfix on its port.

# %% tags=["static"]
stop(host)
fake = start("qpsdk fake-qmqp --listen 127.0.0.1:628")

# %% [markdown]
# ## The log
#
# A user calls: *my message has not arrived*. You have a sender and a time, and want the rest.

# %% tags=["static"]
host = start("qpsdk serve --config config 2>log")
SEND = "qpsdk send --server 127.0.0.1:2525"
sh(f"{SEND} --to bob@example.net letter.eml >told")
sh(f"{SEND} --to bob@example.com letter.eml >told")
sh("grep ann@ log || grep you@ log")

# %% [markdown]
# Not `ann@example.org`, which only stands in the letter, but `you@example.org`: what the client says
# in MAIL, the *envelope sender*, is what a log has. In brackets is the connection's id; with it,
# you have all that happened there, and nothing of what happened at the same time to others:

# %% tags=["static"]
(line,) = re.findall(r"\[(\w+)\].*you@example.org", Path("log").read_text())
sh(f"grep {line} log")

# %% [markdown]
# How much is told is `config/loglevel`. The levels are those of syslog: LOGEMERG, LOGALERT, LOGCRIT,
# LOGERROR, LOGWARN, LOGNOTICE, LOGINFO, LOGDEBUG. Without the file it is LOGWARN: silence, unless
# somebody has to do something. LOGINFO has a few lines for each message, and LOGDEBUG an answer of
# each plugin. It is taken up at once: when you need to know more, you need no restart.

# %% tags=["static"]
write("config/loglevel", "LOGDEBUG\n")
sh(f"{SEND} --to bob@example.com letter.eml >told")
wait_for("connection closed")
write("config/loglevel", "LOGINFO\n")
sh("grep -E 'LOGDEBUG|loglevel' log")

# %% [markdown]
# ## Change it while it runs
#
# Most settings are taken up by the next client. New plugins need a *reload*: the signal SIGHUP.
# Here somebody adds a word that `rcpt_ok` does not have, and does not run `check`:

# %% tags=["static"]
write("config/plugins", PLUGINS.replace("rcpt_ok", "rcpt_ok strict"))
host.send_signal(signal.SIGHUP)
wait_for("not reloaded")
sh("grep 'not reloaded' log")
sh(f"{SEND} --to bob@example.com letter.eml | tail -3")

# %% [markdown]
# The host that runs goes on with the plugins that it has. (A *restart* with this file would have
# failed, and left you with none: `check` first.) With a right one:

# %% tags=["static"]
write("config/plugins", "relay\n" + PLUGINS)
write("config/relayclients", "127.0.0.1\n")
host.send_signal(signal.SIGHUP)
wait_for("LOGNOTICE reloaded")
sh("tail -2 log")

# %% [markdown]
# Who was connected is served on by the plugins as they were; the next client gets the new ones.
#
# ## HAProxy before it
#
# What we have just allowed: clients in `relayclients`, here the machine itself, may send to anyone.
# That is common, and right. A *proxy* is, too: a program that takes connections for several hosts,
# and hands each to one of them that is up. Now both. The stranger is at 127.0.0.2, and asks again
# what all strangers ask, first the host itself:

# %% tags=["static"]
import smtplib


def stranger(port):
    """Ask from 127.0.0.2 whether a host relays; print its answer and what it logs."""
    before = len(Path("log").read_text())
    with smtplib.SMTP(source_address=("127.0.0.2", 0), timeout=10) as client:
        client.connect("127.0.0.1", int(ports[port]))
        client.helo("client.example.org")
        client.mail("spam@example.org")
        code, text = client.rcpt("bob@example.net")
    print(code, text.decode())
    print(same(Path("log").read_text()[before:]).splitlines()[0])


stranger("2525")

# %% [markdown]
# And then by way of HAProxy:

# %% tags=["static"]
HAPROXY = """\
global
    stats timeout 5s
defaults
    mode tcp
    timeout connect 5s
    timeout client 600s
    timeout server 600s
listen smtp
    bind 127.0.0.1:25
    server one 127.0.0.1:2525
"""

# %% tags=["static"]
# %%needs haproxy 10_open_relay
write("haproxy.cfg", HAPROXY)
sh("haproxy -D -p haproxy.pid -f haproxy.cfg")
stranger("25")

# %% [markdown]
# An open relay, made of two right things. To the host, all clients have HAProxy's address, which
# may relay. And everything else that looks at the address is blind, too: lists of bad addresses,
# limits for each address, the log.
#
# The cure is the *PROXY protocol*. HAProxy puts a header before each connection that says who the
# client is. `send-proxy-v2` on its `server` line makes it do so, and `config/proxy_networks` says
# whom the host believes: from there, each connection has to begin with such a header, and nobody
# else's is believed.

# %% tags=["static"]
# %%needs haproxy 10_proxy_protocol
write("config/proxy_networks", "127.0.0.1\n")
write("haproxy.cfg", HAPROXY.rstrip() + " send-proxy-v2\n")
sh("haproxy -D -p new.pid -f haproxy.cfg -sf $(cat haproxy.pid) && mv new.pid haproxy.pid")
stranger("25")

# %% [markdown]
# The host sees the client again, and refuses. `-sf` is how HAProxy reloads: the new one takes over,
# the old one ends what it has begun. From now on, though, 127.0.0.1 is a proxy, and one without a
# header is told nothing:

# %% tags=["static"]
write("config/proxy_networks", "127.0.0.1\n")
write("config/proxy_timeout", "1\n")
sh(f"{SEND} --to bob@example.com letter.eml")
sh("tail -1 log")

# %% [markdown]
# So is the half of it, in the other order: HAProxy sends a header, and no line here believes it.
# Then the header is a command that nobody knows, and each client hears 500. Set both, then ask from
# outside.

# %% tags=["static"]
Path("config/proxy_networks").unlink()
write("config/plugins", PLUGINS)
stop(host)

# %% [markdown]
# ## Several workers
#
# A host is one process, which uses one core of the processor. `--workers` gives it several, which
# share the port. One of them dies here, as if it were killed by the system for want of memory:

# %% tags=["static"]
host = start("qpsdk serve --config config --workers 2 --log-format json 2>log")
children = Path(f"/proc/{host.pid}/task/{host.pid}/children")
first, second = children.read_text().split()
os.kill(int(first), signal.SIGKILL)
until = time.monotonic() + 10
while len(children.read_text().split()) < 2 or first in children.read_text().split():
    assert time.monotonic() < until
sh(f"{SEND} --to bob@example.com letter.eml | tail -3")
stop(host)

# %% [markdown]
# Another one has taken its place, and mail goes on. This log is for programs: each line is an object
# of JSON, as `--log-format json` says, which whatever collects your logs can search by field.

# %% tags=["static"]
import json

for entry in map(json.loads, Path("log").read_text().splitlines()):
    if entry["level"] != "LOGINFO" or "transaction" in entry:
        fields = ("level", "plugin", "text")
        told = " | ".join(entry[name] for name in fields if name in entry)
        told = re.sub(rf"\b({first}|{second})\b", "4711", told)
        print(re.sub(r"worker \d ", "worker N ", same(told)))
