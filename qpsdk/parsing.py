"""The parsing hooks: a plugin may hand back a parser to use in place of the built-in one."""

from collections.abc import Mapping
from typing import Any

from qpsdk.constants import LOGCRIT, LOGERROR, OK
from qpsdk.log import Scene, scene, text_of
from qpsdk.smtp.commands import READERS, refusal
from qpsdk.smtp.engine import Engine
from qpsdk.smtp.events import Auth, Event, Hello, Mail, Recipient, Unparsed
from qpsdk.verdicts import Verdicts

HOOKS_BY_VERB = {verb: f"{verb.lower()}_parse" for verb in ("HELO", "EHLO", "AUTH", "MAIL", "RCPT")}


async def parse(verdicts: Verdicts, engine: Engine, command: Unparsed) -> Event | None:
    """Read a command by the parser of the plugin that has one for it, else as usual.

    A parser is given the command's arguments, as bytes. It returns what the hook table says, or
    raises ValueError: its text is then the client's 501. Where it fails in another way, or what it
    returns is none of that, the log has it, and the command is read as usual.

    Returns:
        None if the command was refused, and answered.
    """
    verb, hook = command.verb, HOOKS_BY_VERB[command.verb]
    outcome = await verdicts.ask(hook, verdicts.connection, verdicts.connection)
    if outcome.constant is not OK:
        return engine.parse()

    def read(arguments: bytes) -> Event:
        before = scene.set(Scene(verdicts.connection, None, hook, outcome.plugin))
        try:
            return _event(verb, outcome.message(arguments))
        except ValueError as error:
            status = "" if verb in ("HELO", "EHLO") else "5.5.4"  # RFC 2034, 3
            raise refusal(501, text_of(error) or f"Bad {verb}", status) from None
        except _ParserError as error:
            verdicts.log(LOGERROR, f"{hook}: {error}", outcome.plugin)
        except (Exception, SystemExit) as error:
            text = f"{hook}: the parser failed: {type(error).__name__}"
            if verb == "AUTH":  # what it says, and where, may have a password in it
                verdicts.log(LOGCRIT, text, outcome.plugin)
            else:
                verdicts.log(LOGCRIT, f"{text}: {text_of(error)}", outcome.plugin, error)
        finally:
            scene.reset(before)
        return READERS[verb](arguments)

    return engine.parse(read)


class _ParserError(Exception):
    """A parser has returned something that no command can be made of."""


def _event(verb: str, value: Any) -> Event:
    if verb in ("HELO", "EHLO"):
        if not isinstance(value, bytes) or not value:
            raise _ParserError(f"the parser gave {value!r:.200}, not the host's name as bytes")
        return Hello(verb, value)
    if verb == "AUTH":
        match value:
            case (str() as mechanism, bytes() | None as initial):
                return Auth(mechanism, initial)
        raise _ParserError("the parser gave no mechanism as str with a response as bytes or None")
    try:
        address, params = value
        size = params.get("size", "0")
    except (TypeError, ValueError, AttributeError):
        address, params, size = None, None, ""
    if (
        not isinstance(address, bytes)
        or not isinstance(params, Mapping)
        or not all(isinstance(word, str) for pair in params.items() for word in pair)
        or not (size.isascii() and size.isdigit())
    ):
        raise _ParserError(
            f"the parser gave {value!r:.200}, not the address as bytes and a mapping of parameters,"
            " str to str, in which a size is a number"
        )
    return Mail(address, params) if verb == "MAIL" else Recipient(address, params)
