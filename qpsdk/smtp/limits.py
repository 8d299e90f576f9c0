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

MAX_COMMANDS = 10_000
"""Commands since the last message that was taken: what a client may ask for and bring nothing. A
message for `MAX_RECIPIENTS` takes a tenth of them."""

MAX_REFUSALS = 100
"""Commands that were refused since the last message that was taken: a list of addresses that are
gone has some of them, a client that guesses addresses or passwords has nothing else."""

MAX_RECEIVED = 100
"""Received fields that a message may come with; more of them mean a loop (RFC 5321, 6.3)."""

MAX_AUTH_LINE = 12288
"""Octets of a client's line in an AUTH exchange (RFC 4954, 4), with its line end."""

MAX_FAILED_AUTH = 3
"""Attempts to authenticate that may fail before the client is sent away: a person mistypes once
or twice, a program that guesses does nothing else (RFC 4954, 9 leaves it to the server)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one connection.

    Attributes:
        message: Octets of a message, line ends counted as two (RFC 1870); 0 for no limit.
        commands: 0 for no limit.
        refusals: 0 for no limit.
    """

    message: int = 0
    command_line: int = MAX_COMMAND_LINE
    recipients: int = MAX_RECIPIENTS
    header: int = MAX_HEADER
    commands: int = MAX_COMMANDS
    bad_commands: int = MAX_BAD_COMMANDS
    refusals: int = MAX_REFUSALS
    received: int = MAX_RECEIVED
    auth_line: int = MAX_AUTH_LINE
    failed_auth: int = MAX_FAILED_AUTH
