"""Starting the programs of a benchmark, and what they then use of the machine."""

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil

from tests.interop.rig import eventually

MB = 1e6
SAMPLING = 0.4  # seconds between two looks at the memory of a host that may have many processes


def start(
    stack: ExitStack, command: list[str], output: Path, **options: object
) -> "subprocess.Popen[bytes]":
    """A process that is ended with `stack`; all that it says goes to the file `output`."""
    with output.open("wb") as file:
        process = subprocess.Popen(  # type: ignore[call-overload]  # the options are Popen's
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, **options
        )
    stack.callback(_end, process)
    return process  # type: ignore[no-any-return]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it has begun."""
    tree = list(_tree(process.pid))
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    for left in tree:
        with contextlib.suppress(psutil.Error):
            left.kill()
    process.wait()


def until(
    name: str, process: "subprocess.Popen[bytes]", output: Path, ready: Callable[[], bool]
) -> None:
    """Wait until a program that has been started is ready; exit if it is not to be."""
    if not eventually(lambda: ready() or process.poll() is not None) or process.poll() is not None:
        said = output.read_text(errors="replace").strip()[-300:]
        sys.exit(f"bench: {name} did not start: {said}")


def _tree(pid: int) -> Iterator[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        yield root
        yield from root.children(recursive=True)


def resident(pid: int) -> float:
    """Megabytes that one process has resident: what `Meter.peak` is the highest of."""
    return float(psutil.Process(pid).memory_info().rss) / MB


def memory(pid: int) -> float:
    """Megabytes that a process and its children hold; what they share is counted once."""
    total = 0
    for process in _tree(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total / MB


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time of a process, its children and those that have ended."""
    total = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total


class Meter:
    """What a process and its children use while the `with` block runs.

    Attributes:
        cpu: Seconds of processor time.
        peak: Megabytes at most. Of one process the kernel knows it, as resident memory; of
            several it is looked at a few times a second, and what they share is counted once.
        seconds: How long it took.
    """

    def __init__(self, pid: int) -> None:
        """`pid` is the process that has begun all the others."""
        self.cpu = self.peak = self.seconds = 0.0
        self._pid = pid
        self._alone = True
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        # VmHWM begins anew (proc_pid_clear_refs(5)).
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")
        self._thread.start()
        self.cpu = cpu_seconds(self._pid)
        self.seconds = time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.seconds = time.perf_counter() - self.seconds
        self.cpu = cpu_seconds(self._pid) - self.cpu
        self._stopped.set()
        self._thread.join()
        if self._alone:
            status = Path(f"/proc/{self._pid}/status").read_text()
            match = re.search(r"VmHWM:\s*(\d+) kB", status)
            assert match is not None
            self.peak = int(match[1]) * 1024 / MB

    def _watch(self) -> None:
        while not self._stopped.wait(SAMPLING):
            if len(list(_tree(self._pid))) > 1:
                self._alone = False
                self.peak = max(self.peak, memory(self._pid))
