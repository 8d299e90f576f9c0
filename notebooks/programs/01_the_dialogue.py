"""Where chapter 1 arrives: a doorkeeper, and a plugin that shows each hook as it is run."""

import asyncio

from qpsdk import DECLINED, DENY, DENY_DISCONNECT, OK, Plugin
from qpsdk.hooks import HOOKS
from qpsdk.testing import smtp


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


class TakeAll(Plugin):
    def hook_rcpt(self, transaction, recipient, params):
        return OK

    def hook_queue(self, transaction):
        return OK


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


async def say(client, line):
    print(f"C: {line}")
    print(f"S: {await client.command(line)}")


async def main():
    print("A message and the hooks that it meets:")
    async with smtp(Witness(), TakeAll()) as client:
        await say(client, "HELO client.example.org")
        await say(client, "MAIL FROM:<sender@example.org>")
        await say(client, "RCPT TO:<ann@example.com>")
        await say(client, "DATA")
        print("C: Subject: hello ...")
        print("S:", await client.send_data("Subject: hello\n\nHow are you?\n"))
        await say(client, "QUIT")

    print("\nA client that lies to the doorkeeper:")
    async with smtp(Doorkeeper()) as client:
        await client.command("EHLO mx.example.com")
        print(client.transcript)

    print("\nTwo messages at the doorkeeper's, the first a bounce:")
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


asyncio.run(main())
