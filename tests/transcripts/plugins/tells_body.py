"""Writes the body of a message into the log, its lines parted by bars."""

from qpsdk import DECLINED, LOGNOTICE, Constant, Plugin, Transaction


class TellsBody(Plugin):
    def hook_queue(self, transaction: Transaction) -> Constant:
        body = b"".join(transaction.body_blocks()).removeprefix(b"\n").removesuffix(b"\n")
        self.log(LOGNOTICE, "|".join(repr(line)[2:-1] for line in body.split(b"\n")))
        return DECLINED
