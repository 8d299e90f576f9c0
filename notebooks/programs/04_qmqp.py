"""Where chapter 4 arrives: QMQP packages built by hand, and what servers may say to them."""

import asyncio

from qpsdk import OK, Endpoint, Plugin, netstring
from qpsdk.testing import FakeQMQPServer, smtp
from qpsdk.testing.qmqp_script import accept, close_at, cut_reply, defer, reject


def build(message, sender, recipients):
    parts = (message, sender, *recipients)
    return netstring.encode(b"".join(netstring.encode(part) for part in parts))


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


async def main():
    message = b"Subject: hello\n\nHow are you?\n"
    sender = b"sender@example.org"
    recipients = [b"ann@example.com", b"ben@example.com"]
    package = build(message, sender, recipients)
    print(package)

    print("\nThree answers, as the server gives them:")
    fake = FakeQMQPServer()
    fake.script(accept("queued as 17"), defer("the disk is full"), reject("too large"))
    for _ in range(3):
        print(await exchange(fake, package))

    print("\nAnd as they reach a client of ours:")
    fake.script(accept("queued as 17"), defer("the disk is full"), reject("too large"))
    for _ in range(3):
        print(await send(fake, "ann", "ben"))

    print("\nA connection that breaks before the last byte:")
    fake = FakeQMQPServer()
    fake.script(close_at(len(package) - 1))
    print("answer:  ", await exchange(fake, package))
    print("accepted:", fake.connections[0].accepted)

    print("\nAnd after it:")
    fake = FakeQMQPServer()
    fake.script(cut_reply(0), accept())
    print("answer:  ", await exchange(fake, package))
    print("accepted:", fake.connections[0].accepted)

    await exchange(fake, package)
    print(len(fake.messages), "messages for Ann")


asyncio.run(main())
