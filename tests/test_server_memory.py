"""Memory that was freed: kept for the next block."""

import platform
import subprocess
import sys

import pytest

BLOCKS = """
import resource, sys
from qpsdk.server.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def blocks(count):
    for _ in range(count):
        kept = [b"x" * 256 * 1024 for _ in range(4)]
        del kept
blocks(10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
blocks(100)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """How often the kernel had to find memory for blocks that come and go."""
    command = [sys.executable, "-c", BLOCKS, how]
    return int(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this is about glibc's malloc")
def test_blocks_reuse_memory() -> None:
    """Blocks that come and go are made of memory that the process has already."""
    # How many the kernel needs for blocks of 26,000 pages in all depends on how it groups pages.
    assert faults("kept") * 5 < faults("given back")
