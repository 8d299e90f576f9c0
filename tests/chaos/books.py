"""The books of a campaign, and what balances them.

A **message** is sent by a client which, as long as it hears neither 2xx nor 5xx, sends it again:
each time is a **try**, one SMTP transaction. On the other side are the **records** of what each
QMQP server was given, written before it said K, and the files in the maildir behind.

What must hold, and why:

1. **No 250 without a K.** A try that was answered 250 is queued: some server had its package
   whole and said K, or the maildir has it. The one exception is a server that lies: one that says
   K when it has seen half of a package. QMQP forbids that, and where all of the package was on
   its way by then nobody can tell. Such tries are counted apart.
2. **A try is queued once at most**, over all servers and the maildir. Within a try nobody
   asked for a second copy: a second server, or a later queue plugin, gets the message only while it
   is certain that the first one has not got it.
3. **A second server never after the tail.** The package is whole for the first server once it has
   its last byte. It may then have queued it, whatever became of its answer; so nobody else is given
   the whole package afterwards, unless the first one's answer came whole and was Z. (That a D is
   passed to nobody else follows: D is an answer to the client, not a failure.)
4. **The maildir has nothing that a server had whole**, even if that server did not queue it.
5. **5xx means not queued.** The client bounces the message: the same message must not arrive.
6. **A heard K is told.** If a server said a whole K, was not killed, did not reset, and said it in
   time, then the client that listened was told 250. A message may be queued in two tries (a
   duplicate for its recipient) only where something else was lost between the K and the 250: the K
   itself (the server died, closed or reset before or inside of it, or was later than the time
   limit), the host (killed), or the client (gone before the 250). The protocols allow these, as
   neither acknowledges an acknowledgement; nothing else doubles a message.
7. **What is queued is what was sent**: every byte from the first field of the client on, the
   envelope sender, all recipients and no other.
8. **Good servers are used.** Where nothing goes wrong, the answer is 250: books in which all is
   refused would balance, too.
9. **The host always answers**, unless it was killed: a listening client hears a reply in time, and
   the host lives. In the end it stops as told, its spool is empty, and nothing in it has crashed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from qpsdk import netstring
from qpsdk.testing.qmqp_script import End, parse
from tests.chaos.plan import IO_TIMEOUT, TOO_EARLY, Forward

MAILDIR: Final = "maildir"
"""The name under which the maildir keeps its records."""


@dataclass
class Record:
    """What a server was given on one connection, as far as its journal has it.

    Attributes:
        time: When the connection began.
        queued: Written before the K; else what is known when all is said.
        whole: The package was.
        reply: What was sent of it.
    """

    time: float
    server: str
    message: str
    tried: int
    queued: bool
    digest: str = ""
    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    act: str = "accept()"
    whole: bool = False
    size: int = 0
    reply: str = ""
    fault: str = ""

    @property
    def verdict(self) -> bytes:
        """K, Z or D, if all of a right reply was sent; else nothing."""
        found = netstring.first(self.reply.encode("latin-1"))
        letter = found[0][:1] if found else b""
        return letter if letter in (b"K", b"Z", b"D") else b""

    @property
    def is_sure(self) -> bool:
        """The reply was whole and right, came in time, and nothing could take it away again."""
        (act,) = parse(self.act)
        pieces = -(-len(self.reply) // act.drip) if act.drip else 1
        return bool(self.verdict) and act.end is End.CLOSE and act.delay * pieces < IO_TIMEOUT / 2

    def __str__(self) -> str:
        if self.queued:
            return f"{self.server} writes it down: {self.sender} for {', '.join(self.recipients)}"
        what = self.fault or "a whole package"
        said = f"says {self.reply!r}" if self.reply else "says nothing"
        return f"{self.server}, told to {self.act}: {self.size} bytes, {what}; {said}"


@dataclass
class Try:
    """One SMTP transaction, as its client saw it.

    Attributes:
        began, ended: Seconds on the clock of all processes here.
        sent: When all of the message was, with its final dot.
        code: Of the last reply; 0 if the client did not wait for one, or none came.
        lost: The connection ended while the client listened.
        hung: No reply came in time.
        dialogue: What was said.
    """

    message: str
    tried: int
    plan: Forward
    digest: str
    sender: str
    recipients: list[str]
    began: float = 0.0
    sent: float = 0.0
    ended: float = 0.0
    code: int = 0
    text: str = ""
    lost: bool = False
    hung: bool = False
    dialogue: list[str] = field(default_factory=list)
    log: str = ""

    @property
    def was_slow(self) -> bool:
        """An answer may have come after the time limit."""
        return self.ended - (self.sent or self.began) >= IO_TIMEOUT * 0.9

    def __str__(self) -> str:
        return "\n".join(
            [
                f"try {self.tried}: {self.plan}",
                *(f"  {line}" for line in self.dialogue),
                f"  {self._outcome} after {self.ended - self.began:.3f} s",
                *(f"  host: {line}" for line in self.log.splitlines()),
            ]
        )

    @property
    def _outcome(self) -> str:
        if self.code:
            return f"answered {self.code} {self.text}"
        if self.hung:
            return "not answered"
        return "connection lost" if self.lost else "the client has gone"


class Problem(NamedTuple):
    """A rule that does not hold, and the story of the message."""

    rule: str
    story: str

    def __str__(self) -> str:
        return f"{self.rule}\n{self.story}"


class Kill(NamedTuple):
    """When somebody was killed, and when there was a new one."""

    victim: str
    begun: float
    ended: float


@dataclass
class Books:
    """All that is known of one lane.

    Attributes:
        second_on_defer: A Z lets the host ask the next server.
        one_by_one: Each try met the acts of its own plan.
    """

    name: str
    second_on_defer: bool = False
    one_by_one: bool = True
    tries: list[Try] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    host_problems: list[str] = field(default_factory=list)
    _of: dict[tuple[str, int], list[Record]] = field(default_factory=lambda: defaultdict(list))

    def balance(self) -> list[Problem]:
        """All that is wrong; nothing, if the books balance."""
        self._of.clear()
        for record in sorted(self.records, key=lambda record: record.time):
            self._of[record.message, record.tried].append(record)
        problems = [Problem(text, f"lane {self.name}") for text in self.host_problems]
        known = {(one.message, one.tried) for one in self.tries}
        for label, records in self._of.items():
            if label[0] and label not in known:
                problems.append(Problem("0. nobody sent it", "\n".join(map(str, records))))
        for one in self.tries:
            problems += [Problem(rule, self.story(one.message)) for rule in self._rules(one)]
        return problems

    def story(self, message: str) -> str:
        """All that became of a message: each try with its dialogue and the servers' records."""
        lines = [f"message {message}"]
        for one in self.tries:
            if one.message == message:
                lines.append(str(one))
                lines += [f"  {record}" for record in self._of[message, one.tried]]
                lines += [f"  {k.victim} killed" for k in self._kills_in(one)]
        return "\n".join(lines)

    def _rules(self, one: Try) -> Iterator[str]:
        records = self._of[one.message, one.tried]
        queued = [record for record in records if record.queued]
        whole = [record for record in records if record.whole and not record.queued]
        if one.code == 250 and not queued and not self.is_misled(one):
            yield "1. acknowledged, and nobody has queued it"
        if len(queued) > 1:
            yield f"2. queued {len(queued)} times in one try"
        for first, second in pairwise(whole):
            if not (self.second_on_defer and first.verdict == b"Z"):
                yield f"3. {second.server} got it whole after {first.server} had it"
        if any(r.server == MAILDIR for r in queued) and (
            whole or any(r.server != MAILDIR for r in queued)
        ):
            yield "4. the maildir has what a QMQP server had whole"
        if one.code >= 500 and queued:
            yield "5. refused for good, and queued"
        disturbed = one.was_slow or bool(self._kills_in(one))
        heard = [r for r in whole if r.verdict == b"K" and r.is_sure]
        if heard and one.code not in (0, 250) and not disturbed:
            yield f"6. {heard[0].server} said K, and the client was told {one.code}"
        for record in queued:
            if record.digest != one.digest:
                yield "7. the message queued is not the one sent"
            if record.server != MAILDIR and (record.sender, record.recipients) != (
                one.sender,
                one.recipients,
            ):
                yield "7. the envelope queued is not the one sent"
        if self.one_by_one and one.code not in (0, 250) and not disturbed and self._is_easy(one):
            yield f"8. nothing went wrong, and the client was told {one.code}"
        if one.hung:
            yield "9. the host gave no answer"
        if one.lost and not any(kill.victim == "host" for kill in self._kills_in(one)):
            yield "9. the host dropped a client that listened"

    def is_misled(self, one: Try) -> bool:
        """A server said K to half of its package, and the host had sent it all."""
        lie = any(act.at is not None and TOO_EARLY in str(act) for act in one.plan.acts)
        return lie and self.one_by_one and TOO_EARLY in one.text

    def _is_easy(self, one: Try) -> bool:
        plain = ("accept()", "eight_bit()", "trailing()")
        return all(str(act) in plain for act in one.plan.acts) and one.plan.client.leaves is None

    def _kills_in(self, one: Try) -> list[Kill]:
        return [kill for kill in self.kills if kill.begun < one.ended and kill.ended > one.began]

    def counts(self) -> dict[str, int]:
        """What became of the tries, and of the messages; the tries of a group add up to it."""
        queued = {
            label for label, records in self._of.items() if any(record.queued for record in records)
        }
        messages: dict[str, list[Try]] = defaultdict(list)
        for one in self.tries:
            messages[one.message].append(one)
        in_doubt = [one for one in self.tries if (one.message, one.tried) in queued]
        return {
            "forwards": len(self.tries),
            "  told 250": _count(one.code == 250 for one in self.tries),
            "  told 4xx": _count(400 <= one.code < 500 for one in self.tries),
            "  told 5xx": _count(one.code >= 500 for one in self.tries),
            "  client gone": _count(not one.code and not one.lost for one in self.tries),
            "  host killed": _count(one.lost for one in self.tries),
            "queued": len(in_doubt),
            "  and told 250": _count(one.code == 250 for one in in_doubt),
            "  K lost, told 4xx": _count(one.code > 250 for one in in_doubt),
            "  nobody to tell": _count(one.code == 0 for one in in_doubt),
            "250 for an early K": _count(
                one.code == 250 and (one.message, one.tried) not in queued for one in self.tries
            ),
            "messages": len(messages),
            "  acknowledged": _count(tries[-1].code == 250 for tries in messages.values()),
            "  refused": _count(tries[-1].code >= 500 for tries in messages.values()),
            "  given up": _count(not _is_settled(tries[-1]) for tries in messages.values()),
            "  queued twice, as allowed": _count(
                sum((one.message, one.tried) in queued for one in tries) > 1
                for tries in messages.values()
            ),
            "hosts killed": _count(kill.victim == "host" for kill in self.kills),
            "servers killed": _count(kill.victim == "server" for kill in self.kills),
        }


def _is_settled(one: Try) -> bool:
    return one.code == 250 or one.code >= 500


def _count(values: Iterable[bool]) -> int:
    return sum(values)
