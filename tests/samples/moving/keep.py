"""Keeps each message as a file of a folder: ``keep /var/mail/kept``."""

import os
from pathlib import Path

from qpsdk import OK, Host, Plugin, Result, Transaction, blocking


class Keep(Plugin):
    def register(self, qp: Host, folder: str) -> None:
        self._folder = Path(folder)

    @blocking
    def hook_queue(self, transaction: Transaction) -> Result:
        with (self._folder / f"{transaction.id}.eml").open("xb") as file:
            file.writelines(transaction.message_blocks())
            file.flush()
            os.fsync(file.fileno())  # OK promises that a crash does not lose it
        return OK, "Kept"
