"""Connection and transaction: the envelope, the message in and out, and who has it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import DONE, Address, Answer, Connection, Reply, Transaction
from qpsdk.errors import MessageTooLargeError, ReplyError
from qpsdk.spool import BLOCK_SIZE, Spool, SpoolDirectory

MAX_HEADER = 1000
MEMORY, FILE = 1_000_000, 0
"""Thresholds with which the messages here are in memory, or in a file."""


def new_transaction(threshold: int = MEMORY, folder: Path | None = None) -> Transaction:
    """An empty transaction."""
    return Transaction(
        Connection("c1"), "c1.1", Spool(threshold, SpoolDirectory(folder)), MAX_HEADER
    )


@pytest.fixture(params=[MEMORY, FILE], ids=["memory", "file"])
def transaction(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transaction]:
    """A transaction with its message in memory, or in a file."""
    transaction = new_transaction(request.param, tmp_path / "spool")
    yield transaction
    transaction.close()


def receive(transaction: Transaction, *blocks: bytes) -> list[bool]:
    """Have a message come in blocks; what `receive` said of each, then `receive_end`."""
    said = [transaction.receive(block) for block in blocks]
    return [*said, transaction.receive_end(7)]


def whole(transaction: Transaction) -> bytes:
    """The message as it is now."""
    return b"".join(transaction.message_blocks())


MESSAGE = b"Subject: hello\nTo: you\n\nfirst\n\nthird\n"


# Connection


def test_respond() -> None:
    """A plugin's own reply waits for the session: code, lines, status code."""
    connection = Connection()
    connection.respond(550, "no\nnever", "5.7.1")
    connection.respond(250, "yes")
    assert connection.responses == [
        Reply(550, (b"5.7.1 no", b"5.7.1 never")),
        Reply(250, (b"yes",)),
    ]


@pytest.mark.parametrize("code", [0, 199, 600])
def test_respond_with_no_code(code: int) -> None:
    """What is no reply code is refused where the plugin gives it."""
    with pytest.raises(ReplyError):
        Connection().respond(code, "hm")


def test_remote_host() -> None:
    """The client's name is asked for once, and only if there is an address and somebody to ask."""
    asked: list[str] = []

    async def host_of(address: str) -> str:
        asked.append(address)
        return "client.example.org"

    async def main() -> None:
        connection = Connection("c1", "192.0.2.1", host_of=host_of)
        before = connection.remote_host
        found = [await connection.resolve_remote_host() for _ in range(2)]
        assert [before, *found] == [None, "client.example.org", "client.example.org"]
        assert connection.remote_host == "client.example.org"
        for nameless in (Connection("c2", "192.0.2.1"), Connection("c3", host_of=host_of)):
            assert await nameless.resolve_remote_host() == ""
        known = Connection("c4", "192.0.2.1", remote_host="mx.example", host_of=host_of)
        assert await known.resolve_remote_host() == "mx.example"

    asyncio.run(main())
    assert asked == ["192.0.2.1"]


def test_each_has_its_own() -> None:
    """What plugins note and answer belongs to one connection, or to one message."""
    one, other = Connection("a"), Connection("b")
    one.notes["x"] = 1
    one.answers.append(Answer("noop", "p", DONE, None, 0.0))
    one.capabilities.append("X")
    assert (other.notes, other.answers, other.capabilities, other.responses) == ({}, [], [], [])
    assert one != Connection("a")
    first, second = new_transaction(), new_transaction()
    first.notes["x"] = 1
    assert (second.notes, second.answers, second.recipients, second.sender) == ({}, [], [], None)


# Envelope


def test_recipients() -> None:
    """Recipients are kept in order; all that equal the one to remove are removed."""
    a, b = Address.parse(b"a@x"), Address.parse(b"b@x")
    transaction = new_transaction()
    for recipient in (a, b, a):
        transaction.add_recipient(recipient)
    assert transaction.recipients == [a, b, a]
    transaction.remove_recipient(Address.parse(b"a@X"))
    assert transaction.recipients == [b]
    transaction.remove_recipient(Address.parse(b"c@x"))
    assert transaction.recipients == [b]


# Responsibility


def test_hand_over() -> None:
    """The host is told when a plugin hands the message over, and it stays handed over."""
    transaction = new_transaction()
    called: list[bool] = []
    transaction.on_hand_over(lambda: called.append(transaction.handed_over))
    assert not transaction.handed_over
    transaction.hand_over()
    assert called == [True]
    transaction.on_hand_over(None)
    transaction.hand_over()
    assert called == [True]
    assert transaction.handed_over


def test_in_a_thread() -> None:
    """While a queue plugin is in a thread, the message counts as handed over; then no more."""
    transaction = new_transaction()
    transaction.in_thread = True
    assert transaction.handed_over
    transaction.in_thread = False
    assert not transaction.handed_over


