# ruff: noqa: PT017 - this is no test: `pytest.raises` would need pytest under the fuzzer
"""What is fuzzed, and what must hold for any bytes at all.

A target takes bytes and returns, or raises what is a bug: an AssertionError of its own, or an
exception that the decoder does not name. Each knows its invariants: a value or a named error; the
same for the whole, for byte by byte and for slices; what was decoded can be encoded again.
"""

import base64
import io
import random
import zlib
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Final

from qpsdk import netstring
from qpsdk.address import Address
from qpsdk.config import Config
from qpsdk.errors import (
    AddressError,
    ConfigError,
    HeaderError,
    NetstringError,
    QMQPPackageError,
    QMQPResponseError,
    ReplyError,
)
from qpsdk.explain import explain, show
from qpsdk.finder import PluginLine
from qpsdk.header import Header, HeaderReader
from qpsdk.qmqp import PackageDecoder, ResponseDecoder, parse_servers, to_lf
from qpsdk.reply import MAX_LINE, Reply
from qpsdk.settings import SETTINGS
from qpsdk.smtp.commands import CommandError
from qpsdk.smtp.data import DataDecoder
from qpsdk.smtp.engine import Engine
from qpsdk.smtp.events import Block, Data, Hangup, MessageEnd
from qpsdk.smtp.limits import Limits
from qpsdk.smtp.sasl import MECHANISMS, Exchange
from qpsdk.stream import Endpoint
from qpsdk.testing import qmqp_script

Target = Callable[[bytes], None]

TARGETS: Final[dict[str, Target]] = {}
"""By name; each has a file of that name in the corpus."""


def target(function: Target) -> Target:
    """Put a function among the targets."""
    TARGETS[function.__name__] = function
    return function


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The input whole, byte by byte, and in slices; always the same ones for the same input."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    dice = random.Random(zlib.crc32(data))
    for _ in range(2):
        bounds = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(1, 6)))
        pairs = zip([0, *bounds], [*bounds, len(data)], strict=True)
        yield [data[start:end] for start, end in pairs]


def the_same(read: Callable[[list[bytes]], object], data: bytes) -> None:
    """Check that the outcome does not depend on how the input is cut."""
    whole, *others = map(read, cuts(data))
    for other in others:
        assert other == whole, f"whole: {whole!r}, cut: {other!r}"


def is_one_line(error: Exception) -> None:
    """Check that what an error says can go into a log or a reply."""
    text = str(error)
    assert text
    assert text.isprintable(), repr(text)


@target
def netstrings(data: bytes) -> None:
    """Strings or the offset of the fault; the strings' encoding is the input."""

    def read(slices: list[bytes]) -> object:
        decoder = netstring.Decoder(100)
        values = []
        try:
            for slice_ in slices:
                values += list(decoder.feed(slice_))  # those before a fault are given first
        except NetstringError as error:
            return "fault", type(error), error.offset, error.problem
        return values, decoder.offset

    the_same(read, data)
    values, at = [], 0
    while (found := netstring.first(data[at:])) is not None:
        value, size = found
        assert netstring.encode(value) == data[at : at + size]
        assert netstring.encoded_size(len(value)) == size
        assert netstring.read(io.BytesIO(data[at:]), limit=len(data)) == value
        values.append(value)
        at += size
    try:
        assert netstring.decode_all(data) == values
        assert at == len(data)
    except NetstringError as error:
        assert at <= error.offset <= len(data)
        is_one_line(error)


@target
def qmqp_response(data: bytes) -> None:
    """A response, more to come, or QMQPResponseError; a response encodes to what it was."""

    def read(slices: list[bytes]) -> object:
        decoder = ResponseDecoder()
        try:
            for slice_ in slices:
                if (response := decoder.feed(slice_)) is not None:
                    assert data.startswith(response.encode())
                    return response.verdict, response.text
        except QMQPResponseError as error:
            is_one_line(error)
            return "fault"  # its text has what had come by then
        is_one_line(decoder.finish())
        return None

    the_same(read, data)


@target
def qmqp_package(data: bytes) -> None:
    """A package, more to come, or QMQPPackageError with an offset; it encodes to what it was."""

    def read(slices: list[bytes]) -> object:
        decoder = PackageDecoder(1000)
        try:
            for slice_ in slices:
                if (package := decoder.feed(slice_)) is not None:
                    parts = (package.message, package.sender, *package.recipients)
                    wire = netstring.encode(b"".join(map(netstring.encode, parts)))
                    assert data.startswith(wire)
                    assert package.recipients
                    return package
        except QMQPPackageError as error:
            is_one_line(error)
            return error.offset, str(error)
        is_one_line(decoder.finish())
        return None

    the_same(read, data)


