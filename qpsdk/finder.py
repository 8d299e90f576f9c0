"""Finds the class that a name in `config/plugins` means, and says precisely why there is none."""

import ast
import builtins
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from qpsdk.config import Config
from qpsdk.errors import PluginError
from qpsdk.log import text_of
from qpsdk.plugin import Plugin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS: Final = "qpsdk.plugins"
"""The entry point group in which installed packages offer plugins."""

MODULE_PREFIX: Final = "qpsdk_plugin/"
"""What the modules are called that are made of files in `config/plugin_dirs`."""

_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"  # never "..", so a name leads out of no folder
_NAME: Final = re.compile(rf"(?P<name>{_PART}(?:/{_PART})*)(?::[0-9]+)?")
_OPTION: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_PACKAGE: Final = str(Path(__file__).parent)
_PLUGINS: Final = str(Path(__file__).parent / "plugins")
_IMPORTERS: Final = (str(Path(importlib.__file__).parent), "<frozen importlib")


@dataclass(frozen=True, slots=True)
class PluginLine:
    """One line of `config/plugins`: ``name[:N] word word key=value``.

    Attributes:
        name: As written, with its ``:N``.
        target: What to load: the name without ``:N``.
        words: The bare words, in order.
        options: The ``key=value`` words.
    """

    name: str
    target: str
    words: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "PluginLine":
        """Read a line.

        >>> PluginLine.parse("queue/qmqp_forward:1 127.0.0.1 628 timeout=60").options
        (('timeout', '60'),)

        Raises:
            ValueError: The name is none, an option is there twice, or a comment stands behind.
        """
        name, *rest = text.split() or [""]
        if any(word.startswith("#") for word in rest):
            raise ValueError(f"{name}: a comment stands on a line of its own")
        match = _NAME.fullmatch(name)
        if match is None:
            remedy = "write one such as queue/qmqp_forward"
            if name.startswith((".", "/", "~")) and _NAME.fullmatch(last := Path(name).stem):
                remedy = f"name its folder in config/plugin_dirs, and write {last}"
            raise ValueError(f"{name!r} is no plugin name; {remedy}")
        found = [_OPTION.fullmatch(word) for word in rest]
        words = tuple(word for word, option in zip(rest, found, strict=True) if option is None)
        options = tuple((option[1], option[2]) for option in found if option is not None)
        if len(dict(options)) < len(options):
            raise ValueError(f"{name}: an option is given twice")
        return cls(name, match["name"], words, options)


class UnknownPluginError(PluginError):
    """There is no plugin of this name."""


def plugin_directories(config: Config) -> list[Path]:
    """Where `config/plugin_dirs` says that plugins are. Raises as `Config.lines`."""
    return [config.resolve(text) for text in config.get("plugin_dirs")]


def find(line: PluginLine, directories: list[Path]) -> type[Plugin]:
    """The class that a name in `config/plugins` means.

    Looked for as a file in `directories`, a bundled plugin, an entry point, a dotted name.
    qpsmtpd's spelling, with a dash for an underscore, is found too.

    Raises:
        PluginError: There is none, with all the places that were looked at.
    """
    target = line.target
    name = target.replace("-", "_")
    looked: list[str] = []
    for directory in directories:
        for path in (directory / f"{target}.py", directory / f"{name}.py"):
            if os.path.isfile(path):  # a Path raises for a name that is too long, or out of reach
                return _only_plugin(_import_file(path, line.name), path)
        looked.append(str(path))
    if name in bundled_plugins():
        with _importing(f"bundled plugin {name}"):
            module = importlib.import_module("qpsdk.plugins." + name.replace("/", "."))
            return _only_plugin(module, Path(module.__file__ or name))
    installed = _installed_plugins()
    if name in installed:
        with _importing(f"entry point {target}"):
            return _checked(installed[name].load(), f"entry point {target}")
    if target.endswith(".py"):
        raise _named_with_its_ending(target, directories)
    if "." in target and "/" not in target:
        module_name, _, class_name = target.rpartition(".")
        with _importing(target):
            return _checked(getattr(importlib.import_module(module_name), class_name), target)
    known = [*(n for at in directories for n in _names(at)), *bundled_plugins(), *installed]
    near = get_close_matches(name, [n for n in known if n != name], 1)  # a link that leads nowhere
    meant = f"; did you mean {near[0]}?" if near else ""
    own = "" if directories else "; name the folder of one of your own in config/plugin_dirs"
    places = ", ".join([*looked, "a bundled plugin", "an entry point"])
    raise UnknownPluginError(f"{target}: no such plugin{meant} (looked for: {places}{own})")


