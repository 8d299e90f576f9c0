"""Finds the plugins that `config/plugins` names, and says precisely what is wrong."""

import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Final

import qpsdk.plugins
from qpsdk.dispatcher import Dispatcher
from qpsdk.errors import ConfigError, PluginError
from qpsdk.plugin import Host, Plugin, PluginOptions

ENTRY_POINTS: Final = "qpsdk.plugins"
"""The entry point group in which installed packages offer plugins."""

_NAME: Final = re.compile(r"(?P<name>[A-Za-z0-9_./-]+)(?::(?P<instance>[0-9]+))?")
_OPTION: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")


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
            ValueError: The name is none.
        """
        name, *rest = text.split()
        match = _NAME.fullmatch(name)
        if match is None or ".." in name or name.startswith(("/", ".", "-")):
            raise ValueError(f"{name!r} is no plugin name; write one such as queue/qmqp_forward")
        options = [_OPTION.fullmatch(word) for word in rest]
        return cls(
            name,
            match["name"],
            tuple(word for word, option in zip(rest, options, strict=True) if option is None),
            tuple((option[1], option[2]) for option in options if option is not None),
        )


def load(host: Host) -> Dispatcher:
    """The plugins of `config/plugins`, registered, in that order.

    Raises:
        ConfigError: A line cannot be read; file, line and remedy are in it.
        PluginError: A plugin cannot be loaded; file and line are in it.
    """
    config = host.configuration
    directories = [Path(text) for text in config.get("plugin_dirs")]
    plugins: list[Plugin] = []
    for line in config.lines("plugins"):
        try:
            plugins.append(load_one(PluginLine.parse(line.text), host, directories))
        except ValueError as error:
            raise ConfigError(str(error), config.path("plugins"), line.number) from None
        except PluginError as error:
            where = f"{config.path('plugins')}:{line.number}: "
            raise PluginError(f"{where}{error}") from error.__cause__
    return Dispatcher(plugins, host.run_blocking)


def load_one(line: PluginLine, host: Host, directories: list[Path] | None = None) -> Plugin:
    """One plugin, registered.

    Args:
        directories: Where to look for it as a file, before the installed ones.

    Raises:
        PluginError: It cannot be found, is no plugin, or does not take its arguments.
    """
    plugin = find(line.target, directories or [])()
    plugin.name = line.name
    register(plugin, host, line.words, dict(line.options))
    return plugin


def register(plugin: Plugin, host: Host, words: tuple[str, ...], options: dict[str, str]) -> None:
    """Give a plugin its host and its arguments.

    Raises:
        PluginError: It does not take them, or fails in `register`.
    """
    plugin.options = _host_options(plugin.name, options)
    plugin.attach(host)
    signature = inspect.signature(plugin.register)
    try:
        signature.bind(host, *words, **options)
    except TypeError as error:
        given = " ".join([*words, *(f"{key}={value}" for key, value in options.items())])
        raise PluginError(
            f"{plugin.name}: {error}; given: {given or 'no arguments'};"
            f" it takes: {_usage(plugin, signature)}"
        ) from None
    try:
        plugin.register(host, *words, **options)
    except (PluginError, ConfigError):
        raise
    except ValueError as error:
        raise PluginError(f"{plugin.name}: {error}") from error
    except Exception as error:
        raise PluginError(
            f"{plugin.name}: failed in register(): {type(error).__name__}: {error}"
        ) from error


def find(target: str, directories: list[Path]) -> type[Plugin]:
    """The class that a name in `config/plugins` means.

    Looked for as a file in `directories`, a bundled plugin, an entry point, a dotted name.
    qpsmtpd's spelling, with a dash for an underscore, is found too.

    Raises:
        PluginError: There is none, with all the places that were looked at.
    """
    relative = Path(target.replace("-", "_") + ".py")
    looked: list[str] = []
    for directory in directories:
        path = directory / relative
        if path.is_file():
            return _only_plugin(_import_file(path, target), path)
        looked.append(str(path))
    if (bundled := Path(target.replace("-", "_")).as_posix()) in bundled_plugins():
        module = importlib.import_module("qpsdk.plugins." + bundled.replace("/", "."))
        return _only_plugin(module, Path(module.__file__ or target))
    for entry in entry_points(group=ENTRY_POINTS, name=target):
        return _checked(entry.load(), f"entry point {target}")
    if "." in target and "/" not in target:
        return _import_dotted(target)
    near = get_close_matches(target, [*bundled_plugins(), *_installed()], 1)
    raise PluginError(
        f"{target}: no such plugin"
        + (f"; did you mean {near[0]}?" if near else "")
        + f" (looked for: {', '.join([*looked, 'a bundled plugin', 'an entry point'])})"
    )


def bundled_plugins() -> list[str]:
    """The names of the plugins in this package."""
    (root,) = [Path(path) for path in qpsdk.plugins.__path__]
    files = (path.relative_to(root).with_suffix("") for path in root.rglob("*.py"))
    return sorted(path.as_posix() for path in files if not path.name.startswith("_"))


def _installed() -> Iterator[str]:
    return (entry.name for entry in entry_points(group=ENTRY_POINTS))


def _import_file(path: Path, target: str) -> ModuleType:
    module_name = f"qpsdk_plugin_{re.sub(r'[^A-Za-z0-9]', '_', target)}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise PluginError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except Exception as error:
        raise PluginError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _import_dotted(target: str) -> type[Plugin]:
    module_name, _, class_name = target.rpartition(".")
    try:
        return _checked(getattr(importlib.import_module(module_name), class_name), target)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{target}: cannot be imported: {error}") from error


def _only_plugin(module: ModuleType, path: Path) -> type[Plugin]:
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Plugin)
        and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        names = ", ".join(c.__name__ for c in classes) or "none"
        raise PluginError(f"{path}: one subclass of Plugin expected, found {names}")
    return classes[0]


def _checked(value: object, target: str) -> type[Plugin]:
    if isinstance(value, type) and issubclass(value, Plugin):
        return value
    raise PluginError(f"{target}: is {value!r}, not a subclass of Plugin")


def _usage(plugin: Plugin, signature: inspect.Signature) -> str:
    """The arguments as a line in `config/plugins` would give them."""
    words: list[str] = []
    for parameter in list(signature.parameters.values())[1:]:
        if parameter.kind is parameter.VAR_POSITIONAL:
            words.append(f"[{parameter.name} ...]")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            words.append(f"[{parameter.name}=...]")
        elif parameter.kind is not parameter.VAR_KEYWORD:
            name = parameter.name.upper()
            words.append(name if parameter.default is parameter.empty else f"[{name}]")
    return " ".join([plugin.name, *words])


def _host_options(name: str, options: dict[str, str]) -> PluginOptions:
    """Take out of `options` what the host keeps for itself."""
    result = PluginOptions()
    if (timeout := options.pop("timeout", None)) is not None:
        if not timeout.isdigit() or int(timeout) == 0:
            raise PluginError(f"{name}: timeout={timeout} is no number of seconds")
        result.timeout = float(timeout)
    if (on_error := options.pop("on_error", None)) is not None:
        if on_error not in ("declined", "denysoft"):
            raise PluginError(f"{name}: on_error={on_error}: write declined or denysoft")
        result.on_error = on_error
    return result
