"""Makes the plugins that `config/plugins` names: each gets its host, its words, and its hooks."""

import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from qpsdk.config import Line
from qpsdk.constants import LOGWARN, LogLevel
from qpsdk.dispatcher import Dispatcher
from qpsdk.errors import ConfigError, PluginError, SetupError
from qpsdk.finder import PluginLine, find, plugin_directories, what_and_where
from qpsdk.host import Host
from qpsdk.log import Scene, log, scene, text_of
from qpsdk.plugin import LINE_OPTIONS, Plugin, PluginOptions, bound_signature, place, without_hook

ASKED_BY_HOST: Final = ("config", "user_config")
"""Hooks that the host runs itself, from plain calls."""

_LOG_LEVEL: Final = re.compile(r"[+-]?[0-7]")


class WordsError(PluginError):
    """A plugin does not take the words of its line."""


def load(host: Host, begun: list[Plugin] | None = None) -> Dispatcher:
    """The plugins of `config/plugins`, registered, in that order.

    Args:
        begun: Is given each as soon as it is registered, for whoever ends them if a later one
            cannot be loaded.

    Raises:
        ConfigError: A line cannot be read; file, line and remedy are in it.
        PluginError: A plugin cannot be loaded; file and line are in it.
    """
    plugins: list[Plugin] = [] if begun is None else begun
    for _, loaded in load_lines(host):
        if isinstance(loaded, SetupError):
            raise loaded
        plugins.append(loaded)
    return Dispatcher(plugins, host.run_blocking)


def load_lines(host: Host) -> Iterator[tuple[Line, Plugin | SetupError]]:
    """Each line of `config/plugins`, with its plugin, registered, or with what is wrong.

    Raises:
        ConfigError: The file cannot be read.
    """
    config = host.configuration
    directories = plugin_directories(config)
    for line in config.lines("plugins"):
        try:
            yield line, load_one(PluginLine.parse(line.text), host, directories)
        except ValueError as error:
            yield line, config.error("plugins", line, str(error))
        except ConfigError as error:  # a setting of the plugin, told with its own place
            yield line, error
        except PluginError as error:
            told = type(error)(str(config.error("plugins", line, str(error))))
            told.__cause__ = error.__cause__
            yield line, told


def load_one(line: PluginLine, host: Host, directories: list[Path] | None = None) -> Plugin:
    """One plugin, registered.

    Args:
        directories: Where to look for it as a file, before the installed ones.

    Raises:
        PluginError: It cannot be found, is no plugin, or does not take its arguments.
    """
    plugin = new_plugin(find(line, directories or []), line.name)
    register(plugin, host, line.words, dict(line.options))
    return plugin


def new_plugin(plugin_class: type[Plugin], name: str) -> Plugin:
    """A plugin of its class, not registered yet.

    Raises:
        PluginError: Its ``__init__`` fails, or takes arguments.
    """
    try:
        signature = inspect.signature(plugin_class)
        signature.bind()
    except ValueError:  # nothing tells what it takes
        pass
    except TypeError:
        takes = ", ".join(signature.parameters)
        raise PluginError(
            f"{name}: its __init__() takes ({takes}), but is given nothing;"
            f" take the words of its line in register(self, qp, {takes})"
            f"{place(plugin_class.__init__)}"
        ) from None
    try:
        plugin = plugin_class()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{name}: failed in __init__(): {what_and_where(error)}") from error
    if not hasattr(plugin, "registrations"):
        raise PluginError(f"{name}: its __init__() has to call super().__init__()")
    plugin.name = name
    return plugin


