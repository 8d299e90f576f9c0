"""Make each notebook a page of the tutorial: run it, and write down what it printed.

So a page cannot show an answer that the code does not give: a cell that fails, fails the build.
The notebooks are plain Python (jupytext's py:percent), their results are kept nowhere.
"""

from pathlib import Path

import jupytext
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

# Fences, where nbconvert indents: an indented block has no language and no copy button.
TEMPLATE = """\
{% extends 'markdown/index.md.j2' %}
{% macro printed(text) %}

~~~~text title="prints"
{{ text | strip_ansi | trim }}
~~~~

{% endmacro %}
{% block input %}

~~~~python
{{ cell.source }}
~~~~

{% endblock input %}
{% block stream %}{{ printed(output.text) }}{% endblock stream %}
{% block data_text %}{{ printed(output.data['text/plain']) }}{% endblock data_text %}
"""


def page(notebook: Path) -> str:
    """Run a notebook in a fresh kernel, and return it with its output as Markdown.

    Raises:
        CellExecutionError: A cell failed.
    """
    cells = jupytext.read(notebook, fmt="py:percent")
    NotebookClient(
        cells,
        timeout=30,  # seconds for a cell; less than a test may take, so that the cell is named
        resources={"metadata": {"path": notebook.parent}},
        # On loopback, each message signed; the kernel's warning that it is not encrypted is noise.
        extra_arguments=["--log-level=ERROR"],
    ).execute()
    markdown, _ = MarkdownExporter(raw_template=TEMPLATE).from_notebook_node(cells)
    return str(markdown)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages before mkdocs reads the navigation."""
    for notebook in sorted(Path(config.config_file_path).parent.glob("notebooks/*.py")):
        where = f"tutorial/{notebook.stem}.md"
        files.append(File.generated(config, where, content=page(notebook)))
    return files
