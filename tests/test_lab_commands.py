"""The commands of docs/lab/index.md send a message to the lab."""

import re
import sys
from pathlib import Path

from tests.programs import needs
from tests.test_readme import lab, shell

PAGE = (Path(__file__).parent.parent / "docs/lab/index.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```.*\n((?:(?!```).*\n)*)^```$", PAGE, re.MULTILINE)


def block(words: str) -> str:
    """The one block with these words in it."""
    (found,) = [text for text in BLOCKS if words in text]
    return str(found)


def test_every_block_is_known() -> None:
    """The page shows no command that is not run here."""
    assert set(BLOCKS) == {block("qpsdk send"), block("swaks --server")}


def test_qpsdk_send(tmp_path: Path) -> None:
    """`qpsdk send` sends a message; the port is another here, and Python is this one."""
    with lab() as port:
        command = (
            block("qpsdk send").strip().replace(".venv/bin/qpsdk", f"{sys.executable} -m qpsdk")
        )
        assert "250 2.0.0" in shell(f"{command} --server 127.0.0.1:{port}", tmp_path)


def test_swaks(tmp_path: Path) -> None:
    """So does swaks."""
    needs("swaks")
    with lab() as port:
        shell(block("swaks --server").replace("2525", port), tmp_path)
