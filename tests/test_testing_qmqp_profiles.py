"""What each kind of server says to each kind of package: the table, line by line."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.errors import QMQPPackageError, StreamError
from qpsdk.qmqp import PackageDecoder
from qpsdk.testing import Conversation, FakeQMQPServer, pipe
from qpsdk.testing.qmqp_profiles import PROFILES
from tests.slices import sliced, slicings

STRICT_K = b"24:Kfake, nothing is queued,"
QMAIL_K = b"19:Kok 1700000000 qp 1,"
POSTFIX_K = b"26:KOk: queued as 00000000001,"
K = (STRICT_K, QMAIL_K, POSTFIX_K)
SILENT = b""

GOOD = b"18:3:hi\n,3:a@b,3:c@d,,"


def talk(profile: str, pieces: Iterable[bytes], slept: Any = None) -> tuple[bytes, Conversation]:
    """Send bytes in memory and end our side: what is said, and what happened."""
    naps: list[float] = [] if slept is None else slept

    async def sleep(seconds: float) -> None:
        naps.append(seconds)

    async def main() -> tuple[bytes, Conversation]:
        fake = FakeQMQPServer(profile=profile, sleep=sleep, now=lambda: 1_700_000_000.5)
        client, server = pipe()
        for piece in pieces:
            client.write(piece)
        client.end()
        await fake.handle(server)  # so that whatever it raises is raised here
        said = b""
        try:
            while data := await client.read():
                said += data
        except StreamError:
            pass  # a reset
        (conversation,) = fake.connections
        assert conversation.ended
        assert conversation.accepted == (len(fake.messages) == 1)
        return said, conversation

    return asyncio.run(asyncio.wait_for(main(), 20))


def netstring(value: bytes) -> bytes:
    """The value as a netstring."""
    return b"%d:%b," % (len(value), value)


def package(message: bytes, *addresses: bytes) -> bytes:
    """A canonical package."""
    return netstring(b"".join(map(netstring, (message, *addresses))))


def no_package(problem: str) -> bytes:
    """The strict server's D."""
    return netstring(b"Dnot a QMQP package: " + problem.encode())


HEADER = b"58:Dnetstring format error while receiving QMQP packet header,"
CONTENT = b"55:Dnetstring format error while receiving message content,"
RECIPIENT = b"57:Dnetstring format error while receiving recipient address,"
NO_SUCH_ADDRESS = b"51:Dsorry, I can't accept addresses like that (#5.1.3),"

