# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Netstrings
#
# You learn a way to put any bytes on a wire so that the other side finds where they end, first by
# hand, then with the package's module; and every way in which it can be wrong. You should know
# Python's `bytes`. This chapter has no plugins in it; the [next](04_qmqp.md) is built on it.

# %%
import qpsdk

print("qpsdk", qpsdk.__version__)

# %% [markdown]
# ## Where does it end?
#
# A connection carries bytes, one after the other, and knows nothing of messages. SMTP marks the
# end of a message by a line with a single dot. So what about a message that has such a line in
# it? SMTP has a rule for that; servers that read the rule in different ways have let mail be
# forged for years.
#
# The other way is to say at the start how much will come. A [netstring](https://cr.yp.to/proto/netstrings.txt)
# is that: the length in decimal, a colon, so many bytes, a comma. Nothing in the bytes can be
# mistaken for the end, since nobody looks for one.
#
# ## By hand
#
# It is one line to write. Is this one right?


# %%
def encode(text):
    return f"{len(text)}:{text},".encode()


print(encode("hello world!"))
print(encode("café"))

# %% [markdown]
# The second is wrong. The length counts *bytes*, and `é` is two of them in UTF-8. `explain` draws
# netstrings, and says where they break:

# %%
from qpsdk.explain import explain

explain(encode("café"))

# %% [markdown]
# Four bytes were announced, so the fifth should have been the comma. The cure is to count what is
# sent, not what is meant. Then bytes of any kind will do, a comma or a line end too:


# %% tags=["program"]
def encode(data):
    return b"%d:%b," % (len(data), data)


# %%
for data in ["café".encode(), b"", b"1,2\n", b"\x00\xff"]:
    print(data, "->", encode(data))

# %% [markdown]
# Reading looks as simple: up to the colon is the length, then that many bytes.


# %%
def decode(data):
    length, _, rest = data.partition(b":")
    return rest[: int(length)]


print(decode(b"5:hello,"))

# %% [markdown]
# It works, and so it would go into production. What does it make of what is no netstring?

# %%
hostile = [
    b"+5:hello,",
    b" 5:hello,",
    b"0_5:hello,",
    b"05:hello,",
    b"-1:hello,",
    b"5:hello;",
    b"5:hel",
]
for data in hostile:
    print(data, "->", decode(data))

# %% [markdown]
# All are taken. `int` reads what a person may write in Python, `-1` counts from the end, and nobody
# has looked at the comma. That does no harm until another program reads the same bytes in another
# way: then each sees another message, and whoever wrote them chooses what is checked and what is
# delivered. The specification allows one encoding for each string. So be as strict:


# %% tags=["program"]
def decode(data):
    length, _, rest = data.partition(b":")
    if not length.isdigit() or (length.startswith(b"0") and length != b"0"):
        raise ValueError("the length is no plain number")
    if rest[int(length) :] != b",":
        raise ValueError("the string is not followed by one comma and nothing else")
    return rest[: int(length)]


# %%
print(decode(b"5:hello,"))
for data in hostile:
    try:
        print(data, "->", decode(data))
    except ValueError as error:
        print(data, "->", error)

# %% [markdown]
# ## By library
#
# `qpsdk.netstring` does the same. Its errors say more: each kind has a name, and knows the
# *offset* of the fault, the number of bytes before it. Here is every way to be wrong:

# %%
from qpsdk import NetstringError, netstring

print(netstring.encode(b"hello"), netstring.decode(b"5:hello,"))
print()
wrong = [
    b":hello,",
    b"five:hello,",
    b"5 :hello,",
    b"05:hello,",
    b"9999999999999999999:hello,",
    b"5:hello;",
    b"4:hello,",
    b"5",
    b"5:hel",
    b"6:hello,",
    b"5:hello,\n",
    b"",
]
for data in wrong:
    try:
        netstring.decode(data)
    except NetstringError as error:
        print(f"{data!r:30} {type(error).__name__}\n{'':30} {error}")

# %% [markdown]
# * `NetstringLengthError`: the length is missing, no plain number, or has a leading zero.
# * `NetstringLimitError`: it is more than the reader will take.
# * `NetstringCommaError`: another byte stands where the comma is due. Mostly the length is wrong.
# * `NetstringTruncatedError`: the input ends too early. More may have been meant to come.
#
# All of them are a `NetstringError`, and so is what follows a netstring where nothing should.
#
# Do the two agree, ours and the package's? Take right netstrings, break them in ten thousand
# ways, and see:

# %% tags=["program"]
import random

from qpsdk import NetstringError, netstring


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


