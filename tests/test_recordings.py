"""What the tutorial shows of Postfix and HAProxy where they cannot run: it is what they print."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat import NotebookNode

from docs.hooks.notebooks import executed, run
from qpsdk.testing.pytest_transcripts import OPTION
from tests.programs import missing, needs
from tests.test_notebooks import DATE, shown

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "10_in_production.py"
RECORDED = NOTEBOOK.parent / "recorded"
NEEDS = re.compile(r"%%needs (\w+) (\w+)\n")

ORDINARY = "/usr/bin:/bin"
"""Where Debian has neither Postfix nor HAProxy."""


def printed(chapter: NotebookNode) -> Iterator[tuple[str, str, str]]:
    """Of each cell that needs a program: the program, the recording, and what it has printed."""
    for cell in chapter.cells:
        if found := NEEDS.match(cell.source):
            yield found[1], found[2], "".join(output.text for output in cell.outputs)


def recorded(name: str) -> str:
    """A recording."""
    return (RECORDED / f"{name}.txt").read_text()


def test_recordings_are_what_the_programs_print(pytestconfig: pytest.Config) -> None:
    """A recording that is no longer true fails; `--update-transcripts` makes it anew."""
    needs("haproxy")
    needs("postfix")
    if os.geteuid() != 0:
        missing("only root can start a Postfix")
    now = {name: DATE.sub("DATE", text) for _, name, text in printed(executed(NOTEBOOK))}
    assert len(now) > 5
    if pytestconfig.getoption(OPTION):
        RECORDED.mkdir(exist_ok=True)
        for name, text in now.items():
            (RECORDED / f"{name}.txt").write_text(text)
    assert {path.stem for path in RECORDED.iterdir()} == now.keys()
    assert now == {name: recorded(name) for name in now}


def test_without_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chapter shows the recordings, with a word that it does, and all else as in its page."""
    monkeypatch.setenv("PATH", ORDINARY)
    chapter = run(NOTEBOOK)
    for program, name, text in printed(chapter):
        assert text == f"({program} cannot run here; recorded where it can)\n{recorded(name)}"
    others, before = (
        shown([cell for cell in cells if not NEEDS.match(cell.source)])
        for cells in (chapter.cells, executed(NOTEBOOK).cells)
    )
    assert others == before