def _named_with_its_ending(target: str, directories: list[Path]) -> UnknownPluginError:
    """What to tell of a name such as ``mail/greet.py``."""
    bare = target.removesuffix(".py")
    folder, _, last = bare.rpartition("/")
    remedy = f"write {bare}"
    if folder and not any(os.path.isfile(directory / target) for directory in directories):
        remedy = f"name its folder in config/plugin_dirs, and write {last}"
    return UnknownPluginError(f"{target}: a plugin is named without .py; {remedy}")


def bundled_plugins() -> list[str]:
    """The names of the plugins in this package."""
    return _names(Path(_PLUGINS))


def available(directories: list[Path]) -> Iterator[tuple[str, str]]:
    """The plugins that `find` would look through, by name, and where each comes from.

    A name that comes again is hidden by the first. Of the files in `directories`, those are left
    out that surely have no plugin: tests and scripts that lie beside it are not to be run.
    """
    for directory in directories:
        for name in _names(directory):
            if _may_have_plugin(directory / f"{name}.py"):
                yield name, str(directory)
    yield from ((name, "bundled") for name in bundled_plugins())
    for name, entry in sorted(_installed_plugins().items()):
        package = entry.dist.name if entry.dist is not None else entry.module
        yield name, f"package {package}"


def _installed_plugins() -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points  # takes 15 ms, and few hosts need it

    return {entry.name.replace("-", "_"): entry for entry in entry_points(group=ENTRY_POINTS)}


def _names(directory: Path) -> list[str]:
    """The names of the plugins that are files in `directory`, or below it.

    Folders that no name can lead into are passed over, hidden ones among them; and virtual
    environments.
    """
    names: list[str] = []
    for folder, below, files in os.walk(directory):
        below[:] = [n for n in below if re.fullmatch(_PART, n) and not n.startswith("__")]
        if "pyvenv.cfg" in files:
            below.clear()
            continue
        at = Path(folder).relative_to(directory)
        stems = (Path(n).stem for n in files if n.endswith(".py") and not n.startswith(("_", ".")))
        names += [(at / stem).as_posix() for stem in stems]
    return sorted(names)


def _may_have_plugin(path: Path) -> bool:
    """Whether a file has a class that may be a `Plugin`, or cannot be read.

    It is one with a base that is not Python's own; which it is, only an import would tell.
    """
    try:
        todo: list[ast.AST] = [ast.parse(path.read_bytes())]
    except (OSError, SyntaxError, ValueError):
        return True  # `find` says why it cannot
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ClassDef):
            names = [base.id if isinstance(base, ast.Name) else "" for base in node.bases]
            if any(not hasattr(builtins, name) for name in names):
                return True
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += ast.iter_child_nodes(node)
    return False


def _import_file(path: Path, name: str) -> ModuleType:
    # A module for each line of `config/plugins`, as in qpsmtpd; what is imported there, such as
    # dataclasses and pickle, may look for it among Python's modules.
    module_name = f"{MODULE_PREFIX}{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(module_name)
    sys.modules[module_name] = module
    try:
        with _importing(str(path)):
            spec.loader.exec_module(module)
    except PluginError:
        del sys.modules[module_name]
        if before is not None:  # of a host that cannot reload, and goes on as it is
            sys.modules[module_name] = before
        raise
    return module


@contextmanager
def _importing(what: str) -> Iterator[None]:
    """Turn whatever an author's module does when it is imported into a PluginError."""
    try:
        yield
    except PluginError:
        raise
    except SyntaxError as error:
        raise PluginError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        raise PluginError(f"{what}: cannot be imported: {what_and_where(error)}") from error


def what_and_where(error: BaseException) -> str:
    """What went wrong, and on which line of the plugin or of what it called."""
    lines = [
        f" ({frame.filename}:{frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_IMPORTERS)
        and (frame.filename.startswith(_PLUGINS) or not frame.filename.startswith(_PACKAGE))
    ]
    told = f"{type(error).__name__}: {text_of(error)}".removesuffix(": ")
    return told + (lines[-1] if lines else "")


def _only_plugin(module: ModuleType, path: Path) -> type[Plugin]:
    classes = {  # what is imported from elsewhere is not the file's own
        value.__name__: value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Plugin)
        and value.__module__ == module.__name__
    }
    if len(classes) != 1:
        found = ", ".join(classes) or "none"
        remedy = "give each a file of its own" if classes else "write class NAME(Plugin)"
        raise PluginError(f"{path}: one subclass of Plugin expected, found {found}; {remedy}")
    return classes.popitem()[1]


def _checked(value: object, target: str) -> type[Plugin]:
    if isinstance(value, type) and issubclass(value, Plugin):
        return value
    raise PluginError(f"{target}: is {value!r}, not a subclass of Plugin")
