"""Makes a plugin that is one file, for a folder that `config/plugin_dirs` names."""

from pathlib import Path
from typing import Final

from qpsdk.scaffold.compose import code_of_plugin
from qpsdk.scaffold.names import Names
from qpsdk.scaffold.project import DEFAULT_DESCRIPTION, Answers, free_path, sentence

_HEAD: Final = '''\
"""{summary}

Name this file's folder in config/plugin_dirs, and the plugin in config/plugins:

    {name}

`qpsdk check --config CONFIG` says whether the host finds it.
"""

{imports}

{constants}class {class_name}(Plugin):
    """{summary}

    There is one instance for all clients: keep what belongs to a client or to a message in
    `connection.notes` or `transaction.notes`. What each hook does here is an example: put your
    rules in its place. `qpsdk hooks` lists all hooks, and what each may answer.
    """

{methods}
'''


def single_file(answers: Answers, folder: Path) -> Path:
    """Write a plugin into a file of its own.

    Returns:
        The file.

    Raises:
        SetupError: There is something already, or no such folder.
    """
    path = free_path(folder, f"{answers.names.package}.py")
    path.write_text(plugin_file(answers), encoding="utf-8")
    return path


def plugin_file(answers: Answers) -> str:
    """The text of the file."""
    names: Names = answers.names
    code = code_of_plugin(answers.hooks or ("rcpt",))
    text = _HEAD.format(
        summary=sentence(answers.description or DEFAULT_DESCRIPTION),
        name=names.package,
        class_name=names.class_name,
        imports=code.imports,
        constants=code.constants + "\n\n\n" if code.constants else "\n",
        methods=code.methods,
    )
    return text + (f"\n\n{code.helpers}\n" if code.helpers else "")
