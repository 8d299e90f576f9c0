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
# [what goes wrong](07_when_things_go_wrong.md). In the end you have a checklist, and have seen go
# wrong what most of its lines are about.

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## A terminal
#
# So far, all mail was yours. A host that the Internet reaches takes mail from strangers: many of
# them want to send spam to you, some want to send it through you to others, and none of them reads
# your log. What was a detail is now a question to be answered before the first message: for whom do
# you take mail? Who has it when something fails? How do you find out? In the end a message comes
# this way:
#
# <!-- diagram: production -->
#
# This chapter happens in a terminal. Python types for you: `sh` runs a command, `start` one that
# stays, and `write` a file. Four ports are used, which this page calls 2525, 628, 25 and 9100: the
# system gives us other ones. What differs each time, such as times and ids, is made the same.

# %% tags=["static", "terminal"]
import atexit
import os
import pwd
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

held = {port: socket.socket() for port in ("2525", "628", "25", "9100")}
for held_port in held.values():
    held_port.bind(("127.0.0.1", 0))
ports = {port: str(one.getsockname()[1]) for port, one in held.items()}


def real(text):
    """The text with the ports that we were given."""
    return re.sub(
        r"127\.0\.0\.1:(2525|628|25|9100)\b", lambda m: f"127.0.0.1:{ports[m[1]]}", text
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
    if ran.stdout:
        print(same(ran.stdout).rstrip())
    if ran.returncode:
        print("exit status:", ran.returncode)


running = []


def start(command):
    """Run a command that stays, up to the line that says where it listens."""
    for one in held.values():
        one.close()
    process = subprocess.Popen(
        f"exec {shell(command)}",
        shell=True,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # not the kernel's to end, but ours
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
        if process.poll() is None:
            process.terminate()
            process.wait()
    if Path("postfix").exists():
        subprocess.run(
            "postfix -c $PWD/postfix stop 2>/dev/null", shell=True, check=False
        )
    if Path("haproxy.pid").exists():
        os.kill(int(Path("haproxy.pid").read_text()), signal.SIGTERM)


def write(file, text):
    """Write a file of the config directory, or of somebody else's."""
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(real(text))


def wait_for(text, times=1):
    """Wait until something stands in the log."""
    until = time.monotonic() + 20
    while (log := Path("log").read_text()).count(text) < times:
        assert time.monotonic() < until, log
        time.sleep(0.01)


# %% [markdown]
# ## The config directory
#
# A *config directory* has a file for each setting. These five are the least for a host that
# strangers reach: its name, where it listens, whose mail it takes, who decides, and how much it
# logs. This one was written in a hurry:

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
# Follow a stranger's message through it: what is cheap comes first, and somebody decides about each
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
# yes is an *open relay*. It is soon found, and then no one takes mail from it.

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
SEND = "qpsdk send --server 127.0.0.1:2525"
sh(f"{SEND} --to bob@example.net letter.eml | tail -4")

# %% [markdown]
# It says no. Now a message for us. There is no QMQP server yet, as on a day when it is down:

# %% tags=["static"]
sh(f"{SEND} --to bob@example.com letter.eml >told || tail -3 told")
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
# - in `/etc/postfix/master.cf`: `127.0.0.1:628 inet n - n - - qmqpd`
# - in `/etc/postfix/main.cf`: `qmqpd_authorized_clients = 127.0.0.1`
#
# To leave yours alone, this page has a Postfix of its own in a folder. It takes root to start one,
# and not every machine has one: where it cannot run, the cells that begin with `%%needs` show what
# they have printed elsewhere.

# %% tags=["static", "terminal"]
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
uid = pwd.getpwnam("postfix").pw_uid
for name in "queue", "data", "mail":
    Path(name).mkdir()
    if name != "queue":
        os.chown(name, uid, uid)
MAIN = MAIN.replace("FOLDER", folder.name).replace("UID", str(uid))
write("postfix/main.cf", MAIN)
write("postfix/master.cf", MASTER)
subprocess.run("postfix -c $PWD/postfix start 2>start.log", shell=True, check=True)
sh(f"{SEND} --to bob@example.com letter.eml >told || tail -3 told")

# %% [markdown]
# This is worse than a server that is down. 552 says *never*: the client gives up, and its user gets
# the message back. Postfix takes QMQP from nobody whom it does not know, and says so with a D. So
# the order in which things are made ready matters: **first what is behind, then what is before
# it.** (The first exercise mends it in the plugin.) With the second line:

# %% tags=["static"]
# %%needs postfix 10_accepted
write("postfix/main.cf", MAIN + "qmqpd_authorized_clients = 127.0.0.1\n")
subprocess.run("postfix -c $PWD/postfix reload 2>start.log", shell=True, check=True)
sh(f"{SEND} --to bob@example.com letter.eml | tail -3")

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
sh(f"{SEND} --to bob@example.com letter.eml >told || tail -3 told")

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
sh(f"{SEND} --to bob@example.net letter.eml >told")
sh(f"{SEND} --to bob@example.com letter.eml >told")
sh("grep ann@example.org log")

# %% [markdown]
# `qpsdk send` ends with 100 where it is refused for good, as the first message was, and with 75
# where it may try again. And grep has found nothing, which is 1: nothing, though the letter is from
# Ann. What a log has is the envelope, what the client says in MAIL and
# RCPT; the sender is here what `qpsdk send` says if it is not told another. So ask for that:

# %% tags=["static"]
sh("grep you@example.org log")

# %% [markdown]
# Both are there: the one with the plugin that refused it, the other with what became of it. In
# brackets is the connection's id. With it you have all that happened there, and nothing of what
# happened to others at the same time:

# %% tags=["static"]
_, connection = re.findall(r"\[(\w+)\].*you@example.org", Path("log").read_text())
sh(f"grep {connection} log")

# %% [markdown]
# How much is logged, `config/loglevel` says. The levels are those of syslog: LOGEMERG, LOGALERT,
# LOGCRIT, LOGERROR, LOGWARN, LOGNOTICE, LOGINFO, LOGDEBUG. Without the file it is LOGWARN: silence,
# unless somebody has to do something. LOGINFO has a few lines for each message, and LOGDEBUG every
# answer of every plugin. The host takes it up by itself: when you need to know more, you need no
# restart.

# %% tags=["static"]
time.sleep(1)  # it looks for changes once a second at most
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
# Clients that are connected stay with the plugins as they were; the next one gets the new ones.
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
    log = same(Path("log").read_text()[before:])
    print(*(one for one in log.splitlines() if "connection from" in one))


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
time.sleep(1)
write("config/proxy_networks", "127.0.0.1\n")
write("config/proxy_timeout", "1\n")

# %% tags=["static"]
# %%needs haproxy 10_proxy_protocol
write("haproxy.cfg", HAPROXY.rstrip() + " send-proxy-v2\n")
sh("haproxy -D -p haproxy.pid -f haproxy.cfg -sf $(cat haproxy.pid)")
time.sleep(0.5)  # until the old one has gone
stranger("25")

# %% [markdown]
# The host sees the client again, and refuses. `-sf` is how HAProxy reloads: the new one takes over,
# the old one ends what it has begun. From now on, 127.0.0.1 is a proxy, and whoever comes from
# there without a header is not served:

# %% tags=["static"]
sh(f"{SEND} --to bob@example.com letter.eml")
sh("tail -1 log")

# %% [markdown]
# The other half alone fails, too: where HAProxy sends a header and `proxy_networks` does not have
# it, the header is a command that nobody knows, and each client hears 500. Set both, and then try
# it from outside.

# %% tags=["static"]
# %%needs haproxy 10_haproxy_stopped
sh("kill $(cat haproxy.pid) && rm haproxy.pid && echo stopped")

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
first = children.read_text().split()[0]
os.kill(int(first), signal.SIGKILL)
wait_for('"plugins: ', times=3)  # each worker says once what it has loaded
sh(f"{SEND} --to bob@example.com letter.eml | tail -3")
stop(host)

# %% [markdown]
# Another one has taken its place, and mail goes on. This log is for programs: by `--log-format
# json` each line is an object of JSON, which whatever collects your logs can search by field. Here
# Python does. There are two lines `stopping`, one of each worker.

# %% tags=["static"]
import json

for entry in map(json.loads, Path("log").read_text().splitlines()):
    if entry["level"] != "LOGINFO" or "transaction" in entry:
        fields = ("level", "plugin", "text")
        told = " | ".join(entry[name] for name in fields if name in entry)
        print(re.sub(r"worker \d \(process \d+", "worker 1 (process 4711", same(told)))

# %% [markdown]
# ## Limits
#
# What one client can use up, all others lack. So everything that a client can use up has a limit:
# time, connections, recipients, bytes; [how to set them](../how-to/limits.md) lists them all with
# what the client is told. Most of the defaults are right for the Internet. One is not, as nobody
# knows it but you: `databytes`, the largest message, has no limit until you write one.
#
# A limit is a file with a number in it. So that you see one at work, an address gets two
# connections at a time, and not 50:

# %% tags=["static"]
write("config/max_connections_per_address", "2\n")
write("config/unlimited_clients", "192.0.2.1\n")  # for us it is this machine, as a rule
write("config/databytes", "100\n")
host = start("qpsdk serve --config config 2>log")
clients = [smtplib.SMTP(source_address=("127.0.0.2", 0), timeout=10) for _ in range(3)]
for client in clients:
    code, text = client.connect("127.0.0.1", int(ports["2525"]))
    print(code, text.decode())
for client in clients:
    client.close()
sh("grep LOGWARN log")
sh(f"{SEND} --to bob@example.com letter.eml | tail -3")

# %% [markdown]
# `qpsdk send` said how large its message is, and was refused before it had sent it. Note the codes:
# 421 is *later*, as it is about the moment; 552 is *never*, as the message will not get smaller.

# %% tags=["static"]
stop(host)
for name in "max_connections_per_address", "unlimited_clients", "databytes":
    Path("config", name).unlink()
sh("qpsdk check --config config")

# %% [markdown]
# ## Numbers
#
# A log says what became of one message. For what becomes of all of them there are *metrics*:
# numbers that the host counts, and that a program such as Prometheus fetches every few seconds.
# `config/metrics` says where from (and `pip install 'qpsdk[metrics]'` brings what it takes):

# %% tags=["static"]
from urllib.request import urlopen

write("config/metrics", "127.0.0.1:9100\n")
host = start("qpsdk serve --config config 2>log")
sh(f"{SEND} --to bob@example.com letter.eml >told")
stop(fake)
sh(f"{SEND} --to bob@example.com letter.eml >told")

counted = urlopen(real("http://127.0.0.1:9100/metrics")).read().decode()
for one in counted.splitlines():
    if re.match(r"qpsdk_(connections|messages)_total|qpsdk_forward_seconds_count", one):
        print(same(one))
stop(host)

# %% [markdown]
# One message was taken, and one put off, as there was no answer from the server behind. The second
# kind is the one to be woken up for; [Watch a host](../how-to/metrics.md) has all the numbers, and
# what to look at.
#
# ## Under systemd
#
# What we have done by hand, starting, stopping and taking care that nothing is left, is the work of
# a *service manager*. On most machines that is systemd. It opens port 25, for which it takes root,
# and hands it to a host that never is root:

# %% tags=["static"]
Path("units").mkdir()
sh("qpsdk systemd-units --config config units 2>told")
sh("grep Listen units/qpsdk.socket")
sh("grep -E '^(Dynamic|ExecReload|Restart=|ProtectS|NoNew)' units/qpsdk.service")

# %% [markdown]
# The port stays open while the host restarts, so a restart refuses no client; the host may write to
# one folder, and its log goes to the journal. [Run under systemd](../how-to/run-under-systemd.md)
# has the commands from day to day.
#
# ## Before you go live
#
# 1. `qpsdk check` finds nothing, and is run before each start and reload. `qpsdk order` is what you
#    mean.
# 2. From an address that is not yours, a message to somebody else's domain is refused with 550.
#    With a proxy before the host, by way of the proxy.
# 3. From outside, a message to you arrives. Its `Received` fields name the client, not your proxy.
# 4. With the server behind it stopped, the client is told 452. When it is back, 250: then
#    Postfix knows the host, and nobody is refused for good.
# 5. `databytes` is no larger than what the server behind takes, and the disk has room for what
#    comes at the same time.
# 6. You have found one message in the log by its sender, and all else by its connection's id.
#    LOGERROR wakes somebody up.
# 7. A reload with a mistake in it has changed nothing, and you have seen it say so.
# 8. The service starts with the machine: you have restarted it once.
# 9. What decides about mail, the config directory and your own plugins, is in version control.
#
# ## Exercises
#
# **1.** A D from a server that does not know us bounces mail, for a mistake of ours. Write a
# forwarder that puts such messages off, and says LOGALERT. All else stays as it is. (The fake
# server's act is `unauthorized`.)

# %% tags=["answer"]
from qpsdk import DENY, DENYSOFT, LOGALERT, OK, Plugin
from qpsdk.plugins.queue.qmqp_forward import QMQPForward
from qpsdk.testing import FakeQMQPServer, capture_log, smtp
from qpsdk.testing.qmqp_script import reject, unauthorized


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK


class PatientForward(QMQPForward):
    async def hook_queue(self, transaction):
        constant, text = await super().hook_queue(transaction)
        if constant is DENY and "is not authorized" in text:
            self.log(LOGALERT, "the QMQP server does not know us:", text)
            return DENYSOFT, "Cannot queue the message now, try again later"
        return constant, text


fake_server = FakeQMQPServer()
fake_server.script(unauthorized(), reject("too large"))
lines = TakeAll(), "__main__.PatientForward 192.0.2.1"
with capture_log() as log:
    async with smtp(*lines, connect=fake_server.connect) as client:
        assert (await client.send(b"Subject: hello\n\n")).code == 452
        assert (await client.send(b"Subject: hello\n\n")).code == 552
assert len(log.lines(level=LOGALERT)) == 1

# %% [markdown]
# **2.** Behind a proxy, no client ever has the proxy's address, unless somebody has broken the
# PROXY protocol. Write a plugin that is told that address, and puts off whoever comes with it.
# (To come from an address in memory, give `smtp` a `connection=Connection("1", ADDRESS)`.)

# %% tags=["answer"]
from qpsdk import DECLINED, Connection


class NeverTheProxy(Plugin):
    def register(self, qp, address):
        self.address = address

    def hook_connect(self, connection):
        if connection.remote_ip == self.address:
            return DENYSOFT, "try again later"
        return DECLINED


async def greeting(address):
    """The code that a client from an address is greeted with."""
    connection = Connection("1", address)
    async with smtp(
        "__main__.NeverTheProxy 192.0.2.25", connection=connection
    ) as client:
        return client.greeting.code


assert await greeting("192.0.2.25") == 450
assert await greeting("192.0.2.26") == 220

# %% [markdown]
# **3.** Write a function that is given the lines of a log and an envelope sender, and gives all
# lines of the connections that sent mail from there. Try it on a log that has two clients in it.

# %% tags=["answer"]
import re


def story(lines, sender):
    found = {re.search(r"\[(\w+)\]", one)[1] for one in lines if f"<{sender}>" in one}
    return [one for one in lines if any(f"[{name}]" in one for name in found)]


LOG = """12:00:00,000 LOGINFO [a1] connection from 192.0.2.1
12:00:00,001 LOGINFO [a2] connection from 192.0.2.2
12:00:00,002 LOGNOTICE [a2] rcpt_ok: rcpt: DENY: no (from <ann@example.org> to <b@c>)
12:00:00,003 LOGINFO [a1] queue/qmqp_forward: a1.1 from <you@example.org> to <b@c>: 250
12:00:00,004 LOGNOTICE stopping
""".splitlines()
assert story(LOG, "you@example.org") == [LOG[0], LOG[3]]
assert story(LOG, "ann@example.org") == LOG[1:3]
