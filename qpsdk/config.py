"""The config directory: one file a setting, as in qpsmtpd.

A file holds one value a line; blank lines and lines that begin with ``#`` say nothing, and
``$include FILE`` stands for the values of another file. What a setting without a file falls
back to is in qmail's control directory, if the setting `qmail_control` names one.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from qpsdk.errors import ConfigError

T = TypeVar("T")

MAX_FILE: Final = 16 * 1024 * 1024
"""Bytes of a file: what is larger was put there by mistake, and every file is read."""

MAX_INCLUDES: Final = 500
"""Files that a setting includes, each counted each time: few that include others twice are many."""

MAX_SHOWN: Final = 500
"""Characters of a value that an error shows."""

QMAIL_CONTROL: Final = "qmail_control"
"""The setting that names qmail's control directory, such as /var/qmail/control."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Not what editors leave behind: .me.swp, me~, #me#."""

_INCLUDE: Final = re.compile(r"\$include\s+(\S.*)")

_State = tuple[int, ...]
"""What changes when a file does: kind, inode, size, times of the content and of the inode."""


class Line(NamedTuple):
    """One value, and where it stands.

    Attributes:
        number: Of its line, counted from 1.
        included: The file, if it is not the setting's own.
    """

    number: int
    text: str
    included: Path | None = None


class _File(NamedTuple):
    """A file as it was found: its state, and the lines that are no comments."""

    state: _State
    lines: list[Line]
    error: ConfigError | None = None


