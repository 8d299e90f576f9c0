"""Gives one answer in one hook: ``says mail DENY no thanks|not today``."""

from typing import Any

from qpsdk import Constant, Host, Plugin


class Says(Plugin):
    def register(self, qp: Host, hook: str, constant: str, *message: str) -> None:
        text = " ".join(message).replace("|", "\n")
        answer = (Constant[constant], text) if text else Constant[constant]

        def method(*_: Any) -> Any:
            return answer

        self.register_hook(hook, method)
