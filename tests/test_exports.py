"""The public names: in order, all there, and as many as are meant."""

import importlib
from types import ModuleType

import pytest

PACKAGES = ["qpsdk", "qpsdk.qmqp", "qpsdk.testing", "qpsdk.server"]


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> ModuleType:
    """Import each package that has a list of its names."""
    return importlib.import_module(request.param)


def order(name: str) -> tuple[bool, bool, str]:
    """Sort constants before classes, and these before the rest, as ruff does."""
    return not name.isupper(), not name[0].isupper(), name


def test_sorted(package: ModuleType) -> None:
    """The list is in order, and has no name twice."""
    assert package.__all__ == sorted(set(package.__all__), key=order)


def test_importable(package: ModuleType) -> None:
    """Each name of the list exists, and `import *` gives these."""
    namespace: dict[str, object] = {}
    exec(f"from {package.__name__} import *", namespace)
    assert namespace.keys() - {"__builtins__"} == set(package.__all__)


def test_netstring() -> None:
    """The module has a list, too: its imports are not its users'."""
    netstring = importlib.import_module("qpsdk.netstring")
    assert netstring.__all__ == sorted(netstring.__all__, key=order)
    own = {name for name, value in vars(netstring).items() if _of(value) == "qpsdk.netstring"}
    assert {name for name in own if not name.startswith("_")} | {"MAX_LENGTH"} == {
        *netstring.__all__
    }


def _of(value: object) -> str | None:
    return getattr(value, "__module__", None)


def test_no_name_is_forgotten(package: ModuleType) -> None:
    """What a package imports for its users is in the list; else it would be public by accident."""
    public = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public <= set(package.__all__)
