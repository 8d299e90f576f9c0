"""How much of everything one client may use."""

from dataclasses import dataclass

MAX_COMMAND_LINE = 2048
"""Octets of a command line with its line end. RFC 5321, 4.5.3.1.4 asks for 512, and each
extension adds to it; this holds them all, and the longest addresses seen in use."""

MAX_RECIPIENTS = 1000
"""Recipients of one message. RFC 5321, 4.5.3.1.8: at least 100 must be taken."""

MAX_HEADER = 256 * 1024
"""Octets of a message's header, which is held in memory. RFC 5321 sets no limit; Postfix's is
100 KiB."""

MAX_BAD_COMMANDS = 20
"""Commands that make no sense before the client is sent away (RFC 5321, 4.3.2 and 7.8 leave
it to the server)."""

MAX_RECEIVED = 100
"""Received fields that a message may come with; more of them mean a loop (RFC 5321, 6.3)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one connection.

    Attributes:
        message: Octets of a message, line ends counted as two (RFC 1870); 0 for no limit.
    """

    message: int = 0
    command_line: int = MAX_COMMAND_LINE
    recipients: int = MAX_RECIPIENTS
    header: int = MAX_HEADER
    bad_commands: int = MAX_BAD_COMMANDS
    received: int = MAX_RECEIVED
