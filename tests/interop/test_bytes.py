"""What arrives is what was sent, byte for byte."""

import random
from collections.abc import Iterator

import pytest

from tests.interop.rig import (
    FakeServer,
    RunningHost,
    digest,
    running_host,
    without_received,
)

HEADER = b"From: a@example.org\nSubject: bytes\n\n"

SMALL = {
    "nothing at all": b"",
    "a header only": b"Subject: bytes\n",
    "no body": HEADER,
    "empty lines at the end": HEADER + b"text\n\n\n\n\n",
    "empty lines only": b"\n\n\n",
    "lines of dots": HEADER + b".\n..\n...\n....\n.\n\n.\ntext\n.\n",
    "a dot first": b".\n",
    "dots first": b"..\n.hidden: field\n",
    "dots at line ends": HEADER + b"text.\n.text.\n. \n",
    "8-bit": HEADER + bytes(range(128, 256)) + b"\n" + "ünï\u20ac\n".encode(),
    "8-bit in the header": b"Subject: \xfc\xff\n\n\xe4\n",
    "NUL": HEADER + b"\0\n\0\0.\0\n.\0\n",
    "NUL in the header": b"Subject: \0\n\n",
    "control characters": HEADER + bytes(set(range(32)) - {10, 13}) + b"\x7f\n",
    "no header": b"just text, with no field above it\nand more\n",
    "no header, no blank line": b"word\n" * 20,
    "a blank line first": b"\nSubject: this is body\n\ntext\n",
    "a field with folding": b"Subject: a\n  folded\n\tfield\nX-Empty:\n\nbody\n",
    "no blank line after the header": b"Subject: one\nnot a field\nmore\n",
    "mbox line first": b"From sender Mon Jan 1 00:00:00 2024\nSubject: x\n\nbody\n",
    "a Received field of its own": b"Received: from elsewhere\n\tby here\nSubject: x\n\n",
    "long folded field": b"X-Long: " + b"word\n " * 5000 + b"end\n\nbody\n",
    "lines of 998, 999 and 1000": HEADER + b"".join(b"x" * n + b"\n" for n in (998, 999, 1000)),
}

WHITE_SPACE = {
    "a space first": b" text\nmore\n",
    "a tab first": b"\tSubject: x\n\nbody\n",
    "a line of spaces first": b"   \n\nbody\n",
}


@pytest.fixture(scope="module")
def in_memory(
    tmp_path_factory: pytest.TempPathFactory, fake_of_module: FakeServer
) -> Iterator[RunningHost]:
    """A host that holds these messages in memory."""
    folder = tmp_path_factory.mktemp("in_memory")
    with running_host(folder, fake_of_module.address) as running:
        yield running


@pytest.fixture(params=["file", "memory"])
def either_host(
    request: pytest.FixtureRequest, host: RunningHost, in_memory: RunningHost
) -> RunningHost:
    """Both ways that a small message may take."""
    return host if request.param == "file" else in_memory


@pytest.mark.parametrize("message", SMALL.values(), ids=SMALL.keys())
def test_small_messages(either_host: RunningHost, fake: FakeServer, message: bytes) -> None:
    """The message arrives unchanged, sent at once, by single bytes, and in blocks of 7."""
    with either_host.connect() as client:
        client.hello()
        for block in (1 << 16, 1, 7):
            assert client.deliver(message, block).code == 250
            assert without_received(fake.take().message) == message


@pytest.mark.parametrize("message", WHITE_SPACE.values(), ids=WHITE_SPACE.keys())
def test_messages_that_begin_with_white_space(
    either_host: RunningHost, fake: FakeServer, message: bytes
) -> None:
    """White space right under our Received field would continue it: one blank line parts them."""
    with either_host.connect() as client:
        client.hello()
        assert client.deliver(message).code == 250
    assert without_received(fake.take().message) == b"\n" + message


def _random_lines(size: int, seed: int) -> bytes:
    """Lines of 0 to 2000 random bytes, some of them beginning with dots."""
    source = random.Random(seed)
    no_line_ends = bytes(n if n not in (10, 13) else 46 for n in range(256))
    lines: list[bytes] = []
    while size > 0:
        line = source.randbytes(source.randint(0, 2000)).translate(no_line_ends)
        lines.append((b".", b"..", b"...", b"", b"", b"", b"")[source.randrange(7)] + line)
        size -= len(lines[-1]) + 1
    return b"\n".join(lines) + b"\n"


@pytest.mark.parametrize("block", [1 << 16, 4099])
@pytest.mark.parametrize("header", [HEADER, b"\n"], ids=["header", "no header"])
def test_ten_megabytes_of_random_lines(
    host: RunningHost, fake: FakeServer, header: bytes, block: int
) -> None:
    """10 MB of lines of any bytes but CR and LF arrive unchanged."""
    message = header + _random_lines(10_000_000, seed=block)
    with host.connect() as client:
        client.hello()
        assert client.deliver(message, block).code == 250
    assert digest(without_received(fake.take().message)) == digest(message)


def test_a_line_of_50_megabytes(host: RunningHost, fake: FakeServer) -> None:
    """One line of 50 MB arrives unchanged."""
    line = random.Random(50).randbytes(1_000_000).translate(bytes(n | 32 for n in range(256)))
    message = HEADER + line * 50 + b"\n"
    with host.connect() as client:
        client.hello()
        assert client.deliver(message).code == 250
    assert digest(without_received(fake.take().message)) == digest(message)


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_message_cut_anywhere(host: RunningHost, fake: FakeServer, cut: int) -> None:
    """Wherever the packets part dots, line ends and the final dot, the message is the same."""
    data = b"A: b\r\n\r\n..\r\n...\r\n\r\n.\r\nQUIT\r\n"
    with host.connect() as client:
        client.hello()
        client.begin()
        client.send(data[:cut])
        client.send(data[cut : cut + 1])
        client.send(data[cut + 1 :])
        assert [answer.code for answer in client.rest()] == [250, 221]
    assert without_received(fake.take().message) == b"A: b\n\n.\n..\n\n"


def test_only_crlf_dot_crlf_ends_a_message(host: RunningHost, fake: FakeServer) -> None:
    """Other line ends around a dot end nothing: no message can be smuggled inside a message."""
    smuggled = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<recipient@example.com>\r\nDATA\r\n"
    for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r"):
        with host.connect() as client:
            client.hello()
            client.begin()
            client.send(b"Subject: x\r\n\r\nbody" + end + smuggled + b"x\r\n.\r\nQUIT\r\n")
            assert [answer.code for answer in client.rest()] == [554, 221]
    assert fake.messages == []
