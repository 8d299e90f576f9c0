"""AUTH on the wire: each mechanism, and what becomes of a client that says something else."""

from base64 import b64encode
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.reply import Reply
from qpsdk.smtp.commands import READERS, CommandError
from qpsdk.smtp.engine import Engine
from qpsdk.smtp.events import Auth, Credentials, Event, Hangup, Mail
from qpsdk.smtp.limits import Limits
from qpsdk.smtp.sasl import Exchange
from tests.slices import sliced, slicings

# The challenge of RFC 2195's example, which is older than its base64 has it on the wire.
TICKET = b"<1896.697170952@postoffice.reston.mci.net>"

GIVEN = {
    # what the client says: the credentials
    "PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm": Credentials("plain", b"tim", b"tanstaaftanstaaf"),
    "PLAIN|AHRpbQB0YW5zdGFhZnRhbnN0YWFm": Credentials("plain", b"tim", b"tanstaaftanstaaf"),
    "plain dGltAHRpbQBwdw==": Credentials("plain", b"tim", b"pw"),  # as tim, tim
    "LOGIN|dGlt|cHc=": Credentials("login", b"tim", b"pw"),
    "login dGlt|cHc=": Credentials("login", b"tim", b"pw"),
    "LOGIN|w7w=|AHB3": Credentials("login", "ü".encode(), b"\0pw"),
    "CRAM-MD5|dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw": Credentials(
        "cram-md5", b"tim", hashed=b"b913a602c7eda7a495b4e6e7334d3890", ticket=TICKET
    ),
    "CRAM-MD5|dGltIEI5MTNBNjAyQzdFREE3QTQ5NUI0RTZFNzMzNEQzODkw": Credentials(
        "cram-md5", b"tim", hashed=b"b913a602c7eda7a495b4e6e7334d3890", ticket=TICKET
    ),
    "CRAM-MD5|YSBiIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw": Credentials(
        "cram-md5", b"a b", hashed=b"b913a602c7eda7a495b4e6e7334d3890", ticket=TICKET
    ),
}

REFUSED = {
    # what the client says: the reply
    "PLAIN|*": "501 5.7.0 Authentication cancelled",
    "LOGIN|*": "501 5.7.0 Authentication cancelled",
    "LOGIN|dGlt|*": "501 5.7.0 Authentication cancelled",
    "CRAM-MD5|*": "501 5.7.0 Authentication cancelled",
    "PLAIN %%%": "501 5.5.2 Not base64",
    "PLAIN|dGlt=": "501 5.5.2 Not base64",
    "PLAIN|dGl": "501 5.5.2 Not base64",
    "PLAIN| dGlt": "501 5.5.2 Not base64",
    "PLAIN|=": "501 5.5.2 Not base64",
    "LOGIN|dGlt|\xff\xfe": "501 5.5.2 Not base64",
    "PLAIN =": "501 5.5.2 Not a PLAIN response",  # an initial response that is empty
    "PLAIN|": "501 5.5.2 Not a PLAIN response",
    "PLAIN dGlt": "501 5.5.2 Not a PLAIN response",
    "PLAIN AHRpbQBwdwA=": "501 5.5.2 Not a PLAIN response",  # a NUL in the password
    "PLAIN am9lAHRpbQBwdw==": "535 5.7.8 Nobody may act for another user here",  # as joe
    "PLAIN AHRpbQA=": "501 5.5.2 User and password cannot be empty",
    "PLAIN AABwdw==": "501 5.5.2 User and password cannot be empty",
    "LOGIN||cHc=": "501 5.5.2 User and password cannot be empty",
    "LOGIN|dGlt|": "501 5.5.2 User and password cannot be empty",
    "CRAM-MD5 dGlt": "501 5.5.4 CRAM-MD5 takes no initial response",
    "CRAM-MD5|dGlt": "501 5.5.2 Not a CRAM-MD5 response",
    "CRAM-MD5|dGltIGI5": "501 5.5.2 Not a CRAM-MD5 response",
    "CRAM-MD5|IGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw": (
        "501 5.5.2 User and password cannot be empty"
    ),
}

YES = Reply.make(235, "yes", "2.7.0")


