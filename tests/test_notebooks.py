"""Every notebook runs from top to bottom, by the code that makes its page."""

from pathlib import Path

import pytest

from docs.hooks.notebooks import page

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.py"))


def test_there_are_notebooks() -> None:
    """The pattern finds something to run."""
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook: Path) -> None:
    """No cell fails in a fresh kernel, and the page has a title."""
    assert page(notebook).lstrip().startswith("# ")


def test_a_failing_cell_fails(tmp_path: Path) -> None:
    """A notebook that raises makes no page."""
    notebook = tmp_path / "broken.py"
    notebook.write_text("# %%\n1 / 0\n")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        page(notebook)
