"""The words a plugin answers with, and the levels it logs at.

The numbers are qpsmtpd's (``Qpsmtpd::Constants``), so that a log or a test written for
one can be read beside the other.
"""

from enum import IntEnum


class Constant(IntEnum):
    """What a hook may return: the plugin's verdict on this step of the dialogue.

    Which of them a hook takes, and which reply each becomes, is in `qpsdk.hooks`.
    """

    OK = 900
    """Accept; no further plugin is asked."""
    DENY = 901
    """Permanent failure: a 5xx reply."""
    DENYSOFT = 902
    """Temporary failure: a 4xx reply, the client should try again later."""
    DENY_DISCONNECT = 903
    """`DENY`, then the connection is closed."""
    DENYSOFT_DISCONNECT = 904
    """`DENYSOFT`, then the connection is closed."""
    DECLINED = 909
    """No opinion: the next plugin is asked."""
    DONE = 910
    """The plugin has answered the client by itself; nothing more is sent."""

    DENYHARD = 903
    """The old name of `DENY_DISCONNECT`."""

    @property
    def is_denial(self) -> bool:
        """True for the four DENY constants."""
        return self in _DENIALS


_DENIALS = frozenset(
    {
        Constant.DENY,
        Constant.DENYSOFT,
        Constant.DENY_DISCONNECT,
        Constant.DENYSOFT_DISCONNECT,
    }
)


class LogLevel(IntEnum):
    """How grave a log line is: syslog's eight severities, 0 the gravest (RFC 5424, 6.2.1)."""

    LOGEMERG = 0
    LOGALERT = 1
    LOGCRIT = 2
    LOGERROR = 3
    LOGWARN = 4
    LOGNOTICE = 5
    LOGINFO = 6
    LOGDEBUG = 7

    LOGRADAR = 0
    """Another name of `LOGEMERG`."""

    @classmethod
    def parse(cls, text: str) -> "LogLevel":
        """The level of a number or a name.

        >>> LogLevel.parse("6"), LogLevel.parse("LOGINFO"), LogLevel.parse("info")
        (<LogLevel.LOGINFO: 6>, <LogLevel.LOGINFO: 6>, <LogLevel.LOGINFO: 6>)

        Raises:
            ValueError: It is neither; the text says what would be right.
        """
        if text.isascii() and text.isdigit() and int(text) <= cls.LOGDEBUG:
            return cls(int(text))
        name = text.upper() if text.upper().startswith("LOG") else f"LOG{text.upper()}"
        if name not in cls.__members__:
            raise ValueError(f"{text!r} is no log level; write 0 to 7, or a name such as LOGINFO")
        return cls[name]


OK = Constant.OK
DENY = Constant.DENY
DENYSOFT = Constant.DENYSOFT
DENY_DISCONNECT = Constant.DENY_DISCONNECT
DENYSOFT_DISCONNECT = Constant.DENYSOFT_DISCONNECT
DENYHARD = Constant.DENYHARD
DECLINED = Constant.DECLINED
DONE = Constant.DONE

LOGEMERG = LogLevel.LOGEMERG
LOGALERT = LogLevel.LOGALERT
LOGCRIT = LogLevel.LOGCRIT
LOGERROR = LogLevel.LOGERROR
LOGWARN = LogLevel.LOGWARN
LOGNOTICE = LogLevel.LOGNOTICE
LOGINFO = LogLevel.LOGINFO
LOGDEBUG = LogLevel.LOGDEBUG
LOGRADAR = LogLevel.LOGRADAR
