"""Hears of every answer of the other plugins."""

from typing import Any

from qpsdk import LOGNOTICE, Connection, Constant, Plugin, Transaction


class CountDenials(Plugin):
    def hook_deny(
        self,
        connection: Connection,
        transaction: Transaction | None,
        *answer: Any,
    ) -> None:
        hook, plugin, constant, message = answer
        connection.notes["denials"] = connection.notes.get("denials", 0) + 1
        self.log(LOGNOTICE, f"{plugin} said {constant.name} in {hook}: {message}")

    def hook_ok(
        self,
        connection: Connection,
        transaction: Transaction | None,
        *answer: Any,
    ) -> Constant:
        hook, plugin, constant, _ = answer
        self.log(LOGNOTICE, f"{plugin} said {constant.name} in {hook}")
        return Constant.OK
