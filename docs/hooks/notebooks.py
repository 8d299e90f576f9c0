"""Make each notebook a chapter of the tutorial: run it, and write down what it printed.

So a page cannot show an answer that the code does not give: a cell that fails, fails the build.
The notebooks are plain Python (jupytext's py:percent). What they printed is kept in `.cache/`
until a notebook, or anything in the package, is another; never in the repository.

A cell's tags say what it is: `static` needs sockets, programs or plots, and stays as it is where
others can be edited; `answer` answers an exercise, and is folded; `terminal` has the functions that
type for the reader, and is folded too.
"""

import hashlib
import platform
import re
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

import jupytext
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from nbformat import NotebookNode
from traitlets.config import Config

from qpsdk import __version__

ROOT: Final = Path(__file__).parent.parent.parent
CACHE: Final = ROOT / ".cache" / "notebooks"
BUNDLED: Final = ROOT / "qpsdk" / "plugins"

SOURCES: Final = tuple(
    ROOT / name for name in ("qpsdk", "notebooks/programs", "notebooks/recorded", "docs/assets")
)
"""Folders in which a change may change what a notebook prints."""

AT_ONCE: Final = 4
"""Notebooks that are run at the same time; each has a process of its own."""

# Fences, where nbconvert indents: an indented block has no language and no copy button. Details
# as HTML, where an indented block would break the HTML in it.
TEMPLATE: Final = """\
{% extends 'markdown/index.md.j2' %}
{% macro printed(text, by='prints') %}

~~~~text title="{{ by }}"
{{ (text | strip_ansi).strip('\\n').rstrip() }}
~~~~

{% endmacro %}
{% macro drawn(html) %}

<div class="drawn" tabindex="0">{{ html | trim }}</div>

{% endmacro %}
{% block any_cell %}
{% set tags = cell.metadata.get('tags', []) %}
{% if 'answer' in tags or 'terminal' in tags %}

<details class="{{ 'success' if 'answer' in tags else 'note' }}" markdown>
<summary>{{ 'Answer' if 'answer' in tags else 'How Python types for you' }}</summary>

{{ super() }}

</details>

{% else %}
{{ super() }}
{% endif %}
{% endblock any_cell %}
{% block codecell %}
{% if 'static' in cell.metadata.get('tags', []) %}
{{ super() }}
{% else %}
<div class="cell" markdown>
{{ super() }}
</div>
{% endif %}
{% endblock codecell %}
{% block input %}

~~~~{.python{% if 'static' in cell.metadata.get('tags', []) %} .static{% endif %}\
{% if cell.metadata.file %} title="{{ cell.metadata.file }}"{% endif %}}
{{ cell.source }}
~~~~

{% endblock input %}
{% block output_group %}
{% if cell.outputs %}
<div class="recorded" markdown>
{{ super() }}
</div>
{% endif %}
{% endblock output_group %}
{% block stream %}
{{ printed(output.text, 'logs' if output.name == 'stderr' else 'prints') }}
{% endblock stream %}
{% block data_html %}{{ drawn(output.data['text/html']) }}{% endblock data_html %}
{% block data_svg %}{{ drawn(output.data['image/svg+xml']) }}{% endblock data_svg %}
{% block data_text %}{{ printed(output.data['text/plain']) }}{% endblock data_text %}
"""

WRITTEN: Final = re.compile(r"%%writefile (\S+)\n")
"""How a cell begins that is a file: its page has it under the file's name."""

# Pictures stay in the page: nobody would write the files that nbconvert takes them out to.
IN_ONE_PIECE: Final = Config({"ExtractOutputPreprocessor": {"enabled": False}})


def run(notebook: Path) -> NotebookNode:
    """Run a notebook in a fresh kernel; it with all its output.

    Raises:
        CellExecutionError: A cell failed.
    """
    cells: NotebookNode = jupytext.read(notebook, fmt="py:percent")
    for number, cell in enumerate(cells.cells):
        cell.id = f"cell-{number}"  # jupytext's are another each time
    with tempfile.TemporaryDirectory() as sockets:
        NotebookClient(
            cells,
            timeout=120,  # seconds for a cell; less than a test may take, so that the cell is named
            resources={"metadata": {"path": notebook.parent}},
            record_timing=False,
            # Not by TCP: of two kernels that start at once, one may take the other's port.
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),
            # Only we reach it; its warning that it is not encrypted is noise.
            extra_arguments=["--log-level=ERROR"],
        ).execute()
    for cell in cells.cells:
        if cell.cell_type == "code":
            cell.outputs = list(_settled(cell.outputs))
    return cells


def _settled(outputs: list[NotebookNode]) -> Iterator[NotebookNode]:
    """The same, whichever way the kernel's two streams reached us: the log comes last."""
    last = None
    for output in sorted(outputs, key=lambda o: o.get("name") == "stderr"):
        if last is not None and "name" in output and output.get("name") == last.get("name"):
            last.text += output.text
        else:
            last = output
            yield output


