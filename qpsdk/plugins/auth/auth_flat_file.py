"""Knows users and passwords from a file.

In `config/plugins`::

    auth/auth_flat_file

and in `config/flat_auth_pw` a line ``user:password`` for each user. The password is either in
clear, which CRAM-MD5 needs, or hashed by what this prints::

    python -m qpsdk.plugins.auth.auth_flat_file

Let nobody else read the file, and write 1 into `config/tls_before_auth`: PLAIN and LOGIN send the
password as it is.
"""

import asyncio
import getpass
import hashlib
import hmac
import os
import re
from collections.abc import Iterator

from qpsdk import DECLINED, DENY, OK, Connection, Host, Plugin, Result

SCRYPT = {"n": 2**14, "r": 8, "p": 1}  # 16 MB and some 50 ms for each guess
HASHED = re.compile(r"\{scrypt\}([0-9a-f]{32})\$([0-9a-f]{128})")
NOBODY = "{scrypt}" + "0" * 32 + "$" + "0" * 128


class AuthFlatFile(Plugin):
    """Take PLAIN, LOGIN and CRAM-MD5 with the passwords in `config/flat_auth_pw`."""

    def register(self, qp: Host) -> None:
        """Check the setting."""
        self.parse_config("flat_auth_pw", passwords)
        # More at a time would be no faster: it takes more memory, and threads that others need.
        self.slots = asyncio.Semaphore(os.cpu_count() or 1)

    async def hook_auth_plain(  # noqa: PLR0917 - what the hook gives
        self,
        connection: Connection,
        mechanism: str,
        user: bytes,
        password: bytes,
        hashed: bytes,
        ticket: bytes,
    ) -> Result:
        """Compare passwords; in a thread, since to hash one takes its time."""
        users = self.parse_config("flat_auth_pw", passwords)
        stored = users.get(user, "")
        async with self.slots:
            same = await self.qp.run_blocking(is_same, password, stored)
            # If one attempt takes long, all do: nobody learns who exists.
            if not HASHED.fullmatch(stored) and any(map(HASHED.fullmatch, users.values())):
                await self.qp.run_blocking(is_same, password, NOBODY)
        if user not in users:
            return DECLINED
        return OK if same else DENY

    hook_auth_login = hook_auth_plain

    def hook_auth_cram_md5(  # noqa: PLR0917 - what the hook gives
        self,
        connection: Connection,
        mechanism: str,
        user: bytes,
        password: bytes,
        hashed: bytes,
        ticket: bytes,
    ) -> Result:
        """Compare digests of the challenge, with the password as key (RFC 2195, 2)."""
        stored = self.parse_config("flat_auth_pw", passwords).get(user)
        if stored is None or HASHED.fullmatch(stored):
            return DECLINED
        digest = hmac.new(stored.encode(), ticket, "md5").hexdigest().encode()
        return OK if hmac.compare_digest(digest, hashed) else DENY


def passwords(lines: Iterator[str]) -> dict[bytes, str]:
    """Read the lines of `config/flat_auth_pw`; an empty password lets nobody in."""
    users: dict[bytes, str] = {}
    for line in lines:
        name, colon, password = line.partition(":")
        if not name or not colon:
            raise ValueError("no user; write user:password")  # and no word of what may be secret
        if password.startswith("{scrypt}") and HASHED.fullmatch(password) is None:
            raise ValueError("half a hash; write all of what the plugin's command prints")
        if password:
            users[name.encode()] = password
    return users


def is_same(password: bytes, stored: str) -> bool:
    """Whether a password is the stored one; it takes equally long if not."""
    match = HASHED.fullmatch(stored)
    if match is None:
        return hmac.compare_digest(password, stored.encode())
    digest = hashlib.scrypt(password, salt=bytes.fromhex(match[1]), **SCRYPT)
    return hmac.compare_digest(digest.hex(), match[2])


def hash_password(password: str) -> str:
    """A password as the file may have it."""
    salt = os.urandom(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, **SCRYPT)
    return f"{{scrypt}}{salt.hex()}${digest.hex()}"


if __name__ == "__main__":
    print(hash_password(getpass.getpass()))
