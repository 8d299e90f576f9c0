"""Repairs addresses before they are parsed: without brackets, or with a dot at the end."""

from qpsdk import OK, Parameters, Plugin, Result, Transaction


class RepairAddress(Plugin):
    def hook_mail_pre(self, transaction: Transaction, address: bytes, params: Parameters) -> Result:
        bare = address.removeprefix(b"<").removesuffix(b">")
        return OK, b"<%b>" % bare.rstrip(b". ")

    hook_rcpt_pre = hook_mail_pre
