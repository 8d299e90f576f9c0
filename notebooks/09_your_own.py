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
# # Your own
#
# You learn to make a package of a plugin, so that others can install it: scaffold, test, build,
# publish. You should know [register()](02_register.md) and how a plugin is
# [tested](08_testing_it.md). In the end the limit of chapter 2 is a wheel that a host loads by its
# name.

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## One file is enough
#
# A plugin for one host needs no package. A file in a folder that `config/plugin_dirs` names is
# found by its name: `limit.py` is the plugin `limit`. `qpsdk new --single-file limit` writes such a
# file, and says which lines load it.
#
# A package is for what a file does not have: tests that run elsewhere, a version, others who
# install it. The rest of this chapter happens in a terminal. Python types for you: `sh` runs a
# command.

# %% tags=["static", "terminal"]
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.chdir(tempfile.mkdtemp())
os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, COLUMNS="100", TERM="dumb")
for name in "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR":
    os.environ.pop(name, None)


def sh(command, **environment):
    """Run a command as in a terminal; what it prints."""
    shell = {**os.environ, **environment}
    python = f"{sys.executable} -m"
    ran = subprocess.run(
        command.replace("qpsdk ", f"{python} qpsdk ", 1)
        if command.startswith("qpsdk ")
        else command.replace("python -m", python),
        shell=True,
        env=shell,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ran.stdout


# %% [markdown]
# ## The scaffold
#
# `qpsdk new` makes a git repository that works as it is. `--hook` says which hooks the plugin has;
# without `--yes`, it asks.

# %% tags=["static"]
made = sh("qpsdk new recipient-limit --hook rcpt --author 'Ann Example' --yes")
print(made.split("README.md says")[0])
os.chdir("recipient-limit")
print(sh("git ls-files"))

# %% [markdown]
# The folder has the plugin and its tests; a config directory, so that `make run` serves it; CI, and
# the way to the package index; and a README that says what comes next. What the plugin does is an
# example: it refuses one recipient.
#
# ## Your rules in its place
#
# These are the rules of chapter 2, with types, since others will read them:

# %% tags=["static"]
# %%writefile src/recipient_limit/__init__.py
"""Takes so many recipients in one message, and no more.

A line of config/plugins loads it, with the most that are taken, 100 if it says none:

    recipient_limit 100
"""

from qpsdk import (
    DECLINED,
    DENYSOFT,
    Address,
    Host,
    Parameters,
    Plugin,
    Result,
    Transaction,
)


class RecipientLimit(Plugin):
    """Takes so many recipients in one message, and no more."""

    def register(self, qp: Host, most: str = "100") -> None:
        """Take the words of the line in config/plugins."""
        if not most.isascii() or not most.isdigit() or int(most) == 0:
            raise ValueError(f"{most!r}: write a number from 1 up, such as 100")
        self.most = int(most)

    def hook_rcpt(
        self, transaction: Transaction, recipient: Address, params: Parameters
    ) -> Result:
        """Put off a recipient too many: a client tries it again later."""
        if len(transaction.recipients) >= self.most:
            return DENYSOFT, "too many recipients"
        return DECLINED


# %% [markdown]
# And these are the promises. The contract of the last chapter is in every project; `TestContract`
# stays, with the word of our line.

# %% tags=["static"]
# %%writefile tests/test_recipient_limit.py
"""What clients of a host with the plugin are told."""

import pytest
from qpsdk import OK, Address, Parameters, Plugin, PluginError, Result, Transaction
from qpsdk.testing import PluginContract, plugin, smtp


class TakeAll(Plugin):
    """Stands for the plugins behind ours."""

    def hook_rcpt(
        self, transaction: Transaction, recipient: Address, params: Parameters
    ) -> Result:
        return OK


def test_one_too_many() -> None:
    """Whoever is named beyond the limit is put off, and those before are not."""
    with smtp("recipient_limit 2", TakeAll()) as client:
        client.command("EHLO client.example.org")
        client.command("MAIL FROM:<sender@example.org>")
        codes = [client.command(f"RCPT TO:<{name}@example.com>").code for name in "abc"]
    assert codes == [250, 250, 450]


@pytest.mark.parametrize("word", ["0", "-1", "many", ""])
def test_wrong_words(word: str) -> None:
    """A host with such a line does not start."""
    with pytest.raises(PluginError, match="write a number from 1 up"):
        plugin("recipient_limit", word)


class TestContract(PluginContract):
    """What holds for every plugin."""

    plugin = "recipient_limit", "2"


# %% [markdown]
# ## How a host finds it
#
# Not by its file. `pyproject.toml` says it once, and the package that is built from it carries it
# along:

# %% tags=["static"]
project = Path("pyproject.toml").read_text()
print(project[project.index("# How a line") : project.index("[tool.hatch")])
print(project[project.index("# The releases") : project.index("[project.optional")])

# %% [markdown]
# The left side is the name that goes into `config/plugins`, the right side the class. And
# `dependencies` has the releases of qpsdk that the plugin was made for. What is public in qpsdk
# changes only with the number that this excludes, so a host that updates to it is told by pip, not
# by its mail.
#
# ## Build it
#
# A wheel is what pip installs: a zip file with the code and what `pyproject.toml` says.

# %% tags=["static"]
built = sh("python -m pip wheel --quiet --no-deps --no-build-isolation -w dist .")
(wheel,) = Path("dist").glob("*.whl")
print(built + wheel.name)
print(sh(f"python -m zipfile --list {wheel} | cut -d ' ' -f 1"))

# %% [markdown]
# On another machine it would be `pip install recipient-limit`. Here, the wheel on Python's path
# does the same, and leaves nothing behind. The tests run against it, as a user will have it:

# %% tags=["static"]
installed = str(wheel.resolve())
tested = sh("python -m pytest -q -o addopts= --color=no", PYTHONPATH=installed)
print(tested.split(" in ")[0])

# %% [markdown]
# A wheel that was tested is a wheel that works; a source tree that was tested may have forgotten to
# pack a file. This is how a host sees it now:

# %% tags=["static"]
listed = sh("qpsdk plugins", PYTHONPATH=installed)
print("\n".join(line for line in listed.splitlines() if "recipient_limit" in line))

# %% tags=["static"]
Path("config/plugins").write_text(
    "recipient_limit 2\nrcpt_ok\nqueue/qmqp_forward 192.0.2.1\n"
)
print(sh("qpsdk order --config config", PYTHONPATH=installed))

# %% [markdown]
# And this is what whoever runs that host sees, when the line is wrong:

# %% tags=["static"]
Path("config/plugins").write_text(
    "recipient_limit many\nrcpt_ok\nqueue/qmqp_forward 192.0.2.1\n"
)
print(sh("qpsdk check --config config", PYTHONPATH=installed))

# %% [markdown]
# ## Publish it
#
# What stands between this and others is a version, a line in `CHANGELOG.md`, and a place. The
# project has a workflow for GitHub, `.github/workflows/publish.yml`: it publishes to PyPI what is
# released there, without a password, after the tests are green and the tag is the version. Its
# first lines say what to do once.
#
# Before the first release, read the README as somebody who has never met you: what does the plugin
# do, which line loads it, where in `config/plugins` does it belong? The place matters, since the
# first plugin that has an opinion decides.
#
# Later, `qpsdk update` merges what newer versions of qpsdk give to new projects, as any other
# branch: where you have changed the same lines, it is a conflict in git.
#
# ## Exercises
#
# **1.** Two lines of `config/plugins` load the plugin twice, with 2 and with 5. Which one decides,
# and what would you have to do for the greater number to count? Try it in memory.

# %% tags=["answer"]
from qpsdk import DECLINED, DENYSOFT, OK, Plugin
from qpsdk.testing import smtp


class Limit(Plugin):
    def register(self, qp, most):
        self.most = int(most)

    def hook_rcpt(self, transaction, recipient, params):
        full = len(transaction.recipients) >= self.most
        return (DENYSOFT, f"{self.most} are enough") if full else DECLINED


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK


async def taken(*lines):
    """How many of nine recipients are taken."""
    async with smtp(*lines, TakeAll()) as client:
        await client.command("HELO client.example.org")
        await client.command("MAIL FROM:<sender@example.org>")
        replies = [await client.command(f"RCPT TO:<{n}@example.com>") for n in range(9)]
    return sum(reply.code == 250 for reply in replies)


# Whoever refuses, decides: the smaller number, whichever line comes first. For the
# greater to count, one of the lines has to go.
assert await taken("__main__.Limit 2", "__main__.Limit 5") == 2
assert await taken("__main__.Limit 5", "__main__.Limit 2") == 2

# %% [markdown]
# **2.** A colleague wants the limit in messages to postmasters lifted. Write the test first: the
# third recipient is `postmaster@example.com` and is taken. Then the rule.

# %% tags=["answer"]


class KindLimit(Limit):
    def hook_rcpt(self, transaction, recipient, params):
        if recipient.user.lower() == b"postmaster":
            return DECLINED
        return super().hook_rcpt(transaction, recipient, params)


async with smtp("__main__.KindLimit 2", TakeAll()) as client:
    await client.command("HELO client.example.org")
    await client.command("MAIL FROM:<sender@example.org>")
    for user, code in [("a", 250), ("b", 250), ("Postmaster", 250), ("c", 450)]:
        assert (await client.command(f"RCPT TO:<{user}@example.com>")).code == code
