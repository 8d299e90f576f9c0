"""Modules stay as they were imported until the process ends: which have changed on disk since."""

import os
import sys
from typing import Final

from qpsdk.finder import MODULE_PREFIX

MAX_NAMED: Final = 5
"""Packages that are named; an upgrade of Python changes some hundred."""

_State = tuple[int, int, int]
"""What changes when a file does: inode, size, time."""


class Imported:
    """The files of the modules that this process has, as they were when this looked first."""

    def __init__(self) -> None:
        self._seen: dict[str, _State] = {}

    def changed(self) -> str:
        """The packages of which a file is another one now, for a line of the log; "" if none is.

        A plugin that is a file of its own is loaded anew by each reload, and is never among them.
        """
        changed: dict[str, None] = {}
        for name, module in list(sys.modules.items()):
            # Not by getattr, for which some modules import others.
            path = getattr(module, "__dict__", {}).get("__file__")
            if path and name != "__main__" and not name.startswith(MODULE_PREFIX):
                state = _state(path)
                if self._seen.setdefault(path, state) != state:
                    changed[name.partition(".")[0]] = None
        names = sorted(changed)
        more = len(names) - MAX_NAMED
        return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _state(path: str) -> _State:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns
