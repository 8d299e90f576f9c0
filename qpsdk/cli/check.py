"""`qpsdk check` and `qpsdk order`: what a config directory means, before it is served."""

from inspect import iscoroutinefunction
from typing import Annotated

import typer

from qpsdk import log
from qpsdk.cli.app import app
from qpsdk.cli.hooks import known_hook
from qpsdk.cli.show import ConfigDirectory, table
from qpsdk.config import Config
from qpsdk.dispatcher import Dispatcher, Step
from qpsdk.hooks import HOOKS


@app.command()
def check(config: ConfigDirectory) -> None:
    """Say all that is wrong with a config directory, with file and line, and what would be right.

    An error keeps the host from starting; a warning does not. Exit status 2 if there are errors,
    else 0.

    The plugins are loaded and their register() is run, as when the host starts. Nothing else
    happens: nothing is listened on, and no spool folder is made.
    """
    from qpsdk import check

    log.configure()
    findings = check.check(config)
    for finding in findings:
        typer.echo(finding)
    errors = sum(finding.is_error for finding in findings)
    warnings = len(findings) - errors
    typer.echo(f"{config}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    if errors:
        raise typer.Exit(2)


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


@app.command()
def order(
    config: ConfigDirectory,
    hook: Annotated[
        str | None, typer.Argument(metavar="[HOOK]", help="Only this one, such as rcpt.")
    ] = None,
) -> None:
    """Show hook by hook which plugins run, in which order, and how long each may take.

    The plugins are loaded and their register() is run, as when the host starts.
    """
    from qpsdk.check import dry_host
    from qpsdk.loader import load

    log.configure()
    names = [known_hook(hook).name] if hook else list(HOOKS)
    host = dry_host(Config(config))
    try:
        dispatcher = load(host)
    finally:
        host.spool.close()
    rows = [row for name in names for row in _rows(dispatcher, name)]
    if hook and not rows:
        typer.echo(f"no plugin has the hook {names[0]}", err=True)
        return
    table(("hook", "nr", "plugin", "limit", "method", "runs"), rows)


def _rows(dispatcher: Dispatcher, hook: str) -> list[tuple[str, ...]]:
    return [
        (hook, str(n), step.plugin, _limit(hook, step), _method(step), _runs(step))
        for n, step in enumerate(dispatcher.steps(hook), 1)
    ]


def _limit(hook: str, step: Step) -> str:
    return "-" if HOOKS[hook].sync else f"{step.time_limit:g}s"


def _method(step: Step) -> str:
    return str(getattr(step.method, "__name__", step.method))


def _runs(step: Step) -> str:
    if step.blocking:
        return "in a thread"
    return "async" if iscoroutinefunction(step.method) else "at once"