def run(engine: Engine, slices: Iterable[bytes]) -> list[Event | str]:
    """Feed an engine as a session does that offers every mechanism: events, refusals of AUTH."""
    seen: list[Event | str] = []
    for data in slices:
        if data:
            engine.receive(data)
        while (event := engine.next_event()) is not None:
            seen.append(event)
            if isinstance(event, Hangup):
                return seen
            if isinstance(event, Auth):
                exchange = Exchange(event.mechanism.upper(), TICKET)
                try:
                    answer = exchange.start(event.initial)
                except CommandError as error:
                    seen.append(str(error.reply))
                    engine.reply(error.reply)
                    continue
                if isinstance(answer, Reply):
                    engine.challenge(exchange, answer)
                    continue
                seen.append(answer)
            engine.reply(YES)
    return seen


def ready(**limits: int) -> Engine:
    """An engine that knows its client."""
    engine = Engine("mx.example", Limits(**limits))
    engine.reply(Reply.make(220, "mx.example"))
    engine.receive(b"EHLO client\r\n")
    engine.next_event()
    engine.reply(Reply.make(250, "mx.example"))
    engine.data_to_send()
    return engine


def wire(said: str) -> bytes:
    """The lines that a client sends: they are parted by a bar."""
    return f"AUTH {said}\r\n".replace("|", "\r\n").encode("latin-1")


@pytest.mark.parametrize("said", GIVEN)
def test_credentials(said: str) -> None:
    """Each mechanism gives user and password, however its bytes come."""
    for slices in slicings(wire(said)):
        *_, credentials = run(engine := ready(), slices)
        assert credentials == GIVEN[said]
        assert engine.data_to_send()[-1] == b"235 2.7.0 yes\r\n"
        assert run(engine, [b"MAIL FROM:<a@b>\r\n"]) == [Mail(b"<a@b>", {})]


@pytest.mark.parametrize("said", REFUSED)
def test_refused(said: str) -> None:
    """What is no exchange ends it with one reply, and the next line is a command again."""
    for slices in slicings(wire(said)):
        seen = run(engine := ready(bad_commands=100), slices)
        assert not any(isinstance(event, Credentials) for event in seen)
        assert engine.data_to_send()[-1] == REFUSED[said].encode() + b"\r\n"
        assert run(engine, [b"MAIL FROM:<a@b>\r\n"]) == [Mail(b"<a@b>", {})]


