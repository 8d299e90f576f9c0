"""Make the pages of the reference from what the program itself goes by: nothing is said twice."""

import inspect
import platform
import re
import textwrap
from collections.abc import Iterable

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.testing import CliRunner

from qpsdk import __version__, qpsmtpd
from qpsdk.cli import app
from qpsdk.cli.plugins import registers_more
from qpsdk.constants import DONE, Constant, LogLevel
from qpsdk.finder import PluginLine, bundled_plugins, find
from qpsdk.hooks import HOOKS, Effect, Hook
from qpsdk.plugin import LINE_OPTIONS, Plugin
from qpsdk.scaffold.compose import code_of_plugin
from qpsdk.settings import SETTINGS
from qpsdk.testing import transcripts

ME = "mx.example.com"


def hooks_page() -> str:
    """Every hook of the table, in the order in which a message meets them."""
    users = _hooks_of_plugins()
    rows = [
        (f"[`{hook.name}`](#{hook.name})", f"`{', '.join(hook.arguments) or '-'}`", hook.meaning)
        for hook in HOOKS.values()
    ]
    return "\n".join(
        [
            "# Hooks",
            "",
            "In the order in which a message meets them. A method named `hook_` and the hook's"
            " name is registered by itself; a dash in the name is an underscore. The first answer"
            " that is not DECLINED ends the hook. `qpsdk hooks` shows this page in a terminal.",
            "",
            "<!-- diagram: dispatch -->",
            "",
            *_table(("hook", "arguments", "when"), rows),
            *(line for hook in HOOKS.values() for line in _hook(hook, users[hook.name])),
        ]
    )


def _hook(hook: Hook, users: list[str]) -> Iterable[str]:
    yield f"\n## {hook.name} {{ #{hook.name} }}\n"
    yield hook.meaning + "\n"
    parameters = ["self", *(f"{name}: {type_}" for name, type_ in hook.arguments.items())]
    result = "None" if hook.ignored else "Result"
    signature = f"def hook_{hook.name}({', '.join(parameters)}) -> {result}: ..."
    yield f"```python\n{_narrow(signature)}\n```\n"
    yield "For example:\n"
    example = textwrap.dedent(code_of_plugin([hook.name]).methods)
    yield f"```python\n{_narrow(example)}\n```\n"
    notes = [f"Time limit: {hook.time_limit:g} s for each plugin."]
    if hook.sync:
        notes = ["It is reached from plain calls: `async def` and `@blocking` are refused."]
    if hook.value:
        notes.append(f"What comes with OK is used: `{hook.value}`.")
    if hook.ignored:
        notes.append("Whatever is answered changes nothing.")
    if users:
        notes.append("In use: " + ", ".join(f"[`{n}`](plugins.md#{_anchor(n)})" for n in users))
    yield " ".join(notes) + "\n"
    if not hook.ignored:
        rows = [(f"{c.name}", *_effect(c, effect)) for c, effect in hook.effects.items()]
        yield from _table(("answer", "reply", "then"), rows)


def _narrow(code: str) -> str:
    """The same with signatures that fit the page, as ruff would write them for its width."""
    return SIGNATURE.sub(_folded, code)


def _folded(found: re.Match[str]) -> str:
    if len(found[0]) <= WIDTH:
        return found[0]
    head, parameters, end = found.groups()
    in_one = f"    {parameters}"
    if len(in_one) > WIDTH:
        in_one = textwrap.indent(re.sub(r", (?=\w+:)", ",\n", parameters) + ",", "    ")
    return f"{head}\n{in_one}\n{end}"


def _effect(constant: Constant, effect: Effect) -> tuple[str, str]:
    if constant is DONE:
        return "the plugin's own", ""
    if not effect.code:
        return "none", "the dialogue goes on"
    text = str(effect.reply(ME)).replace("\n", "<br>")
    return f"`{text}`", "the connection is closed" if effect.close else ""


