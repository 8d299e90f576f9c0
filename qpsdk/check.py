"""What `qpsdk check` says of a config directory: all that is wrong with it, at once."""

import asyncio
import os
import time
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from qpsdk.config import Config
from qpsdk.dispatcher import Dispatcher
from qpsdk.errors import ConfigError, SetupError, StreamConnectError
from qpsdk.host import Host
from qpsdk.loader import PluginLine, load_lines, loglevel_hint
from qpsdk.plugin import Plugin
from qpsdk.server.store import new_store
from qpsdk.settings import SETTINGS, Settings
from qpsdk.spool import SpoolDirectory
from qpsdk.store import MemoryStore
from qpsdk.stream import Endpoint, Stream

NEAR = 0.8
"""How alike a file's name and a setting's are, if it is likely to be meant; 1 is the same."""


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        is_error: The host does not start with it; else it starts, but hardly as it is meant.
        text: Where, what, and what would be right.
    """

    is_error: bool
    text: str

    def __str__(self) -> str:
        return f"{'error' if self.is_error else 'warning'}: {self.text}"


def check(directory: Path) -> list[Finding]:
    """All that is wrong with a config directory, errors first.

    The plugins are loaded and their `register` is run, as when the host starts; but nothing is
    listened on, no server is reached through the host, and no spool folder is made.

    Raises:
        ConfigError: It is no directory.
    """
    config = Config(directory)
    findings = [*_settings(config), *_plugins(config), *_files(config)]
    once = dict.fromkeys(findings)  # a setting that several plugins read is as wrong for each
    return sorted(once, key=lambda finding: not finding.is_error)


def dry_host(config: Config) -> Host:
    """A host for looking at the plugins: it reaches nobody. Close its spool after use.

    Settings of the host that are wrong have their defaults, for the plugins too: what is wrong
    with them is not theirs to say.
    """
    config = _with_defaults(config)
    settings = Settings.read(config)
    try:
        store = new_store(config, settings, asyncio.to_thread, time.time)
    except ConfigError:
        store = MemoryStore()
    return Host(
        configuration=config,
        settings=settings,
        store=store,
        connect=_reach_nobody,
        run_blocking=asyncio.to_thread,
        new_id=lambda: "check",
        spool=SpoolDirectory(),  # a temporary one, made if a plugin asks for it
        clock=time.time,
    )


def _with_defaults(config: Config) -> Config:
    """The same, where the host's settings that are wrong are not there."""
    wrong = [name for name, row in SETTINGS.items() if row.host and row.problems(config)]
    return config.replaced({name: [] for name in wrong}, "default")


async def _reach_nobody(endpoint: Endpoint, /, **_limits: Any) -> Stream:
    raise StreamConnectError(f"{endpoint} is not reached: this host only looks at its plugins")


def _settings(config: Config) -> Iterator[Finding]:
    for setting in SETTINGS.values():
        for problem in setting.problems(config):
            yield Finding(setting.host or bool(setting.taken_up_by), str(problem))
    settings = Settings.read(_with_defaults(config))
    try:
        new_store(config, settings, asyncio.to_thread, time.time)
    except ConfigError as error:
        yield Finding(True, str(error))
    if settings.spool_dir is not None:
        yield from _spool(settings.spool_dir, settings.spool_perms)
    if not _is_there(config, "listen"):
        told = "no address to listen on; write one such as 127.0.0.1:2525"
        yield _warning(config, "listen", told)
    if not _is_there(config, "me"):
        told = f"not there, so the host calls itself {settings.me}; write its full domain name"
        yield _warning(config, "me", told)


def _is_there(config: Config, name: str) -> bool:
    try:
        return bool(config.lines(name))
    except ConfigError:
        return True  # but broken, which is reported


def _spool(path: Path, perms: int) -> Iterator[Finding]:
    """What `SpoolDirectory` would say, without making the folder."""
    if path.is_dir():
        try:
            _ = SpoolDirectory(path, perms).path  # it is there: this only looks at it
        except ConfigError as error:
            yield Finding(True, str(error))
        else:
            if not os.access(path, os.W_OK | os.X_OK):
                yield Finding(False, f"{path}: this user cannot write to the spool folder")
        return
    parent = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not parent.is_dir():
        yield Finding(True, f"{path}: the spool folder cannot be made: {parent} is no folder")
    elif not os.access(parent, os.W_OK | os.X_OK):
        told = f"this user cannot write to {parent}"
        yield Finding(False, f"{path}: the spool folder cannot be made: {told}")


def _plugins(config: Config) -> Iterator[Finding]:
    try:
        lines = config.lines("plugins")
        for line in config.lines("plugin_dirs"):
            if not config.resolve(line.text).is_dir():
                told = f"{config.resolve(line.text)} is no folder, so no plugin is found there"
                yield Finding(False, str(config.error("plugin_dirs", line, told)))
    except ConfigError:
        return  # reported with the settings
    if not lines:
        yield _warning(config, "plugins", "no plugin is named, so every recipient is put off")
        return
    host = dry_host(config)
    plugins: list[Plugin] = []
    complete = True
    first: dict[str, int] = {}
    try:
        for line, loaded in load_lines(host):
            if isinstance(loaded, SetupError):
                complete = False
                yield Finding(True, str(loaded))
                continue
            plugins.append(loaded)
            parsed = PluginLine.parse(line.text)
            if hint := loglevel_hint(parsed.words):
                told = f"{parsed.name}: takes any words{hint}"
                yield Finding(False, str(config.error("plugins", line, told)))
            if parsed.name in first:
                told = (
                    f"{parsed.name} is named twice, first in line {first[parsed.name]};"
                    f" if that is meant, write {parsed.target}:1 and {parsed.target}:2"
                )
                yield Finding(False, str(config.error("plugins", line, told)))
            first.setdefault(parsed.name, line.number)
    finally:
        host.spool.close()
    if complete:
        hooks = Dispatcher(plugins, host.run_blocking).hooks
        for hook, told in (
            ("rcpt", "no plugin has the hook rcpt, so every recipient is put off; add rcpt_ok"),
            ("queue", "no plugin has the hook queue, so every message is put off; add one such as"
             " queue/qmqp_forward"),
        ):  # fmt: skip
            if hook not in hooks:
                yield _warning(config, "plugins", told)


def _files(config: Config) -> Iterator[Finding]:
    """Files that are no setting of ours: a plugin's, or a slip of the pen."""
    for name in config.names():
        if name in SETTINGS or config.path(name).is_dir():
            continue
        try:
            config.lines(name)
        except ConfigError as error:
            yield Finding(False, str(error))
        if near := get_close_matches(name.lower().replace("_", "-"), _SPELLINGS, 1, NEAR):
            meant = _SPELLINGS[near[0]]
            if not config.path(meant).exists():
                told = f"no setting of this name is known; did you mean {meant}?"
                yield _warning(config, name, told)


_SPELLINGS = {name.replace("_", "-"): name for name in SETTINGS}


def _warning(config: Config, name: str, told: str) -> Finding:
    return Finding(False, str(config.error(name, None, told)))
