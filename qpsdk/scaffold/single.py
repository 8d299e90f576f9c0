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
        OSError: It cannot be written; then there is none.
    """
    text = plugin_file(answers)
    path = free_path(folder, f"{answers.names.package}.py")
    file = path.open("x", encoding="utf-8")
    try:
        with file:
            file.write(text)
    except BaseException:  # Ctrl-C, too: half a plugin would be loaded, or in the way
        path.unlink(missing_ok=True)
        raise
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
