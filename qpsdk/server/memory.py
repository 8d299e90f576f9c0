"""How the C library keeps memory that was freed."""

import contextlib
import ctypes
from typing import Final

# From glibc's malloc.h; their numbers are part of its interface. See mallopt(3).
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3

LARGEST_BLOCK: Final = 1024 * 1024
"""Bytes: blocks of a message are smaller, and come from memory that was used before."""

KEPT: Final = 16 * 1024 * 1024
"""Bytes that may be free before any go back to the system."""


def keep_freed_memory() -> None:
    """Have blocks of large messages reuse each other's memory.

    Left alone, glibc gives a block's memory back to the system when it is freed and asks for the
    next one's, which the kernel has to map and to clear, page by page: with messages of 10 MB that
    was half of its time. Other C libraries stay as they are.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
        mallopt(M_TRIM_THRESHOLD, KEPT)