@target
def qmqp_line_ends(data: bytes) -> None:
    """CRLF becomes LF, wherever it is cut; the last line has one, and nothing else changes."""
    expected = data.replace(b"\r\n", b"\n")
    if expected and not expected.endswith(b"\n"):
        expected += b"\n"
    for slices in cuts(data):
        assert b"".join(to_lf(slices)) == expected


@target
def smtp_commands(data: bytes) -> None:
    """Events and replies, the same however the dialogue is cut; each reply is a right one."""

    def converse(slices: list[bytes]) -> object:
        engine = Engine("mx.example", Limits(command_line=100, recipients=3, bad_commands=8))
        engine.reply(Reply.make(220, "mx.example ESMTP"))
        said = b""
        events: list[object] = []
        message: bytes | None = None
        for slice_ in [*slices, b""]:
            engine.receive(slice_)
            while (event := engine.next_event()) is not None:
                match event:
                    case Hangup():
                        break
                    case Block(block):
                        assert block
                        message = (message or b"") + block
                        continue
                    case MessageEnd(size, refusal):
                        # What had come before the refusal depends on where it was cut.
                        events.append((size, refusal or message))
                        message = None
                        engine.reply(refusal or Reply.make(250, "queued"))
                    case Data():
                        events.append(event)
                        engine.reply(Reply.make(354, "go on"))
                    case _:
                        events.append(event)
                        engine.reply(Reply.make(250, "ok"))
            said += b"".join(engine.data_to_send())
        at = 0
        while at < len(said):
            found = Reply.parse_first(said[at:])
            assert found is not None
            at += found[1]
        return said, events

    the_same(lambda slices: converse([slice_ for slice_ in slices if slice_]), data)


@target
def smtp_auth(data: bytes) -> None:
    """The lines after AUTH: challenges, then credentials of somebody, or a refusal."""
    for mechanism in MECHANISMS:
        exchange = Exchange(mechanism, b"<1.2@mx.example>")
        lines = data.split(b"\n")
        try:
            # The first line may be an initial response: then it begins with a space.
            first = lines.pop(0)[1:] if data.startswith(b" ") else None
            answer = exchange.start(first)
            while isinstance(answer, Reply) and lines:
                assert answer.code == 334
                answer = exchange.receive(lines.pop(0))
        except CommandError as error:
            assert error.reply.code in (501, 535)
            continue
        if not isinstance(answer, Reply):
            assert answer.user
            assert answer.password or answer.hashed
            if mechanism == "PLAIN":
                spelt = [b"\0".join((i, answer.user, answer.password)) for i in (b"", answer.user)]
                sent = first if first is not None else data.partition(b"\n")[0]
                assert base64.b64decode(sent) in spelt


@target
def smtp_data(data: bytes) -> None:
    """The message and what follows it, as one would find them line by line."""

    def decode(slices: list[bytes]) -> object:
        decoder = DataDecoder()
        message = b""
        for number, slice_ in enumerate(slices):
            part, rest = decoder.feed(slice_)
            message += part
            if rest is not None:
                rest += b"".join(slices[number + 1 :])
                return message, rest, decoder.size, decoder.bare_newline
        return None

    lines = data.split(b"\r\n")
    expected = None
    if b"." in lines[:-1]:
        end = lines.index(b".")
        texts = [line.removeprefix(b".") for line in lines[:end]]
        expected = (
            b"".join(text + b"\n" for text in texts),
            b"\r\n".join(lines[end + 1 :]),
            sum(len(text) + 2 for text in texts),
            any(b"\r" in text or b"\n" in text for text in texts),
        )
    for slices in cuts(data):
        assert decode(slices) == expected


@target
def address(data: bytes) -> None:
    """An address or AddressError in one line of ASCII; what it prints is the same address."""
    for smtputf8 in (False, True):
        try:
            parsed = Address.parse(data, smtputf8=smtputf8)
        except AddressError as error:
            is_one_line(error)
            assert str(error).isascii()
            continue
        again = Address.parse(parsed.format(), smtputf8=smtputf8)
        assert again == parsed
        assert hash(again) == hash(parsed)
        assert (again.user, again.host, again.address) == (
            parsed.user,
            parsed.host,
            parsed.address,
        )
        assert not set(parsed.address) & set(b"\0\r\n")
        assert len(parsed.address) <= 999
        assert str(parsed).isprintable() or smtputf8
        if parsed.host:
            assert Address(parsed.user, parsed.host).format() == Address(*_parts(again)).format()


def _parts(parsed: Address) -> tuple[bytes, bytes]:
    return parsed.user, parsed.host


