"""Says where two byte strings differ."""

from typing import Final

from qpsdk.explain import show

AROUND: Final = 24
"""Bytes shown on each side of the difference."""


def difference(what: str, expected: bytes, came: bytes) -> str:
    r"""Where they differ, with the bytes around it; nothing if they do not.

    >>> print(difference("the message", b"Subject: hi\n\nbody\n", b"Subject: hi\r\n\r\nbody\r\n"))
    the message differs at offset 11 (line 1, byte 12):
      expected: Subject: hi\n\nbody\n
      came:     Subject: hi\r\n\r\nbody\r\n
                           ^
      expected 18 bytes, came 21
    """
    if expected == came:
        return ""
    at = _first_difference(expected, came)
    line = expected.count(b"\n", 0, at) + 1
    byte = at - expected.rfind(b"\n", 0, at)
    start = max(0, at - AROUND)
    dots = "..." if start else ""
    caret = " " * len(dots + show(expected[start:at]))
    return "\n".join(
        [
            f"{what} differs at offset {at} (line {line}, byte {byte}):",
            f"  expected: {dots}{_around(expected, start, at)}",
            f"  came:     {dots}{_around(came, start, at)}",
            f"            {caret}^",
            f"  expected {len(expected):,} bytes, came {len(came):,}",
        ]
    )


def _first_difference(one: bytes, other: bytes) -> int:
    """The offset of the first byte that differs, by halves: fast with many megabytes."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _around(data: bytes, start: int, at: int) -> str:
    end = at + AROUND
    return show(data[start:end]) + ("..." if end < len(data) else "")
