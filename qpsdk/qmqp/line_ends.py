"""Line ends as QMQP wants them: LF."""

from collections.abc import Iterable, Iterator


def to_lf(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""A message whose lines end in LF, made of one whose lines may end in CRLF.

    Each CRLF becomes LF, also where it is cut by the end of a block. A CR that stands alone is
    kept: it is no line end, and what its author meant by it is not for us to say. A last line
    without its LF gets one, since qmail cannot deliver a message that has none.

    >>> b"".join(to_lf([b"Subject: hi\r", b"\n\r\nbare\rCR"]))
    b'Subject: hi\n\nbare\rCR\n'

    Args:
        blocks: The message, cut anywhere.
    """
    held = b""  # a CR whose LF may be in the next block
    ended = True
    for block in blocks:
        data = held + block if held else block
        held = b"\r" if data.endswith(b"\r") else b""
        if held:
            data = data[:-1]
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if data:
            ended = data.endswith(b"\n")
            yield data
    if held or not ended:
        yield held + b"\n"
