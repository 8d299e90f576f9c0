"""Counts what the host holds, for whoever asks by VRFY."""

import asyncio
import gc
import threading

from qpsdk import DENY, Connection, Plugin, Result


class Census(Plugin):
    """Answers VRFY with numbers."""

    def hook_vrfy(self, connection: Connection, text: bytes) -> Result:
        """Tasks, threads and objects, after a collection of garbage."""
        gc.collect()
        tasks = len(asyncio.all_tasks())
        return DENY, f"{tasks} {threading.active_count()} {len(gc.get_objects())}"
