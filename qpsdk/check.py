"""What `qpsdk check` says of a config directory: all that is wrong with it, at once."""

import asyncio
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from qpsdk import doubts, qpsmtpd
from qpsdk.config import Config, Line
from qpsdk.constants import LOGWARN
from qpsdk.errors import ConfigError, SetupError
from qpsdk.finder import UnknownPluginError
from qpsdk.host import Host, connect_nowhere
from qpsdk.loader import load_lines
from qpsdk.log import logger
from qpsdk.plugin import Plugin
from qpsdk.server.store import new_store
from qpsdk.settings import SETTINGS, Settings
from qpsdk.spool import SpoolDirectory
from qpsdk.store import MemoryStore
from qpsdk.testing.logs import LogLine, each_line


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
    findings = [*_settings(config), *_plugins(config)]
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
        connect=connect_nowhere("{} is not reached: this host only looks at its plugins"),
        run_blocking=asyncio.to_thread,
        new_id=lambda: "check",
        spool=SpoolDirectory(),  # a temporary one, made if a plugin asks for it
        clock=time.time,
    )


def _with_defaults(config: Config) -> Config:
    """The same, where the host's settings that are wrong are not there."""
    wrong = [name for name, row in SETTINGS.items() if row.host and row.problems(config)]
    return config.replaced({name: [] for name in wrong}, "default")


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
    try:
        if not config.lines("listen"):
            told = "no address to listen on; write one such as 127.0.0.1:2525"
            yield Finding(False, str(config.error("listen", None, told)))
    except ConfigError:
        pass  # reported with the settings
    yield from _warnings(doubts.of_settings(config, settings.me))


def _spool(path: Path, perms: int) -> Iterator[Finding]:
    """What `SpoolDirectory` would say, without making the folder."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # told below
    except OSError as error:
        yield Finding(True, f"{path}: the spool folder cannot be made: {error.strerror}")
        return
    if os.path.isdir(path):  # a Path raises for what is out of reach
        try:
            _ = SpoolDirectory(path, perms).path  # it is there: this only looks at it
        except ConfigError as error:
            yield Finding(True, str(error))
        else:
            if not os.access(path, os.W_OK | os.X_OK):
                yield Finding(False, f"{path}: this user cannot write to the spool folder")
        return
    parent = next(folder for folder in (path, *path.absolute().parents) if os.path.exists(folder))
    if not os.path.isdir(parent):
        yield Finding(True, f"{path}: the spool folder cannot be made: {parent} is no folder")
    elif not os.access(parent, os.W_OK | os.X_OK):
        told = f"this user cannot write to {parent}"
        yield Finding(False, f"{path}: the spool folder cannot be made: {told}")


def _plugins(config: Config) -> Iterator[Finding]:
    """What is wrong with the plugins, and the files of the config directory that they ask for."""
    host = dry_host(config)
    plugins: list[Plugin] = []
    wrong: list[str] = []
    said: list[LogLine] = []
    try:
        with _heard(said):
            for line, loaded in load_lines(host):
                for told in said:
                    about = f"{told.plugin}: {told.text}" if told.plugin else told.text
                    yield Finding(False, str(config.error("plugins", line, about)))
                said.clear()
                if isinstance(loaded, SetupError):
                    wrong.append(_told(config, line, loaded))
                    yield Finding(True, wrong[-1])
                else:
                    plugins.append(loaded)
        yield from _warnings(doubts.of_lines(config, plugins))
        if not wrong:
            yield from _warnings(doubts.of_hooks(config, plugins))
    except ConfigError:
        pass  # of the file itself, and told with the settings
    finally:
        host.spool.close()
    for doubt in doubts.of_files(config, host.asked):
        if not any(f"{doubt.path}:" in told for told in wrong):  # by a plugin that reads it
            yield Finding(False, str(doubt))
    yield from _warnings(doubts.of_secrets(config))


def _told(config: Config, line: Line, error: SetupError) -> str:
    """What is wrong with a line of `config/plugins`, and what to do if it is one of qpsmtpd's."""
    name, *_ = line.text.split()
    if isinstance(error, UnknownPluginError) and (advice := qpsmtpd.advice(name.split(":")[0])):
        return str(config.error("plugins", line, f"{name}: no such plugin; {advice}"))
    return str(error)


@contextmanager
def _heard(said: list[LogLine]) -> Iterator[None]:
    """Add what is logged inside to `said`, from LOGWARN on, in place of writing it."""

    def hear(line: LogLine) -> None:
        if line.level <= LOGWARN:
            said.append(line)

    before, logger.propagate = logger.propagate, False
    try:
        with each_line(hear):
            yield
    finally:
        logger.propagate = before


def _warnings(errors: Iterable[ConfigError]) -> Iterator[Finding]:
    return (Finding(False, str(error)) for error in errors)
