"""The tables of docs/how-to/limits.md are those of the program, and their texts are tested."""

import re
from pathlib import Path

import pytest

from qpsdk.address import MAX_ADDRESS, MAX_DOMAIN
from qpsdk.settings import SETTINGS
from qpsdk.smtp.limits import MAX_AUTH_LINE, MAX_COMMAND_LINE, MAX_RECEIVED

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "how-to" / "limits.md").read_text()
ROWS = {
    match[1]: [cell.strip() for cell in match[0].split("|")[2:-1]]
    for match in re.finditer(r"^\| `(\w+)` \|.*$", PAGE, re.MULTILINE)
}
TESTS = "".join(
    path.read_text()
    for path in (ROOT / "tests").rglob("test_*.py")
    if path.name != Path(__file__).name
)


def test_each_limit_has_a_row() -> None:
    """All settings that are limits are there."""
    limits = {name for name in SETTINGS if name.startswith(("max_", "min_")) or "timeout" in name}
    assert limits | {"databytes"} == set(ROWS) | {"proxy_timeout"} & set(SETTINGS)


@pytest.mark.parametrize("name", list(ROWS))
def test_row(name: str) -> None:
    """Each row has the default of the program; its reply stands in a test, word for word."""
    default, _, told, _ = ROWS[name]
    assert default == SETTINGS[name].shown_default
    reply = re.fullmatch(r"`[245][0-9]{2} ([0-9.]+ .*)`", told)
    if reply is not None:
        text = reply[1].replace("HOST ", "")
        assert text.partition(" ")[2] in TESTS, text


def test_fixed_limits() -> None:
    """Those without a setting have the numbers of the program, and their replies stand in tests."""
    section = PAGE.partition("## Limits that are fixed\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| ([\d,]+)(?: bytes)? \| (.*) \|$", section, re.MULTILINE)
    assert [int(limit.replace(",", "")) for limit, _ in rows] == [
        MAX_COMMAND_LINE,
        MAX_AUTH_LINE,
        MAX_ADDRESS,
        MAX_DOMAIN,
        MAX_RECEIVED,
    ]
    for _, told in rows:
        (reply,) = re.findall(r"`([^`]+)`", told)
        text = re.sub(r"^5\d\d [\d.]+ |(address|domain) is | octets$", "", reply)
        assert text in TESTS, text


def test_other_texts() -> None:
    """So do the lines of the log, but for their numbers and addresses."""
    for text in (
        "Out of file descriptors, try again later",
        "refused: max_connections_per_address is ",
        "refused: max_connection_rate is ",
        "refused: max_connections is ",
        "put off: max_forwards is ",
        "and none ended in 30 s",
        "no thread was free within ",
        "cannot write to the spool: [Errno 28] max_spool is ",
        "cannot write to the spool: [Errno 28] min_free_disk is ",
        "clients are refused: ",
        "no client can be accepted: Too many open files",
        "removed spool files of a host that died: ",
        "times in ",
    ):
        assert text in PAGE
        assert text in TESTS, text
