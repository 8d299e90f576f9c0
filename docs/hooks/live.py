"""Make the tutorial's cells live: publish what runs Python in the reader's browser.

All of it is served by the site itself: Pyodide and CodeMirror as npm has them (`npm/`, fetched by
make), a zip with this package, and the scripts of `docs/live`. Without npm's packages the site is
built with cells that only show what was recorded, and says so; under CI that is a failure.
"""

import json
import os
import sys
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT: Final = Path(__file__).parent.parent.parent
PACKAGES: Final = ROOT / "npm" / "node_modules"

PYODIDE: Final = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "pyodide-lock.json",
    "python_stdlib.zip",
)
"""The files of its package that a browser asks for."""

SCRIPTS: Final = {'class="cell"': "cells", 'id="console"': "console"}
"""Which script of `docs/live` a page needs that has this in it."""

MISSING: Final = "npm's packages are not here (`make docs` fetches them)"

STATIC: Final = (
    '<p class="chapter">This copy of the site was built without what runs Python in a page:'
    " what is here can be read, and not be run.</p>"
)


def is_here() -> bool:
    """Whether npm's packages have been fetched."""
    return (PACKAGES / "pyodide").is_dir()


def modules() -> dict[str, Path]:
    """The ES module of each npm package that the editor is made of, by its name."""
    wanted = list(_described(PACKAGES.parent)["dependencies"].keys() - {"pyodide"})
    found: dict[str, Path] = {}
    while wanted:
        name = wanted.pop()
        if name not in found:
            described = _described(PACKAGES / name)
            found[name] = PACKAGES / name / described["exports"]["import"]
            wanted += described.get("dependencies", {})
    return dict(sorted(found.items()))


def _described(package: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((package / "package.json").read_text(encoding="utf-8"))
    return described


def zipped(root: Path, *folders: str) -> bytes:
    """The Python files of some folders, the same bytes each time."""
    content = BytesIO()
    with ZipFile(content, "w", ZIP_DEFLATED) as file:
        for path in sorted(path for folder in folders for path in (root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            file.writestr(ZipInfo(name), path.read_bytes(), ZIP_DEFLATED)
    return content.getvalue()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the browser asks for."""
    if not is_here():
        if os.environ.get("CI") == "true":
            raise PluginError(MISSING)
        print(f"Warning: {MISSING}, so cells are not live", file=sys.stderr)
        return files
    sources = {f"pyodide/{name}": PACKAGES / "pyodide" / name for name in PYODIDE}
    sources |= {f"{name}.js": path for name, path in modules().items()}
    for name, path in sources.items():
        files.append(File.generated(config, f"npm/{name}", abs_src_path=str(path)))
    python = zipped(ROOT, "qpsdk", "docs/live")
    files.append(File.generated(config, "live/python.zip", content=python))
    return files


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Add the scripts that a page needs."""
    needed = [script for mark, script in SCRIPTS.items() if mark in html]
    if not needed:
        return html
    if not is_here():
        return STATIC + html

    def address(path: str) -> str:
        relative = get_relative_url(path, page.url)
        return relative if relative.startswith(".") else f"./{relative}"

    imports = {name: address(f"npm/{name}.js") for name in modules()}
    tags = [f'<script type="importmap">{json.dumps({"imports": imports})}</script>']
    tags += [f'<script type="module" src="{address(f"live/{n}.js")}"></script>' for n in needed]
    return "\n".join([html, *tags])
