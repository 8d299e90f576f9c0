"""Sends clients away that do not speak SMTP.

In `config/plugins`::

    count_unrecognized_commands [N]

N is the number of unknown commands at which the connection is closed, 4 if it is left out. STARTTLS
is none where there is a certificate, wherever in the list the plugin `tls` stands.

It teaches where a plugin keeps what belongs to one client: `connection.notes`.
"""

from qpsdk import DECLINED, DENY_DISCONNECT, LOGINFO, Connection, Host, Plugin, Result

HOST_LIMIT = 20  # the default of max_bad_commands, at which the host itself sends a client away


class CountUnrecognizedCommands(Plugin):
    """Close the connection at the Nth command that is none."""

    def register(self, qp: Host, limit: str = "4") -> None:
        """Check the argument."""
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) < HOST_LIMIT):
            raise ValueError(f"{limit!r} commands: write a number from 1 to {HOST_LIMIT - 1}")
        self.limit = int(limit)

    def hook_unrecognized_command(
        self, connection: Connection, command: bytes, arguments: bytes
    ) -> Result:
        """Count."""
        if command == b"starttls" and self.qp.tls is not None:
            return DECLINED  # another plugin's, which may come after us
        count = connection.notes.get("unrecognized_commands", 0) + 1
        connection.notes["unrecognized_commands"] = count
        self.log(LOGINFO, f"{count} of {self.limit}")  # not what it was: it may be a password
        if count < self.limit:
            return DECLINED
        return DENY_DISCONNECT, "Too many unknown commands, closing the connection; see RFC 5321"
