"""Every notebook runs from top to bottom, by the code that makes its page."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest
from nbformat import NotebookNode

from docs.hooks.notebooks import downloads, executed, page, program, run

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.py"))
LONG = {"08_testing_it", "09_your_own"}
"""Notebooks that run pytest time and again."""
PROGRAMS = sorted((Path(__file__).parent.parent / "notebooks/programs").glob("*.py"))

by_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
by_program = pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)

CODE_WIDTH = 88
"""Characters of a line of code that a page shows without scrolling."""

DATE = re.compile(r"\w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}")
"""What a page may show that is another each time: the date in a Received field."""

SAMPLED = re.compile(r"\\n +while this was at work:.*?(?=\\n +in this session:)")
"""What the contract tests show only where they looked at the right moment."""

BEYOND_MEMORY = {"socket", "subprocess", "threading", "multiprocessing", "matplotlib"}
"""Modules that a cell needs the tag `static` for."""


def cells(notebook: Path, kind: str = "code", tag: str = "") -> list[NotebookNode]:
    """The cells of a notebook as written, those with a tag if one is given."""
    return [
        cell
        for cell in jupytext.read(notebook, fmt="py:percent").cells
        if cell.cell_type == kind and (not tag or tag in tags(cell))
    ]


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def outputs(cells: list[NotebookNode]) -> list[NotebookNode]:
    """What each code cell of a notebook that was run has shown."""
    return [cell.outputs for cell in cells if cell.cell_type == "code"]


def shown(cells: list[NotebookNode]) -> str:
    """The same as text, without what may be another each time."""
    text = json.dumps(outputs(cells), indent=1, sort_keys=True)
    return SAMPLED.sub("", DATE.sub("DATE", text))


def test_there_are_notebooks() -> None:
    """The patterns find something to run."""
    assert NOTEBOOKS
    assert PROGRAMS


@pytest.mark.timeout(240)
@by_notebook
def test_notebook_runs(notebook: Path) -> None:
    """No cell fails in a fresh kernel, none shows a traceback, and the page has a title."""
    assert page(notebook).startswith("# ")
    text = str(outputs(executed(notebook).cells))
    assert "Traceback (most recent call last)" not in text
    assert "'output_type': 'error'" not in text


@pytest.mark.timeout(240)  # it runs a notebook, and some run pytest
@pytest.mark.parametrize(
    "notebook",
    [
        pytest.param(path, marks=pytest.mark.exhaustive if path.stem in LONG else (), id=path.stem)
        for path in NOTEBOOKS
        if path.stem != "10_in_production"  # which tests/test_recordings.py runs a second time
    ],
)
def test_notebook_prints_the_same_each_time(notebook: Path) -> None:
    """A second run shows what the page shows: no durations, no ports, no addresses of objects."""
    assert shown(run(notebook).cells) == shown(executed(notebook).cells)


@by_notebook
def test_code_fits_the_page(notebook: Path) -> None:
    """No line of code needs scrolling."""
    lines = [line for cell in cells(notebook) for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > CODE_WIDTH] == []


@by_notebook
def test_every_exercise_has_an_answer_that_is_checked(notebook: Path) -> None:
    """There are as many answers as exercises, and each asserts something."""
    text = "\n".join(cell.source for cell in cells(notebook, "markdown"))
    answers = [cell.source for cell in cells(notebook, tag="answer")]
    assert len(answers) == len(re.findall(r"^\*\*\d\.\*\* ", text, re.MULTILINE))
    assert all(re.search(r"^ *assert", answer, re.MULTILINE) for answer in answers)


@by_notebook
def test_live_cells_need_only_memory(notebook: Path) -> None:
    """A cell that is not tagged `static` asks for no shell, no thread and no socket."""
    for cell in cells(notebook):
        if "static" not in tags(cell):
            assert not re.search(r"^\s*[!%]", cell.source, re.MULTILINE), cell.source
            names = re.findall(r"^\s*(?:import|from) (\w+)", cell.source, re.MULTILINE)
            assert BEYOND_MEMORY.isdisjoint(names), cell.source


@by_program
def test_program_runs(path: Path, tmp_path: Path) -> None:
    """Where a chapter arrives is a program that plain Python runs, which shows something."""
    ran = subprocess.run(
        [sys.executable, path], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout


@by_program
def test_program_is_cut_from_its_chapter(path: Path) -> None:
    """What the chapter's cells tagged `program` do, the program does in the same words."""
    statements = ast.parse(path.read_text(encoding="utf-8")).body
    for statement in list(statements):
        if isinstance(statement, ast.AsyncFunctionDef) and statement.name == "main":
            statements += statement.body
    there = {ast.dump(statement) for statement in statements}
    for cell in cells(path.parent.parent / path.name, tag="program"):
        for statement in ast.parse(cell.source).body:
            if not isinstance(statement, ast.Import | ast.ImportFrom):
                assert ast.dump(statement) in there, ast.unparse(statement)


