"""The message after DATA: found in the stream and decoded, by block and never by line."""

from typing import Final

END: Final = b"\r\n.\r\n"
"""What ends a message, and the only thing that does (RFC 5321, 4.1.1.4)."""


class DataDecoder:
    r"""Takes the stream after DATA in any slices; gives the message with LF line ends.

    A dot is removed only where it follows CRLF (RFC 5321, 4.5.2), and only CRLF.CRLF is the
    end: a server that also takes a bare LF for a line end there can be made to see a message
    inside a message ("SMTP smuggling").

    Attributes:
        size: Octets of the message so far, CRLF counted as two (RFC 1870, 5).
        bare_newline: True once a CR without LF, or an LF without CR, has been seen. They are
            left as they are.

    >>> decoder = DataDecoder()
    >>> decoder.feed(b"..dots\r\n.\r\nQUIT\r\n")
    (b'.dots\n', b'QUIT\r\n')
    >>> decoder.size
    7
    """

    __slots__ = ("_at_start", "_held", "bare_newline", "size")

    def __init__(self) -> None:
        # The message begins at the start of a line, so a CRLF before it is imagined; it lets
        # a dot in the first line be found like any other, and is taken away again.
        self._held = b"\r\n"
        self._at_start = True
        self.size = 0
        self.bare_newline = False

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """The next bytes of the message, and what follows the final dot once it was seen.

        The second value is None while the message goes on.
        """
        raw = self._held + data
        dot = raw.find(b"\r\n.")  # usually there is just the one that ends the message
        end = raw.find(END, dot) if dot >= 0 else -1
        if end >= 0:
            rest: bytes | None = raw[end + len(END) :]
            raw = raw[: end + 2]
        else:
            # A tail that may be the start of END waits, and with it every CRLF whose next
            # byte is not known yet: so no pattern below is ever cut in two.
            rest = None
            held = next((n for n in (4, 3, 2, 1) if raw.endswith(END[:n])), 0)
            self._held = raw[len(raw) - held :]
            raw = raw[: len(raw) - held]
        return self._decode(raw, stuffed=0 <= dot < len(raw) - 2), rest

    def _decode(self, raw: bytes, *, stuffed: bool) -> bytes:
        if not raw:
            return b""
        unstuffed = raw.replace(b"\r\n.", b"\r\n") if stuffed else raw
        message = unstuffed.replace(b"\r\n", b"\n")
        line_ends = len(unstuffed) - len(message)
        if b"\r" in message or message.count(b"\n") != line_ends:
            self.bare_newline = True
        self.size += len(unstuffed)
        if self._at_start:
            self._at_start = False
            self.size -= 2
            message = message[1:]
        return message
