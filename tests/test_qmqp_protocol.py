"""QMQP packages and responses, byte for byte, and what is none of them."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import netstring
from qpsdk.errors import QMQPEnvelopeError, QMQPPackageError, QMQPResponseError
from qpsdk.qmqp import (
    DEFAULT_PORT,
    Package,
    PackageDecoder,
    Received,
    Response,
    ResponseDecoder,
    Verdict,
)
from tests.slices import sliced, slicings

A, K = b"a" * 999, b"a" * 1000

# -- Packages that are sent ------------------------------------------------------------------

PACKAGES = [
    # message, sender, recipients, package; each made by hand
    (b"", b"", [b"b"], b"10:0:,0:,1:b,,"),
    (b"hi\n", b"", [b"b"], b"13:3:hi\n,0:,1:b,,"),
    (b"hi\n", b"a@x", [b"b@y", b"c@z"], b"24:3:hi\n,3:a@x,3:b@y,3:c@z,,"),
    (b"0123456789", b"a", [b"b"], b"22:10:0123456789,1:a,1:b,,"),
    (b"\0\r\n\xff", b'"a, b"@c', [b"\xc3\xa4@b"], b'25:4:\0\r\n\xff,8:"a, b"@c,4:\xc3\xa4@b,,'),
    (b"\n" * 90, b"", [b"b"], b"101:90:" + b"\n" * 90 + b",0:,1:b,,"),
    (b"", A, [b"b"], b"1011:0:,999:" + A + b",1:b,,"),
    (b"", b"pre-@host-@[]", [b"b"], b"24:0:,13:pre-@host-@[],1:b,,"),
    (b"a\n", b"x", [b"b", b"b"], b"17:2:a\n,1:x,1:b,1:b,,"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "sender", "recipients", "wire"), PACKAGES)
def test_package(message: bytes, sender: bytes, recipients: list[bytes], wire: bytes) -> None:
    """Message, sender and recipients are netstrings in a netstring, all lengths known before."""
    package = Package.of(len(message), sender, recipients)
    assert package.head + message + package.tail == wire
    assert package.size == len(wire)
    assert package.message_size == len(message)


def test_package_of_a_large_message() -> None:
    """Nothing but lengths is needed of a message, however large it is."""
    package = Package.of(5_000_000_000, b"a@x", [b"b@y"])
    assert package.head == b"5000000024:5000000000:"
    assert package.tail == b",3:a@x,3:b@y,,"
    assert package.size == 22 + 5_000_000_000 + 14


@pytest.mark.parametrize(
    ("sender", "recipients", "problem"),
    [
        (b"a@x", [], "no recipients"),
        (b"a@x", [b""], "an empty recipient"),
        (b"a@x", [b"b@y", b""], "an empty recipient"),
        (b"a@x", [K], "an address of 1000 bytes: 999 at most"),
        (K, [b"b@y"], "an address of 1000 bytes"),
        (b"a@x", [b"b@y", K * 3], "an address of 3000 bytes"),
        (b"a\0@x", [b"b@y"], "NUL, CR or LF in the address b'a\\x00@x'"),
        (b"a@x", [b"b@y\0"], "NUL, CR or LF"),
        (b"a@x", [b"b\r@y"], "NUL, CR or LF"),
        (b"a@x", [b"b@y", b"\nc@z"], "NUL, CR or LF"),
        (b"\xc3\xa4@x", [b"b@y"], "the address b'\\xc3\\xa4@x' needs SMTPUTF8"),
        (b"a@x", [b"b@y", b"c@\xff"], "the address b'c@\\xff' needs SMTPUTF8"),
    ],
)
def test_envelope_that_qmqp_cannot_carry(
    sender: bytes, recipients: list[bytes], problem: str
) -> None:
    """What a server would misunderstand is refused here, before anything is sent."""
    with pytest.raises(QMQPEnvelopeError) as error:
        Package.of(1, sender, recipients, smtputf8=False)
    assert problem in str(error.value)


def test_port() -> None:
    """QMQP has port 628."""
    assert DEFAULT_PORT == 628


# -- Packages that are received --------------------------------------------------------------


def receive(slices: list[bytes], limit: int | None = None) -> Received | None:
    """Feed a decoder until it has the package."""
    decoder = PackageDecoder(limit)
    for data in slices:
        if (package := decoder.feed(data)) is not None:
            return package
    return None


@pytest.mark.parametrize(("message", "sender", "recipients", "wire"), PACKAGES)
@pytest.mark.parametrize("trailing", [b"", b"x", b",", b"3:abc,"])
def test_receive(
    message: bytes, sender: bytes, recipients: list[bytes], wire: bytes, trailing: bytes
) -> None:
    """A package is read as it was made, in any slices; what follows it is ignored."""
    expected = Received(message, sender, tuple(recipients))
    for slices in slicings(wire + trailing):
        assert receive(slices) == expected


def test_not_before_its_last_byte() -> None:
    """Until the last comma it is no package: then the client may still leave."""
    wire = b"24:3:hi\n,3:a@x,3:b@y,3:c@z,,"
    for end in range(len(wire)):
        for slices in slicings(wire[:end]):
            decoder = PackageDecoder()
            assert [decoder.feed(data) for data in slices] == [None] * len(slices)
            error = decoder.finish()
            assert isinstance(error, QMQPPackageError)
            assert str(error) == f"the client closed inside its package at offset {end}"
            assert error.offset == end


FAULTS = [
    # input, offset, problem
    (b"x", 0, "'x' where a netstring length is due"),
    (b":", 0, "':' where a netstring length is due"),
    (b"01", 1, "leading zero"),
    (b"1x", 1, "'x' where a digit or a colon is due"),
    (b"0:,", 2, "ends without the message"),
    (b"0:x", 2, "'x' where a comma is due"),
    (b"3:0:,,", 5, "ends without the sender"),
    (b"6:0:,0:,,", 8, "ends without a recipient"),
    (b"10:0:,0:,1:b,x", 13, "'x' where a comma is due"),
    (b"10:x:,0:,1:b,,", 3, "'x' where a netstring length is due"),
    (b"10:00,0:,1:b,,", 4, "leading zero"),
    (b"10:0:x0:,1:b,,", 5, "'x' where a comma is due"),
    (b"10:0:,0:,1:bx,", 12, "'x' where a comma is due"),
    (b"10:0:,0:,1b,,,", 10, "'b' where a digit or a colon is due"),
    (b"9:0:,0:,1:b,,", 11, "ends inside a netstring"),  # too short by one
    (b"11:0:,0:,1:b,,", 13, "',' where a netstring length is due"),  # too long by one
    (b"10:0:,0:,9:b,,", 13, "ends inside a netstring"),
    (b"100:0:,0:,1:b,\n", 14, r"'\n' where a netstring length is due"),
    (b"10:3:hi\n,0:,,,", 12, "',' where a netstring length is due"),
]


@pytest.mark.parametrize(("data", "offset", "problem"), FAULTS)
def test_faults(data: bytes, offset: int, problem: str) -> None:
    """What is no package is refused with the offset in it, however it comes."""
    for slices in slicings(data):
        with pytest.raises(QMQPPackageError) as error:
            receive(slices)
        assert error.value.offset == offset
        assert problem in str(error.value)
        assert str(error.value).endswith(f" at offset {offset}")


@pytest.mark.parametrize(
    ("limit", "data", "offset"),
    [(10, b"10:0:,0:,1:b,,", None), (9, b"10:0:,0:,1:b,,", 1), (10, b"10:11", 4), (99, b"100", 2)],
)
def test_limit(limit: int, data: bytes, offset: int | None) -> None:
    """A package over the limit is refused by its length, before it comes."""
    for slices in slicings(data):
        if offset is None:
            assert receive(slices, limit) == Received(b"", b"", (b"b",))
            continue
        with pytest.raises(QMQPPackageError, match="limit") as error:
            receive(slices, limit)
        assert error.value.offset == offset


addresses = st.binary(min_size=1, max_size=30).map(
    lambda a: a.replace(b"\0", b"0").replace(b"\r", b"r").replace(b"\n", b"n")
)


@given(st.binary(), addresses | st.just(b""), st.lists(addresses, min_size=1), st.data())
def test_round_trip(
    message: bytes, sender: bytes, recipients: list[bytes], data: st.DataObject
) -> None:
    """Any message and envelope arrive as they were sent, in any slices."""
    package = Package.of(len(message), sender, recipients)
    wire = package.head + message + package.tail
    netstring.verify(wire)
    expected = Received(message, sender, tuple(recipients))
    assert receive(data.draw(sliced(wire))) == expected


@given(st.binary() | st.text("0123:,a").map(str.encode), st.data())
def test_any_bytes(data: bytes, draw: st.DataObject) -> None:
    """Any bytes are a package, the beginning of one, or an error, the same in any slices."""

    def outcome(slices: list[bytes]) -> object:
        try:
            return receive(slices)
        except QMQPPackageError as error:
            return error.offset, str(error)

    assert outcome(draw.draw(sliced(data))) == outcome([data])


# -- Responses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "response"),
    [
        (b"1:K,", Response(Verdict.ACCEPTED, b"")),
        (b"1:Z,", Response(Verdict.DEFERRED, b"")),
        (b"1:D,", Response(Verdict.REJECTED, b"")),
        (b"19:Kok 1700000000 qp 7,", Response(Verdict.ACCEPTED, b"ok 1700000000 qp 7")),
        (b"8:Zbusy\r\n\0,", Response(Verdict.DEFERRED, b"busy\r\n\0")),
        (b"6:DK\xe4,Z,,", Response(Verdict.REJECTED, b"K\xe4,Z,")),
        (b"10240:K" + b"x" * 10239 + b",", Response(Verdict.ACCEPTED, b"x" * 10239)),
    ],
    ids=["K", "Z", "D", "text", "control", "commas", "longest"],
)
def test_response(wire: bytes, response: Response) -> None:
    """A response is a letter and a text, in any slices; what follows it is only counted."""
    assert response.encode() == wire
    for trailing in (b"", b"x", b"1:D,"):
        for slices in slicings(wire + trailing) if len(wire) < 100 else [[wire], [wire, trailing]]:
            decoder = ResponseDecoder()
            given = next(filter(None, map(decoder.feed, slices)))
            assert given[:2] == response[:2]
            # What comes later is never read.
            at_once = next(size for size in accumulate(map(len, slices)) if size >= len(wire))
            assert given.excess == at_once - len(wire)
    decoder = ResponseDecoder()
    assert [decoder.feed(wire[at : at + 1]) for at in range(len(wire) - 1)] == [None] * (
        len(wire) - 1
    )


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"0:,", "begins with K, Z or D, not b''"),
        (b"1:X,", "not b'X'"),
        (b"1:k,", "not b'k'"),
        (b"3:\0Kx,", "not b'\\x00Kx'"),
        (b"4:hi K,", "not b'hi K'"),
        (b"2:Kx;", "';' where a comma is due at offset 4"),
        (b"2:Kxy,", "'y' where a comma is due at offset 4"),
        (b"01:K,", "leading zero in a netstring length at offset 1"),
        (b"K", "'K' where a netstring length is due at offset 0"),
        (b"Kok\n", "'K' where"),
        (b"ERROR Denied\n", "'E' where"),
        (b"-1:K,", "'-' where"),
        (b":K,", "':' where"),
        (b"10241", "limit of 10240 bytes at offset 4"),
        (b"9999999999999999999999", "limit of 10240 bytes at offset 4"),
        (b"220 mx.example ESMTP\r\n", "' ' where a digit or a colon is due at offset 3"),
    ],
)
def test_no_response(data: bytes, problem: str) -> None:
    """What is no response is refused as soon as that is clear, and is shown."""
    for slices in slicings(data):
        decoder = ResponseDecoder()
        with pytest.raises(QMQPResponseError) as error:
            list(map(decoder.feed, slices))
        assert problem in str(error.value)


def test_no_response_is_shown_in_part() -> None:
    """Of what came instead of a response, the beginning is shown."""
    decoder = ResponseDecoder()
    assert decoder.feed(b"30:Kabc") is None
    with pytest.raises(QMQPResponseError) as error:
        decoder.feed(b"x" * 100)
    assert str(error.value).endswith(f": {b'30:Kabc' + b'x' * 33!r}")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "the server closed without a response"),
        (b"1", "the server closed in its response: b'1'"),
        (b"3:Ko", "the server closed in its response: b'3:Ko'"),
        (b"2:Ko", "the server closed in its response: b'2:Ko'"),
    ],
)
def test_closed_instead(data: bytes, text: str) -> None:
    """A server that closes before its response is whole has given none."""
    decoder = ResponseDecoder()
    assert decoder.feed(data) is None
    error = decoder.finish()
    assert isinstance(error, QMQPResponseError)
    assert str(error) == text


@given(st.binary() | st.text("012:,KZD").map(str.encode), st.data())
def test_any_bytes_from_a_server(data: bytes, draw: st.DataObject) -> None:
    """Any bytes are a response, the beginning of one, or an error, the same in any slices."""

    def outcome(slices: list[bytes]) -> object:
        decoder = ResponseDecoder()
        try:
            response = next(filter(None, map(decoder.feed, slices)), None)
            return response and response[:2]
        except QMQPResponseError as error:
            return str(error).partition(": b")[0]

    assert outcome(draw.draw(sliced(data))) == outcome([data])


@given(st.sampled_from(list(Verdict)), st.binary(max_size=200), st.data())
def test_response_round_trip(verdict: Verdict, text: bytes, data: st.DataObject) -> None:
    """Any response arrives as it was given."""
    decoder = ResponseDecoder()
    slices = data.draw(sliced(Response(verdict, text).encode()))
    assert next(filter(None, map(decoder.feed, slices))) == Response(verdict, text)
