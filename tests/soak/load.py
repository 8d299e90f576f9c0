"""What the clients of a soak do: send, leave, be silent, talk nonsense."""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from tests.interop.rig import Client, RunningHost, blocks, wire

GONE = (EOFError, OSError)
"""What a client meets when the host closes."""


def _line(dice: random.Random) -> bytes:
    return dice.randbytes(30).hex().encode() + b"\n"


def _message(dice: random.Random, size: int) -> bytes:
    return b"Subject: soak\n\n" + _line(dice) * (size // 61 + 1)


class Load:
    """One client after another, each at random.

    Attributes:
        counts: How many clients did what, and how many messages were acknowledged.
    """

    def __init__(self, host: RunningHost, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._host = host
        self._dice = random.Random(seed)
        self._acts: list[tuple[Callable[[Client], None], int]] = [
            (self.send_one, 20),
            (self.send_several, 5),
            (self.send_a_large_one, 2),
            (self.send_to_nobody, 4),
            (self.send_a_bare_line_end, 2),
            (self.begin_again, 3),
            (self.half_close, 3),
            (self.leave_in_the_message, 5),
            (self.reset_in_the_message, 5),
            (self.reset_while_it_is_queued, 3),
            (self.leave_at_once, 3),
            (self.talk_nonsense, 3),
            (self.send_bytes, 3),
            (self.be_slow, 1),
        ]

    def one(self) -> None:
        """Be one client."""
        acts, weights = zip(*self._acts, strict=True)
        (act,) = self._dice.choices(acts, weights)
        self.counts[act.__name__] += 1
        with suppress(*GONE), self._host.connect() as client:
            act(client)

    def _deliver(self, client: Client, size: int) -> None:
        answer = client.deliver(_message(self._dice, size))
        self.counts["acknowledged"] += answer.code == 250
        assert answer.code in (250, 452, 552), answer

    def send_one(self, client: Client) -> None:
        """A small message, as most are."""
        client.hello()
        self._deliver(client, self._dice.randrange(1, 8_000))
        client.ask(b"QUIT")

    def send_several(self, client: Client) -> None:
        """Some messages on one connection."""
        client.hello()
        for _ in range(self._dice.randrange(2, 6)):
            self._deliver(client, self._dice.randrange(1, 8_000))

    def send_a_large_one(self, client: Client) -> None:
        """One that is spooled to a file."""
        client.hello()
        self._deliver(client, self._dice.randrange(100_000, 3_000_000))

    def send_to_nobody(self, client: Client) -> None:
        """Recipients that are refused."""
        client.hello()
        client.ask(b"MAIL FROM:<sender@example.org>")
        assert client.ask(b"RCPT TO:<x@elsewhere.example>").code == 550

    def send_a_bare_line_end(self, client: Client) -> None:
        """A message that is refused for its line ends."""
        client.hello()
        client.begin()
        client.send(b"Subject: x\r\n\r\na\nb\r\n.\r\n")
        assert client.reply().code == 554

    def begin_again(self, client: Client) -> None:
        """A transaction that is given up."""
        client.hello()
        client.ask(b"MAIL FROM:<sender@example.org>")
        client.ask(b"RCPT TO:<recipient@example.com>")
        assert client.ask(b"RSET").code == 250

    def half_close(self, client: Client) -> None:
        """All said at once, then nothing but listening."""
        client.send(b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
        while client.reply().code != 354:
            pass
        client.send(b"Subject: x\r\n\r\nhi\r\n.\r\n")
        client.end()
        self.counts["acknowledged"] += client.reply().code == 250
        client.rest()

    def _begun(self, client: Client) -> None:
        client.hello()
        client.begin()
        data = wire(_message(self._dice, self._dice.choice((2_000, 200_000))))
        for part in blocks(data[: self._dice.randrange(len(data))], 1 << 14):
            client.send(part)

    def leave_in_the_message(self, client: Client) -> None:
        """Closed where the message is not complete."""
        self._begun(client)

    def reset_in_the_message(self, client: Client) -> None:
        """The same with a reset."""
        self._begun(client)
        client.reset()

    def reset_while_it_is_queued(self, client: Client) -> None:
        """Gone before the answer: the message may be queued or not."""
        client.hello()
        client.begin()
        client.send(wire(_message(self._dice, 2_000)) + b".\r\n")
        client.reset()

    def leave_at_once(self, client: Client) -> None:
        """A probe of a monitoring system."""

    def talk_nonsense(self, client: Client) -> None:
        """Bad commands until the host has enough."""
        while True:
            client.ask(self._dice.choice((b"WIZ", b"DATA", b"RCPT TO:<>", b"MAIL", b"AUTH x")))

    def send_bytes(self, client: Client) -> None:
        """No SMTP at all."""
        client.send(self._dice.randbytes(self._dice.randrange(1, 50_000)))
        client.end()
        client.rest()

    def be_slow(self, client: Client) -> None:
        """A command in pieces."""
        for byte in b"EHLO client.example.org\r\n":
            client.send(bytes([byte]))
            time.sleep(0.01)
        client.reply()
