"""Gives a setting other values: ``sets config databytes 1000``."""

from typing import Any

from qpsdk import DECLINED, OK, Host, Plugin, Result


class Sets(Plugin):
    def register(self, qp: Host, hook: str, setting: str, *values: str) -> None:
        def method(*arguments: Any) -> Result:
            return (OK, list(values)) if arguments[-1] == setting else DECLINED

        self.register_hook(hook, method)
