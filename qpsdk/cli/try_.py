"""`qpsdk try`: a message through one plugin, in memory, with all that is said and answered."""

from pathlib import Path
from typing import Annotated

import typer

from qpsdk.cli.app import app
from qpsdk.cli.show import check_said, directory
from qpsdk.constants import LogLevel
from qpsdk.errors import SetupError


@app.command("try")
def try_(  # noqa: PLR0917 - each is an option
    plugin: Annotated[
        str | None,
        typer.Argument(
            metavar="PLUGIN",
            help="Its name, or the path of its file, such as ./greylist.py.",
            show_default=False,
        ),
    ] = None,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD|KEY=VALUE", help="The rest of its line."),
    ] = None,
    sender: Annotated[str, typer.Option("--from", help="The sender; '' for the null sender.")] = (
        "sender@example.org"
    ),
    to: Annotated[list[str] | None, typer.Option(help="A recipient; may be repeated.")] = None,
    helo: Annotated[str, typer.Option(help="What the client calls itself.")] = (
        "client.example.org"
    ),
    ip: Annotated[str, typer.Option(help="The client's address.")] = "192.0.2.1",
    message: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The message, - for standard input; else a sample."),
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="Tell the plugins that the connection is encrypted.")
    ] = False,
    relay: Annotated[bool, typer.Option("--relay", help="The client may relay.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            parser=directory,
            envvar="QPSDK_CONFIG",
            metavar="DIR",
            help="A config directory: settings for the plugin, or without one all of its plugins.",
            show_default=False,
        ),
    ] = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Let qp.connect reach other servers.")
    ] = False,
    post_mortem: Annotated[
        bool, typer.Option("--pdb", help="Enter the debugger where a hook raises an exception.")
    ] = False,
    loglevel: Annotated[str, typer.Option(help="Show the log up to this level.")] = "LOGINFO",
) -> None:
    """Try a plugin on one message, and show each hook, its answer, the reply and the time.

    Nothing is listened on, and qp.connect is refused without --connect. What a plugin does by
    itself it does for real, such as writing files and opening sockets of its own. What one plugin
    alone has no opinion on is accepted behind it, by (try), so that the dialogue goes on.

    breakpoint() in a hook works, and no time limit counts while you look around.

    Exit status: 0 if the message was accepted, 1 if it was refused or a hook failed, 2 if the
    plugin cannot be loaded.
    """
    from rich.console import Console

    from qpsdk import trial

    if plugin is None and config is None:
        raise SetupError("name a plugin, or a config directory with --config")
    try:
        level = LogLevel.parse(loglevel)
    except ValueError as error:
        raise SetupError(f"--loglevel: {error}") from None
    check_said(sender, *(to or ()), helo)
    envelope = trial.Envelope(sender, to or ["recipient@example.com"], helo, ip, relay, tls)
    tried = trial.Trial(Console(highlight=False, soft_wrap=True), level, post_mortem=post_mortem)
    tried.load(plugin, words or [], config, may_connect=connect)
    raise typer.Exit(0 if tried.run(envelope, message) else 1)
