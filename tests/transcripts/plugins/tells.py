"""Writes a line of the log in each of some hooks: ``tells disconnect post_connection``."""

from functools import partial
from typing import Any

from qpsdk import DECLINED, LOGNOTICE, Connection, Constant, Host, Plugin, Transaction


class Tells(Plugin):
    def register(self, qp: Host, *hooks: str) -> None:
        for hook in hooks:
            self.register_hook(hook, partial(self.tell, hook))

    def tell(self, hook: str, *arguments: Any) -> Constant:
        words = [str(a) for a in arguments if not isinstance(a, Connection | Transaction)]
        self.log(LOGNOTICE, " ".join([hook, *words]))
        return DECLINED
