"""`qpsdk new` and `qpsdk update`: a project for a plugin, and what newer releases give to one."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from qpsdk.cli.app import app
from qpsdk.cli.hooks import known_hook
from qpsdk.errors import SetupError


@app.command()
def new(  # noqa: PLR0917 - Typer gives all of them by name
    name: Annotated[str, typer.Argument(help="Such as greylist-by-domain.")],
    hook: Annotated[
        list[str] | None, typer.Option(help="A hook that it has; may be repeated. Else: rcpt.")
    ] = None,
    description: Annotated[
        str | None, typer.Option(help="What the plugin does, in one sentence.")
    ] = None,
    author: Annotated[str | None, typer.Option(help="Else git's user.name.")] = None,
    dir_: Annotated[
        Path, typer.Option("--dir", help="The folder to put it into; else the current one.")
    ] = Path(),
    single_file: Annotated[
        bool, typer.Option("--single-file", help="Write one file for config/plugin_dirs, only.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    qpsdk: Annotated[
        str | None,
        typer.Option(
            metavar="FROM",
            help="Where the project gets a qpsdk that is not released: a folder or a git address."
            " Else the one that is installed here, if it is none.",
        ),
    ] = None,
) -> None:
    """Make a project for a new plugin: code, tests, config to serve it, CI, a git repository.

    It works as it is; what the plugin does is an example for each of its hooks. Without --yes, what
    is not given is asked for. Needs git, and the extra qpsdk[new]. --single-file needs neither, and
    asks nothing.
    """
    from qpsdk.scaffold import project, single
    from qpsdk.scaffold.names import Names

    hooks = tuple(dict.fromkeys(known_hook(text).name for text in hook or ()))
    source = project.installed_from() if qpsdk is None else project.requirement(qpsdk)
    answers = project.Answers(Names.of(name), description, author, hooks or None, source)
    if not single_file and not yes and not sys.stdin.isatty():
        raise SetupError("there is no terminal to ask at; --yes asks nothing")
    try:
        if single_file:
            made = single.single_file(answers, dir_)
        else:
            made = project.new(answers, dir_, ask=not yes)
    except OSError as error:
        told = f"{dir_}: cannot be written to: {error.strerror or error}"
        raise SetupError(f"{told}; --dir names another folder") from None
    if single_file:
        _say_next_of_file(made)
    else:
        _say_next(made, source)


@app.command()
def update(
    folder: Annotated[Path, typer.Argument(help="The project; else the current folder.")] = Path(),
    check: Annotated[
        bool,
        typer.Option("--check", help="Only say whether there is something; exit status 1 if so."),
    ] = False,
) -> None:
    """Merge what this qpsdk gives to new projects into one that `qpsdk new` has made.

    The branch `template` has the project as it was made: it is made again there, from the answers
    in .qpsdk.toml, and merged. Exit status 1 if files are in conflict, as after git merge.
    """
    from qpsdk.scaffold import project

    conflicts = project.update(folder, dry=check)
    if conflicts is None:
        typer.echo("up to date")
    elif check:
        typer.echo("`qpsdk update` would change something")
        raise typer.Exit(1)
    elif conflicts:
        typer.echo("in conflict, as both you and the template have changed them:")
        typer.echo("".join(f"  {name}\n" for name in conflicts), nl=False)
        typer.echo("solve it and `git commit`, or give it up with `git merge --abort`")
        raise typer.Exit(1)
    else:
        typer.echo("updated; `git show --stat -m HEAD` says what has changed")


def _say_next(folder: Path, source: str) -> None:
    typer.echo(f"{folder} is a project of its own. Next:\n")
    typer.echo(f"  cd {shlex.quote(str(folder))}")
    typer.echo("  make test   # its tests, which are green")
    typer.echo("  make run    # a host that serves it, to send messages to\n")
    typer.echo("README.md says what comes then.")
    if source:
        typer.echo(f"This qpsdk is no release, so qpsdk.txt has: {source}")


def _say_next_of_file(path: Path) -> None:
    typer.echo(f"{path} is a plugin. To try it on one message:\n")
    typer.echo(f"  qpsdk try {shlex.quote(str(path))}\n")
    typer.echo("On a host, with CONFIG for its config directory:\n")
    typer.echo(f"  echo {shlex.quote(str(path.parent.resolve()))} >>CONFIG/plugin_dirs")
    typer.echo(f"  put the line {path.stem} into CONFIG/plugins, at its place")
    typer.echo("  qpsdk check --config CONFIG")
