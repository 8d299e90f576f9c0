"""Every exception of the package.

::

    QpsdkError
    ├── NetstringError (ValueError)      what is wrong, and at which offset
    │   ├── NetstringLengthError         the length is not a canonical decimal number
    │   ├── NetstringCommaError          another byte where the comma is due
    │   ├── NetstringLimitError          the length is over the reader's limit
    │   └── NetstringTruncatedError      the input ends inside a netstring
    ├── AddressError (ValueError)        not an envelope address
    │   └── NonASCIIAddressError         one, but it needs SMTPUTF8
    ├── HeaderError (ValueError)         not a header field that may be written
    ├── ReplyError (ValueError)          not an SMTP reply
    ├── StreamError (OSError)            the connection failed under us
    │   ├── StreamConnectError           it was never made
    │   ├── StreamTimeoutError           it made no progress for too long
    │   └── StreamInterruptedError       a read was interrupted: the session is to do something else
    ├── QMQPError
    │   ├── QMQPEnvelopeError            QMQP cannot carry this envelope; nothing was sent
    │   ├── QMQPPackageError             a client's package is malformed, and where
    │   ├── QMQPBodyError                the body was not as long as announced
    │   └── QMQPResponseError            the server gave no usable response
    │       └── QMQPUnconfirmedError     and it may have accepted the message
    ├── BusyError                        others kept what was asked for too long
    ├── MessageTooLargeError             over a limit of size
    ├── StoreError                       shared state cannot be had now
    ├── TranscriptError (ValueError)     the text is no transcript, and where
    └── SetupError                       the host cannot start as it is told to
        ├── ConfigError                  a setting, with file and line
        └── PluginError                  a plugin: where it was looked for, what is wrong
"""

from pathlib import Path


class QpsdkError(Exception):
    """Base of all exceptions that this package raises on purpose."""


class NetstringError(QpsdkError, ValueError):
    """The input is not a netstring (https://cr.yp.to/proto/netstrings.txt).

    Attributes:
        problem: What is wrong.
        offset: How many bytes of the input are before the fault.
    """

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(f"{problem} at offset {offset}")
        self.problem = problem
        self.offset = offset


class NetstringLengthError(NetstringError):
    """The length is missing, not decimal, or has a leading zero."""


class NetstringCommaError(NetstringError):
    """Another byte stands where the closing comma is due."""


class NetstringLimitError(NetstringError):
    """The length is over the limit that the reader was given."""


class NetstringTruncatedError(NetstringError):
    """The input ends inside a netstring; `offset` is where it ends."""


class AddressError(QpsdkError, ValueError):
    """The text is not an envelope address (RFC 5321, 4.1.2)."""


class NonASCIIAddressError(AddressError):
    """The address has bytes above 127, and the client did not ask for SMTPUTF8 (RFC 6531)."""


class HeaderError(QpsdkError, ValueError):
    """The name or value cannot stand in a header field (RFC 5322, 2.2)."""


class ReplyError(QpsdkError, ValueError):
    """The bytes are not an SMTP reply (RFC 5321, 4.2)."""


class StreamError(QpsdkError, OSError):
    """The connection failed: reset, broken, or gone."""


class StreamConnectError(StreamError):
    """The connection could not be made: refused, unreachable, no such name, too slow."""


class StreamTimeoutError(StreamError):
    """The peer neither took nor gave a byte within the time limit."""


class StreamInterruptedError(StreamError):
    """A read was interrupted; the connection is as it was."""


class QMQPError(QpsdkError):
    """Base of what can go wrong in QMQP (https://cr.yp.to/proto/qmqp.html)."""


class QMQPEnvelopeError(QMQPError):
    """QMQP, or every server of it, cannot carry this envelope. Nothing was sent."""


class QMQPPackageError(QMQPError):
    """A client sent something that is no QMQP package.

    Attributes:
        offset: How many bytes of the package are before the fault.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(f"{message} at offset {offset}")
        self.offset = offset


class QMQPBodyError(QMQPError):
    """The message turned out shorter or longer than the length already sent."""


class QMQPResponseError(QMQPError):
    """The server closed, or answered something that is no QMQP response: a temporary failure."""


class QMQPUnconfirmedError(QMQPResponseError):
    """The package was whole, but its answer was lost: the server may have accepted the message.

    To try another server now may duplicate it.
    """


class BusyError(QpsdkError):
    """What was asked for is in use, and was not free in time: a temporary failure."""


class MessageTooLargeError(QpsdkError):
    """A message, or its header, is over its limit."""


class StoreError(QpsdkError):
    """The store that hosts share does not answer, or not with what was asked for."""


class TranscriptError(QpsdkError, ValueError):
    """The text is no transcript of a dialogue.

    Attributes:
        path: Its file.
        line: Where it is wrong, counted from 1.
    """

    def __init__(self, message: str, path: Path, line: int) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.path = path
        self.line = line


class SetupError(QpsdkError):
    """The host cannot start as it is told to; the text says what to change."""


class ConfigError(SetupError):
    """A setting is missing or wrong.

    Attributes:
        path: The file, if there is one.
        line: Its line, counted from 1; None if the whole file is meant.
    """

    def __init__(self, message: str, path: Path | None = None, line: int | None = None) -> None:
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)
        self.path = path
        self.line = line


class PluginError(SetupError):
    """A plugin cannot be loaded or does not fit the hooks it names."""
