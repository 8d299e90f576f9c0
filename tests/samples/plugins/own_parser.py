"""Reads MAIL and RCPT in another way: ``MAIL you@example.org colour=red``."""

from collections.abc import Mapping

from qpsdk import OK, Connection, Plugin, Result


class OwnParser(Plugin):
    def hook_mail_parse(self, connection: Connection) -> Result:
        return OK, self.read

    hook_rcpt_parse = hook_mail_parse

    def read(self, arguments: bytes) -> tuple[bytes, Mapping[str, str]]:
        address, *rest = arguments.split()
        if b"@" not in address:
            raise ValueError("an address has an @")
        params = dict(word.decode("ascii").split("=", 1) for word in rest)
        return b"<%b>" % address, params