# The message as it comes


def test_header_and_body(transaction: Transaction) -> None:
    """The header is known as soon as it has come; the rest is the body, blank line included."""
    assert new_transaction().header is None
    assert receive(transaction, b"Subject: hel", b"lo\nTo: you\n\nfir", b"st\n\nthird\n") == [
        False,
        True,
        False,
        False,
    ]
    assert transaction.header is not None
    assert bytes(transaction.header) == b"Subject: hello\nTo: you\n"
    assert b"".join(transaction.body_blocks()) == b"\nfirst\n\nthird\n"
    assert (transaction.body_length(), transaction.data_size) == (14, 7)
    assert whole(transaction) == MESSAGE


@pytest.mark.parametrize(
    ("message", "header", "body"),
    [
        (b"", b"", b""),
        (b"\n", b"", b"\n"),
        (b"hello\n", b"", b"hello\n"),
        (b"A: b\n", b"A: b\n", b""),
        (b"A: b\n c\n", b"A: b\n c\n", b""),
        (b"A: b", b"", b"A: b"),
        (b"A: b\n c", b"A: b\n", b" c"),
        (b"A: b\nno field\n", b"A: b\n", b"no field\n"),
        (b"\nA: b\n", b"", b"\nA: b\n"),
    ],
)
def test_messages_of_odd_forms(
    message: bytes, header: bytes, body: bytes, transaction: Transaction
) -> None:
    """A message may have no header or no body; the header has ended once, then or at the end."""
    assert sum(receive(transaction, message)) == 1
    assert bytes(transaction.header or b"") == header
    assert b"".join(transaction.body_blocks()) == body
    assert whole(transaction) == message
    assert transaction.message_size() == len(message)


