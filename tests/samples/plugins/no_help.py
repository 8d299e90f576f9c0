"""Answers HELP itself: DENY would send a syntax error."""

from qpsdk import DONE, OK, Connection, Constant, Plugin, Result


class NoHelp(Plugin):
    def hook_help(self, connection: Connection, text: bytes) -> Constant:
        connection.respond(502, "Not implemented.")
        return DONE

    def hook_vrfy(self, connection: Connection, text: bytes) -> Result:
        return OK, "Recipient exists"
