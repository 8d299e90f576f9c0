"""The grammar of a command line: what each command takes, and the reply to what it does not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.smtp.commands import READERS, CommandError, split
from qpsdk.smtp.events import (
    Auth,
    Data,
    Event,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Recipient,
    Reset,
    Verify,
)

COMMANDS = [
    (b"EHLO client.example", Hello("EHLO", b"client.example")),
    (b"HELO client.example", Hello("HELO", b"client.example")),
    (b"ehlo  Client.Example  and more ", Hello("EHLO", b"Client.Example")),
    (b"EHLO [192.0.2.1]", Hello("EHLO", b"[192.0.2.1]")),
    (b"MAIL FROM:<a@b>", Mail(b"<a@b>", {})),
    (b"mail from:<A@b>", Mail(b"<A@b>", {})),
    (b"MaIl FrOm:<>", Mail(b"<>", {})),
    (b"MAIL FROM: <a@b> ", Mail(b"<a@b>", {})),
    (b"MAIL  FROM:\t<a@b>\t", Mail(b"<a@b>", {})),
    (b"  MAIL FROM:<a@b>", Mail(b"<a@b>", {})),
    (b"MAIL FROM:a@b", Mail(b"a@b", {})),
    (b"MAIL FROM:<postmaster>", Mail(b"<postmaster>", {})),
    (b"MAIL FROM:<@x,@y:a@b>", Mail(b"<@x,@y:a@b>", {})),
    (b'MAIL FROM:<"a b"@c>', Mail(b'<"a b"@c>', {})),
    (b'MAIL FROM:<"a>b"@c> SIZE=1', Mail(b'<"a>b"@c>', {"size": "1"})),
    (rb'MAIL FROM:<"a\">"@c>', Mail(rb'<"a\">"@c>', {})),
    (rb'MAIL FROM:<"a\\"@c>', Mail(rb'<"a\\"@c>', {})),
    (b"MAIL FROM:<\xc3\xa4@b> SMTPUTF8", Mail(b"<\xc3\xa4@b>", {"smtputf8": ""})),
    (b"MAIL FROM:<not an address>", Mail(b"<not an address>", {})),
    (b"MAIL FROM:<a@b> SIZE=0", Mail(b"<a@b>", {"size": "0"})),
    (b"MAIL FROM:<a@b> size=12345678901234567890", Mail(b"<a@b>", {"size": "1234567890" * 2})),
    (b"MAIL FROM:<a@b> BODY=8BITMIME", Mail(b"<a@b>", {"body": "8BITMIME"})),
    (b"MAIL FROM:<a@b> body=7bit", Mail(b"<a@b>", {"body": "7bit"})),
    (
        b"MAIL FROM:<a@b>   SIZE=1  BODY=7BIT\tSMTPUTF8",
        Mail(b"<a@b>", {"size": "1", "body": "7BIT", "smtputf8": ""}),
    ),
    (b"RCPT TO:<a@b>", Recipient(b"<a@b>", {})),
    (b"rcpt to: a@b", Recipient(b"a@b", {})),
    (b"RCPT TO:<>", Recipient(b"<>", {})),  # refused where it is known to be none: the session
    (b"AUTH PLAIN", Auth("PLAIN", None)),
    (b"auth cram-md5 ", Auth("cram-md5", None)),
    (b"AUTH PLAIN \tAGEAYg==", Auth("PLAIN", b"AGEAYg==")),
    (b"AUTH PLAIN =", Auth("PLAIN", b"=")),
    (b"DATA", Data()),
    (b"data ", Data()),
    (b"RSET", Reset()),
    (b"NOOP", Noop(b"")),
    (b"NOOP  anything  at all", Noop(b"anything  at all")),
    (b"VRFY a@b", Verify(b"a@b")),
    (b"HELP", Help(b"")),
    (b"HELP mail", Help(b"mail")),
    (b"QUIT", Quit()),
    (b"\tquit \t", Quit()),
]

REFUSED = [
    # line, reply
    (b"EHLO", "501 EHLO needs the name of your host"),
    (b"HELO   ", "501 HELO needs the name of your host"),
    (b"MAIL", "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b"MAIL FROM", "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b"MAIL FROM:", "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b"MAIL FROM <a@b>", "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b"MAIL <a@b>", "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b"MAIL TO:<a@b>", "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b"MAIL FROM:<a@b", "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b"MAIL FROM:a@b>", "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b"MAIL FROM:<a@b>>", "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b"MAIL FROM:<a@b>SIZE=1", "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b'MAIL FROM:<"a@b>', "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b'MAIL FROM:"a b"@c', "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (b"RCPT", "501 5.5.4 Syntax: RCPT TO:<address>"),
    (b"RCPT TO:", "501 5.5.4 Syntax: RCPT TO:<address>"),
    (b"RCPT FROM:<a@b>", "501 5.5.4 Syntax: RCPT TO:<address>"),
    (b"MAIL FROM:<a@b> FOO=bar", "555 5.5.4 Unknown MAIL parameter FOO"),
    (b"MAIL FROM:<a@b> RET=HDRS", "555 5.5.4 Unknown MAIL parameter RET"),
    (b"MAIL FROM:<a@b> foo", "555 5.5.4 Unknown MAIL parameter FOO"),
    (b"RCPT TO:<a@b> NOTIFY=NEVER", "555 5.5.4 Unknown RCPT parameter NOTIFY"),
    (b"RCPT TO:<a@b> SIZE=1", "555 5.5.4 Unknown RCPT parameter SIZE"),
    (b"MAIL FROM:<a@b> =", "501 5.5.4 Malformed MAIL parameter ="),
    (b"MAIL FROM:<a@b> SIZE=", "501 5.5.4 Malformed MAIL parameter SIZE="),
    (b"MAIL FROM:<a@b> SIZE=1=2", "501 5.5.4 Malformed MAIL parameter SIZE=1=2"),
    (b"MAIL FROM:<a@b> -a=1", "501 5.5.4 Malformed MAIL parameter -a=1"),
    (b"MAIL FROM:<a@b> SIZE=\xb2", "501 5.5.4 Malformed MAIL parameter SIZE=?"),
    (b"MAIL FROM:<a@b> SIZE", "501 5.5.4 Bad MAIL parameter SIZE"),
    (b"MAIL FROM:<a@b> SIZE=-1", "501 5.5.4 Bad MAIL parameter SIZE=-1"),
    (b"MAIL FROM:<a@b> SIZE=1k", "501 5.5.4 Bad MAIL parameter SIZE=1k"),
    (b"MAIL FROM:<a@b> SIZE=123456789012345678901", "501 5.5.4 Bad MAIL parameter SIZE="
     "123456789012345678901"),
    (b"MAIL FROM:<a@b> SIZE=1 size=2", "501 5.5.4 Bad MAIL parameter size=2"),
    (b"MAIL FROM:<a@b> BODY=BINARYMIME", "501 5.5.4 Bad MAIL parameter BODY=BINARYMIME"),
    (b"MAIL FROM:<a@b> BODY", "501 5.5.4 Bad MAIL parameter BODY"),
    (b"MAIL FROM:<a@b> SMTPUTF8=1", "501 5.5.4 Bad MAIL parameter SMTPUTF8=1"),
    (b"DATA now", "501 5.5.4 DATA takes no argument"),
    (b"RSET it", "501 5.5.4 RSET takes no argument"),
    (b"QUIT it", "501 5.5.4 QUIT takes no argument"),
    (b"VRFY", "501 5.5.4 Syntax: VRFY name"),
    (b"NOOP\0", "500 5.5.2 Control characters have no place in a command"),
    (b"MAIL FROM:<a@b\0>", "500 5.5.2 Control characters have no place in a command"),
    (b"EHLO a\rb", "500 5.5.2 Control characters have no place in a command"),
    (b"\x1b[31m", "500 5.5.2 Control characters have no place in a command"),
    (b"\x7f", "500 5.5.2 Control characters have no place in a command"),
    (b"QUIT\r", "500 5.5.2 Control characters have no place in a command"),
]  # fmt: skip


def parse(line: bytes) -> Event:
    """Read a whole line, whose command is known."""
    word, arguments = split(line)
    return READERS[word.upper().decode()](arguments)


@pytest.mark.parametrize(("line", "event"), COMMANDS)
def test_commands(line: bytes, event: Event) -> None:
    """Each command is read, verbs and keywords in any case, with the white space that is seen."""
    parsed = parse(line)
    assert (type(parsed), parsed) == (type(event), event)


@pytest.mark.parametrize(("line", "reply"), REFUSED)
def test_refused(line: bytes, reply: str) -> None:
    """What is wrong with a command is told with the code that RFC 5321 and 1870 have for it."""
    with pytest.raises(CommandError) as error:
        parse(line)
    assert str(error.value.reply) == reply
    assert str(error.value) == reply


@pytest.mark.parametrize(
    ("line", "word", "arguments"),
    [
        (b"", b"", b""),
        (b"   ", b"", b""),
        (b"XYZZY", b"XYZZY", b""),
        (b" get  / HTTP/1.1 ", b"get", b"/ HTTP/1.1"),
        (b"\xff\xfe x", b"\xff\xfe", b"x"),
        (b".", b".", b""),
    ],
)
def test_split(line: bytes, word: bytes, arguments: bytes) -> None:
    """Any line has a first word and a rest, as they came."""
    assert split(line) == (word, arguments)


def test_the_commands_are_these() -> None:
    """The verbs that are offered are those of RFC 5321, 4.5.1, with HELP, and AUTH."""
    assert sorted(READERS) == [
        "AUTH", "DATA", "EHLO", "HELO", "HELP", "MAIL", "NOOP", "QUIT", "RCPT", "RSET", "VRFY",
    ]  # fmt: skip


def test_parameters_are_nobody_elses() -> None:
    """The parameters of two commands are two values: a plugin may spoil its own only."""
    one, other = parse(b"MAIL FROM:<a@b>"), parse(b"MAIL FROM:<a@b>")
    assert isinstance(one, Mail)
    assert isinstance(other, Mail)
    assert one.params is not other.params


words = st.sampled_from([b"FROM:", b"TO:", b"<a@b>", b"<", b">", b'"', b"\\", b" ", b"SIZE", b"=1"])


@given(st.sampled_from(sorted(READERS)), st.binary() | st.lists(words).map(b"".join))
def test_any_arguments(verb: str, arguments: bytes) -> None:
    """Any line is a command, or a 5xx reply of one line."""
    try:
        event = parse(verb.encode() + b" " + arguments)
    except CommandError as error:
        reply = error.reply
    else:
        assert not isinstance(event, Mail | Recipient) or event.address
        return
    assert reply.code in (500, 501, 555)
    assert len(reply.lines) == 1


@pytest.mark.parametrize(
    "line",
    [b"MAIL FROM:<" + b'"' * 2000, b"MAIL FROM:<" + b'"\\' * 1000, b"MAIL FROM:<" + b'"a"' * 650,
     b"MAIL FROM:" + b" " * 2000 + b"<", b"MAIL FROM:<a>" + b" x" * 1000,
     b"MAIL FROM:<a> " + b" \t" * 1000 + b"=", b"RCPT TO:" + b"a" * 2000 + b'"',
     b"EHLO" + b" " * 2000 + b"x", b"MAIL FROM:<" + b"\\" * 2000],
    ids=["quotes", "open-quotes", "pairs", "space", "words", "white", "bare", "hello", "slashes"],
)  # fmt: skip
def test_no_line_takes_long(line: bytes) -> None:
    """The worst line of the length that is allowed is read in well under a tenth of a second."""
    start = time.process_time()
    for _ in range(10):
        try:
            parse(line)
        except CommandError:
            continue
    assert time.process_time() - start < 1.0