@pytest.mark.parametrize("pieces", [1, 7])
def test_header_limit(pieces: int) -> None:
    """A header over its limit is refused, at once or bit by bit; the body may be larger."""

    def receive_header(size: int) -> None:
        transaction = new_transaction()
        message = b"A: " + b"x" * (size - 4) + b"\n\n" + b"y\n" * MAX_HEADER
        length = -(-len(message) // pieces)
        for at in range(0, len(message), length):
            transaction.receive(message[at : at + length])

    receive_header(MAX_HEADER)
    with pytest.raises(MessageTooLargeError, match="the header is over 1000 bytes"):
        receive_header(MAX_HEADER + 1)


def test_endless_header() -> None:
    """A header that does not end is refused when it is over the limit, and not held beyond."""
    transaction = new_transaction()
    for _ in range(MAX_HEADER // 10):
        transaction.receive(b"A: 345678\n")
    with pytest.raises(MessageTooLargeError):
        transaction.receive(b"A")


@pytest.mark.parametrize("message", [b" folded\n", b"\tx\n\ny\n", b" A: b\n\n"])
def test_white_space_first(message: bytes, transaction: Transaction) -> None:
    """A first line of white space does not become part of a field of ours; else nothing changes."""
    receive(transaction, message)
    assert transaction.header is not None
    assert whole(transaction) == message
    transaction.header.prepend("Received", "from here")
    assert whole(transaction) == b"Received: from here\n\n" + message
    assert transaction.message_size() == 21 + len(message)
    assert transaction.header.delete("Received") == 1
    assert whole(transaction) == message


def test_header_changed(transaction: Transaction) -> None:
    """What a hook does to the header is in the message, and in its size."""
    receive(transaction, MESSAGE)
    assert transaction.header is not None
    transaction.header.prepend("Received", "x")
    transaction.header.delete("To")
    transaction.header.replace("Subject", "bye")
    changed = b"Received: x\nSubject: bye\n\nfirst\n\nthird\n"
    assert whole(transaction) == changed
    assert transaction.message_size() == len(changed)
    assert transaction.body_filename().read_bytes() == MESSAGE


PARTS = st.lists(
    st.sampled_from([b"A: b\n", b"To:x\n", b" c\n", b"\t\n", b"\n", b"no\n", b".", b"\0"])
    | st.binary(max_size=20),
    max_size=6,
)


@given(
    st.lists(PARTS.map(b"".join), max_size=6), st.sampled_from([0, 8, MEMORY]), st.integers(1, 9)
)
def test_any_message(blocks: list[bytes], threshold: int, size: int) -> None:
    """Any bytes in any blocks leave as they came, and the size is that of the blocks."""
    transaction = new_transaction(threshold)
    try:
        assert sum(receive(transaction, *blocks)) == 1
        message = b"".join(blocks)
        assert transaction.header is not None
        assert bytes(transaction.header) + b"".join(transaction.body_blocks(size)) == message
        assert b"".join(transaction.message_blocks(size)) == message
        assert transaction.message_size() == len(message)
        assert b"".join(transaction.body_lines()) == b"".join(transaction.body_blocks())
        transaction.header.prepend("X", "y")
        assert transaction.message_size() == len(whole(transaction))
        between = whole(transaction).removeprefix(b"X: y\n").removesuffix(message)
        assert between == (b"\n" if message[:1] in (b" ", b"\t") and message[:1] else b"")
    finally:
        transaction.close()


# The body, in qpsmtpd's words


def test_body_getline(transaction: Transaction) -> None:
    """body_getline gives line by line, then nothing; body_resetpos begins anew."""
    receive(transaction, MESSAGE)
    assert [transaction.body_getline() for _ in range(6)] == [
        b"\n",
        b"first\n",
        b"\n",
        b"third\n",
        b"",
        b"",
    ]
    transaction.body_resetpos()
    assert transaction.body_getline() == b"\n"
    assert transaction.body_getline() == b"first\n"


def test_body_lines(transaction: Transaction) -> None:
    """body_lines begins at the start each time, wherever body_getline is."""
    receive(transaction, MESSAGE)
    transaction.body_getline()
    assert list(transaction.body_lines()) == [b"\n", b"first\n", b"\n", b"third\n"]
    assert list(transaction.body_lines()) == [b"\n", b"first\n", b"\n", b"third\n"]
    assert transaction.body_getline() == b"first\n"


def test_very_long_line(transaction: Transaction) -> None:
    """A line that is longer than a block comes in pieces, the last of them with its LF."""
    line = b"x" * (2 * BLOCK_SIZE) + b"y\n"
    receive(transaction, b"\n", line, b"end")
    assert [len(piece) for piece in transaction.body_lines()] == [1, 65536, 65536, 2, 3]
    assert transaction.body_getline() == b"\n"
    assert transaction.body_getline(5) == b"xxxxx"
    assert [len(transaction.body_getline()) for _ in range(4)] == [65536, 65533, 3, 0]


def test_body_write(transaction: Transaction) -> None:
    """body_write appends to the body; body_getline begins anew, and all sizes follow."""
    receive(transaction, MESSAGE)
    transaction.body_getline()
    transaction.body_write(b"-- \nadded\n")
    assert transaction.body_getline() == b"\n"
    assert list(transaction.body_lines())[-2:] == [b"-- \n", b"added\n"]
    assert transaction.body_length() == 24
    assert transaction.message_size() == len(whole(transaction)) == len(MESSAGE) + 10


def test_body_write_alone() -> None:
    """A message may be written by a plugin alone, as a test does: it is all body."""
    transaction = new_transaction()
    transaction.body_write(b"hello\n")
    assert whole(transaction) == b"hello\n"
    assert transaction.body_getline() == b"hello\n"


def test_body_fh(transaction: Transaction) -> None:
    """body_fh is a file object of its own: it reads the body and can seek in it."""
    receive(transaction, MESSAGE)
    with transaction.body_fh() as one, transaction.body_fh() as other:
        assert one.read() == b"\nfirst\n\nthird\n"
        assert other.readlines() == [b"\n", b"first\n", b"\n", b"third\n"]
        one.seek(1)
        assert one.read(5) == b"first"
    assert transaction.body_getline() == b"\n"


def test_body_filename(transaction: Transaction, tmp_path: Path) -> None:
    """body_filename is a file with the whole message, in the spool, until the transaction ends."""
    receive(transaction, MESSAGE)
    path = transaction.body_filename()
    assert path.parent == tmp_path / "spool"
    assert path.read_bytes() == MESSAGE
    assert transaction.body_filename() == path
    transaction.close()
    assert not path.exists()


@pytest.mark.parametrize(
    ("message", "written", "whole_lines"),
    [
        (b"", b"", True),
        (b"A: b\n", b"", True),
        (b"A: b", b"", False),
        (b"A: b\n\nbody\n", b"", True),
        (b"A: b\n\nbody\n", b"footer", False),
        (b"A: b\n\nbody\n", b"footer\n", True),
        (b"A: b\n\nbody", b"\n", True),
    ],
)
def test_ends_in_lf(
    transaction: Transaction, message: bytes, written: bytes, whole_lines: bool
) -> None:
    """A message tells whether its last line is whole, after a plugin has added to it."""
    receive(transaction, message)
    if written:
        transaction.body_write(written)
    assert transaction.ends_in_lf() is whole_lines


def test_small_stays_in_memory(tmp_path: Path) -> None:
    """A message up to the threshold makes no file; one byte more does, and close() deletes it."""
    folder = tmp_path / "spool"
    transaction = new_transaction(len(MESSAGE), folder)
    receive(transaction, MESSAGE)
    assert not folder.exists()
    transaction.body_write(b"x")
    assert len(list(folder.iterdir())) == 1
    assert whole(transaction) == MESSAGE + b"x"
    transaction.close()
    transaction.close()
    assert list(folder.iterdir()) == []