TABLE: list[tuple[str, bytes, tuple[bytes, bytes, bytes]]] = [
    # case, what is sent, what strict, qmail and postfix say
    ("a good package", GOOD, K),
    ("nothing", b"", (SILENT, SILENT, SILENT)),
    (
        "the outer length is short by 1",
        b"17:3:hi\n,3:a@b,3:c@d,,",
        (
            no_package("a string longer than the netstring around it at offset 17"),
            SILENT,
            POSTFIX_K,
        ),
    ),
    (
        "the outer length is long by 1",
        b"19:3:hi\n,3:a@b,3:c@d,,",
        (no_package("b',' where a length is due at offset 21"), SILENT, POSTFIX_K),
    ),
    (
        "the outer length is short by far",
        b"1:3:hi\n,3:a@b,3:c@d,,",
        (no_package("the outer netstring ends inside a length at offset 3"), SILENT, POSTFIX_K),
    ),
    (
        "the outer comma is another byte",
        b"18:3:hi\n,3:a@b,3:c@d,;",
        (no_package("b';' where a comma is due at offset 21"), SILENT, RECIPIENT),
    ),
    ("the outer comma is missing", GOOD[:-1], (SILENT, SILENT, SILENT)),
    (
        "a letter for a length",
        b"x8:3:hi\n,3:a@b,3:c@d,,",
        (no_package("b'x' where a length is due at offset 0"), SILENT, HEADER),
    ),
    (
        "a space before a length",
        b" 18:3:hi\n,3:a@b,3:c@d,,",
        (no_package("b' ' where a length is due at offset 0"), SILENT, HEADER),
    ),
    (
        "a plus before a length",
        b"19:+3:hi\n,3:a@b,3:c@d,,",
        (no_package("b'+' where a length is due at offset 3"), SILENT, CONTENT),
    ),
    (
        "an inner comma is another byte",
        b"18:3:hi\n;3:a@b,3:c@d,,",
        (no_package("b';' where a comma is due at offset 8"), SILENT, CONTENT),
    ),
    (
        "a leading zero",
        b"018:3:hi\n,3:a@b,3:c@d,,",
        (no_package("leading zero in a length at offset 1"), QMAIL_K, POSTFIX_K),
    ),
    (
        "98 leading zeros: 100 bytes of header in all, with the colon",
        b"0" * 97 + GOOD,
        (no_package("leading zero in a length at offset 1"), QMAIL_K, POSTFIX_K),
    ),
    (
        "a header of 101 bytes",
        b"0" * 98 + GOOD,
        (no_package("leading zero in a length at offset 1"), SILENT, POSTFIX_K),
    ),
    (
        "150 leading zeros",
        b"0" * 150 + GOOD,
        (no_package("leading zero in a length at offset 1"), SILENT, POSTFIX_K),
    ),
    (
        "an empty length inside counts as 0",
        b"14:3:hi\n,:,3:c@d,,",
        (no_package("b':' where a length is due at offset 9"), QMAIL_K, POSTFIX_K),
    ),
    (
        "an empty length outside, which only postfix ignores",
        b":3:hi\n,3:a@b,3:c@d,,",
        (no_package("b':' where a length is due at offset 0"), SILENT, POSTFIX_K),
    ),
    (
        "a length over SSIZE_MAX",
        b"9223372036854775808:3:hi\n,",
        (
            no_package("a length of 10^18 or more at offset 18"),
            SILENT,
            b"74:Dnetstring length exceeds storage limit while receiving QMQP packet header,",
        ),
    ),
    (
        "a message of 10,240,001 bytes is refused by postfix before it comes",
        b"99999999:10240001:x",
        (
            SILENT,
            SILENT,
            b"71:Dnetstring length exceeds storage limit while receiving message content,",
        ),
    ),
    (
        "a sender of 999 bytes",
        package(b"hi\n", b"s" * 999, b"r"),
        K,
    ),
    (
        "a sender of 1000 bytes",
        package(b"hi\n", b"s" * 1000, b"r"),
        (STRICT_K, NO_SUCH_ADDRESS, POSTFIX_K),
    ),
    (
        "a recipient of 2048 bytes",
        package(b"hi\n", b"s", b"r" * 2048),
        (STRICT_K, NO_SUCH_ADDRESS, POSTFIX_K),
    ),
    (
        "a sender of 2049 bytes",
        package(b"hi\n", b"s" * 2049, b"r"),
        (
            STRICT_K,
            NO_SUCH_ADDRESS,
            b"70:Dnetstring length exceeds storage limit while receiving sender address,",
        ),
    ),
    (
        "a recipient of 2049 bytes",
        package(b"hi\n", b"s", b"r", b"r" * 2049),
        (
            STRICT_K,
            NO_SUCH_ADDRESS,
            b"73:Dnetstring length exceeds storage limit while receiving recipient address,",
        ),
    ),
    ("NUL in the sender", package(b"hi\n", b"s\0", b"r"), (STRICT_K, NO_SUCH_ADDRESS, POSTFIX_K)),
    (
        "NUL in a recipient",
        package(b"hi\n", b"s", b"r", b"r\0"),
        (STRICT_K, NO_SUCH_ADDRESS, POSTFIX_K),
    ),
    ("LF, 8-bit, UTF-8 in addresses", package(b"hi\n", b"s\n\xff", "jörg@b".encode()), K),
    ("an empty sender", b"15:3:hi\n,0:,3:c@d,,", K),
    ("an empty recipient", b"15:3:hi\n,3:a@b,0:,,", K),
    (
        "no recipients",
        b"12:3:hi\n,3:a@b,,",
        (
            no_package("the package ends without a recipient at offset 15"),
            QMAIL_K,
            b"31:DError: no recipients specified,",
        ),
    ),
    (
        "no sender",
        b"6:3:hi\n,,",
        (
            no_package("the outer netstring ends inside a length at offset 8"),
            SILENT,
            b"54:Dnetstring format error while receiving sender address,",
        ),
    ),
    ("NUL in the message", package(b"h\0i\n", b"s", b"r"), K),
    ("CRLF in the message", package(b"a\r\nb\r\n", b"s", b"r"), K),
    ("a message without a last LF", package(b"hi", b"s", b"r"), K),
    ("an empty message", package(b"", b"s", b"r"), K),
    ("bytes after the package", GOOD + b"3:abc,", K),
    ("the end in the message", GOOD[:6], (SILENT, SILENT, SILENT)),
    ("the end where the message's comma is due", GOOD[:8], (SILENT, SILENT, CONTENT)),
    ("the end where a recipient's comma is due", GOOD[:-2], (SILENT, SILENT, RECIPIENT)),
    ("the end in a recipient's length", GOOD[:-6], (SILENT, SILENT, SILENT)),
    ("a VERP sender", package(b"hi\n", b"pre-@host-@[]", b"r"), K),
    (
        "a VERP sender with a delimiter of its own",
        package(b"hi\n", b"prex@h-@[]", b"r"),
        (
            STRICT_K,
            QMAIL_K,
            b'69:DError: Invalid VERP delimiters: "x=". Need two characters from "-=+",',
        ),
    ),
    ("almost a VERP sender: no host", package(b"hi\n", b"prex@-@[]", b"r"), K),
    ("almost a VERP sender: no prefix", package(b"hi\n", b"x@host-@[]", b"r"), K),
]


