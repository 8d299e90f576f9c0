"""`qpsdk hooks`: the hook table, and one hook in full."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated

import typer

from qpsdk.cli.app import app
from qpsdk.cli.show import line_options, table
from qpsdk.constants import DECLINED, DENYSOFT, DONE, OK, Constant
from qpsdk.errors import SetupError
from qpsdk.hooks import HOOKS, Effect, Hook, hook_name
from qpsdk.plugin import LINE_OPTIONS, LineOption


@app.command()
def hooks(
    hook: Annotated[
        str | None, typer.Argument(metavar="[HOOK]", help="Show this one in full, such as rcpt.")
    ] = None,
) -> None:
    """List the hooks in the order in which a message meets them, or show one in full."""
    if hook is None:
        columns = ("hook", "is given", "may answer", "when")
        table(columns, [(h.name, *_short(h), h.meaning) for h in HOOKS.values()])
    else:
        typer.echo("\n".join(describe(known_hook(hook))))


def known_hook(text: str) -> Hook:
    """The hook of a name, written with dashes or underscores.

    Raises:
        SetupError: There is none.
    """
    name = hook_name(text.lower()).removeprefix("hook_")
    if name not in HOOKS:
        near = get_close_matches(name, HOOKS, 1, 0.0)
        raise SetupError(f"there is no hook {text!r}; did you mean {near[0]!r}?")
    return HOOKS[name]


def _short(hook: Hook) -> tuple[str, str]:
    answers = "(ignored)" if hook.ignored else ",".join(c.name for c in _constants(hook))
    return ",".join(hook.arguments) or "-", answers


def _constants(hook: Hook) -> list[Constant]:
    """Those that it takes, in the order of the table on the site."""
    order = (OK, DECLINED, *(c for c in Constant if c not in (OK, DECLINED)))
    return [constant for constant in order if constant in hook.effects]


def describe(hook: Hook) -> Iterator[str]:
    """One hook in full, line by line."""
    yield f"{hook.name}: {hook.meaning}"
    yield ""
    arguments = [f", {name}: {kind}" for name, kind in hook.arguments.items()]
    yield f"  {'def' if hook.sync else '[async] def'} hook_{hook.name}(self{''.join(arguments)})"
    yield ""
    if hook.ignored:
        yield "Answers: whatever is returned changes nothing."
    else:
        yield "Answers:"
        for constant in _constants(hook):
            yield f"  {constant.name:<20} {effect_text(hook, constant)}"
    yield ""
    if hook.sync:
        yield "Time limit: none, as it is reached from plain calls: be quick."
    else:
        yield f"Time limit: {hook.time_limit:g} s for each plugin."
    if hook.example:
        yield f"In use: {hook.example}"
    yield ""
    yield from line_options(option for option in LINE_OPTIONS if _concerns(option, hook))
    yield ""
    yield "Example:"
    from qpsdk.scaffold.compose import code_of_plugin

    yield from code_of_plugin([hook.name]).methods.splitlines()


def _concerns(option: LineOption, hook: Hook) -> bool:
    """Whether an option of a plugin's line changes something in a hook."""
    match option.name:
        case "timeout":
            return not hook.sync
        case "on_error":
            return DENYSOFT in hook.effects and hook.name != "queue"
    return True


def effect_text(hook: Hook, constant: Constant) -> str:
    """What a constant does in a hook, in words.

    >>> effect_text(HOOKS["rcpt"], DECLINED)
    'by all plugins: 450 4.7.1 No plugin took this recipient, try again later'
    """
    effect = hook.effects[constant]
    if constant is DONE:
        return _done(hook)
    told = _reply_text(effect) if effect.code else "the host goes on"
    if constant is OK and hook.value:
        told = f"with a {hook.value}: it is used"
    return f"by all plugins: {told}" if constant is DECLINED else told


def _done(hook: Hook) -> str:
    if hook.name == "queue_pre":
        return "the plugin has taken care of the message: it is not queued"
    return "the plugin has answered the client itself, by connection.respond()"


def _reply_text(effect: Effect) -> str:
    text = effect.text.format(me="ME")
    words = [str(effect.code), *([effect.enhanced] if effect.enhanced else []), text]
    return " ".join([*words, *(["(closes)"] if effect.close else [])])
