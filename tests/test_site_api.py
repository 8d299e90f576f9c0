"""The pages of the Python API: all public names, their docstrings as Markdown."""

import importlib
from types import ModuleType

import pytest

import qpsdk
from qpsdk import errors, netstring, qmqp, testing
from tests.hooks_of_site import hook


@pytest.fixture(scope="module")
def api() -> ModuleType:
    """The module that makes the pages."""
    return hook("api")


def test_every_public_name_is_on_a_page(api: ModuleType) -> None:
    """What a module has for its users stands on one of its pages; the constants have their own."""
    shown = {(page.module, name) for page in api.PAGES.values() for name in api.names_of(page)}
    for module in (errors, netstring, qmqp, testing):
        assert {name for of, name in shown if of == module.__name__} >= set(_names(module))
    elsewhere = {"Constant", "LogLevel", "OK", "DENY", "LOGINFO", "netstring", "qmqp"}
    for name in set(qpsdk.__all__) - elsewhere - {"__version__"}:
        in_errors = ("qpsdk.errors", name) in shown
        is_constant = name in qpsdk.Constant.__members__ or name in qpsdk.LogLevel.__members__
        assert ("qpsdk", name) in shown or in_errors or is_constant


def _names(module: ModuleType) -> list[str]:
    listed: list[str] | None = getattr(module, "__all__", None)
    if listed is not None:
        return listed
    return [name for name in vars(module) if name.endswith("Error")]


def test_a_forgotten_name_stops_the_build(api: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new public name has to be given a page; so the build says, with the name."""
    monkeypatch.setattr(qpsdk, "__all__", [*qpsdk.__all__, "brand_new"])
    with pytest.raises(ValueError, match="of qpsdk, on no page: brand_new"):
        api.check()


def test_a_name_that_has_gone_stops_the_build(
    api: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page cannot keep a name that is public no more."""
    monkeypatch.setattr(testing, "__all__", [n for n in testing.__all__ if n != "Clock"])
    with pytest.raises(ValueError, match=r"of qpsdk\.testing, not public: Clock"):
        api.check()


def test_a_function_is_not_taken_for_the_module_of_its_name(api: ModuleType) -> None:
    """`qpsdk.testing.smtp` is a function, though it lives in a module that is called so, too."""
    page: str = api.markdown(api.PAGES["testing"])
    assert "::: qpsdk.testing.smtp.smtp\n" in page
    assert "heading: qpsdk.testing.smtp\n" in page


def test_index(api: ModuleType) -> None:
    """The page of what is public leads to each name."""
    row = next(line for line in api.index().splitlines() if line.startswith("| [Netstrings]"))
    assert row.startswith("| [Netstrings](api/netstring.md) | from `qpsdk.netstring`: [`encode`][")
    assert "[`Decoder`][qpsdk.netstring.Decoder]" in row


def test_types_of_arguments(api: ModuleType) -> None:
    """What an argument has to be is on the page too, though nobody imports it: all that it has."""
    page: str = api.markdown(api.PAGES["host"])
    assert "::: qpsdk.host.Connect\n    options:\n        heading_level: 2\n" in page
    assert "attributes: [`Connect`][qpsdk.host.Connect], [`RunBlocking`][" in api.index()
    for of in api.PAGES.values():
        assert set(of.members) <= set(of.types.split())
        for path in of.types.split():
            module, _, name = path.rpartition(".")
            shown = getattr(importlib.import_module(module), name)
            assert shown.__doc__
            for member in of.members.get(path, "").strip("[]").split(", "):
                assert not member or getattr(shown, member).__doc__


def test_docstrings() -> None:
    """A doctest becomes a block of code, and `::` a colon."""
    pytest.importorskip("griffe", reason="the extra docs")
    markdown = hook("docstrings").markdown
    assert markdown(">>> 1 + 1\n2") == "```pycon\n>>> 1 + 1\n2\n```"
    assert markdown("Sum.\n\n>>> 1\n1\n\nMore.\n\n>>> 2\n2") == (
        "Sum.\n\n```pycon\n>>> 1\n1\n```\n\nMore.\n\n```pycon\n>>> 2\n2\n```"
    )
    assert markdown("Two:\n\n>>> 1\n1\n\n>>> 2\n2") == (
        "Two:\n\n```pycon\n>>> 1\n1\n\n>>> 2\n2\n```"
    )
    assert markdown("So::\n\n    tree\n") == "So:\n\n    tree\n"
    assert markdown("Tree.\n\n::\n\n    tree\n") == "Tree.\n\n\n\n    tree\n"
    assert markdown("Args:\n    x: It.") == "Args:\n    x: It."


@pytest.mark.parametrize("name", ["qpsdk.qmqp", "qpsdk.testing", "qpsdk.netstring"])
def test_what_is_public_is_documented(name: str) -> None:
    """Each public name has a docstring: without one it would not be on its page."""
    module = importlib.import_module(name)
    bare = [n for n in module.__all__ if not _documented(getattr(module, n))]
    assert bare == []


def _documented(value: object) -> bool:
    return not callable(value) or bool(value.__doc__)
