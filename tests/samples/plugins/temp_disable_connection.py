"""The most simple plugin: one method, one constant."""

from qpsdk import DENYSOFT, Connection, Plugin, Result


class TempDisableConnection(Plugin):
    def hook_connect(self, connection: Connection) -> Result:
        return DENYSOFT, "Sorry, the server is not available just now"
