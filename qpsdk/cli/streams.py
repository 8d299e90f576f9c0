"""Standard input and output of a command, as its caller may have left them."""

import errno
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

if TYPE_CHECKING:  # collections.abc.Buffer begins with Python 3.12
    from _typeshed import ReadableBuffer, WriteableBuffer

_STANDARD_ERROR: Final = 2
"""The last of the descriptors that a process begins with."""


@contextmanager
def standard_streams() -> Iterator[None]:
    """Have what fails in standard input and output told in one line, whoever reads or writes.

    What is printed may be within a server or a thread, where an exception would become a fault of
    another: so the command is interrupted instead, as by Ctrl-C.
    """
    # Else a socket might get the number of one that is closed, at which uvloop aborts.
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(number)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_Closed()))
    if sys.stdout is None:  # closed: print() knows
        yield
        return
    output = _Output(sys.stdout.fileno())
    before, sys.stdout = sys.stdout, _text(output, sys.stdout)
    try:
        yield
    finally:
        output.interrupts = False
        sys.stdout.flush()
        sys.stdout = before
        if (error := output.error) is not None:
            if error.errno != errno.EPIPE:  # that the reader has enough is no fault
                told = f"standard output cannot be written: {error.strerror}"
                print(f"qpsdk: {told}", file=sys.stderr)
            sys.exit(1)


def _text(output: "_Output", like: TextIO) -> io.TextIOWrapper:
    """A file of text with the encoding of another; what has none, such as a path, is escaped."""
    strict = like.errors in {None, "strict"}
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        like.encoding,
        "backslashreplace" if strict else like.errors,
        line_buffering=output.isatty(),
    )


class _Output(io.FileIO):
    """Takes all that is written; after the first failure it is lost."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)
        self.error: OSError | None = None
        self.interrupts = True

    def write(self, data: "ReadableBuffer", /) -> int:
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
                if self.interrupts:
                    os.kill(os.getpid(), signal.SIGINT)
        return memoryview(data).nbytes


class _Closed(io.RawIOBase):
    """In place of a standard input that is closed, for which Python has None."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: "WriteableBuffer", /) -> NoReturn:
        raise OSError(0, "standard input is closed")
