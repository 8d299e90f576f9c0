"""Gives the full name of a client that cannot be changed to send it."""

from qpsdk import OK, Connection, Plugin, Result


class HeloName(Plugin):
    def hook_helo_parse(self, connection: Connection) -> Result:
        return OK, self.read

    def read(self, arguments: bytes) -> bytes:
        if not arguments:
            raise ValueError("HELO needs your name")
        host = arguments.split()[0]
        return host if b"." in host else host + b".example.org"

    def hook_noop(self, connection: Connection, text: bytes) -> Result:
        return OK, b"you are " + connection.hello_host
