"""Where chapter 3 arrives: netstrings by hand, held against the package's module."""

import random

from qpsdk import NetstringError, netstring


def encode(data):
    return b"%d:%b," % (len(data), data)


def decode(data):
    length, _, rest = data.partition(b":")
    if not length.isdigit() or (length.startswith(b"0") and length != b"0"):
        raise ValueError("the length is no plain number")
    if rest[int(length) :] != b",":
        raise ValueError("the string is not followed by one comma and nothing else")
    return rest[: int(length)]


def result(function, data):
    """What it returns; None if it refuses."""
    try:
        return function(data)
    except (ValueError, NetstringError):
        return None


def broken(data, chance):
    """The same with a byte changed, doubled or lost."""
    at = chance.randrange(len(data))
    other = bytes([chance.choice(b"0123456789:,+- x")])
    middle = chance.choice([other, data[at : at + 1] * 2, b""])
    return data[:at] + middle + data[at + 1 :]


chance = random.Random(1)  # the same each time
refused = 0
for _ in range(10_000):
    right = encode(b"x" * chance.randrange(30))
    assert decode(right) == netstring.decode(right)
    wrong = broken(right, chance)
    assert result(decode, wrong) == result(netstring.decode, wrong), wrong
    refused += result(decode, wrong) is None
print(f"they agree on all; of 10,000 broken ones {refused:,} are refused")

data = b"5:hello,0:,11:hello again,"
for first in range(len(data) + 1):
    for second in range(first, len(data) + 1):
        decoder = netstring.Decoder()
        strings = []
        for piece in (data[:first], data[first:second], data[second:]):
            strings += decoder.feed(piece)
        decoder.finish()
        assert strings == [b"hello", b"", b"hello again"]
print("wherever it is cut, the same three strings")
