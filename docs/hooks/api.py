"""Make the pages of the Python API: every public name is on one of them, or the build fails.

What stands under a name is its docstring; mkdocstrings reads it. Here is only which name is on
which page, since an alphabet of fifty names helps nobody to find one.
"""

import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from types import MappingProxyType, ModuleType
from typing import Final, NamedTuple

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page as MkDocsPage

import qpsdk
from qpsdk.constants import Constant, LogLevel


class Page(NamedTuple):
    """A page of the API.

    Attributes:
        title: What it is about.
        intro: What to know before the names, in a few sentences of Markdown.
        module: Where they are imported from.
        names: Which they are, with blanks between them; none for all that the module has.
        types: What those are given or have, in full, where nobody needs to import it.
        members: What is shown of a class in `types`; all of one that is not here.
    """

    title: str
    intro: str
    module: str = "qpsdk"
    names: str = ""
    types: str = ""
    members: Mapping[str, str] = MappingProxyType({})


PAGES: Final = {
    "plugin": Page(
        "Plugins",
        "A plugin is a subclass of [Plugin][qpsdk.Plugin] with methods named after"
        " [hooks](../hooks.md). What it answers is a [constant](../constants.md), alone or with a"
        " message.",
        names="Plugin Result blocking RejectMixin AddressList NetworkList Listed network_of"
        " log_line",
    ),
    "message": Page(
        "Connection and transaction",
        "A hook is given one of the two: the connection, or the message that is on its way over"
        " it. From a transaction, its `connection` leads to the other.",
        names="Connection Transaction Parameters Answer Outcome TLS",
    ),
    "values": Page(
        "Address, header, reply",
        "What mail is made of. All of it is bytes, as it came; nothing is decoded unasked.",
        names="Address Header Field Reply",
    ),
    "host": Page(
        "The host and its streams",
        "What a plugin may ask of the program that runs it: settings, a clock, connections to"
        " elsewhere. It is `self.qp`. A test lends memory for all of these.",
        names="Host Endpoint Stream Store MemoryStore",
        types="qpsdk.host.Connect qpsdk.host.RunBlocking qpsdk.config.Config",
        members={
            "qpsdk.host.Connect": "[__call__]",
            "qpsdk.host.RunBlocking": "[__call__]",
            "qpsdk.config.Config": "[get, value, lines, path, resolve]",
        },
    ),
    "errors": Page(
        "Errors",
        "All exceptions that are raised on purpose. `except QpsdkError` catches each of them.",
        "qpsdk.errors",
    ),
    "netstring": Page(
        "Netstrings",
        "The chapter [Netstrings](../../tutorial/03_netstrings.md) builds them by hand first.",
        "qpsdk.netstring",
        "encode decode decode_all verify first read head encoded_size Decoder Scanner"
        " Start Piece End BinaryReader MAX_LENGTH",
    ),
    "qmqp": Page(
        "QMQP",
        "The chapter [QMQP](../../tutorial/04_qmqp.md) takes a package apart;"
        " [QMQP's guarantees](../../explanation/qmqp.md) says what each answer promises.",
        "qpsdk.qmqp",
        "deliver send Package Response Verdict Received PackageDecoder ResponseDecoder"
        " to_lf ServerList parse_server parse_servers check_time_limits DEFAULT_PORT"
        " CONNECT_TIMEOUT IO_TIMEOUT SESSION_TIMEOUT",
    ),
    "testing": Page(
        "Test kit",
        "[Test a plugin](../../how-to/test-a-plugin.md) shows the most of it at work. None of it"
        " needs pytest; with pytest, the [fixtures](pytest.md) are there by themselves.",
        "qpsdk.testing",
        "smtp SyncSMTPClient SMTPClient Step plugin ask assert_answer connection"
        " transaction PluginContract ContractError capture_log Log LogLine Clock"
        " memory_host host RunningHost listening run HangError",
        "qpsdk.testing.contract.Fake qpsdk.testing.host.Listener",
    ),
    "fakes": Page(
        "Fake servers",
        "They listen in memory or on a socket, do what a test tells them, and keep what they were"
        " sent. [Scripts](qmqp-script.md) are what the QMQP server can be told.",
        "qpsdk.testing",
        "FakeQMQPServer Captured Conversation FakeSMTPServer CapturedMail MemoryStream pipe",
    ),
    "pytest": Page(
        "pytest fixtures",
        "Where qpsdk is installed, pytest finds these by itself: name one as a test's argument.",
        "qpsdk.testing.pytest_plugin",
    ),
    "qmqp-script": Page(
        "Scripts for the fake QMQP server",
        "Give some of these to [FakeQMQPServer][qpsdk.testing.FakeQMQPServer], and it answers its"
        " connections in that order: as a good server, a bad one, or one that has gone.",
        "qpsdk.testing.qmqp_script",
    ),
    "fake-dns": Page("Fake DNS server", "", "qpsdk.testing.fake_dns"),
    "strategies": Page("Hypothesis strategies", "", "qpsdk.testing.strategies"),
}
"""By their names under `reference/api/`."""