class Config:
    """Settings by name, as they were at one moment: what changes later is in `reread`.

    >>> config = Config({"me": "mx.example.com", "rcpthosts": "example.com\\n.example.net"})
    >>> config.get("rcpthosts"), config.value("me"), config.get("databytes")
    (['example.com', '.example.net'], 'mx.example.com', [])
    """

    def __init__(
        self, source: Path | Mapping[str, str], *, before: Mapping[Path, "_File"] | None = None
    ) -> None:
        """`source` is a directory, or the texts that its files would hold.

        Raises:
            ConfigError: It is not a directory, or cannot be read.
            TypeError: A text is none.
        """
        if not isinstance(source, Path):
            for name, text in source.items():
                if not isinstance(text, str):
                    raise TypeError(
                        f"config/{name}: {text!r} is no text: write one str, a value a line"
                    )
        self._source = source
        self._root = source if isinstance(source, Path) else Path("config")
        self._before = before or {}
        self._files: dict[Path, _File] = {}
        self._seen: dict[Path, _State] = {}
        self._settings: dict[str, list[Line] | ConfigError] = {}
        self._paths: dict[str, Path] = {}
        self._control: Path | None = None
        self._read_all()
        self._before = {}

    def path(self, name: str) -> Path:
        """Where the setting `name` is, or would be: errors name it."""
        return self._paths.get(name, self._root / name)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name, here or in qmail's control directory."""
        return name in self._paths

    def names(self) -> list[str]:
        """The settings that have a file in the directory itself, in order."""
        return sorted(name for name, path in self._paths.items() if path.parent == self._root)

    def resolve(self, text: str) -> Path:
        """The path that a setting names: one that is relative begins at the config directory."""
        return self._source / text if isinstance(self._source, Path) else Path(text)

    def lines(self, name: str) -> list[Line]:
        """The values of a setting with their places; none if there is no such file.

        Raises:
            ConfigError: The file, or one that it includes, cannot be read as UTF-8 text.
        """
        found = self._settings.get(name, [])
        if isinstance(found, ConfigError):
            raise found.with_traceback(None)
        return found

    def get(self, name: str) -> list[str]:
        """The values of a setting, in order. Raises as `lines`."""
        return [line.text for line in self.lines(name)]

    def value(self, name: str, default: str = "") -> str:
        """The only value of a setting.

        Raises:
            ConfigError: There are several, or as `lines`.
        """
        return self.parse(name, str, default)

    def parse(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """The only value of a setting, parsed.

        Args:
            parse: Raises ValueError with a text that says what would be right.

        Raises:
            ConfigError: There are several values, it is not right, or as `lines`.
        """
        lines = self.lines(name)
        if not lines:
            return default
        if len(lines) > 1:
            raise self.error(name, lines[1], "one value expected, this is another")
        return self._parse_line(name, lines[0], parse)

    def parse_all(self, name: str, parse: Callable[[str], T]) -> list[T]:
        """The values of a setting, each parsed. Arguments and errors as in `parse`."""
        return [self._parse_line(name, line, parse) for line in self.lines(name)]

    def error(self, name: str, line: Line | None, text: str) -> ConfigError:
        """What is wrong with a value of the setting `name`, or with all of it: with its place."""
        if line is None:
            return ConfigError(text, self.path(name))
        if len(line.text) > MAX_SHOWN:  # it may be megabytes, and the log is one line
            for shown in (line.text, repr(line.text)[1:-1]):
                text = text.replace(shown, f"{line.text[:MAX_SHOWN]!r}"[1:-1] + "...")
        return ConfigError(text, line.included or self.path(name), line.number)

    def replaced(self, values: Mapping[str, list[str]], by: str) -> "Config":
        """The same with other values for some settings; errors in them name the setting and `by`.

        >>> Config({}).replaced({"me": ["mx.example.com"]}, "hook_config").get("me")
        ['mx.example.com']
        """
        other = object.__new__(Config)
        other.__dict__.update(self.__dict__)
        other._settings = self._settings | {
            name: [Line(n, text, Path(f"{by}({name})")) for n, text in enumerate(texts, 1)]
            for name, texts in values.items()
        }
        return other

    def reread(self) -> "Config":
        """The directory as it is now; this object itself if no file has changed.

        Files that are as they were are not read again.

        Raises:
            ConfigError: It is no directory any more, or cannot be read.
        """
        if not isinstance(self._source, Path) or self._look() == self._seen:
            return self
        return Config(self._source, before=self._files)

    def broken_since(self, before: "Config") -> ConfigError | None:
        """What is wrong with a setting that could be read `before`, and cannot any more."""
        for name, found in self._settings.items():
            if isinstance(found, ConfigError) and isinstance(before._settings.get(name), list):
                return found
        return None

    def changed_since(self, before: "Config") -> list[str]:
        """The settings whose values are others than `before`, in order.

        What had none and has none, a folder say, is not among them.
        """
        names = self._settings.keys() | before._settings.keys()
        pairs = {n: (self._settings.get(n), before._settings.get(n)) for n in names}
        return sorted(
            n
            for n, (now, then) in pairs.items()
            if now != then and (isinstance(now, list) or isinstance(then, list))
        )

    def _parse_line(self, name: str, line: Line, parse: Callable[[str], T]) -> T:
        try:
            return parse(line.text)
        except ValueError as error:
            raise self.error(name, line, str(error)) from None

    # Reading

    def _read_all(self) -> None:
        if isinstance(self._source, Path):
            self._add(_scan(self._root))
        else:
            self._add(dict.fromkeys((self._root / name for name in self._source), ()))
        try:
            text = self.value(QMAIL_CONTROL)
            if not text:
                return
            self._control = self.resolve(text)
            self._seen[self._control] = _state(self._control)
            if not os.path.isdir(self._control):  # a Path raises for a name that is too long
                told = f"{self._control} is no directory; write one such as /var/qmail/control"
                raise self.error(QMAIL_CONTROL, self.lines(QMAIL_CONTROL)[0], told)
            self._add(_scan(self._control))
        except ConfigError as error:
            self._settings[QMAIL_CONTROL] = error

    def _add(self, states: dict[Path, _State]) -> None:
        """Read the settings that these files hold, but those that another file holds already."""
        self._seen |= states
        for path in states:
            name = path.name
            if name not in self._settings:
                self._paths[name] = path
                try:
                    self._settings[name] = list(self._expand(path, (), count(1)))
                except ConfigError as error:
                    self._settings[name] = error

    def _expand(
        self, path: Path, trail: tuple[Path, ...], included: Iterator[int]
    ) -> Iterator[Line]:
        """The lines of a file, those of the files that it includes in their places.

        Args:
            trail: The files whose `$include` has led here.
            included: Counts the files that the setting includes.
        """
        file = self._file(path)
        if file.error is not None:
            raise file.error
        for line in file.lines:
            match = _INCLUDE.fullmatch(line.text)
            if match is None:
                yield line._replace(included=path) if trail else line
                continue
            target = Path(os.path.normpath(self._root / match[1]))
            found = self._file(target)
            told = ""
            if target in (*trail, path):
                told = "the file includes itself"
            elif next(included) > MAX_INCLUDES:
                told = f"more than {MAX_INCLUDES} files are included, here or before"
            elif found.error is not None and found.error.line is None:  # what it is, not its text
                told = str(found.error)
            if told:
                raise ConfigError(f"$include {match[1]}: {told}", path, line.number)
            yield from self._expand(target, (*trail, path), included)

    def _file(self, path: Path) -> _File:
        if path not in self._files:
            self._files[path] = self._read(path)
        return self._files[path]

    def _read(self, path: Path) -> _File:
        if not isinstance(self._source, Path) and self._root in path.parents:
            text = self._source.get(path.relative_to(self._root).as_posix())
            if text is None:
                return _File((), [], ConfigError("no such file", path))
            return _checked((), text, path)
        if path not in self._seen:
            self._seen[path] = _state(path)
        state = self._seen[path]
        before = self._before.get(path)
        if before is not None and before.state == state:
            return before
        try:
            return _checked(state, _text(path, state), path)
        except ConfigError as error:
            return _File(state, [], error)
        except OSError as error:
            # It may be readable in a moment, such as when there are too many open files.
            self._seen[path] = ()
            return _File((), [], ConfigError(f"cannot be read: {error.strerror}", path))

    def _look(self) -> dict[Path, _State]:
        """The state of every file that there is, or that was looked for."""
        states = _scan(self._root)
        if self._control is not None:
            with suppress(ConfigError):  # reported with its place when all is read
                states |= _scan(self._control)
        return states | {path: _state(path) for path in self._seen if path not in states}


def _scan(directory: Path) -> dict[Path, _State]:
    """The state of each file in a directory that could be a setting.

    Raises:
        ConfigError: It cannot be read; its settings must not count as gone for that.
    """
    states: dict[Path, _State] = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    states[directory / entry.name] = _state(entry)
    except OSError as error:
        text = "not a directory; a config directory holds one file a setting"
        if os.path.isdir(directory):
            text = f"cannot be read: {error.strerror}"
        raise ConfigError(text, directory) from None
    return {path: state for path, state in states.items() if state}


def _state(path: Path | os.DirEntry[str]) -> _State:
    """The state of a file; empty if there is none, 0 and why if nobody may know."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        return (0, error.errno or 0)
    if not stat.S_ISREG(found.st_mode):  # a spool folder in here changes with every message
        return (found.st_mode, found.st_ino)
    return (found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _text(path: Path, state: _State) -> str:
    """What a file holds.

    Raises:
        ConfigError: It is no file of UTF-8 text.
        OSError: It cannot be read.
    """
    if not state:
        raise ConfigError("no such file", path)
    if not state[0]:
        raise OSError(state[1], os.strerror(state[1]))
    if stat.S_ISDIR(state[0]):
        raise ConfigError("cannot be read: Is a directory", path)
    if not stat.S_ISREG(state[0]):  # a pipe would keep us waiting
        raise ConfigError("cannot be read: not a regular file", path)
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ConfigError(f"larger than {MAX_FILE} bytes", path)
    try:
        return data.decode("utf-8-sig")  # some editors begin with a mark that says it is UTF-8
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("not UTF-8 text", path, line) from None


def _checked(state: _State, text: str, path: Path) -> _File:
    """A file with this text, or with what is wrong with it."""
    if (at := text.find("\0")) >= 0:  # no path may have one, nor any other value
        return _File(state, [], ConfigError("a NUL in the text", path, text.count("\n", 0, at) + 1))
    return _File(state, _lines(text))


def _lines(text: str) -> list[Line]:
    numbered = ((n, line.strip()) for n, line in enumerate(text.split("\n"), 1))
    return [Line(n, line) for n, line in numbered if line and not line.startswith("#")]
