"""Looks at what other plugins have answered before it."""

from qpsdk import DECLINED, OK, Plugin, Result, Transaction


class OtherResults(Plugin):
    def hook_queue(self, transaction: Transaction) -> Result:
        seen = [*transaction.connection.answers, *transaction.answers]
        told = [f"{a.plugin} said {a.constant.name} in {a.hook}" for a in seen]
        return (OK, "\n".join(told)) if told else DECLINED
