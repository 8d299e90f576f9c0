"""The log on standard error: whoever should read it and does not holds up no mail."""

import logging
import os
import select
import time
from typing import Final

from qpsdk.log import logger

PATIENCE: Final = 1.0
"""Seconds that a line waits for its reader, which may only be slow."""

PAUSE: Final = 10.0
"""Seconds after a line was lost in which none waits: a slow reader gets no more of our time."""


class StandardError(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes lines to standard error, and loses some where that takes none.

    A pipe or a terminal that is full has whoever writes to it wait, which would be the event loop
    and with it all clients. How many lines were lost is said as soon as there is somebody again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lost = 0
        self._patient_from = 0.0
        self._cut = False  # the latest line ends in its midst
        self._poll = select.poll()
        try:
            self._descriptor = self.stream.fileno()
            self._poll.register(self._descriptor, select.POLLOUT)
        except (AttributeError, OSError, ValueError):  # closed, or a test's, which is no file
            self._descriptor = -1

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it as lost."""
        if self._descriptor < 0:
            super().emit(record)
            return
        try:
            if self._lost:
                told = f"{self._lost} lines of the log were lost here: nobody took them"
                own = logger.makeRecord(logger.name, logging.ERROR, "", 0, told, (), None)
                if self._write(self.format(own)):
                    self._lost = 0
            if self._lost or not self._write(self.format(record)):
                self._lost += 1
        except Exception:
            self.handleError(record)

    def _write(self, text: str) -> bool:
        """Write a line; False if it was not taken, or only in part."""
        line = f"{text}\n".encode(errors="backslashreplace")
        if self._cut:
            line = b"\n" + line
        while line:
            if not self._takes():
                return False
            try:
                # What is ready takes so much at once, in one piece.
                written = os.write(self._descriptor, line[: select.PIPE_BUF])
            except OSError:  # a disk is full, the reader has gone
                return False
            line = line[written:]
            self._cut = bool(line)
        return True

    def _takes(self) -> bool:
        now = time.monotonic()
        patience = PATIENCE if now >= self._patient_from else 0.0
        if self._poll.poll(patience * 1000):
            return True
        self._patient_from = now + patience + PAUSE
        return False