@pytest.mark.parametrize(
    ("said", "challenges"),
    [
        ("PLAIN", [b"334 \r\n"]),
        ("LOGIN", [b"334 VXNlcm5hbWU6\r\n"]),
        ("LOGIN|dGlt", [b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"]),
        ("LOGIN dGlt", [b"334 UGFzc3dvcmQ6\r\n"]),
        (
            "CRAM-MD5",
            [b"334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n"],
        ),
    ],
)
def test_challenges(said: str, challenges: list[bytes]) -> None:
    """The server's side of each exchange, as its RFC shows it."""
    run(engine := ready(), [wire(said)])
    assert engine.data_to_send() == challenges


def test_oversized() -> None:
    """A line over the limit ends the exchange once it has ended; none of it is a command."""
    line = b"QUIT " * 3000 + b"\r\n"
    for slices in (
        [wire("LOGIN") + line],
        [wire("LOGIN"), *(line[n : n + 7] for n in range(0, len(line), 7))],
    ):
        seen = run(engine := ready(), slices)
        assert seen == [Auth("LOGIN", None)]
        assert engine.data_to_send() == [
            b"334 VXNlcm5hbWU6\r\n",
            b"500 5.5.6 Authentication line too long\r\n",
        ]
        assert run(engine, [b"MAIL FROM:<a@b>\r\n"]) == [Mail(b"<a@b>", {})]


def test_a_long_line_fits() -> None:
    """A response may have 12288 octets with its line end, far more than a command (RFC 4954)."""
    token = b64encode(b"\0u\0" + b"x" * 9210).rstrip(b"=")
    assert len(token) == 12_284
    seen = run(ready(), [b"AUTH PLAIN\r\n" + token + b"\r\n"])
    assert isinstance(seen[-1], Credentials)
    seen = run(engine := ready(), [b"AUTH PLAIN\r\n" + token + b"====\r\n"])
    assert seen == [Auth("PLAIN", None)]
    assert engine.data_to_send()[-1][:9] == b"500 5.5.6"


def test_bad_exchanges_count() -> None:
    """Failed exchanges count as bad commands: a client cannot go on with them for ever."""
    engine = ready(bad_commands=3)
    run(engine, [b"AUTH LOGIN\r\n*\r\n" * 3])
    assert [reply[:3] for reply in engine.data_to_send()][-1] == b"421"


def test_client_gone_in_an_exchange() -> None:
    """A client that ends its side inside an exchange is gone."""
    engine = ready()
    run(engine, [b"AUTH LOGIN\r\ndGl"])
    engine.receive(b"")
    assert engine.next_event() == Hangup("client closed the connection")


def test_restart() -> None:
    """After a restart the client says EHLO again, and what it sent before is gone."""
    engine = ready()
    engine.receive(b"STARTTLS\r\nRSET\r\nMAIL FROM:<a@b>\r\n")
    assert engine.next_event() is not None
    engine.reply(Reply.make(220, "Go ahead"))
    engine.restart()
    assert engine.next_event() is None
    engine.data_to_send()
    assert run(engine, [b"MAIL FROM:<a@b>\r\n"]) == []
    assert engine.data_to_send() == [b"503 5.5.1 Say HELO or EHLO first\r\n"]


@pytest.mark.parametrize(
    ("value", "offered", "reply"),
    [
        ("<>", True, b"235"),
        ("e+3Dmc2@example.com", True, b"235"),
        ("<>", False, b"555 5.5.4 Unknown MAIL parameter AUTH\r\n"),
        ("e+3dmc2@example.com", True, b"501"),  # xtext has upper case digits (RFC 3461, 4)
        ("e+", True, b"501"),
        ("<a@b>", True, b"501"),
        ("", True, b"501"),
    ],
)
def test_auth_parameter_of_mail(value: str, offered: bool, reply: bytes) -> None:
    """MAIL may say who authenticated where AUTH is offered (RFC 4954, 5), and only there."""
    engine = ready()
    engine.auth_offered = offered
    seen = run(engine, [f"MAIL FROM:<a@b> AUTH={value}\r\n".encode()])
    assert engine.data_to_send()[0].startswith(reply)
    if reply == b"235":
        assert seen == [Mail(b"<a@b>", {"auth": value})]


@pytest.mark.parametrize(
    "arguments", [b"", b" ", b"PLAIN a b", b"PL\xc3IN", b"=", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
)
def test_no_arguments(arguments: bytes) -> None:
    """What is no mechanism, with or without a response, cannot be parsed."""
    with pytest.raises(CommandError, match=r"^501 5\.5\.4 Syntax: AUTH mechanism"):
        READERS["AUTH"](arguments)


def test_secrets_do_not_show() -> None:
    """Credentials that are printed by accident keep their secrets."""
    shown = repr(Credentials("plain", b"tim", b"secret", b"digest", b"<ticket>"))
    assert shown == "Credentials(mechanism='plain', user=b'tim', ...)"
    assert repr(Auth("PLAIN", b"AHRpbQBwdw==")) == "Auth(mechanism='PLAIN', ...)"


texts = st.binary(min_size=1).map(lambda text: text.replace(b"\0", b"x"))


@given(st.data(), texts, texts)
def test_any_user_and_password(data: st.DataObject, user: bytes, password: bytes) -> None:
    """Whatever the user and the password are, they arrive."""
    token = b64encode(b"\0" + user + b"\0" + password)
    lines = b"AUTH PLAIN\r\n" + token + b"\r\n"
    assert run(ready(), data.draw(sliced(lines)))[-1] == Credentials("plain", user, password)
    lines = b"AUTH LOGIN\r\n" + b64encode(user) + b"\r\n" + b64encode(password) + b"\r\n"
    assert run(ready(), data.draw(sliced(lines)))[-1] == Credentials("login", user, password)


@given(st.sampled_from(["PLAIN", "LOGIN", "CRAM-MD5"]), st.lists(st.binary(), max_size=4))
def test_any_lines(mechanism: str, lines: list[bytes]) -> None:
    """Any lines end in credentials that have a user and a secret, or in a reply."""
    exchange = Exchange(mechanism, TICKET)
    try:
        answer = exchange.start(None)
        for line in lines:
            if isinstance(answer, Credentials):
                break
            answer = exchange.receive(b64encode(line) if len(line) % 2 else line)
    except CommandError as error:
        answer = error.reply
    if isinstance(answer, Credentials):
        assert answer.user
        assert answer.password or answer.hashed
    else:
        assert answer.code in (334, 501, 535)
