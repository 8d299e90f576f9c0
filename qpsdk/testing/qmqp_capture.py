"""What a fake QMQP server has seen, with assertions that say where bytes differ."""

from dataclasses import dataclass, field

from qpsdk import netstring
from qpsdk.explain import Explanation, explain, show
from qpsdk.testing.compare import difference
from qpsdk.testing.memory import MemoryStream
from qpsdk.testing.qmqp_profiles import Input
from qpsdk.testing.qmqp_script import Act


@dataclass(frozen=True, slots=True)
class Captured:
    """A message as it came.

    Attributes:
        raw: The package, up to `keep` bytes of it.
        message: Up to `keep` bytes as well.
        size: Bytes of the whole package.
        message_size: Bytes of the whole message.
        message_sha256: Of the whole message, in hexadecimal.
    """

    raw: bytes
    message: bytes
    sender: bytes
    recipients: tuple[bytes, ...]
    size: int
    message_size: int
    message_sha256: str

    def explain(self) -> Explanation:
        """The package as a tree."""
        return explain(self.raw, package=True)

    def _repr_html_(self) -> str:
        return self.explain()._repr_html_()

    def assert_message(self, expected: bytes) -> None:
        """Check the message.

        Raises:
            AssertionError: With the place where it differs.
        """
        self._whole()
        _fail_if(difference("the message", expected, self.message))

    def assert_sender(self, expected: bytes) -> None:
        """Check the envelope sender; as `assert_message`."""
        _fail_if(difference("the sender", expected, self.sender))

    def assert_recipients(self, *expected: bytes) -> None:
        """Check all recipients and their order; as `assert_message`."""
        for number, (one, other) in enumerate(zip(expected, self.recipients, strict=False)):
            _fail_if(difference(f"recipient {number + 1}", one, other))
        if missing := expected[len(self.recipients) :]:
            _fail_if(f"no recipient {show(missing[0])}: {len(self.recipients)} came")
        if extra := self.recipients[len(expected) :]:
            _fail_if(f"recipient {show(extra[0])} came, and was not expected")

    def assert_lf_only(self) -> None:
        """Check that the message's lines end in LF, the last one too, and that it has no CR."""
        self._whole()
        at = self.message.find(b"\r")
        if at >= 0:
            line = self.message.count(b"\n", 0, at) + 1
            around = show(self.message[max(0, at - 20) : at + 20])
            _fail_if(f"the message has a CR at offset {at} (line {line}): {around}")
        if not self.message.endswith(b"\n"):
            _fail_if(f"the message does not end in LF: {show(self.message[-40:])}")

    def assert_canonical(self) -> None:
        """Check that the package is the one encoding of its contents: lengths exact, no zeros."""
        self._whole()
        parts = (self.message, self.sender, *self.recipients)
        expected = netstring.encode(b"".join(map(netstring.encode, parts)))
        if self.raw != expected:
            _fail_if(f"{difference('the package', expected, self.raw)}\n{self.explain()}")

    def _whole(self) -> None:
        if len(self.raw) < self.size:
            _fail_if(
                f"only {len(self.raw):,} of {self.size:,} bytes were kept; compare message_size "
                "and message_sha256, or raise keep="
            )


def _fail_if(text: str) -> None:
    if text:
        raise AssertionError(text)


@dataclass(slots=True)
class Conversation:
    """All that happened on one connection.

    Attributes:
        number: In order of connection, from 1.
        act: What the script told the server to do.
        captured: The package, once it was whole.
        accepted: It was whole and answered K: it counts as queued, even if the reply got lost.
        reply: What of the reply was sent.
        fault: Why the package was discarded; empty if it was not.
        ended: The server has done all it had to.
    """

    number: int
    act: Act
    captured: Captured | None = None
    accepted: bool = False
    reply: bytes = b""
    fault: str = ""
    ended: bool = False
    input: Input = field(repr=False, default_factory=lambda: Input(MemoryStream(), None, None))

    @property
    def raw(self) -> bytes:
        """What the client sent, as far as it was read and kept."""
        return bytes(self.input.raw)

    @property
    def size(self) -> int:
        """How many bytes of it were read."""
        return self.input.offset

    def explain(self) -> Explanation:
        """What was sent as a tree, and where it breaks."""
        return explain(self.raw, package=True)
