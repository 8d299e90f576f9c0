"""The tree of exceptions: as it is drawn, and what each tells."""

import inspect
import re
from pathlib import Path

import pytest

from qpsdk import errors
from qpsdk.errors import (
    ConfigError,
    NetstringError,
    NetstringTruncatedError,
    QMQPPackageError,
    QpsdkError,
)

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and value is not Path
}


def drawn() -> dict[str, set[str]]:
    """Read the tree in the module's docstring: each exception, and its bases."""
    tree: dict[str, set[str]] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│├└─ ]*)(\w+Error)(?: \((\w+)\))?", line):
            depth = len(found[1]) // 4
            branch[depth:] = [found[2]]
            bases = {found[3]} if found[3] else set()
            tree[found[2]] = bases | ({branch[depth - 1]} if depth else {"Exception"})
    return tree


def test_the_tree_is_as_drawn() -> None:
    """The docstring shows every exception, below the classes that it is derived from."""
    real = {name: {base.__name__ for base in cls.__bases__} for name, cls in CLASSES.items()}
    assert drawn() == real
    assert len(real) > 20


@pytest.mark.parametrize("name", CLASSES)
def test_one_base(name: str) -> None:
    """Whoever catches QpsdkError catches all of them, and each says what it is."""
    assert issubclass(CLASSES[name], QpsdkError)
    assert CLASSES[name].__doc__


@pytest.mark.parametrize("cls", [NetstringError, NetstringTruncatedError])
def test_netstring_error(cls: type[NetstringError]) -> None:
    """A netstring error has problem and offset, and shows both."""
    error = cls("no comma", 7)
    assert str(error) == "no comma at offset 7"
    assert (error.problem, error.offset) == ("no comma", 7)


def test_package_error() -> None:
    """So has the error of a QMQP package."""
    error = QMQPPackageError("no sender", 9)
    assert str(error) == "no sender at offset 9"
    assert error.offset == 9


@pytest.mark.parametrize(
    ("path", "line", "text"),
    [
        (None, None, "too small"),
        (Path("config/databytes"), None, "config/databytes: too small"),
        (Path("config/databytes"), 3, "config/databytes:3: too small"),
    ],
)
def test_config_error(path: Path | None, line: int | None, text: str) -> None:
    """A config error begins with file and line, as editors and people look for them."""
    error = ConfigError("too small", path, line)
    assert str(error) == text
    assert (error.path, error.line) == (path, line)
