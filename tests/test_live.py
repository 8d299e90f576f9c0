"""What makes the cells of the site live: what is published, and what runs a cell."""

import asyncio
import io
import os
from pathlib import Path
from zipfile import ZipFile

import pytest
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.hooks import live
from docs.live.cells import NAMES, answer

Shown = list[tuple[str, str]]


@pytest.fixture
def config(tmp_path: Path) -> MkDocsConfig:
    """Settings of a site with nothing in it."""
    config = MkDocsConfig()
    config.load_dict({"site_name": "x", "docs_dir": str(tmp_path), "site_dir": str(tmp_path / "y")})
    return config


def run(source: str) -> tuple[bool, Shown]:
    """Run a cell; whether it came to its end, and what it showed."""
    before = set(NAMES)
    shown: Shown = []
    try:
        ended = asyncio.run(answer(source, "cell 1", lambda *what: shown.append(what)))
    finally:
        for name in NAMES.keys() - before:
            del NAMES[name]
    return ended, shown


def test_without_the_packages(
    config: MkDocsConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The site is built all the same, with a warning; not under CI."""
    monkeypatch.setattr(live, "PACKAGES", tmp_path)
    monkeypatch.delenv("CI", raising=False)
    assert len(live.on_files(Files([]), config)) == 0
    assert "cells are not live" in capsys.readouterr().err
    monkeypatch.setitem(os.environ, "CI", "true")
    with pytest.raises(PluginError, match="npm's packages are not here"):
        live.on_files(Files([]), config)


def test_a_page_without_the_packages(
    config: MkDocsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page with cells says that they cannot be run; others say nothing."""
    monkeypatch.setattr(live, "PACKAGES", tmp_path)
    file = File("x.md", str(tmp_path), str(tmp_path), use_directory_urls=True)
    page = Page("x", file, config)
    told, plain = (
        live.on_page_content(html, page=page, config=config, files=Files([]))
        for html in ('<div class="cell"></div>', "<p></p>")
    )
    assert "built without what runs Python" in told
    assert "<script" not in told
    assert plain == "<p></p>"


def test_the_lock_names_no_host() -> None:
    """Who installs has a registry of their own."""
    lock = (live.PACKAGES.parent / "package-lock.json").read_text(encoding="utf-8")
    assert "pyodide" in lock
    assert "://" not in lock


def test_zip(tmp_path: Path) -> None:
    """Each file under its own name; no cache, and the same bytes each time."""
    (tmp_path / "one/inner").mkdir(parents=True)
    (tmp_path / "one/__init__.py").write_text("")
    (tmp_path / "one/inner/x.py").write_text("x = 1")
    (tmp_path / "one/x.pyc").write_text("")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/y.py").write_text("")
    content = live.zipped(tmp_path, "one", "two")
    names = ZipFile(io.BytesIO(content)).namelist()
    assert names == ["one/__init__.py", "one/inner/x.py", "two/y.py"]
    os.utime(tmp_path / "two/y.py", (1e9, 1e9))
    assert live.zipped(tmp_path, "one", "two") == content


def test_what_is_printed() -> None:
    """Lines are shown as they end, the last one without an end, too; the log by itself."""
    ended, shown = run(
        "import sys\nprint('one')\nprint('lo', end='')\n"
        "print('g', file=sys.stderr)\nprint('two', end='')"
    )
    assert ended
    assert shown == [("stdout", "one\n"), ("stderr", "g\n"), ("stdout", "lotwo")]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("x = 1", []),
        ("x = 1\nx + 1", [("value", "2")]),
        ("None", []),
        ("async def f(): return 'a'\nawait f()", [("value", "'a'")]),
        ("import asyncio\nawait asyncio.sleep(0)\nx = 1", []),
        (
            "class H:\n    def _repr_html_(self): return '<b>'\nH()",
            [("html", "<b>")],
        ),
        ("", []),
    ],
)
def test_value(source: str, shown: Shown) -> None:
    """The value of the last line is shown, as HTML if it can be."""
    assert run(source) == (True, shown)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            "print('a')\ndef f():\n    1 / 0\nf()",
            "Traceback (most recent call last):\n"
            '  File "cell 1", line 4, in <module>\n'
            "    f()\n"
            '  File "cell 1", line 3, in f\n'
            "    1 / 0\n",
        ),
        ("a b", '  File "cell 1", line 1\n    a b\n'),
        ("raise SystemExit", "Traceback (most recent call last):\n"),
    ],
)
def test_error(source: str, told: str) -> None:
    """A traceback begins in the cell; what was printed before stays."""
    ended, shown = run(source)
    kind, text = shown[-1]
    assert (ended, kind) == (False, "error")
    assert "\n".join(line for line in text.split("\n") if "^" not in line).startswith(told)
    assert len(shown) == 1 + ("print" in source)


def test_a_plugin_of_a_cell_is_found() -> None:
    """The cells' names are the module `__main__`, as in a notebook and on a plugin's line."""
    ended, shown = run("class A: pass\nA.__module__")
    assert (ended, shown) == (True, [("value", "'__main__'")])
