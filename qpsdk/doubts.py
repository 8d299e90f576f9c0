"""What lets a host start, but hardly as it is meant: `qpsdk check` tells it, and `serve` logs it.

It is found in what is loaded already, so that a host that starts need not load it twice.
"""

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from qpsdk import qpsmtpd
from qpsdk.config import Config
from qpsdk.errors import ConfigError
from qpsdk.finder import PluginLine
from qpsdk.host import Host
from qpsdk.loader import spelling_hint
from qpsdk.plugin import Plugin
from qpsdk.settings import SETTINGS

NEAR: Final = 0.8
"""How alike a file's name and a setting's are, if it is likely to be meant; 1 is the same."""

MAX_KEY: Final = 64 * 1024
"""Bytes of a file that are looked at for a key, which may stand behind a chain of certificates."""

_PRIVATE_KEY: Final = b"PRIVATE KEY-----"

_NEEDED: Final = {
    "rcpt": "no plugin has the hook rcpt, so every recipient is put off; add rcpt_ok",
    "queue": "no plugin has the hook queue, so every message is put off; add one such as"
    " queue/qmqp_forward",
}
"""Hooks without which no mail passes, and what to do."""


def of_host(host: Host, plugins: Sequence[Plugin]) -> Iterator[ConfigError]:
    """All doubts about a host with these plugins, loaded from its config."""
    config = host.configuration
    yield from of_settings(config, host.settings.me)
    yield from of_lines(config, plugins)
    yield from of_hooks(config, plugins)
    yield from of_files(config, host.asked)
    yield from of_secrets(config)


def of_settings(config: Config, me: str) -> Iterator[ConfigError]:
    """Settings that every host should have. `me` is what it calls itself.

    Settings that cannot be read are an error, and no doubt.
    """
    try:
        if not config.lines("me"):
            told = f"not there, so the host calls itself {me}; write its full domain name"
            yield config.error("me", None, told)
        for line in config.lines("plugin_dirs"):
            folder = config.resolve(line.text)
            if not os.path.isdir(folder):  # a Path raises for a name too long, or out of reach
                told = f"{folder} is no folder, so no plugin is found there"
                yield config.error("plugin_dirs", line, told)
    except ConfigError:
        return


def of_lines(config: Config, plugins: Sequence[Plugin]) -> Iterator[ConfigError]:
    """Lines of `config/plugins` that name one of these plugins."""
    loaded = {plugin.name for plugin in plugins}
    first: dict[str, int] = {}
    for line in config.lines("plugins"):
        name = line.text.split()[0]
        if name not in loaded:
            continue
        parsed = PluginLine.parse(line.text)
        if hint := spelling_hint(parsed.words):
            yield config.error("plugins", line, f"{name}: takes any words{hint}")
        if name in first:
            told = (
                f"{name} is named twice, first in line {first[name]};"
                f" if that is meant, write {parsed.target}:1 and {parsed.target}:2"
            )
            yield config.error("plugins", line, told)
        first.setdefault(name, line.number)


def of_hooks(config: Config, plugins: Sequence[Plugin]) -> Iterator[ConfigError]:
    """Hooks that all of the plugins of a host lack."""
    if not plugins:
        told = "no plugin is named, so every recipient is put off"
        yield config.error("plugins", None, told)
        return
    hooks = {registration.hook for plugin in plugins for registration in plugin.registrations}
    for hook, told in _NEEDED.items():
        if hook not in hooks:
            yield config.error("plugins", None, told)


def of_files(config: Config, asked: Collection[str]) -> Iterator[ConfigError]:
    """Files that are no setting: a plugin's that cannot be read, or a slip of the pen.

    Args:
        asked: The settings that plugins have asked for.
    """
    for name in config.names():
        if name not in SETTINGS and not config.path(name).is_dir():
            try:
                said = config.lines(name)
            except ConfigError as error:
                yield error
            else:
                advice = qpsmtpd.SETTINGS.get(name)
                if said and advice and name not in asked:
                    yield config.error(
                        name, None, f"nothing reads this file of qpsmtpd's: {advice}"
                    )
    yield from near_misses(config, asked)


def of_secrets(config: Config) -> Iterator[ConfigError]:
    """Files with passwords or keys that every user of this machine may read."""
    secret: dict[Path, str] = {}
    with suppress(ConfigError, OSError, ValueError):  # reported with the settings and plugins
        for line in config.lines("flat_auth_pw"):
            secret[line.included or config.path("flat_auth_pw")] = "passwords"
        for line in config.lines("store"):
            if "@" in line.text:
                secret[line.included or config.path("store")] = "a password"
        for line in config.lines("plugins"):
            for word in line.text.split()[1:]:
                path = config.resolve(word.rpartition("=")[2])
                if _everybody_reads(path):
                    with path.open("rb") as file:
                        if _PRIVATE_KEY in file.read(MAX_KEY):
                            secret[path] = "a private key"
    for path, what in secret.items():
        if _everybody_reads(path):
            told = f"has {what}, and every user of this machine may read it; chmod o-r it"
            yield ConfigError(told, path)


def _everybody_reads(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or not mode & stat.S_IROTH:
            return False
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)
    except OSError:
        return False


def near_misses(config: Config, asked: Collection[str]) -> Iterator[ConfigError]:
    """Files that are named nearly as a setting that is not there.

    >>> for told in near_misses(Config({"rcpthost": "example.com"}), ()):
    ...     print(told)
    config/rcpthost: no setting of this name is known; did you mean rcpthosts?

    Args:
        asked: The settings that plugins have asked for.
    """
    spellings = {_spelling(name): name for name in (*asked, *SETTINGS)}
    for name in config.names():
        known = name in SETTINGS or name in qpsmtpd.SETTINGS or name in asked
        if known or config.path(name).is_dir():
            continue
        if near := get_close_matches(_spelling(name), spellings, 1, NEAR):
            meant = spellings[near[0]]
            if not config.has(meant):
                told = f"no setting of this name is known; did you mean {meant}?"
                yield config.error(name, None, told)


def _spelling(name: str) -> str:
    """A name without what is easily mixed up."""
    return name.lower().replace("_", "-")
