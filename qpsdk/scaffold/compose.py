"""Makes a plugin and its tests out of `qpsdk.scaffold.sample`: the parts that some hooks need."""

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from qpsdk.hooks import HOOKS

WIDTH: Final = 100
"""Columns of a line, as the linter of a new project is set to."""

_SAMPLE: Final = "Sample"
_SAMPLE_MODULE: Final = "qpsdk.scaffold.sample.plugin"
_COMMON_TESTS: Final = ("test_a_message_passes", "TestContract")

_Definition = ast.FunctionDef | ast.ClassDef | ast.Assign


@dataclass(frozen=True, slots=True)
class PluginCode:
    """A plugin's module, but for its docstring and the head of its class.

    Attributes:
        constants: What stands before the class; empty for nothing.
        methods: The body of the class, indented.
        helpers: What stands after the class; empty for nothing.
    """

    imports: str
    constants: str
    methods: str
    helpers: str


@dataclass(frozen=True, slots=True)
class TestsCode:
    """A test module, but for its docstring."""

    imports: str
    body: str


def code_of_plugin(hooks: Iterable[str]) -> PluginCode:
    """The plugin that has these hooks.

    >>> print(code_of_plugin(["quit"]).methods)
        def hook_quit(self, connection: Connection) -> Result:
            \"""Say goodbye ourselves to a client that has said hello.\"""
            if not connection.hello:
                return DECLINED
            connection.respond(221, "Farewell", "2.0.0")
            return DONE
    """
    source = _Source.read("plugin.py")
    sample = source.definitions[_SAMPLE]
    assert isinstance(sample, ast.ClassDef)
    methods = {node.name: node for node in sample.body if isinstance(node, ast.FunctionDef)}
    chosen = [methods[f"hook_{hook}"] for hook in HOOKS if hook in set(hooks)]
    if _attributes(chosen) & _attributes([methods["register"]]):
        chosen.insert(0, methods["register"])
    needed = source.needed(chosen)
    before = [node for node in needed if node.lineno < sample.lineno]
    return PluginCode(
        imports=_imports(source.imports(["Plugin"], chosen, needed), own=""),
        constants=source.joined(before),
        methods="\n\n".join(source.text(method) for method in chosen),
        helpers=source.joined([node for node in needed if node not in before]),
    )


def code_of_tests(hooks: Iterable[str], package: str, class_name: str) -> TestsCode:
    """The tests of the plugin that has these hooks.

    Args:
        package: Where its class is imported from, and its name in `config/plugins`.
    """
    source = _Source.read("test_plugin.py")
    chosen = [
        node
        for name, node in source.definitions.items()
        if name in _COMMON_TESTS or (name.startswith("test_") and hook_of_test(name) in set(hooks))
    ]
    needed = source.needed(chosen)
    nodes = sorted([*chosen, *needed], key=lambda node: node.lineno)
    imports = _imports(source.imports([], nodes, []), own=_SAMPLE_MODULE)
    names = {f'"{_SAMPLE_MODULE}.{_SAMPLE}"': f'"{package}"', _SAMPLE_MODULE: package}
    return TestsCode(
        *(
            _replaced(text, names | {_SAMPLE: class_name})
            for text in (imports, source.joined(nodes))
        )
    )


def taken_names() -> set[str]:
    """What the code of a project may import or define: its plugin has another name."""
    sources = [_Source.read("plugin.py"), _Source.read("test_plugin.py")]
    return set().union(*(source.bound() for source in sources)) - {_SAMPLE}


def hook_of_test(test: str) -> str:
    """The hook that a test of the sample is about: ``test_queue_pre_adds`` is about queue_pre."""
    rest = test.removeprefix("test_") + "_"
    return max((hook for hook in HOOKS if rest.startswith(f"{hook}_")), key=len, default="")


class _Source:
    """A module of the sample, read but not imported."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._imports: list[ast.Import | ast.ImportFrom] = []
        self._docstrings: dict[ast.stmt, ast.Expr] = {}  # of constants
        self.definitions: dict[str, _Definition] = {}
        before: ast.stmt | None = None
        for node in ast.parse(text).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._imports.append(node)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.definitions[node.name] = node
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.definitions[node.targets[0].id] = node
            elif isinstance(node, ast.Expr) and isinstance(before, ast.Assign):
                self._docstrings[before] = node
            before = node

    @staticmethod
    @cache
    def read(name: str) -> "_Source":
        return _Source((files("qpsdk.scaffold.sample") / name).read_text(encoding="utf-8"))

    def bound(self) -> set[str]:
        """The names that it imports or defines."""
        return {a.name for node in self._imports for a in node.names} | self.definitions.keys()

    def needed(self, nodes: Sequence[ast.stmt]) -> list[_Definition]:
        """What these definitions use, and what that uses in turn, in the order of the file."""
        found: dict[str, _Definition] = {}
        todo: list[ast.stmt] = list(nodes)
        while todo:
            for name in _names([todo.pop()]):
                node = self.definitions.get(name)
                if node is not None and name not in found and name != _SAMPLE and node not in nodes:
                    found[name] = node
                    todo.append(node)
        return sorted(found.values(), key=lambda node: node.lineno)

    def imports(
        self, names: Iterable[str], *nodes: Sequence[ast.stmt]
    ) -> Iterator[tuple[str, list[str]]]:
        """Module and names that these definitions import; no names for ``import module``."""
        used = {*names}.union(*(_names(some) for some in nodes))
        for node in self._imports:
            wanted = [alias.name for alias in node.names if alias.name in used]
            if isinstance(node, ast.ImportFrom) and wanted:
                yield node.module or "", wanted
            elif wanted:
                yield wanted[0], []

    def text(self, node: ast.stmt) -> str:
        """A definition as it stands there, with its decorators or its docstring."""
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        last = self._docstrings.get(node, node).end_lineno
        return "\n".join(self._lines[first - 1 : last])

    def joined(self, nodes: Iterable[ast.stmt]) -> str:
        """Definitions with the blank lines that belong between them."""
        text = ""
        before: ast.stmt | None = None
        for node in nodes:
            if before is not None:
                text += self._blank_lines(before, node)
            text += self.text(node)
            before = node
        return text

    def _blank_lines(self, before: ast.stmt, node: ast.stmt) -> str:
        if not (isinstance(before, ast.Assign) and isinstance(node, ast.Assign)):
            return "\n\n\n"
        return "\n\n" if before in self._docstrings else "\n"


def _names(nodes: Iterable[ast.stmt]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


def _attributes(nodes: Iterable[ast.stmt]) -> set[str]:
    """The attributes of `self` that are named there."""
    return {
        n.attr
        for node in nodes
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self"
    }


def _imports(imports: Iterable[tuple[str, list[str]]], own: str) -> str:
    """Import statements in the sections of the standard library, of others, and our `own`."""
    sections: list[list[str]] = [[], [], []]
    for module, names in imports:
        of_python = module.partition(".")[0] in sys.stdlib_module_names
        section = sections[2 if module == own else 0 if of_python else 1]
        line = f"from {module} import {', '.join(names)}" if names else f"import {module}"
        if len(line) > WIDTH:
            line = "\n".join([f"from {module} import (", *(f"    {n}," for n in names), ")"])
        section.append(line)
    return "\n\n".join("\n".join(section) for section in sections if section)


def _replaced(text: str, names: dict[str, str]) -> str:
    for name, new in names.items():
        text = text.replace(name, new)
    return text
