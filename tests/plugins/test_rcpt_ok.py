"""rcpt_ok: which recipients are ours."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import DENY, LOGWARN, OK, Address, Connection, Transaction
from qpsdk.plugins.rcpt_ok import RcptOk
from qpsdk.spool import Spool, SpoolDirectory
from qpsdk.testing import capture_log, plugin, smtp
from qpsdk.testing.smtp import memory_host
from tests.dialogue import refusal

CONFIG = {
    "me": "mx.Example.org",
    "morercpthosts": "more.example\n.Below.example",
    "rcpthosts": "# us\nexample.com\n.sub.example.com\nUPPER.example\nBÜCHER.example\n[192.0.2.1]",
}


def asked(
    recipient: str, *, relay: bool = False, config: dict[str, str] = CONFIG, routes: str = "deny"
) -> object:
    """What the plugin answers for a recipient."""
    plugin = RcptOk()
    host = memory_host(config)
    plugin.attach(host)
    plugin.register(host, routes=routes)
    connection = Connection(relay_client=relay)
    transaction = Transaction(connection, "c1.1", Spool(100, SpoolDirectory()), 100)
    return plugin.hook_rcpt(transaction, Address.parse(recipient, smtputf8=True), {})


@pytest.mark.parametrize(
    "recipient",
    [
        "user@example.com",
        "user@EXAMPLE.Com",
        "user@upper.example",
        "user@a.sub.example.com",
        "user@b.a.Sub.Example.com",
        "user@mx.example.org",
        "user@bücher.example",
        "user@[192.0.2.1]",
        "user@more.example",
        "user@a.below.example",
        "postmaster",
        "Postmaster",
    ],
)
def test_ours(recipient: str) -> None:
    """Ours are the domains of both lists in any case, subdomains behind a dot, and `me`."""
    assert asked(recipient) == OK


@pytest.mark.parametrize(
    "recipient",
    [
        "user@example.net",
        "user@sub.example.com",  # a leading dot means the subdomains alone
        "user@a.example.com",  # and no dot the domain alone
        "user@notexample.com",
        "user@xsub.example.com",
        "user@com",
        "user@example.org",
        "user@below.example",
        "user@example.com.evil.example",
        "user@[192.0.2.2]",
        "postmaster@example.net",
    ],
)
def test_not_ours(recipient: str) -> None:
    """All others are refused, as relaying."""
    assert asked(recipient) == (DENY, "Relaying denied")


ROUTES = [
    "user%example.net@example.com",
    "example.net!user@example.com",
    '"user@example.net"@example.com',
    '"user%example.net"@a.sub.example.com',
    "user%example.net%example.com@[192.0.2.1]",
    "%@mx.example.org",
]


@pytest.mark.parametrize("recipient", ROUTES)
def test_routes(recipient: str) -> None:
    """What a server behind us may read as a route to elsewhere is refused; but see `routes`."""
    no_route = (DENY, "Relaying denied: there is a @, % or ! before the domain")
    assert asked(recipient) == no_route
    assert asked(recipient, routes="allow") == OK
    assert asked(recipient, relay=True) == OK
    assert asked(recipient, config={"me": "mx"}) == (DENY, "Relaying denied")


@pytest.mark.parametrize(
    "user", ["a+b", "bounce=a=example.net", "SRS0=HHH=TT=example.net=a", "a|b/c", '"a b"', '"a:b"']
)
def test_no_routes(user: str) -> None:
    """VERP, SRS and what else has its mailbox's name in front of the domain is none."""
    assert asked(f"{user}@example.com") == OK


def test_source_route() -> None:
    """A source route has fallen off before: its last host counts (RFC 5321, appendix C)."""
    assert asked("@a.example,@b.example:user@example.com") == OK
    assert asked("@example.com:user@example.net") == (DENY, "Relaying denied")


@pytest.mark.parametrize("recipient", ["user@example.net", "user@example.com", "postmaster"])
def test_relay_client(recipient: str) -> None:
    """A client that may relay may send to anyone."""
    assert asked(recipient, relay=True) == OK


def test_no_rcpthosts() -> None:
    """Without rcpthosts we are no open relay: `me` alone is ours."""
    config = {"me": "mx.example.org"}
    assert asked("user@mx.example.org", config=config) == OK
    assert asked("user@example.com", config=config) == (DENY, "Relaying denied")


def test_warns_without_domains() -> None:
    """A host with neither list is told what that means; one that has either is not."""

    def told(config: dict[str, str]) -> list[str]:
        with capture_log() as log:
            plugin("rcpt_ok", qp=memory_host(config))
        return log.lines(level=LOGWARN, plugin="rcpt_ok")

    assert told({"me": "mx.example.org", "rcpthosts": "# none yet"}) == [
        "neither rcpthosts nor morercpthosts has a domain, so whoever may not relay is refused"
        " every recipient but those of me"
    ]
    assert told({"rcpthosts": "example.com"}) == []
    assert told({"morercpthosts": "example.com"}) == []


def test_in_a_dialogue() -> None:
    """The client is told so."""

    async def main() -> None:
        async with smtp("rcpt_ok", config=CONFIG) as client:
            for line in ("EHLO client", "MAIL FROM:<a@b>"):
                await client.command(line)
            assert str(await client.command("RCPT TO:<a@example.com>")) == "250 2.1.5 Recipient OK"
            assert str(await client.command("RCPT TO:<a@b>")) == "550 5.7.1 Relaying denied"

    asyncio.run(main())


@pytest.mark.parametrize("name", ["rcpthosts", "morercpthosts"])
@pytest.mark.parametrize(
    "line", ["user@example.com", "*.example.com", "example.com # ours", "..example.com", "."]
)
def test_refuses_to_start(name: str, line: str) -> None:
    """A line that is no domain is told, with what would be right."""
    assert refusal("rcpt_ok", {name: f"# ours\nexample.com\n{line}"}) == (
        f"config/{name}:3: {line!r} is no domain;"
        " write example.com, or .example.com for all below it"
    )


def test_arguments() -> None:
    """Domains do not stand in config/plugins; `routes` is one of two words."""
    assert refusal("rcpt_ok example.com").endswith("it takes: rcpt_ok [routes=...]")
    assert refusal("rcpt_ok routes=no").endswith("rcpt_ok: routes=no: write deny or allow")


LABEL = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?\Z")
NAMES = st.lists(LABEL, min_size=1, max_size=5).map(".".join)


@given(NAMES, NAMES)
def test_subdomains(name: str, below: str) -> None:
    """A name listed is ours alone; behind a dot all below it are, and it is not."""
    config = {"me": "mx.example.org", "rcpthosts": name.upper()}
    assert asked(f"user@{name}", config=config) == OK
    assert asked(f"user@{below}.{name}", config=config) == (DENY, "Relaying denied")
    config = {"me": "mx.example.org", "rcpthosts": "." + name}
    assert asked(f"user@{name}", config=config) == (DENY, "Relaying denied")
    assert asked(f"user@{below}.{name}", config=config) == OK
    assert asked(f"user@x{name}", config=config) == (DENY, "Relaying denied")
