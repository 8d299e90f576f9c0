"""The ways to feed whatever reads bytes: whole, byte by byte, and cut at every position."""

from collections.abc import Iterator

from hypothesis import strategies as st


def slicings(data: bytes) -> Iterator[list[bytes]]:
    """Give `data` whole, byte by byte, cut in two at every position, and with empty slices."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(len(data) + 1):
        yield [data[:at], data[at:]]


@st.composite
def sliced(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Draw a way to cut `data`, into any number of slices."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