# %% tags=["program"]
chance = random.Random(1)  # the same each time
refused = 0
for _ in range(10_000):
    right = encode(b"x" * chance.randrange(30))
    assert decode(right) == netstring.decode(right)
    wrong = broken(right, chance)
    assert result(decode, wrong) == result(netstring.decode, wrong), wrong
    refused += result(decode, wrong) is None
print(f"they agree on all; of 10,000 broken ones {refused:,} are refused")

# %% [markdown]
# The rest were changed inside the string, or not at all, and are as right as before: a netstring
# protects its ends, not its contents.
#
# ## As it comes
#
# From a connection, bytes come in slices, cut anywhere. `Decoder` is fed with slices and gives the
# strings that have become whole. Feed it three netstrings, badly cut:

# %%
decoder = netstring.Decoder()
for piece in [b"5:he", b"llo,0:,1", b"1:hello again,"]:
    print(piece, "->", list(decoder.feed(piece)))
decoder.finish()

# %% [markdown]
# The string in the middle is empty. `finish` says that the input has ended, and
# complains if it has done so too early:

# %%
decoder = netstring.Decoder()
print(list(decoder.feed(b"5:hello,5:he")))
try:
    decoder.finish()
except NetstringError as error:
    print(error)

# %% [markdown]
# Does it matter where the cuts are? It must not. Try each pair of them:

# %% tags=["program"]
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

# %% [markdown]
# And if somebody announces a terabyte? Whoever waits for it with a growing buffer has been attacked
# with a dozen bytes. So say what you are ready to hold. The decoder refuses at the first digit that
# goes too far; no byte of the string has come yet:

# %%
decoder = netstring.Decoder(limit=1000)
try:
    list(decoder.feed(b"1000000000000:"))
except NetstringError as error:
    print(type(error).__name__, "-", error)

# %% [markdown]
# A `Scanner` holds nothing at all: it reports what it meets and passes the bytes on, so a string
# may be larger than the memory. To send such a one, write its `head`, then blocks, then a comma.

# %%
scanner = netstring.Scanner()
for piece in [netstring.head(12), b"hello ", b"world!", b","]:
    print(piece, "->", list(scanner.feed(piece)))

# %% [markdown]
# ## Netstrings in netstrings
#
# A netstring may hold netstrings: that is a list. `explain` looks inside:

# %%
names = [b"ann", b"ben", b"cat"]
inside = b"".join(netstring.encode(name) for name in names)
explain(netstring.encode(inside))

# %% [markdown]
# Offsets are on the left. Now write one length with a leading zero. That is one byte more, so the
# outer netstring breaks as well. Each fault is marked where it is, amid all that was understood:

# %%
torn = explain(b"18:3:ann,03:ben,3:cat,,")
torn

# %% [markdown]
# The same as data, for a program:

# %%
for fault in torn.faults:
    print(fault.offset, "-", fault.problem)

# %% [markdown]
# In a shell the same is `qpsdk netstring`:

# %% tags=["static"]
import sys

python = sys.executable
# !printf '5:hello,06:world!,' | {python} -m qpsdk netstring

# %% [markdown]
# ## Exercises
#
# **1.** How many bytes has the netstring of `n` bytes? Write `size(n)` without making one, and
# compare it with `netstring.encoded_size`.


# %% tags=["answer"]
def size(n):
    return len(str(n)) + len(":") + n + len(",")


for n in (0, 9, 10, 99, 100, 10**9):
    assert size(n) == netstring.encoded_size(n)
print(size(10**9))

# %% [markdown]
# **2.** Write a dictionary of `bytes` as one netstring: keys and values in turn inside it. Then
# read it back.


# %% tags=["answer"]
def pack(items):
    both = [part for pair in items.items() for part in pair]
    return netstring.encode(b"".join(map(netstring.encode, both)))


def unpack(data):
    parts = netstring.decode_all(netstring.decode(data))
    return dict(zip(parts[::2], parts[1::2], strict=True))


packed = pack({b"sender": b"", b"size": b"12"})
print(packed)
assert unpack(packed) == {b"sender": b"", b"size": b"12"}

# %% [markdown]
# **3.** `18:3:ann,3:ben;3:cat,,` was meant to be three names in one netstring. What is wrong with
# it, and at which offset? Mend it by changing one byte.

# %% tags=["answer"]
names = b"18:3:ann,3:ben;3:cat,,"
print(explain(names))
mended = names.replace(b";", b",")
assert netstring.decode_all(netstring.decode(mended)) == [b"ann", b"ben", b"cat"]
