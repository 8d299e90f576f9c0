"""Keeps each message as a file of a folder: ``keep /var/mail/kept``."""

import os
from pathlib import Path

from qpsdk import OK, Host, Plugin, Result, Transaction, blocking


class Keep(Plugin):
    def register(self, qp: Host, folder: str) -> None:
        self._folder = Path(folder)

    @blocking
    def hook_queue(self, transaction: Transaction) -> Result:
        path = self._folder / f"{transaction.id}.eml"
        with path.open("xb") as file:
            file.writelines(transaction.message_blocks())
        # OK promises that a crash loses neither the message nor, in the folder, its name.
        sync(path)
        sync(self._folder)
        return OK, "Kept"


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