@target
def header(data: bytes) -> None:
    """No byte is lost, however it is cut; fields add up to the header, and each is found."""

    def read(slices: list[bytes]) -> object:
        reader = HeaderReader()
        for number, slice_ in enumerate(slices):
            if (found := reader.feed(slice_)) is not None:
                return bytes(found[0]), found[1] + b"".join(slices[number + 1 :])
        last, rest = reader.finish()
        return bytes(last), rest

    the_same(read, data)
    reader = HeaderReader()
    parsed, rest = reader.feed(data) or reader.finish()
    assert bytes(parsed) + rest == data
    assert bytes(Header.parse(bytes(parsed))) == bytes(parsed)
    fields = list(parsed)
    assert b"".join(field.raw for field in fields) == bytes(parsed)
    for field in fields[:8]:
        assert field.value in parsed.get_all(field.name)
        assert b"\n" not in field.value
    try:
        assert list(Header.parse(data)) == fields
        assert not rest
    except HeaderError as error:
        is_one_line(error)
        assert rest


@target
def header_field(data: bytes) -> None:
    """Name NUL value: HeaderError, or one field more that reads back; no other field changes."""
    name, _, value = data.partition(b"\0")
    before = Header.parse(b"A: 1\nSubject: x\n y\nB: 2\n")
    for change in (Header.add, Header.prepend, Header.replace):
        changed = Header.parse(bytes(before))
        try:
            change(changed, name, value)
        except HeaderError as error:
            is_one_line(error)
            assert bytes(changed) == bytes(before)
            continue
        assert bytes(Header.parse(bytes(changed))) == bytes(changed)
        assert value.replace(b"\n", b"").strip(b" \t") in changed.get_all(name)
        others = [f.raw for f in before if f.name.lower() != name.lower()]
        assert [f.raw for f in changed if f.name.lower() != name.lower()] == others


@target
def reply(data: bytes) -> None:
    """A reply, more to come, or ReplyError; any text makes one reply and no second."""
    try:
        found = Reply.parse_first(data)
    except ReplyError as error:
        is_one_line(error)
    else:
        if found is not None:
            parsed, end = found
            assert Reply.parse(data[:end]) == parsed
            assert Reply.parse_first(data[: end - 1]) is None
            assert Reply.parse(parsed.wire) == parsed
    for enhanced in ("", "5.1.1"):
        made = Reply.make(550, data, enhanced)
        again = Reply.parse_first(made.wire + b"250 forged\r\n")
        assert again == (made, len(made.wire))
        assert all(len(line) <= MAX_LINE for line in made.wire.splitlines(keepends=True))
        assert made.wire.isascii()
        assert all(line.startswith(b"5.") for line in made.lines) or not enhanced


@target
def config_lines(data: bytes) -> None:
    """Values, or an error with its line; each setting, plugin line and endpoint is judged."""
    text = data.decode("utf-8", "replace")
    if "$include" in text:  # of what is on this machine, that is
        return
    config = Config({"plugins": text})
    try:
        lines = config.lines("plugins")
    except ConfigError:
        assert "\0" in text
        return
    numbers = [line.number for line in lines]
    assert numbers == sorted(set(numbers))
    for line in lines[:4]:
        assert line.text == line.text.strip()
        assert line.text
        assert text.split("\n")[line.number - 1].strip() == line.text
        parsers = (PluginLine.parse, Endpoint.parse, parse_servers)
        for parse in parsers:
            try:
                value = parse(line.text)
            except ValueError as error:
                assert str(error)
                continue
            if isinstance(value, list):
                assert parse_servers(",".join(map(str, value))) == value
            elif isinstance(value, Endpoint):
                assert Endpoint.parse(str(value)) == value
            else:
                options = [f"{name}={word}" for name, word in value.options]
                words = " ".join([value.name, *value.words, *options])
                assert PluginLine.parse(words) == value
    for name, setting in SETTINGS.items() if len(lines) < 3 else ():
        one = Config({name: text})
        problems = setting.problems(one)
        for problem in problems:
            assert isinstance(problem, ConfigError)
            assert problem.line is not None
        try:
            setting.read(one)
        except ConfigError as error:
            assert str(error) in map(str, problems)
        else:
            assert not problems


@target
def fake_server_script(data: bytes) -> None:
    """Acts or ValueError; what acts print as is read as the same acts."""
    text = data.decode("utf-8", "replace")
    try:
        acts = qmqp_script.parse(text)
    except ValueError as error:
        assert str(error)
        return
    assert qmqp_script.parse(", ".join(map(repr, acts))) == acts


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


@target
def explain_renderer(data: bytes) -> None:
    """Any bytes are drawn, in printable lines, and a fault is told where decoding fails."""
    explanation = explain(data)
    try:
        netstring.decode_all(data)
    except NetstringError as error:
        offset = error.offset
    else:
        offset = -1 if data else 0
    assert (-1 if explanation.fault is None else explanation.fault.offset) == offset
    for drawn in (explanation, explain(data, package=True)):
        text = str(drawn)
        assert text.replace("\n", "").isprintable()
        parser = _Text()
        parser.feed(drawn._repr_html_())
        parser.close()
        assert parser.tags <= {"pre", "span"}
    assert show(data).isprintable()
    assert show(data).isascii()
