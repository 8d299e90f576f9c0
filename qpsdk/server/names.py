"""What a client's address is called in the DNS."""

import asyncio
import socket
from ipaddress import ip_address
from typing import Final

TIME_LIMIT: Final = 10.0
"""Seconds for both questions. A resolver that does not answer is no reason to let a client wait."""


async def host_of(address: str, time_limit: float = TIME_LIMIT) -> str:
    """The name that an IP address has, if that name has the address, too; else empty.

    Whoever runs the reverse zone of an address can write any name there, so it counts only if the
    owner of the name agrees (RFC 8601, 3 calls that iprev). The system's resolver is asked.

    Args:
        time_limit: Seconds.
    """
    loop = asyncio.get_running_loop()
    address = address.partition("%")[0]  # a zone means nothing in the DNS
    try:
        async with asyncio.timeout(time_limit):
            name, _ = await loop.getnameinfo((address, 0), socket.NI_NAMEREQD)
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # there is no name, or nobody who answers in time
        return ""
    return name if any(_same(info[4][0], address) for info in found) else ""


def _same(one: str | int, other: str) -> bool:
    return ip_address(str(one).partition("%")[0]) == ip_address(other)
