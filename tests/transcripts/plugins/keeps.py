"""Keeps what another plugin logs, and tells the client that says NOOP: ``keeps logging OK``."""

from qpsdk import OK, Connection, Constant, Host, LogLevel, Plugin, Result, Transaction


class Keeps(Plugin):
    def register(self, qp: Host, hook: str, answer: str) -> None:
        self._kept = ""
        self._answer = Constant[answer]
        self.register_hook(hook, self.keep)

    def keep(
        self,
        connection: Connection | None,
        transaction: Transaction | None,
        level: LogLevel,
        hook: str,
        plugin: str,
        text: str,
    ) -> Constant:
        if plugin != "tells" or not hook:
            return Constant.DECLINED
        self._kept = f"{level.name} ({hook}) {plugin}: {text}"
        return self._answer

    def hook_noop(self, connection: Connection, text: bytes) -> Result:
        return OK, self._kept