def constants_page() -> str:
    """The return constants and the log levels."""
    notes = dict(_documented(Constant))
    constants = [
        (f"`{name}`{_anchored(name)}", str(int(value)), notes[name])
        for name, value in Constant.__members__.items()
    ]
    levels = [
        (f"`{name}`{_anchored(name)}", str(int(value)))
        for name, value in LogLevel.__members__.items()
    ]
    return "\n".join(
        [
            "---\nsearch: {boost: 20}\n---\n",  # else they drown in the pages that use them
            "# Constants and log levels",
            "",
            "The numbers are qpsmtpd's.",
            "",
            "## Constants",
            "",
            "A hook returns a constant, or a constant and a message.",
            "",
            *_table(("constant", "value", "meaning"), constants),
            "",
            *_class("Constant"),
            "",
            "## Log levels",
            "",
            "A line is written if its level is at most `config/loglevel`.",
            "",
            *_table(("level", "value"), levels),
            "",
            *_class("LogLevel"),
        ]
    )


def _anchored(name: str) -> str:
    return f"[](){{ #qpsdk.{name} }}"  # where a link to the name goes, as to any other of the API


def _class(name: str) -> Iterable[str]:
    members = "[is_denial]" if name == "Constant" else "[parse]"
    yield f"::: qpsdk.{name}"
    yield "    options:"
    yield f"        members: {members}"
    yield "        heading_level: 3"


def _documented(enum: type[Constant]) -> Iterable[tuple[str, str]]:
    """Each member's docstring, which only the source has."""
    name = ""
    for line in inspect.getsource(enum).splitlines():
        word, _, rest = line.strip().partition(" = ")
        if rest.isdigit():
            name = word
        elif name and line.strip().startswith('"""'):
            yield name, line.strip().strip('"')
            name = ""


def plugins_page() -> str:
    """The bundled plugins: what their files say of themselves."""
    lines = [
        "# Bundled plugins",
        "",
        "Each is written only against the public API, as yours is. `qpsdk plugins NAME` shows one"
        " in a terminal.",
        "",
        *_line_options(),
    ]
    for name, plugin_class in _bundled().items():
        hooks = [f"[`{hook}`](hooks.md#{hook})" for hook in _hooks(plugin_class)]
        if registers_more(plugin_class):
            hooks.append("what its line asks for")
        doc = inspect.getdoc(inspect.getmodule(plugin_class)) or ""
        lines += [f"\n## {name} {{ #{_anchor(name)} }}\n", _fenced(doc), ""]
        lines.append(f"Hooks: {', '.join(hooks)}")
    return "\n".join(lines)


def _line_options() -> Iterable[str]:
    """What the host takes on the line of every plugin."""
    yield "The host takes these on the line of any plugin in `config/plugins`:"
    yield ""
    rows = [(f"`{o.name}=`", o.values, o.default, o.meaning) for o in LINE_OPTIONS]
    yield from _table(("option", "values", "default", "meaning"), rows)


def _fenced(doc: str) -> str:
    """A docstring's literal blocks (``::`` and an indent) as fences."""
    lines: list[str] = []
    fenced = False
    for line in doc.replace("``", "`").splitlines():
        if fenced and line and not line.startswith("    "):
            lines[-1:] = ["```", ""]  # in place of the empty line before it
            fenced = False
        if line.endswith("::"):
            lines += [line[:-1].rstrip(":") and line[:-1], "", "```text"]
            fenced = True
        elif not (fenced and not line and lines[-1] == "```text"):
            lines.append(line.removeprefix("    ") if fenced else line)
    return "\n".join([*lines, *(["```"] if fenced else [])])


def _bundled() -> dict[str, type[Plugin]]:
    return {name: find(PluginLine.parse(name), []) for name in bundled_plugins()}


def _hooks(plugin_class: type[Plugin]) -> list[str]:
    return [name for name in HOOKS if hasattr(plugin_class, f"hook_{name}")]


def _hooks_of_plugins() -> dict[str, list[str]]:
    users: dict[str, list[str]] = {name: [] for name in HOOKS}
    for name, plugin_class in _bundled().items():
        for hook in _hooks(plugin_class):
            users[hook].append(name)
    return users


