"""One method for all ways to authenticate."""

from typing import Any

from qpsdk import DECLINED, DENY, OK, Connection, Host, Plugin, Result


class AuthFunction(Plugin):
    def register(self, qp: Host) -> None:
        self.register_hook("auth", self.authenticate)

    def authenticate(self, connection: Connection, mechanism: str, *credentials: Any) -> Result:
        user, password, _, _ = credentials
        if mechanism == "cram-md5" or user != b"you":
            return DECLINED  # another plugin may know
        if password != b"secret":
            return DENY, "If you forgot your password, ask your admin"
        return OK
