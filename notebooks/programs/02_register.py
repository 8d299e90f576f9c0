"""Where chapter 2 arrives: a limit of recipients, with arguments, options and a setting."""

import asyncio

from qpsdk import DECLINED, DENYSOFT, LOGINFO, OK, Plugin, PluginError
from qpsdk.testing import smtp


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


async def recipients(client, *users, sender="<sender@example.org>"):
    """Name some recipients, and show what the server says of each."""
    await client.command("HELO client.example.org")
    await client.command(f"MAIL FROM:{sender}")
    for user in users:
        print(user, "->", await client.command(f"RCPT TO:<{user}@example.com>"))


async def load(line):
    """Load a plugin, or say why it cannot be."""
    try:
        async with smtp(line):
            print(f"{line}: fine")
    except PluginError as error:
        print(error)


async def main():
    await load("__main__.Limit bounces=none")

    settings = {"limit_exempt": "# they ask before they send\nlists.example.org\n"}
    async with smtp("__main__.Limit 1", TakeAll(), config=settings) as client:
        print("from a person:")
        await recipients(client, "ann", "ben")
        print("from a list:")
        await recipients(client, "ann", "ben", sender="<news@lists.example.org>")
        print("a bounce:")
        await recipients(client, "ann", "ben", sender="<>")


asyncio.run(main())
