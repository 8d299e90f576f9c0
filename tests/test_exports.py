"""The public names: in order, all there, and as many as are meant."""

import importlib
from types import ModuleType

import pytest

from qpsdk.finder import PluginLine, bundled_plugins, find

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


PLUGINS = {
    "auth.auth_flat_file.AuthFlatFile": "auth_cram_md5 auth_login auth_plain",
    "badmailfrom.BadMailFrom": "mail",
    "badrcptto.BadRcptTo": "rcpt",
    "count_unrecognized_commands.CountUnrecognizedCommands": "unrecognized_command",
    "dnsbl.Dnsbl": "connect",
    "earlytalker.EarlyTalker": "mail",
    "greylisting.Greylisting": "data rcpt",
    "headers.Headers": "data_post",
    "logging.adaptive.Adaptive": "deny logging post_connection reset_transaction",
    "logging.file.File": "logging",
    "logging.syslog.Syslog": "logging",
    "naughty.Naughty": "",
    "queue.discard.Discard": "queue",
    "queue.maildir.Maildir": "queue",
    "queue.qmqp_forward.QMQPForward": "queue",
    "queue.qmqp_forward_naive.NaiveQMQPForward": "queue",
    "queue.smtp_forward.SMTPForward": "queue",
    "quit_fortune.QuitFortune": "quit",
    "ratelimit.Ratelimit": "",
    "rcpt_ok.RcptOk": "rcpt",
    "relay.Relay": "connect",
    "tls.TLS": "ehlo unrecognized_command",
}
"""The classes that others may inherit from, and their methods named after hooks."""


def test_bundled_plugins() -> None:
    """What others may inherit from keeps its name and its methods."""
    found = {}
    for name in bundled_plugins():
        plugin = find(PluginLine.parse(name), [])
        hooks = [method.removeprefix("hook_") for method in dir(plugin) if method[:5] == "hook_"]
        found[f"{plugin.__module__}.{plugin.__name__}"] = " ".join(hooks)
    assert found == {f"qpsdk.plugins.{name}": hooks for name, hooks in PLUGINS.items()}