def register(plugin: Plugin, host: Host, words: tuple[str, ...], options: dict[str, str]) -> None:
    """Give a plugin its host and its arguments, and have it register its hooks.

    Raises:
        PluginError: It does not take them, fails in `register`, or has a hook that is none.
    """
    plugin.options = _host_options(plugin.name, options)
    plugin.attach(host)
    if inspect.iscoroutinefunction(plugin.register):
        raise PluginError(f"{plugin.name}: register() is async; it has to be a plain def")
    signature = bound_signature(plugin.name, plugin.register)
    if not signature.parameters:
        raise PluginError(f"{plugin.name}: register() takes no host; write def register(self, qp)")
    try:
        signature.bind(host, *words, **options)
    except TypeError as error:
        given = " ".join([*words, *(f"{key}={value}" for key, value in options.items())])
        raise WordsError(
            f"{plugin.name}: {error}; given: {given or 'no arguments'};"
            f" it takes: {usage(plugin.name, signature)}{spelling_hint(words, signature)}"
        ) from None
    scene_before = scene.get()
    scene.set(Scene(hook="register", plugin=plugin.name))
    try:
        plugin.register(host, *words, **options)
        plugin.register_named_hooks()
        if told := without_hook(plugin):
            log(LOGWARN, told)
    except (PluginError, ConfigError):
        raise
    except ValueError as error:  # how a plugin says that an argument is wrong
        told = text_of(error) or f"failed in register(): {what_and_where(error)}"
        raise PluginError(f"{plugin.name}: {told}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{plugin.name}: failed in register(): {what_and_where(error)}"
        ) from error
    finally:
        scene.set(scene_before)
    for hook, method, first in plugin.registrations:
        if hook in ASKED_BY_HOST:
            host.add_hook(hook, plugin.name, method, first=first)


def usage(name: str, signature: inspect.Signature) -> str:
    """The line in `config/plugins` that gives a plugin all that its `register` takes."""
    words: list[str] = []
    for parameter in list(signature.parameters.values())[1:]:
        if parameter.kind is parameter.VAR_POSITIONAL:
            words.append(f"[{parameter.name} ...]")
        elif parameter.kind is parameter.VAR_KEYWORD:
            words.append(f"[{parameter.name}=... ...]")
        else:
            named = parameter.kind is parameter.KEYWORD_ONLY
            word = f"{parameter.name}=..." if named else parameter.name.upper()
            words.append(word if parameter.default is parameter.empty else f"[{word}]")
    return " ".join([name, *words])


def spelling_hint(words: tuple[str, ...], signature: inspect.Signature | None = None) -> str:
    """What to write in place of ``wait 2 loglevel 5``, which is qpsmtpd's spelling.

    Args:
        signature: What the plugin takes; without one only the host's ``loglevel`` is looked for.
    """
    parameters = signature.parameters.values() if signature is not None else ()
    named = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    old: list[str] = []
    new: list[str] = []
    for word, value in pairwise(words):
        if word == "loglevel" and "maxlevel" in named:  # of a logging plugin: what it writes
            key = "maxlevel"
        elif word in named or (word == "loglevel" and _LOG_LEVEL.fullmatch(value)):
            key = word
        else:
            continue
        old.append(f"{word} {value}")
        new.append(f"{key}={value}")
    return f"; qpsmtpd's `{' '.join(old)}` is written {' '.join(new)} here" if old else ""


def _host_options(name: str, options: dict[str, str]) -> PluginOptions:
    """Take out of `options` what the host keeps for itself."""
    result = PluginOptions()
    for option in LINE_OPTIONS:
        text = options.pop(option.name, None)
        if text is not None and not _is_set(result, option.name, text):
            raise PluginError(f"{name}: {option.name}={text}: write {option.values}")
    return result


def _is_set(kept: PluginOptions, name: str, text: str) -> bool:
    """Keep the value of one; False if it is none."""
    match name:
        case "timeout":
            valid = text.isascii() and text.isdigit() and int(text) > 0
            kept.timeout = float(text) if valid else None
        case "on_error":
            valid = text in ("declined", "denysoft")
            kept.on_error = text
        case _:
            valid = _LOG_LEVEL.fullmatch(text) is not None
            if valid and text.isdigit():
                kept.loglevel = LogLevel(int(text))
            elif valid:
                kept.loglevel_shift = int(text)
    return valid
