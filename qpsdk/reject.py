"""What plugins that refuse have in common: whether, how, and when."""

from typing import Final

from qpsdk.constants import (
    DECLINED,
    DENY,
    DENY_DISCONNECT,
    DENYSOFT,
    DENYSOFT_DISCONNECT,
    LOGINFO,
    Constant,
)
from qpsdk.message import Connection
from qpsdk.plugin import Plugin, Result

REJECT_TYPES: Final = {
    "perm": DENY,
    "temp": DENYSOFT,
    "disconnect": DENY_DISCONNECT,
    "temp_disconnect": DENYSOFT_DISCONNECT,
}


class RejectMixin(Plugin):
    """Lets the operator say what a plugin's verdict does, as qpsmtpd's `get_reject` family.

    A plugin takes two options, and answers by `get_reject`::

        class Choosy(RejectMixin):
            def register(self, qp, *, reject="1", reject_type=""):
                self.set_reject(reject, reject_type)

            def hook_connect(self, connection):
                if self.is_immune(connection) or connection.remote_port >= 1024:
                    return DECLINED
                return self.get_reject(connection, "Come back from another port")

    In `config/plugins`:

    - ``reject=1`` refuses at once, ``reject=0`` never and only says in the log what it would
      have refused, ``reject=naughty`` marks the connection for the plugin `naughty`, which
      refuses at a later hook.
    - ``reject_type=perm`` is DENY, ``temp`` DENYSOFT, ``disconnect`` DENY_DISCONNECT,
      ``temp_disconnect`` DENYSOFT_DISCONNECT: use it in hooks that take all four.

    Notes of the connection, named as in qpsmtpd: ``naughty`` is the text to refuse with,
    ``naughty_reject_type`` how, ``whitelisthost`` set by any plugin makes a client immune.
    """

    reject = "1"
    reject_type = ""

    def set_reject(self, reject: str = "1", reject_type: str = "") -> None:
        """Take the two options.

        Args:
            reject_type: Empty for ``perm`` or, with ``reject=naughty``, for what the plugin
                `naughty` is told.

        Raises:
            ValueError: One of them is not known; the text says what is.
        """
        if reject not in ("0", "1", "naughty"):
            raise ValueError(f"reject={reject}: write 0, 1 or naughty")
        if reject_type and reject_type not in REJECT_TYPES:
            raise ValueError(f"reject_type={reject_type}: write one of {', '.join(REJECT_TYPES)}")
        self.reject, self.reject_type = reject, reject_type

    def get_reject(self, connection: Connection, message: str, log_text: str = "") -> Result:
        """The answer to something that should be refused.

        Args:
            message: What the client is told.
            log_text: What the log says besides.
        """
        what = f"{message} ({log_text})" if log_text else message
        if self.reject == "0":
            self.log(LOGINFO, "would refuse, reject=0:", what)
            return DECLINED
        if self.reject == "naughty":
            self.log(LOGINFO, "naughty:", what)
            if not self.is_naughty(connection):  # the first reason stays
                connection.notes["naughty"] = message
                connection.notes["naughty_reject_type"] = self.reject_type
            return DECLINED
        self.log(LOGINFO, "refusing:", what)
        return self.get_reject_type(), message

    def get_reject_type(self, reject_type: str = "") -> Constant:
        """The constant of a reject type: the one given, else the plugin's, else DENY."""
        return REJECT_TYPES[reject_type or self.reject_type or "perm"]

    def is_naughty(self, connection: Connection) -> bool:
        """Whether a plugin with ``reject=naughty`` has marked the client."""
        return bool(connection.notes.get("naughty"))

    def is_immune(self, connection: Connection) -> bool:
        """Whether there is nothing to look at: a client that may relay, that another plugin has
        let pass, or that will be refused anyway."""
        return (
            connection.relay_client
            or bool(connection.notes.get("whitelisthost"))
            or self.is_naughty(connection)
        )
