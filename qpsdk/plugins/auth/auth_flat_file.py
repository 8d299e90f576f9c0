"""Knows users and passwords from a file.

In `config/plugins`::

    auth/auth_flat_file

and in `config/flat_auth_pw` a line ``user:password`` for each user. The password is either in
clear, which CRAM-MD5 needs, or hashed by what this prints::

    python -m qpsdk.plugins.auth.auth_flat_file

Let nobody else read the file, and write 1 into `config/tls_before_auth`: PLAIN and LOGIN send the
password as it is.
"""

import getpass
import hashlib
import hmac
import os
import re

from qpsdk import DECLINED, DENY, OK, Connection, Plugin, Result

SCRYPT = {"n": 2**14, "r": 8, "p": 1}  # 16 MB and some 50 ms for each guess
HASHED = re.compile(r"\{scrypt\}([0-9a-f]{32})\$([0-9a-f]{128})")
NOBODY = "{scrypt}" + "0" * 32 + "$" + "0" * 128


class AuthFlatFile(Plugin):
    """Take PLAIN, LOGIN and CRAM-MD5 with the passwords in `config/flat_auth_pw`."""

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
        users = self.users()
        stored = users.get(user, "")
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
        stored = self.users().get(user)
        if stored is None or HASHED.fullmatch(stored):
            return DECLINED
        digest = hmac.new(stored.encode(), ticket, "md5").hexdigest().encode()
        return OK if hmac.compare_digest(digest, hashed) else DENY

    def users(self) -> dict[bytes, str]:
        """What the file has: no user has a colon in the name, none an empty password."""
        lines = (line.partition(":") for line in self.config("flat_auth_pw"))
        return {name.encode(): password for name, _, password in lines if password}


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
