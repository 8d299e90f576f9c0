"""Takes messages that another plugin marked, and drops them.

In `config/plugins`, before the plugin that hands messages on::

    queue/discard

It has an opinion only on a message that has the note `discard_mail`. A hook of yours that runs
before, such as `data_post`, leaves it there::

    transaction.notes["discard_mail"] = True

The client is told that the message is queued, and nobody gets it.
"""

from qpsdk import DECLINED, LOGINFO, OK, Plugin, Result, Transaction


class Discard(Plugin):
    """Accept a message whose notes have ``discard_mail``, and keep nothing of it."""

    def hook_queue(self, transaction: Transaction) -> Result:
        """Say that the message is queued, which is not true."""
        if "discard_mail" not in transaction.notes:
            return DECLINED
        self.log(LOGINFO, "discarding", transaction.id)
        return OK, "Queued!"