@pytest.mark.parametrize("number", range(3), ids=["strict", "qmail", "postfix"])
@pytest.mark.parametrize(
    ("sent", "answers"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_table(sent: bytes, answers: tuple[bytes, bytes, bytes], number: int) -> None:
    """Each server answers this, and accepts what it answers K to and nothing else."""
    said, conversation = talk(("strict", "qmail", "postfix")[number], [sent])
    assert said == answers[number]
    assert conversation.accepted == (answers[number] in K)
    assert bool(conversation.fault) == (not conversation.accepted)


@pytest.mark.parametrize("profile", PROFILES)
def test_slices(profile: str) -> None:
    """However the bytes are cut, the same arrives."""
    for pieces in slicings(GOOD):
        said, conversation = talk(profile, pieces)
        assert said in K
        assert conversation.raw == GOOD
        captured = conversation.captured
        assert captured is not None
        assert (captured.message, captured.sender) == (b"hi\n", b"a@b")
        assert captured.recipients == (b"c@d",)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_early_close_is_discarded(profile: str) -> None:
    """A client that closes before the last byte has sent nothing, wherever it closes."""
    for size in range(len(GOOD)):
        said, conversation = talk(profile, [GOOD[:size]])
        assert said == b"" or said.startswith((b"55:D", b"54:D", b"57:D"))
        assert conversation.captured is None
        assert conversation.fault


def test_qmail_reads_lengths_up_to_two_billion() -> None:
    """qmail goes on at 2,000,000,009 and stops at the digit after a number above 200,000,000."""
    _, conversation = talk("qmail", [b"2000000009:"])
    assert conversation.fault == "the client closed inside its package at offset 11"
    _, conversation = talk("qmail", [b"20000000099:"])
    assert conversation.fault == "a length of 2 * 10^9 or more at offset 10"


def test_postfix_waits_before_bad_replies() -> None:
    """postfix sleeps a second before a D, and not before a K; the others never."""
    for profile, naps in (("strict", []), ("qmail", []), ("postfix", [1.0])):
        slept: list[float] = []
        talk(profile, [b"x"], slept)
        assert slept == naps
        talk(profile, [GOOD], slept)
        assert slept == naps


def test_time_limits() -> None:
    """The limits of time are the real ones, in seconds."""
    limits = {p.name: (p.io_timeout, p.session_timeout) for p in PROFILES.values()}
    assert limits["qmail"][1] == 3600.0  # alarm(3600)
    assert limits["postfix"][0] == 300.0  # qmqpd_timeout
    assert limits["strict"][1] == 3600.0  # the specification's hour


def test_a_profile_of_ones_own() -> None:
    """A profile is a value: with another limit it is another server."""
    fake = FakeQMQPServer(profile=replace(PROFILES["postfix"], error_delay=0.0))
    assert fake.profile.error_delay == 0.0


MUTATED = st.builds(
    lambda data, at, new, cut: data[: at % len(data)] + new + data[at % len(data) + cut :],
    st.sampled_from([row[1] for row in TABLE if 0 < len(row[1]) < 200]),
    st.integers(0, 200),
    st.sampled_from([b"", b"0", b"9", b":", b",", b"-", b"\xff", b"18:", b"0:,"]),
    st.integers(0, 3),
)


@given(st.sampled_from(sorted(PROFILES)), st.one_of(st.binary(max_size=60), MUTATED), st.data())
def test_any_bytes(profile: str, data: bytes, more: st.DataObject) -> None:
    """Any bytes are a message, a reply, or a close; nothing else happens."""
    said, conversation = talk(profile, more.draw(sliced(data)))
    assert (conversation.captured is None) == bool(conversation.fault)
    assert not conversation.accepted or said in K
    assert conversation.raw == data[: conversation.size]


@given(st.one_of(st.binary(max_size=60), MUTATED))
def test_strict_is_as_strict_as_the_decoder(data: bytes) -> None:
    """The strict server takes exactly the packages that `qpsdk.qmqp` takes, as the same."""
    _, conversation = talk("strict", [data])
    try:
        received = PackageDecoder().feed(data)
    except QMQPPackageError:
        received = None
    captured = conversation.captured
    assert (captured is None) == (received is None)
    if captured is not None and received is not None:
        assert received == (captured.message, captured.sender, captured.recipients)
