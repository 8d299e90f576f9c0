"""A command of its own, which it answers itself."""

from qpsdk import DECLINED, DONE, Connection, Constant, Plugin


class NewCommand(Plugin):
    def hook_unrecognized_command(
        self, connection: Connection, command: bytes, arguments: bytes
    ) -> Constant:
        if command != b"xecho":
            return DECLINED
        connection.respond(250, arguments.decode("ascii", "replace"), "2.0.0")
        return DONE
