"""Endpoints: what may be written for one, and how it is written back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk.stream import Endpoint, require_endpoint

ACCEPTED = [
    # text, default port, endpoint, as written back
    ("127.0.0.1:25", None, Endpoint("127.0.0.1", 25), "127.0.0.1:25"),
    ("mx.example.com:2525", None, Endpoint("mx.example.com", 2525), "mx.example.com:2525"),
    ("mx.example.com", 628, Endpoint("mx.example.com", 628), "mx.example.com:628"),
    ("mx.example.com:1", 628, Endpoint("mx.example.com", 1), "mx.example.com:1"),
    ("[::1]:25", None, Endpoint("::1", 25), "[::1]:25"),
    ("[2001:db8::1]", 628, Endpoint("2001:db8::1", 628), "[2001:db8::1]:628"),
    ("[::ffff:192.0.2.1]:25", None, Endpoint("::ffff:192.0.2.1", 25), "[::ffff:192.0.2.1]:25"),
    ("[fe80::1%eth0]:25", None, Endpoint("fe80::1%eth0", 25), "[fe80::1%eth0]:25"),
    ("0.0.0.0:0", None, Endpoint("0.0.0.0", 0), "0.0.0.0:0"),
    ("localhost:65535", None, Endpoint("localhost", 65535), "localhost:65535"),
    ("localhost:00025", None, Endpoint("localhost", 25), "localhost:25"),
    ("unix:/run/qmqp.sock", None, Endpoint(path="/run/qmqp.sock"), "unix:/run/qmqp.sock"),
    ("unix:q", None, Endpoint("", 0, "q"), "unix:q"),
    ("unix:qmqp:628 x", 628, Endpoint(path="qmqp:628 x"), "unix:qmqp:628 x"),
]

REFUSED = [
    # text, default port
    ("", None),
    ("", 25),
    ("localhost", None),
    ("localhost:", 25),
    (":25", None),
    ("25", None),
    ("localhost:65536", None),
    ("localhost:123456", None),
    ("localhost:-1", None),
    ("localhost:smtp", None),
    ("localhost: 25", None),
    ("local host:25", None),
    (" localhost:25", None),
    ("localhost:25\n", None),
    ("localhost:25:26", None),
    ("localhost:\u0662\u0665", None),
    ("::1", 25),
    ("::1:25", None),
    ("[::1", 25),
    ("::1]:25", None),
    ("[::1]25", None),
    ("[]:25", None),
    ("[mx.example.com]:25", None),
    ("[::g]:25", None),
    ("[192.0.2.1]:25", None),
    ("[1:2:3]:25", None),
    ("[::1 ]:25", None),
    ("smtp://localhost:25", None),
    ("localhost/25", 25),
    ("unix:", 25),
    ("unix", 25),  # which would print as unix:25, a path
]


@pytest.mark.parametrize(("text", "default_port", "endpoint", "written"), ACCEPTED)
def test_accepted(text: str, default_port: int | None, endpoint: Endpoint, written: str) -> None:
    """Host and port, a bracketed IPv6 address and port, or the path of a unix socket."""
    parsed = Endpoint.parse(text, default_port)
    assert parsed == endpoint
    assert str(parsed) == written
    assert Endpoint.parse(written) == endpoint


@pytest.mark.parametrize(("text", "default_port"), REFUSED)
def test_refused(text: str, default_port: int | None) -> None:
    """Anything else is refused, with what was written and what may be."""
    with pytest.raises(ValueError, match=r"HOST:PORT, \[V6\]:PORT or unix:PATH") as refusal:
        Endpoint.parse(text, default_port)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:25", Endpoint("127.0.0.1", 25)),
        ("tls:127.0.0.1:465", Endpoint("127.0.0.1", 465, tls=True)),
        ("tls:[::]:465", Endpoint("::", 465, tls=True)),
        ("tls:unix:/run/x", Endpoint(path="/run/x", tls=True)),
    ],
)
def test_listen(text: str, endpoint: Endpoint) -> None:
    """To listen an endpoint may have TLS before it, which it is written back with."""
    assert Endpoint.parse_listen(text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize("text", ["tls:", "tls:127.0.0.1", "tls:tls:127.0.0.1:465", "TLS:[::]:1"])
def test_listen_refused(text: str) -> None:
    """What is no endpoint is none behind ``tls:`` either; and nothing connects with it."""
    for parse in (Endpoint.parse_listen, Endpoint.parse):
        with pytest.raises(ValueError, match=r"HOST:PORT, \[V6\]:PORT or unix:PATH"):
            parse(text)


@given(st.text() | st.text("[]:.a1unix/"), st.none() | st.integers(0, 65535))
def test_any_text(text: str, default_port: int | None) -> None:
    """Any text is an endpoint that can be written and read back, or a ValueError."""
    try:
        endpoint = Endpoint.parse(text, default_port)
    except ValueError:
        return
    assert Endpoint.parse(str(endpoint)) == endpoint
    assert bool(endpoint.path) != bool(endpoint.host)
    assert 0 <= endpoint.port <= 65535


@pytest.mark.parametrize(
    ("value", "write"),
    [
        ("127.0.0.1:80", "Endpoint.parse('127.0.0.1:80')"),
        (("127.0.0.1", 80), "Endpoint(HOST, PORT)"),
        (None, "Endpoint(HOST, PORT)"),
    ],
)
def test_no_endpoint(value: object, write: str) -> None:
    """What is no endpoint is no address to connect to, and it is told how to write one."""
    require_endpoint(Endpoint("127.0.0.1", 80))
    with pytest.raises(TypeError) as error:
        require_endpoint(value)
    assert str(error.value) == f"cannot connect to {value!r}, which is no Endpoint; write {write}"