ON_THE_CONSTANTS_PAGE: Final = (
    *("Constant", "LogLevel"),
    *Constant.__members__,
    *LogLevel.__members__,
)

INDEX: Final = "reference/public.md"
INDEX_HERE: Final = "<!-- names -->"

MODULES: Final = ("netstring", "qmqp")
"""Public names that are modules; each is a page."""


def public(module: ModuleType) -> list[str]:
    """The names that a module has for its users, in the order of its source.

    Those of `__all__`; where there is none, what it defines without an underscore in front.
    """
    if "__all__" in vars(module):
        return [name for name in module.__all__ if name != "__version__"]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def check() -> None:
    """See that every public name is on exactly one page.

    Raises:
        ValueError: Some are not; the text names them.
    """
    for module in {page.module for page in PAGES.values() if page.names}:
        pages = [page.names for page in PAGES.values() if page.module == module]
        placed = [name for names in pages for name in names.split()]
        if module == "qpsdk":
            placed += [*ON_THE_CONSTANTS_PAGE, *MODULES, *_errors()]
        wanted = public(importlib.import_module(module))
        for names, what in (
            (set(wanted) - set(placed), "on no page"),
            ({name for name in placed if name not in wanted}, "not public"),
            ({name for name in placed if placed.count(name) > 1}, "there twice"),
        ):
            if names:
                said = ", ".join(sorted(names))
                raise ValueError(f"docs/hooks/api.py: of {module}, {what}: {said}")


def _errors() -> list[str]:
    return [name for name in names_of(PAGES["errors"]) if name in qpsdk.__all__]


def names_of(page: Page) -> list[str]:
    """What is on a page."""
    return page.names.split() or public(importlib.import_module(page.module))


def markdown(page: Page) -> str:
    """A page: its title, what its module says of itself, and each name for mkdocstrings."""
    lines = [f"# {page.title}", "", page.intro, ""]
    if page.module != "qpsdk":
        hidden = {"show_root_heading": "false", "show_root_toc_entry": "false"}
        lines += [f"::: {page.module}", *_options(members="false", **hidden), ""]
    for name in names_of(page):
        lines += [*_entry(page, name), ""]
    for path in page.types.split():
        shown = {"members": page.members[path]} if path in page.members else {}
        lines += [f"::: {path}", *_options(**shown), ""]
    return "\n".join(lines)


def _entry(page: Page, name: str) -> Iterable[str]:
    path = f"{page.module}.{name}"
    if page.module == "qpsdk.errors" and name in qpsdk.__all__:
        path = f"qpsdk.{name}"
    if not _is_module(path):
        yield f"::: {path}"
        yield from _options()
        return
    # A module has the same name, and mkdocstrings would take that.
    thing = getattr(importlib.import_module(page.module), name)
    yield f"[](){{ #{path} }}"
    yield ""
    yield f"::: {thing.__module__}.{thing.__qualname__}"
    yield from _options(heading=path, toc_label=name)


def _is_module(path: str) -> bool:
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:  # above it is no package
        return False


def _options(**options: str) -> Iterable[str]:
    yield "    options:"
    for name, value in {"heading_level": "2", **options}.items():
        yield f"        {name}: {value}"


def index() -> str:
    """Every public name by the page that it is on."""
    lines = []
    for name, page in PAGES.items():
        links = ", ".join(f"[`{n}`][{page.module}.{n}]" for n in names_of(page))
        if page.types:
            types = (f"[`{path.rpartition('.')[2]}`][{path}]" for path in page.types.split())
            links += f"; types of their arguments and attributes: {', '.join(types)}"
        lines.append(f"| [{page.title}](api/{name}.md) | from `{page.module}`: {links} |")
    return "\n".join(["| page | names |", "|---|---|", *lines])


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages before mkdocs reads the navigation."""
    check()
    for name, page in PAGES.items():
        path = f"reference/api/{name}.md"
        files.append(File.generated(config, path, content=markdown(page)))
    return files


def on_page_markdown(markdown: str, page: MkDocsPage, **_: object) -> str:
    """Put the index where its page asks for it."""
    return markdown.replace(INDEX_HERE, index()) if page.file.src_uri == INDEX else markdown
