"""The sample has every hook as the hook table says; what is taken out of it is whole."""

import ast
import inspect

import pytest

from qpsdk.hooks import HOOKS
from qpsdk.plugin import Plugin
from qpsdk.scaffold.compose import code_of_plugin, code_of_tests, hook_of_test
from qpsdk.scaffold.sample import plugin as sample
from qpsdk.scaffold.sample import test_plugin as sample_tests


def methods() -> dict[str, ast.FunctionDef]:
    """The methods of the sample, as they are written."""
    tree = ast.parse(inspect.getsource(sample.Sample))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_hook_has_its_sample() -> None:
    """The sample has the hooks of the table, and in that order."""
    hooks = [n.removeprefix("hook_") for n in methods() if n.startswith("hook_")]
    assert hooks == list(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_signatures_are_the_table_s(hook: str) -> None:
    """A method takes what its hook gives, by those names and types."""
    spelling = {"Mapping[str, str]": "Parameters"}
    node = methods()[f"hook_{hook}"]
    arguments = {a.arg: ast.unparse(a.annotation) for a in node.args.args[1:] if a.annotation}
    assert arguments == {n: spelling.get(t, t) for n, t in HOOKS[hook].arguments.items()}
    assert node.returns is not None
    assert ast.unparse(node.returns) == ("None" if HOOKS[hook].ignored else "Result")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_its_tests(hook: str) -> None:
    """Each has a test of its own beside the one that all plugins share."""
    tests = [name for name in vars(sample_tests) if name.startswith("test_")]
    assert [name for name in tests if hook_of_test(name) == hook]
    assert [name for name in tests if not hook_of_test(name)] == ["test_a_message_passes"]


@pytest.mark.parametrize(
    ("test", "hook"),
    [
        ("test_queue_pre_adds_a_field", "queue_pre"),
        ("test_queue_keeps_a_message", "queue"),
        ("test_data_post_headers_wants_a_sender", "data_post_headers"),
        ("test_data_post_reads", "data_post"),
        ("test_mailbox", ""),
    ],
)
def test_a_test_is_about_one_hook(test: str, hook: str) -> None:
    """The longest name of a hook that a test begins with is the one it is about."""
    assert hook_of_test(test) == hook


def load(text: str) -> dict[str, object]:
    """Run a module's text; its names."""
    names: dict[str, object] = {}
    exec(text, names)
    return names


@pytest.mark.parametrize("hooks", [*([hook] for hook in HOOKS), list(HOOKS)], ids=" ".join)
def test_the_plugin_is_whole(hooks: list[str]) -> None:
    """What is taken out runs by itself, and has the hooks that were asked for and no others."""
    code = code_of_plugin(hooks)
    text = f"{code.imports}\n{code.constants}\nclass Taken(Plugin):\n{code.methods}\n{code.helpers}"
    names = load(text)
    taken = names["Taken"]
    assert isinstance(taken, type)
    assert issubclass(taken, Plugin)
    assert [name for name in vars(taken) if name.startswith("hook_")] == [
        f"hook_{hook}" for hook in HOOKS if hook in hooks
    ]
    used = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    assert names.keys() - {"__builtins__", "Taken"} <= used, "something that nothing uses"


def test_register_comes_with_what_it_sets() -> None:
    """Only the hook that uses what register() takes brings it along."""
    assert "def register" in code_of_plugin(["queue"]).methods
    assert "def register" not in code_of_plugin(["queue_pre", "rcpt"]).methods


def test_tests_are_of_the_plugin() -> None:
    """The tests name the new plugin, and the sample nowhere."""
    code = code_of_tests(HOOKS, "my_plugin", "MyPlugin")
    assert code.imports.endswith("\n\nfrom my_plugin import MyPlugin")
    assert 'PLUGIN = "my_plugin"\n' in code.body
    assert "ample" not in code.imports + code.body.replace("example", "")
