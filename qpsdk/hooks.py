"""The hook table: what each hook is given, which constants it takes, what each becomes.

This is the one declaration. The dispatcher takes from it what a plugin may answer, the
session which reply that is; everything else that shows hooks is read from it too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from qpsdk.constants import (
    DECLINED,
    DENY,
    DENY_DISCONNECT,
    DENYSOFT,
    DENYSOFT_DISCONNECT,
    DONE,
    OK,
    Constant,
)
from qpsdk.log import text_of
from qpsdk.reply import Reply

TIME_LIMIT: Final = 30.0
"""Seconds that one plugin may take for one hook."""

QUEUE_TIME_LIMIT: Final = 540.0
"""Seconds for `queue`: a client waits 10 minutes for the answer to its final dot
(RFC 5321, 4.5.3.2.6), and must still be there when it comes."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one constant does in one hook.

    Attributes:
        code: The reply's code; 0 where the host sends nothing and goes on.
        enhanced: Its status code (RFC 3463); none in a greeting or an answer to HELO and EHLO
            (RFC 2034, 3).
        text: Its text unless the plugin gives one; ``{me}`` becomes the host's name.
        close: The connection ends after the reply.
        fixed: The plugin's message does not replace the text. A 421's is added below it.
    """

    code: int = 0
    enhanced: str = ""
    text: str = ""
    close: bool = False
    fixed: bool = False
    # Our own text, ready to send, by the host's name: most replies are one of these.
    _ready: dict[str, Reply] = field(init=False, repr=False, compare=False, default_factory=dict)

    def reply(self, me: str, message: object = None) -> Reply:
        """The reply, with the plugin's message where this effect takes one.

        Args:
            me: The host's name.
            message: The text that the plugin gave, of any number of lines; anything else, such as
                an exception, is shown by str().
        """
        if not message or (self.fixed and self.code != 421):
            if me not in self._ready:
                text = self.text.format(me=me)
                self._ready[me] = Reply.make(self.code, text, self.enhanced)
            return self._ready[me]
        text = (
            message.decode("ascii", "replace") if isinstance(message, bytes) else text_of(message)
        )
        if self.fixed:
            text = f"{self.text.format(me=me)}\n{text}"
        return Reply.make(self.code, text, self.enhanced)


GO_ON: Final = Effect()
"""Nothing is sent, the dialogue goes on."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One row of the table.

    Attributes:
        name: As a plugin writes it after ``hook_``.
        arguments: What a plugin is given, in order: the type of each by its name.
        meaning: When it runs, in one sentence.
        effects: By constant; a constant that is not here is not taken.
        value: The type of what comes with OK, where that is used as a value and is no text for
            the client.
        ignored: Whatever is answered changes nothing.
        sync: It is reached from plain calls, so its methods cannot be ``async`` or blocking.
        time_limit: Seconds for each plugin.
        example: A bundled plugin that has it; empty if none has.
    """

    name: str
    arguments: Mapping[str, str]
    meaning: str
    effects: Mapping[Constant, Effect]
    value: str = ""
    ignored: bool = False
    sync: bool = False
    time_limit: float = TIME_LIMIT
    example: str = ""


def hook_name(name: str) -> str:
    """A hook's name as in the table: qpsmtpd writes some with a dash.

    >>> hook_name("post-connection")
    'post_connection'
    """
    return name.replace("-", "_")


def _refusals(
    *,
    deny: int = 0,
    soft: int = 0,
    deny_close: int = 0,
    soft_close: int = 0,
    enhanced: str,
    close: bool = False,
) -> dict[Constant, Effect]:
    """The DENY columns of a row.

    `enhanced` is subject and detail of the status codes; `close` makes each of them close.
    """
    columns = {
        DENY: (deny, "Not accepted here", close),
        DENYSOFT: (soft, "Not accepted now, try again later", close),
        DENY_DISCONNECT: (deny_close, "Not accepted here, closing the connection", True),
        DENYSOFT_DISCONNECT: (soft_close, "Try again later, closing the connection", True),
    }
    return {
        constant: _closing_421(enhanced)
        if code == 421
        else Effect(code, f"{code // 100}.{enhanced}" if enhanced else "", text, close=closes)
        for constant, (code, text, closes) in columns.items()
        if code
    }


def _closing_421(enhanced: str) -> Effect:
    # RFC 5321, 4.2.3: a 421 begins with the host's name.
    return Effect(421, f"4.{enhanced}", "{me} Closing the connection", close=True, fixed=True)


def _yes(effect: Effect, declined: Effect | None = None) -> dict[Constant, Effect]:
    return {OK: effect, DECLINED: declined or effect}


_DONE: Final = {DONE: GO_ON}

_GREETING = Effect(220, "", "{me} ESMTP qpsdk ready", fixed=True)
_HELLO = Effect(250, "", "{me}", fixed=True)
_GO_AHEAD = Effect(354, "", "Go ahead, end with a dot on a line of its own", fixed=True)
_BYE = Effect(221, "2.0.0", "{me} Closing the connection", close=True, fixed=True)
_NOBODY_QUEUED = Effect(451, "4.3.0", "No plugin took the message, try again later")
_NOBODY_TOOK_IT = Effect(450, "4.7.1", "No plugin took this recipient, try again later")
_CANNOT_VERIFY = Effect(252, "2.5.0", "Send some mail and see")
_HELP = Effect(214, "2.0.0", "See RFC 5321")
_UNKNOWN = Effect(500, "5.5.1", "Unrecognized command")

_CONNECTION: Final = {"connection": "Connection"}
_TRANSACTION: Final = {"transaction": "Transaction"}
_PARAMS: Final = {"params": "Mapping[str, str]"}
_TEXT: Final = {"text": "bytes"}
_CREDENTIALS: Final = _CONNECTION | {
    "mechanism": "str",
    "user": "bytes",
    "password": "bytes",
    "hashed": "bytes",
    "ticket": "bytes",
}
_ANSWERED: Final = _CONNECTION | {
    "transaction": "Transaction | None",
    "hook": "str",
    "plugin": "str",
    "constant": "Constant",
    "message": "Any",
}

_FAILED_AUTH = Effect(535, "5.7.8", "Authentication failed")
_AUTH: Final = (
    _yes(Effect(235, "2.7.0", "Authentication succeeded", fixed=True), _FAILED_AUTH)
    | {DENY: _FAILED_AUTH}
    | _refusals(soft=454, soft_close=454, enhanced="7.0")
    | {DENY_DISCONNECT: Effect(535, "5.7.8", "Authentication failed, closing the connection", True)}
)


def _parser(verb: str, value: str) -> Hook:
    """The row of a hook by which a plugin reads the arguments of a command."""
    meaning = f"Before the arguments of {verb} are read: with OK, a parser to read them with."
    return Hook(f"{verb.lower()}_parse", _CONNECTION, meaning, _yes(GO_ON), value=value)


def _mechanism(name: str) -> Hook:
    """The row of a mechanism of AUTH."""
    hook, meaning = f"auth_{name.lower().replace('-', '_')}", f"The client authenticates by {name}."
    return Hook(hook, _CREDENTIALS, meaning, _AUTH, example="auth/auth_flat_file")


_TABLE: Final = (
    Hook(
        "pre_connection",
        _CONNECTION,
        "A client has connected; nothing has been sent yet.",
        _yes(GO_ON)
        | _refusals(deny=550, soft=451, deny_close=550, soft_close=451, enhanced="", close=True),
    ),
    Hook(
        "connect",
        _CONNECTION,
        "The client waits for the greeting.",
        _yes(_GREETING)
        | _refusals(deny=550, soft=450, deny_close=550, soft_close=450, enhanced="", close=True)
        | _DONE,
        example="relay",
    ),
    _parser("HELO", "Callable[[bytes], bytes]"),
    Hook(
        "helo",
        _CONNECTION | {"host": "bytes"},
        "The client said HELO.",
        _yes(_HELLO)
        | _refusals(deny=550, soft=450, deny_close=550, soft_close=450, enhanced="")
        | _DONE,
    ),
    _parser("EHLO", "Callable[[bytes], bytes]"),
    Hook(
        "ehlo",
        _CONNECTION | {"host": "bytes"},
        "The client said EHLO.",
        _yes(_HELLO)
        | _refusals(deny=550, soft=450, deny_close=550, soft_close=450, enhanced="")
        | _DONE,
        example="tls",
    ),
    _parser("AUTH", "Callable[[bytes], tuple[str, bytes | None]]"),
    _mechanism("PLAIN"),
    _mechanism("LOGIN"),
    _mechanism("CRAM-MD5"),
    Hook(
        "auth",
        _CREDENTIALS,
        "The client authenticates, and the hook of its mechanism had no opinion.",
        _AUTH,
    ),
    _parser("MAIL", "Callable[[bytes], tuple[bytes, Mapping[str, str]]]"),
    Hook(
        "mail_pre",
        _TRANSACTION | {"address": "bytes"} | _PARAMS,
        "Before the sender's address is parsed: with OK, another text to parse.",
        _yes(GO_ON),
        value="bytes",
    ),
    Hook(
        "mail",
        _TRANSACTION | {"sender": "Address"} | _PARAMS,
        "The client named the envelope sender.",
        _yes(Effect(250, "2.1.0", "Sender OK"))
        | _refusals(deny=550, soft=450, deny_close=550, soft_close=421, enhanced="7.1")
        | _DONE,
        example="badmailfrom",
    ),
    _parser("RCPT", "Callable[[bytes], tuple[bytes, Mapping[str, str]]]"),
    Hook(
        "rcpt_pre",
        _TRANSACTION | {"address": "bytes"} | _PARAMS,
        "Before a recipient's address is parsed: with OK, another text to parse.",
        _yes(GO_ON),
        value="bytes",
    ),
    Hook(
        "rcpt",
        _TRANSACTION | {"recipient": "Address"} | _PARAMS,
        "The client named a recipient; a plugin has to take it.",
        _yes(Effect(250, "2.1.5", "Recipient OK"), _NOBODY_TOOK_IT)
        | _refusals(deny=550, soft=450, deny_close=550, soft_close=421, enhanced="7.1")
        | _DONE,
        example="rcpt_ok",
    ),
    Hook(
        "data",
        _TRANSACTION,
        "The client would like to send the message.",
        _yes(_GO_AHEAD)
        | _refusals(deny=554, soft=451, deny_close=554, soft_close=451, enhanced="7.1")
        | _DONE,
        example="greylisting",
    ),
    Hook(
        "data_headers_end",
        _TRANSACTION,
        "The header has come; the body is still coming.",
        _yes(GO_ON) | _refusals(deny_close=554, soft_close=421, enhanced="7.1"),
    ),
    Hook(
        "data_post_headers",
        _TRANSACTION,
        "The message has come, its header is as the client sent it.",
        _yes(GO_ON) | _refusals(deny=552, soft=452, enhanced="7.1"),
    ),
    Hook(
        "received_line",
        _TRANSACTION | {"smtp": "str", "auth": "str", "tls": "str"},
        "Our Received field is made: with OK, another text for it.",
        _yes(GO_ON),
        value="str",
    ),
    Hook(
        "data_post",
        _TRANSACTION,
        "The message is whole, our fields are in its header.",
        _yes(GO_ON)
        | _refusals(deny=552, soft=452, deny_close=552, soft_close=452, enhanced="7.1")
        | _DONE,
        example="headers",
    ),
    Hook(
        "queue_pre",
        _TRANSACTION,
        "The message is about to be queued.",
        _yes(GO_ON) | _DONE,
    ),
    Hook(
        "queue",
        _TRANSACTION,
        "A plugin has to take the message, and with OK the responsibility for it.",
        _yes(Effect(250, "2.0.0", "Queued"), _NOBODY_QUEUED)
        | _refusals(deny=552, soft=452, enhanced="3.0")
        | _DONE,
        time_limit=QUEUE_TIME_LIMIT,
        example="queue/qmqp_forward",
    ),
    Hook(
        "queue_post",
        _CONNECTION | {"answer": "Outcome"},
        "The queue hook has been answered.",
        {},
        ignored=True,
    ),
    Hook(
        "reset_transaction",
        _TRANSACTION,
        "The transaction ends, however it does.",
        {},
        ignored=True,
        example="logging/adaptive",
    ),
    Hook(
        "vrfy",
        _CONNECTION | _TEXT,
        "The client asked to verify an address.",
        _yes(Effect(250, "2.0.0", "Verified"), _CANNOT_VERIFY)
        | _refusals(deny=554, enhanced="7.1")
        | _DONE,
    ),
    Hook(
        "noop",
        _CONNECTION | _TEXT,
        "The client said NOOP.",
        _yes(Effect(250, "2.0.0", "OK"))
        | _refusals(deny=500, deny_close=500, enhanced="5.1")
        | _DONE,
    ),
    Hook(
        "help",
        _CONNECTION | _TEXT,
        "The client asked for help.",
        _yes(_HELP) | _refusals(deny=500, enhanced="5.1") | _DONE,
    ),
    Hook(
        "unrecognized_command",
        _CONNECTION | {"command": "bytes", "arguments": "bytes"},
        "The client said something that is no command of ours.",
        _yes(_UNKNOWN) | {DENY: _UNKNOWN} | _refusals(deny_close=521, enhanced="5.1") | _DONE,
        example="count_unrecognized_commands",
    ),
    Hook(
        "quit",
        _CONNECTION,
        "The client said QUIT.",
        _yes(_BYE) | _DONE,
        example="quit_fortune",
    ),
    Hook("disconnect", _CONNECTION, "The dialogue is over.", {}, ignored=True),
    Hook(
        "post_connection",
        _CONNECTION,
        "The connection is done with, however it ended.",
        {},
        ignored=True,
        example="logging/adaptive",
    ),
    Hook(
        "deny",
        _ANSWERED,
        "A plugin has answered with a denial.",
        {},
        ignored=True,
        example="logging/adaptive",
    ),
    Hook(
        "ok",
        _ANSWERED,
        "A plugin has answered with anything else, DECLINED included.",
        {},
        ignored=True,
    ),
    Hook(
        "logging",
        {
            "connection": "Connection | None",
            "transaction": "Transaction | None",
            "level": "LogLevel",
            "hook": "str",
            "plugin": "str",
            "text": "str",
        },
        "A line is logged: with OK the plugin has written it, and nobody else does.",
        _yes(GO_ON),
        sync=True,
        example="logging/file",
    ),
    Hook(
        "config",
        {"name": "str"},
        "A setting is asked for: with OK, its values in place of the file's.",
        _yes(GO_ON),
        value="list[str]",
        sync=True,
    ),
    Hook(
        "user_config",
        {"address": "Address", "name": "str"},
        "A setting of one user is asked for: with OK, its values.",
        _yes(GO_ON),
        value="list[str]",
        sync=True,
    ),
    Hook(
        "post_fork",
        {},
        "A worker process has started, or loaded its plugins anew: before their first client.",
        {},
        ignored=True,
    ),
)

HOOKS: Final[Mapping[str, Hook]] = {hook.name: hook for hook in _TABLE}
"""The table by name, in the order in which a message meets the hooks."""
