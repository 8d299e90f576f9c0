"""Runs a cell of a page as a notebook would. It is run in the reader's browser."""

import ast
import inspect
import io
import linecache
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

Show = Callable[[str, str], object]
"""Is given a kind, `stdout`, `stderr`, `value`, `html` or `error`, and the text to show."""

NAMES = vars(sys.modules["__main__"])
"""The names that cells share; a plugin in a cell is `__main__.Name`."""

# Pyodide's lets others have their turn; but a hook that sleeps is to be seen holding them up.
time.sleep = getattr(time.sleep, "__wrapped__", time.sleep)


async def answer(source: str, name: str, show: Show) -> bool:
    """Run a cell; whether it came to its end.

    Args:
        name: What a traceback calls it.
    """
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        with printed(show):
            value = await _run(source, name)
            html = getattr(value, "_repr_html_", None)
            shown = html() if html else repr(value)
    except BaseException as error:
        show("error", _told(error, name))
        return False
    if value is not None:
        show("html" if html else "value", shown)
    return True


@contextmanager
def printed(show: Show) -> Iterator[None]:
    """Show what is printed meanwhile."""
    out, err = _Lines("stdout", show), _Lines("stderr", show)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.flush()
            err.flush()


async def _run(source: str, name: str) -> Any:
    """The value of the last line, if it has one."""
    body = ast.parse(source, name).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    await _evaluated(ast.Module(body, []), name, "exec")
    if not isinstance(last, ast.Expr):
        return None
    return await _evaluated(ast.Expression(last.value), name, "eval")


async def _evaluated(tree: ast.Module | ast.Expression, name: str, mode: str) -> Any:
    code = compile(tree, name, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    value = eval(code, NAMES)  # noqa: S307 - the reader's own code, in the reader's own browser
    return await value if code.co_flags & inspect.CO_COROUTINE else value


def _told(error: BaseException, name: str) -> str:
    """The traceback, from the cell on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != name:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


class _Lines(io.TextIOBase):
    """A file that shows its lines."""

    def __init__(self, kind: str, show: Show) -> None:
        self._kind = kind
        self._show = show
        self._rest = ""

    def write(self, text: str) -> int:
        lines, end, self._rest = (self._rest + text).rpartition("\n")
        if end:
            self._show(self._kind, lines + end)
        return len(text)

    def flush(self) -> None:
        if self._rest:
            self._show(self._kind, self._rest)
            self._rest = ""
