"""Answers the client itself in one hook, and says DONE: ``responds mail 250 mine``."""

from typing import Any

from qpsdk import DONE, Connection, Constant, Host, Plugin, Transaction


class Responds(Plugin):
    def register(self, qp: Host, hook: str, code: str, *text: str) -> None:
        def method(about: Connection | Transaction, *_: Any) -> Constant:
            connection = about.connection if isinstance(about, Transaction) else about
            connection.respond(int(code), " ".join(text))
            return DONE

        self.register_hook(hook, method)