def executed(
    notebook: Path, cache: Path = CACHE, sources: Sequence[Path] = SOURCES
) -> NotebookNode:
    """The same from the cache, if neither it nor the sources have changed. Raises as `run`."""
    key = _key(notebook, sources)
    kept = cache / f"{notebook.stem}.ipynb"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(kept.with_suffix(".lock")):
        if kept.is_file():
            cells: NotebookNode = nbformat.read(kept, as_version=4)
            if cells.metadata.get("qpsdk", {}).get("key") == key:
                return cells
        cells = run(notebook)
        cells.metadata["qpsdk"] = {
            "key": key,
            "version": __version__,
            "python": platform.python_version(),
        }
        fresh = kept.with_suffix(".new")
        nbformat.write(cells, fresh)
        fresh.replace(kept)
    return cells


def _key(notebook: Path, sources: Sequence[Path]) -> str:
    """Another one whenever the notebook might print something else."""
    found = (path for folder in sources for path in folder.rglob("*"))
    files = sorted(p for p in found if p.is_file() and "__pycache__" not in p.parts)
    digest = hashlib.sha256(platform.python_version().encode())
    for path in (notebook, Path(__file__), *files):
        digest.update(hashlib.sha256(str(path).encode()).digest())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone among the processes and threads that want the same notebook."""
    with path.open("w") as file:
        flock(file, LOCK_EX)
        yield


def page(notebook: Path, following: Path | None = None, cache: Path = CACHE) -> str:
    """A notebook with its output as Markdown, with its downloads and the way to the next.

    Raises:
        CellExecutionError: A cell failed.
        ValueError: The notebook does not begin with a title.
    """
    expected = f"# {title(notebook)}"
    cells = executed(notebook, cache)
    exporter = MarkdownExporter(config=IN_ONE_PIECE, raw_template=TEMPLATE)
    for cell in cells.cells:
        if written := WRITTEN.match(cell.source):
            cell.metadata["file"] = written[1]
            cell.source = cell.source[written.end() :]
            cell.outputs = []  # that it was written
    markdown, _ = exporter.from_notebook_node(cells)
    heading, _, rest = str(markdown).lstrip().partition("\n")
    if heading != expected:
        raise ValueError(f"{notebook}: the first line of its page is {heading!r}, not its title")
    parts = [heading, _about(notebook, cells), rest.strip()]
    if following is not None:
        parts.append(f"**Next:** [{title(following)}]({following.stem}.md)")
    return "\n\n".join(parts) + "\n"


def title(notebook: Path) -> str:
    """What a notebook calls itself: the first heading in it.

    Raises:
        ValueError: There is none.
    """
    found = re.search(r"^# # (.+)$", notebook.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"{notebook}: no title; write `# # Title` into its first cell")
    return found[1]


def _about(notebook: Path, cells: NotebookNode) -> str:
    """What the page was run with, and the files to take home."""
    stem = notebook.stem
    ran = cells.metadata["qpsdk"]
    links = [_download("notebook", f"{stem}.ipynb"), _download("the same as Python", f"{stem}.py")]
    if program(notebook).is_file():
        links.append(_download("its program", f"programs/{stem}.py"))
    links += [_download(f"`{file}`", f"plugins/{file}") for file in plugins(notebook)]
    return (
        f"Run with qpsdk {ran['version']} on Python {ran['python']}."
        f" Download: {', '.join(links)}.\n{{ .chapter data-search-exclude }}"
    )


def _download(text: str, path: str) -> str:
    return f'[{text}]({path}){{ download="{path.rpartition("/")[2]}" }}'


def program(notebook: Path) -> Path:
    """Where the program that the chapter arrives at is, if it has one."""
    return notebook.parent / "programs" / notebook.name


def plugins(notebook: Path) -> list[str]:
    """The files of bundled plugins that the chapter's cells are parts of."""
    written = re.findall(r"^# (\w+/\w+\.py)$", notebook.read_text(encoding="utf-8"), re.MULTILINE)
    return sorted(file for file in set(written) if (BUNDLED / file).is_file())


def downloads(notebook: Path, cache: Path = CACHE) -> dict[str, str]:
    """The files beside a page, by their names."""
    cells = executed(notebook, cache)
    for name in cells.metadata.keys() - {"kernelspec", "language_info"}:
        del cells.metadata[name]  # jupytext's and ours
    files = {
        f"{notebook.stem}.ipynb": nbformat.writes(cells),
        f"{notebook.stem}.py": notebook.read_text(encoding="utf-8"),
    }
    if program(notebook).is_file():
        files[f"programs/{notebook.stem}.py"] = program(notebook).read_text(encoding="utf-8")
    for file in plugins(notebook):
        files[f"plugins/{file}"] = (BUNDLED / file).read_text(encoding="utf-8")
    return files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and their downloads before mkdocs reads the navigation."""
    notebooks = sorted(Path(config.config_file_path).parent.glob("notebooks/*.py"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pages = pool.map(page, notebooks, [*notebooks[1:], None])
        made: dict[str, str] = {}  # two chapters may have written the same plugin
        for notebook, markdown in zip(notebooks, pages, strict=True):
            made |= {f"{notebook.stem}.md": markdown, **downloads(notebook)}
    for name, content in made.items():
        files.append(File.generated(config, f"tutorial/{name}", content=content))
    return files
