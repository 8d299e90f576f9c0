"""Assertions on what a hook answered, with messages that say what came."""

import re
from inspect import isawaitable
from typing import Any

from qpsdk.constants import Constant
from qpsdk.log import text_of
from qpsdk.message import Answer, Outcome


def assert_answer(result: object, expected: Constant, *, match: str = "") -> Any:
    """Check what a hook answered; what came with the constant.

    >>> from qpsdk import DENY, DENYSOFT
    >>> assert_answer((DENY, "no such user"), DENY, match="no such")
    'no such user'
    >>> assert_answer((DENY, "no such user"), DENYSOFT)
    Traceback (most recent call last):
    AssertionError: DENYSOFT expected, but the answer was DENY, 'no such user'

    Args:
        result: What a hook method returned, or what `ask` did.
        expected: The constant.
        match: A regular expression, to be found in the message.

    Raises:
        AssertionError: The answer is another.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    if isawaitable(result):
        getattr(result, "close", lambda: None)()
        raise AssertionError(
            f"{expected.name} expected, but the hook is async: await it, or use run(ask(...))"
        )
    constant, message = _read(result)
    shown = show(constant, message)
    if isinstance(result, Outcome | Answer):
        shown += f" of {result.plugin}" if result.plugin else ": no plugin decided"
    if constant is not expected:
        raise AssertionError(f"{expected.name} expected, but the answer was {shown}")
    if match:
        text = "" if message is None else text_of(message)
        if isinstance(message, bytes):
            text = message.decode("utf-8", "backslashreplace")
        if re.search(match, text) is None:
            raise AssertionError(f"a message like {match!r} expected, but the answer was {shown}")
    return message


def show(constant: object, message: object = None) -> str:
    """An answer as a plugin writes it."""
    name = constant.name if isinstance(constant, Constant) else repr(constant)
    return name if message is None else f"{name}, {message!r}"


def _read(result: object) -> tuple[object, object]:
    if isinstance(result, Outcome | Answer):
        return result.constant, result.message
    if isinstance(result, tuple) and len(result) == 2:
        return result
    return result, None