# The machinery


def made(notebook: Path, following: Path | None = None) -> str:
    """The page of a notebook of a test."""
    return page(notebook, following, notebook.parent / "cache")


def write(tmp_path: Path, *lines: str) -> Path:
    """A notebook."""
    notebook = tmp_path / "chapter.py"
    notebook.write_text("\n".join(["# %% [markdown]", "# # Title", *lines, ""]))
    return notebook


def test_a_failing_cell_fails(tmp_path: Path) -> None:
    """A notebook that raises makes no page."""
    with pytest.raises(Exception, match="ZeroDivisionError"):
        made(write(tmp_path, "# %%", "1 / 0"))


def test_page_shows_what_each_kind_of_cell_shows(tmp_path: Path) -> None:
    """Text is fenced, the log comes last whenever it was written, HTML is kept as it is."""
    notebook = write(
        tmp_path,
        "# %%",
        "import logging",
        "",
        "logging.warning('a slip')",
        "print('  printed')",
        '# %% tags=["static"]',
        "from qpsdk.explain import explain",
        "",
        "explain(b'1:x,')",
    )
    first, second = made(notebook).split("~~~~{.python .static}")
    assert first.index("  printed") < first.index("WARNING:root:a slip")
    assert '~~~~text title="prints"\n  printed\n~~~~' in first
    assert '~~~~text title="logs"' in first
    assert '<div class="drawn" tabindex="0"><pre' in second
    assert '<span style="font-weight:bold">1:</span>' in second


def test_page_folds_answers(tmp_path: Path) -> None:
    """An answer and what it prints are in the page, behind a word."""
    shown = made(write(tmp_path, '# %% tags=["answer"]', "print(6 * 7)"))
    before, answer = shown.split("<summary>Answer</summary>")
    assert '<details class="success" markdown>' in before
    assert "print(6 * 7)" in answer
    assert "\n42\n" in answer


def test_page_leads_on(tmp_path: Path) -> None:
    """A page says with what it was run, has its files to download, and names the next chapter."""
    notebook = write(tmp_path, "# %%", "print(6 * 7)")
    shown = made(notebook, NOTEBOOKS[0])
    assert re.search(r"^Run with qpsdk \S+ on Python 3\.\d+", shown, re.MULTILINE)
    assert "](chapter.ipynb)" in shown
    assert shown.endswith("**Next:** [Five minutes](00_five_minutes.md)\n")
    files = downloads(notebook, tmp_path / "cache")
    assert sorted(files) == ["chapter.ipynb", "chapter.py"]
    assert "42" in files["chapter.ipynb"]
    program(notebook).parent.mkdir()
    program(notebook).write_text("print(42)\n")
    assert downloads(notebook, tmp_path / "cache")["programs/chapter.py"] == "print(42)\n"
    assert "](programs/chapter.py)" in made(notebook)


def test_page_has_the_plugin_that_it_writes(tmp_path: Path) -> None:
    """The whole file of a plugin is there where its parts are; a file that is none is not."""
    notebook = write(
        tmp_path, "# %%", "# queue/qmqp_forward.py", "A = 1", "# %%", "# queue/none.py", "B = 2"
    )
    files = downloads(notebook, tmp_path / "cache")
    assert [name for name in files if name.startswith("plugins/")] == [
        "plugins/queue/qmqp_forward.py"
    ]
    shipped = Path(__file__).parent.parent / "qpsdk/plugins/queue/qmqp_forward.py"
    assert files["plugins/queue/qmqp_forward.py"] == shipped.read_text()
    link = '[`queue/qmqp_forward.py`](plugins/queue/qmqp_forward.py){ download="qmqp_forward.py" }'
    assert link in made(notebook)


def test_page_needs_a_title(tmp_path: Path) -> None:
    """A notebook that begins otherwise says what to write."""
    notebook = tmp_path / "untitled.py"
    notebook.write_text("# %%\n1\n")
    with pytest.raises(ValueError, match="write `# # Title` into its first cell"):
        made(notebook)


def test_unchanged_notebook_is_not_run_again(tmp_path: Path) -> None:
    """It is run again when its text has changed, or something that it reads."""
    cache, sources = tmp_path / "cache", tmp_path / "sources"
    sources.mkdir()
    notebook = write(tmp_path, "# %%", "import os", "os.getpid()")
    first = outputs(executed(notebook, cache, [sources]).cells)
    assert outputs(executed(notebook, cache, [sources]).cells) == first
    (sources / "module.py").write_text("new = 1\n")
    second = outputs(executed(notebook, cache, [sources]).cells)
    assert second != first
    notebook.write_text(notebook.read_text() + "# a remark\n")
    assert outputs(executed(notebook, cache, [sources]).cells) not in (first, second)
