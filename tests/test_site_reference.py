"""The pages of the reference say what the program goes by."""

from types import ModuleType

import pytest

from qpsdk import qpsmtpd
from qpsdk.finder import bundled_plugins
from qpsdk.hooks import HOOKS
from qpsdk.settings import SETTINGS
from tests.hooks_of_site import hook


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The module that makes the pages."""
    return hook("reference")


def test_hooks_page(reference: ModuleType) -> None:
    """Each hook has its section: signature, reply for each constant, plugins that use it."""
    page: str = reference.hooks_page()
    sections = dict(part.split(" {", 1) for part in page.split("\n## ")[1:])
    assert list(sections) == list(HOOKS)
    rcpt = sections["rcpt"]
    assert (
        "def hook_rcpt(\n"
        "    self, transaction: Transaction, recipient: Address, params: Mapping[str, str]\n"
        ") -> Result: ..."
    ) in rcpt
    assert "def hook_data(self, transaction: Transaction) -> Result: ..." in sections["data"]
    assert (
        "def hook_auth_plain(\n    self,\n    connection: Connection,\n    mechanism: str,\n"
    ) in sections["auth_plain"]
    assert "[`rcpt_ok`](plugins.md#rcpt-ok)" in rcpt
    assert all(sections[name].count(f"def hook_{name}(") == 2 for name in HOOKS)  # and an example
    assert "| OK | `250 2.1.5 Recipient OK` |  |" in rcpt
    assert "| DECLINED | `450 4.7.1 No plugin took this recipient, try again later` |  |" in rcpt
    assert (
        "| DENYSOFT_DISCONNECT | `421 4.7.1 mx.example.com Closing the connection`"
        " | the connection is closed |"
    ) in rcpt
    assert "| DONE | the plugin's own |  |" in rcpt
    assert "Time limit: 540 s" in sections["queue"]
    assert "`async def` and `@blocking` are refused" in sections["logging"]
    assert "What comes with OK is used: `bytes`." in sections["mail_pre"]
    assert "def hook_post_fork(self) -> None: ..." in sections["post_fork"]
    assert "| answer |" not in sections["deny"]


def test_constants_page(reference: ModuleType) -> None:
    """Each constant and level has its row, with qpsmtpd's number."""
    page: str = reference.constants_page()
    assert "| `DENYSOFT`[](){ #qpsdk.DENYSOFT } | 902 | Temporary failure: a 4xx reply" in page
    assert "} | 903 | The old name of `DENY_DISCONNECT`. |" in page
    assert "| `LOGRADAR`[](){ #qpsdk.LOGRADAR } | 0 |" in page
    assert page.count("\n::: qpsdk.") == 2


def test_settings_page(reference: ModuleType) -> None:
    """Each setting has its row: what it means, its default, what takes up a change."""
    page: str = reference.settings_page()
    page, _, of_lines = page.partition("\n## ")
    assert "| `on_error=` | declined or denysoft | declined | What an exception" in of_lines
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(SETTINGS)
    assert any(
        row.startswith("| `databytes` |") and row.endswith(" | the next client |") for row in rows
    )
    assert any(row.startswith("| `listen` |") and row.endswith(" | restart |") for row in rows)


def test_commands_page(reference: ModuleType) -> None:
    """Each command says what `--help` says of it."""
    page: str = reference.commands_page()
    assert "## qpsdk serve" in page
    assert "Usage: root serve [OPTIONS]" not in page
    assert "Run plugins on real mail, until SIGTERM or SIGINT." in page
    assert "--listen" in page


def test_qpsmtpd_page(reference: ModuleType) -> None:
    """Each plugin and setting of qpsmtpd that is not here has its row, with links to pages."""
    page: str = reference.qpsmtpd_page()
    for name in (*qpsmtpd.PLUGINS, *qpsmtpd.SETTINGS):
        assert f"\n| `{name}` | " in page
    assert "[ask-another-service](../how-to/ask-another-service.md)" in page
    assert "docs/" not in page


def test_transcripts_page(reference: ModuleType) -> None:
    """The page of transcripts has an example as a block, and each kind of line in a list."""
    page: str = reference.transcripts_page()
    assert "[a recipient is refused]\nS: 220 mx.example.com" in page
    for term in ("C:", "S:", "L:", "plugin: name word key=value", "over: socket"):
        assert f"\n- `{term}`\n" in page
    assert page.count("```") == 2


def test_plugins_page(reference: ModuleType) -> None:
    """Each bundled plugin has its section, with the line for `config/plugins` as a block."""
    page: str = reference.plugins_page()
    assert [part.split(" {")[0] for part in page.split("\n## ")[1:]] == bundled_plugins()
    assert (
        page.count("| `timeout=` | a number of seconds, such as 60 | the hook's own limit |") == 1
    )
    assert "```text\nqueue/qmqp_forward SERVER [PORT]" in page
    assert page.count("```") % 2 == 0
    assert "[`rcpt`](hooks.md#rcpt)" in page
    assert "Hooks: [`mail`](hooks.md#mail), what its line asks for" in page  # earlytalker
