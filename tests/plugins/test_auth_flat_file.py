"""auth_flat_file: users and passwords from a file, in clear or hashed."""

import asyncio
import hashlib
import hmac
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest

from qpsdk import DENY, ConfigError, Connection, Result
from qpsdk.plugins.auth.auth_flat_file import AuthFlatFile, hash_password, is_same
from qpsdk.testing import SMTPClient, plugin, smtp
from qpsdk.testing.smtp import memory_host

# scrypt of "sesame" with n=16384, r=8, p=1, by hashlib: a file written today is read for ever.
SESAME = (
    "{scrypt}000102030405060708090a0b0c0d0e0f$"
    + hashlib.scrypt(b"sesame", salt=bytes(range(16)), n=16384, r=8, p=1).hex()
)

USERS = f"""
# name:password
tim:tanstaaftanstaaf
ann@example.org:with:colons and spaces
jörg:pässwörd
ali:{SESAME}
empty:
"""


async def attempt(client: SMTPClient, mechanism: str, user: str, password: str) -> int:
    """Authenticate; the code of the last reply."""
    if mechanism == "PLAIN":
        token = b64encode(f"\0{user}\0{password}".encode()).decode()
        return (await client.command(f"AUTH PLAIN {token}")).code
    challenge = await client.command(f"AUTH {mechanism}")
    if mechanism == "LOGIN":
        await client.command(b64encode(user.encode()).decode())
        return (await client.command(b64encode(password.encode()).decode())).code
    ticket = b64decode(challenge.lines[0])
    digest = hmac.new(password.encode(), ticket, "md5").hexdigest()
    return (await client.command(b64encode(f"{user} {digest}".encode()).decode())).code


GOOD = [
    ("tim", "tanstaaftanstaaf"),
    ("ann@example.org", "with:colons and spaces"),
    ("jörg", "pässwörd"),
    ("ali", "sesame"),
]

BAD = [
    ("tim", "tanstaaftanstaa"),
    ("tim", "Tanstaaftanstaaf"),
    ("Tim", "tanstaaftanstaaf"),
    ("ali", "Sesame"),
    ("ali", SESAME),
    ("nobody", "tanstaaftanstaaf"),
    ("nobody", "sesame"),
    ("empty", "x"),
    ("nothing", "x"),
    ("# name", "password"),
    ("ann@example.org", "with"),
]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize(("user", "password"), GOOD + BAD)
def test_attempts(mechanism: str, user: str, password: str) -> None:
    """Who is in the file, with that password, is let in; nobody else; hashes cannot do CRAM-MD5."""
    good = (user, password) in GOOD and (mechanism, user) != ("CRAM-MD5", "ali")

    async def main() -> None:
        async with smtp("auth/auth_flat_file", config={"flat_auth_pw": USERS}) as client:
            reply = await client.command("EHLO client")
            assert "AUTH PLAIN LOGIN CRAM-MD5" in reply.text
            assert await attempt(client, mechanism, user, password) == (235 if good else 535)
            assert client.connection.relay_client == good

    asyncio.run(main())


def test_no_file() -> None:
    """Without a file there are no users."""

    async def main() -> None:
        async with smtp("auth/auth_flat_file") as client:
            await client.command("EHLO client")
            assert await attempt(client, "PLAIN", "tim", "x") == 535

    asyncio.run(main())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("secret", "no user; write user:password"),
        (":secret", "no user; write user:password"),
        ("ali:" + SESAME[:-1], "half a hash; write all of what the plugin's command prints"),
    ],
    ids=["no colon", "no name", "cut hash"],
)
def test_wrong_line(line: str, told: str) -> None:
    """A line that is none refuses to start, and what it says stays out of the log."""

    async def main() -> None:
        config = {"flat_auth_pw": f"tim:tanstaaftanstaaf\n{line}"}
        async with smtp("auth/auth_flat_file", config=config):
            pass

    with pytest.raises(ConfigError) as error:
        asyncio.run(main())
    assert str(error.value) == f"config/flat_auth_pw:2: {told}"


def test_hashes() -> None:
    """Each hash has a salt of its own, and takes only its password."""
    one, other = hash_password("sesame"), hash_password("sesame")
    assert one != other
    assert one.startswith("{scrypt}")
    for stored in (one, other, SESAME):
        assert is_same(b"sesame", stored)
        assert not is_same(b"sesam", stored)


def test_hash_on_the_command_line() -> None:
    """The documented command asks for a password and prints what the file takes."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "qpsdk.plugins.auth.auth_flat_file"],
        input="sesame\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        start_new_session=True,  # without a terminal it reads its standard input
    )
    assert is_same(b"sesame", done.stdout.splitlines()[-1].removeprefix("Password: "))


@pytest.mark.parametrize(
    ("users", "hashed"),
    [("tim:tanstaaf\nann:clear", 0), (f"tim:tanstaaf\nali:{SESAME}", 1)],
    ids=["all in clear", "one hashed"],
)
@pytest.mark.parametrize("user", ["tim", "ali", "nobody"])
def test_who_exists(users: str, hashed: int, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much is hashed for a user in clear, one hashed and one unknown: the time tells nobody."""
    calls: list[bytes] = []
    scrypt = hashlib.scrypt

    def counted(password: bytes, **options: Any) -> bytes:
        calls.append(password)
        return scrypt(password, **options)

    monkeypatch.setattr(hashlib, "scrypt", counted)

    async def main() -> None:
        async with smtp("auth/auth_flat_file", config={"flat_auth_pw": users}) as client:
            await client.command("EHLO client")
            assert await attempt(client, "PLAIN", user, "wrong") == 535

    asyncio.run(main())
    assert calls == [b"wrong"] * hashed


def test_as_many_at_a_time_as_there_are_processors() -> None:
    """A flood of guesses takes the memory and the threads of a few."""
    host = memory_host({"flat_auth_pw": f"ali:{SESAME}"})
    at_work = most = 0

    async def run_blocking(function: Callable[..., Any], /, *_: Any) -> bool:
        nonlocal at_work, most
        assert function is is_same
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.001)
        at_work -= 1
        return False

    host.run_blocking = run_blocking
    one = plugin("auth/auth_flat_file", qp=host)
    assert isinstance(one, AuthFlatFile)

    async def main() -> list[Result]:
        guess = (Connection(), "plain", b"ali", b"wrong", b"", b"")
        return await asyncio.gather(*(one.hook_auth_plain(*guess) for _ in range(100)))

    assert asyncio.run(main()) == [DENY] * 100
    assert most == os.cpu_count()
