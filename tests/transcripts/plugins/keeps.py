"""Keeps what another plugin logs, and tells the client that says NOOP: ``keeps logging OK``."""

from typing import Any

from qpsdk import DECLINED, OK, Connection, Constant, Host, Plugin, Result


class Keeps(Plugin):
    def register(self, qp: Host, hook: str, answer: str) -> None:
        self._kept = ""
        self._answer = Constant[answer]
        self.register_hook(hook, self.keep)

    def keep(self, *line: Any) -> Constant:
        _, _, level, hook, plugin, text = line
        if plugin != "tells" or not hook:
            return DECLINED
        self._kept = f"{level.name} ({hook}) {plugin}: {text}"
        return self._answer

    def hook_noop(self, connection: Connection, text: bytes) -> Result:
        return OK, self._kept