def _anchor(name: str) -> str:
    return name.replace("/", "-").replace("_", "-")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def settings_page() -> str:
    """The settings: a file of the config directory each."""
    rows = [
        (
            f"`{setting.name}`",
            setting.meaning + (" Any number of lines." if setting.several else ""),
            setting.shown_default,
            setting.taken_up,
        )
        for setting in SETTINGS.values()
    ]
    return "\n".join(
        [
            "---\nhide: [toc]\n---\n",
            "# Settings",
            "",
            "Each is a file of the config directory, a value a line; empty lines and lines that"
            " begin with `#` say nothing, and `$include FILE` stands for the lines of another"
            " file. The directory is looked at no more than once a second, and read again when"
            " a file has changed: whoever is connected keeps the settings that it began with, and a"
            " directory with a mistake in it changes nothing and is reported in the log."
            " `qpsdk check --config DIR` says everything that is wrong with one, and"
            " `qpsdk settings` shows this page in a terminal.",
            "",
            *_table(("file", "meaning", "default", "a change is taken up by"), rows),
            "",
            "## Options of a plugin's line",
            "",
            *_line_options(),
        ]
    )


def qpsmtpd_page() -> str:
    """What `qpsdk check` says of qpsmtpd's plugins and settings that are not here."""
    plugins = [(f"`{name}`", _linked(text)) for name, text in sorted(qpsmtpd.PLUGINS.items())]
    settings = [(f"`{name}`", _linked(text)) for name, text in sorted(qpsmtpd.SETTINGS.items())]
    return "\n".join(
        [
            "# qpsmtpd's plugins and settings",
            "",
            "What is not here is not found as it was; what is found as it was is under"
            " [Bundled plugins](plugins.md) and [Settings](settings.md). `qpsdk check --config DIR`"
            " says the same of each line of a config directory as qpsmtpd has it.",
            "",
            "## Plugins",
            "",
            "A dash in a name counts as an underscore.",
            "",
            *_table(("qpsmtpd", "here"), plugins),
            "",
            "## Settings",
            "",
            *_table(("qpsmtpd", "here"), settings),
        ]
    )


def _linked(text: str) -> str:
    """A sentence in which the pages that it names are links."""
    return re.sub(r"docs/(how-to/([a-z-]+)\.md)", r"[\2](../\1)", text)


def commands_page() -> str:
    """What each command says of itself."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    lines = ["# Command line", "", COMMANDS, ""]
    for name in sorted(group.commands):
        shown = CliRunner().invoke(app, [name, "--help"], env=PLAIN, prog_name="qpsdk").output
        text = "\n".join(line.rstrip() for line in shown.strip().splitlines())
        lines += [f"## qpsdk {name}", "", "```text", text, "```", ""]
    return "\n".join(lines)


def transcripts_page() -> str:
    """How a transcript is written: what the module that reads them says."""
    lines = _fenced(inspect.getdoc(transcripts) or "").splitlines()
    return "\n".join(
        ["# Transcripts", "", *(f"- {line}" if TERM.fullmatch(line) else line for line in lines)]
    )


SIGNATURE = re.compile(r"^((?:async )?def \w+\()(.*)(\) -> .*)$", re.MULTILINE)
"""The line that begins a function, up to its parameters, those, and the rest."""

WIDTH = 88
"""Columns of code that the page has room for."""

COMMANDS = (
    "What each says to `--help`. Where the package is installed, `qpsdk` is on the path; in a clone"
    " it is `.venv/bin/qpsdk`, and `python -m qpsdk` is the same everywhere."
)

TERM = re.compile(r"`[^`]+`")
"""What a definition begins with: a line of its own, explained below it."""

PLAIN = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}

PAGES = {
    "hooks": hooks_page,
    "constants": constants_page,
    "settings": settings_page,
    "plugins": plugins_page,
    "qpsmtpd": qpsmtpd_page,
    "commands": commands_page,
    "transcripts": transcripts_page,
}
"""By their names under `reference/`."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Say at the foot of every page which version it is about, and was made and tested with."""
    config.copyright = f"qpsdk {__version__}, run on Python {platform.python_version()}"
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages before mkdocs reads the navigation."""
    for name, page in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    return files
