"""The name of a client's address: only one that leads back to the address counts."""

import asyncio
import socket
from typing import Any

import pytest

from qpsdk.server.names import host_of


def test_the_systems_resolver() -> None:
    """The system knows this machine's own name by heart; 127.0.0.99 has none."""

    async def main() -> list[str]:
        return [await host_of(address) for address in ("127.0.0.1", "127.0.0.99")]

    name, none = asyncio.run(main())
    assert name
    assert socket.gethostbyname(name) == "127.0.0.1"
    assert none == ""


@pytest.mark.parametrize(
    ("address", "leads_to", "name"),
    [
        ("192.0.2.1", ["192.0.2.1"], "mx.example.org"),
        ("192.0.2.1", ["192.0.2.7", "192.0.2.1"], "mx.example.org"),
        ("192.0.2.1", ["192.0.2.7"], ""),
        ("2001:db8::1", ["2001:DB8:0:0::1"], "mx.example.org"),
        ("fe80::1%eth0", ["fe80::1%2"], "mx.example.org"),
        ("192.0.2.1", OSError("no such name"), ""),
        ("192.0.2.1", UnicodeError("label too long"), ""),
    ],
)
def test_there_and_back(address: str, leads_to: list[str] | Exception, name: str) -> None:
    """A name counts if one of its addresses is the client's, however that is written."""

    async def getnameinfo(asked: tuple[str, int], flags: int) -> tuple[str, str]:
        assert asked == (address.partition("%")[0], 0)
        assert flags == socket.NI_NAMEREQD
        return "mx.example.org", "0"

    async def getaddrinfo(host: str, port: None, **_: Any) -> list[Any]:
        assert host == "mx.example.org"
        if isinstance(leads_to, Exception):
            raise leads_to
        return [(0, 0, 0, "", (found, 0)) for found in leads_to]

    async def main() -> str:
        loop = asyncio.get_running_loop()
        loop.getnameinfo, loop.getaddrinfo = getnameinfo, getaddrinfo  # type: ignore[method-assign,assignment]
        return await host_of(address)

    assert asyncio.run(main()) == name


def test_a_resolver_that_does_not_answer() -> None:
    """After the time limit the client has no name."""

    async def main() -> str:
        loop = asyncio.get_running_loop()

        async def getnameinfo(*_: Any) -> tuple[str, str]:
            await asyncio.sleep(30)
            raise AssertionError

        loop.getnameinfo = getnameinfo  # type: ignore[method-assign,assignment]
        return await host_of("192.0.2.1", time_limit=0.01)

    assert asyncio.run(asyncio.wait_for(main(), 20)) == ""
