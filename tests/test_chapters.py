"""The plugins that the tutorial builds are the ones that are shipped, and its programs are its own.

A cell that begins with the name of a plugin's file is a part of that file.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
NAIVE, STREAMING, WRONG = "05_the_naive_forwarder", "06_streaming", "07_when_things_go_wrong"

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def definitions(text: str, *, functions_only: bool = False) -> dict[str, str]:
    """The source of what code defines, by name, with the comments above it.

    ``class X(X)`` adds to the class X. What is defined twice counts as it was last.
    """
    found: dict[str, str] = {}
    lines = text.splitlines()

    def read(body: list[ast.stmt], start: int, prefix: str = "") -> None:
        for node in body:
            assert node.end_lineno is not None
            source = "\n".join(lines[start : node.end_lineno]).strip("\n")
            start = node.end_lineno
            if isinstance(node, ast.ClassDef):
                header = node.body[0].lineno - 1
                bases = [ast.unparse(base) for base in node.bases]
                if bases != [node.name] and not functions_only:
                    found[node.name] = f"class {node.name}({', '.join(bases)})"
                read(node.body, header, f"{node.name}.")
            elif isinstance(node, FUNCTION):
                found[prefix + node.name] = source
            elif functions_only:
                continue
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                found[prefix + ast.unparse(target)] = source
            elif prefix and isinstance(node, ast.Expr):
                found[prefix + "__doc__"] = source

    read(ast.parse(text).body, 0)
    return found


def cells(chapter: str) -> list[str]:
    """The code of a chapter's cells."""
    notebook = jupytext.read(NOTEBOOKS / f"{chapter}.py", fmt="py:percent")
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def pieces(chapter: str, file: str) -> Iterator[tuple[str, str]]:
    """What a chapter's cells say stands in a plugin's file: names and source."""
    for source in cells(chapter):
        mark, _, piece = source.partition("\n")
        if mark == f"# {file}":
            yield from definitions(piece).items()


@pytest.mark.parametrize(
    ("file", "chapters"),
    [
        ("queue/qmqp_forward_naive.py", [NAIVE]),
        ("queue/qmqp_forward.py", [STREAMING, WRONG]),
    ],
)
def test_the_chapters_write_the_plugin(file: str, chapters: list[str]) -> None:
    """Every line of a plugin below its imports stands in a chapter, and no other one does."""
    shipped = definitions((ROOT / "qpsdk" / "plugins" / file).read_text())
    assert len(shipped) > 5
    for chapter in chapters:
        for name, source in pieces(chapter, file):
            assert source == shipped[name], f"{chapter}: {name} is not as in {file}"
    (last,) = chapters[-1:]  # the last chapter has it all
    assert dict(pieces(last, file)) == shipped


@pytest.mark.parametrize("chapter", [NAIVE, STREAMING, WRONG])
def test_a_program_is_its_chapters(chapter: str) -> None:
    """What a program defines is what its chapter defines, as it was there in the end."""
    in_chapter = definitions("\n\n".join(cells(chapter)), functions_only=True)
    program = (NOTEBOOKS / "programs" / f"{chapter}.py").read_text()
    in_program = definitions(program, functions_only=True)
    common = in_program.keys() & in_chapter.keys()
    assert len(common) > 1
    assert {name: in_program[name] for name in common} == {n: in_chapter[n] for n in common}


def test_the_naive_program_has_the_plugin() -> None:
    """The program of the naive chapter has the whole plugin in it."""
    shipped = ROOT / "qpsdk" / "plugins" / "queue" / "qmqp_forward_naive.py"
    program = NOTEBOOKS / "programs" / f"{NAIVE}.py"
    assert definitions(shipped.read_text()).items() <= definitions(program.read_text()).items()


def test_both_are_measured_alike() -> None:
    """The chapter on streaming measures by the function that found the naive plugin wanting."""
    one, other = (definitions("\n\n".join(cells(chapter))) for chapter in (NAIVE, STREAMING))
    for name in ("peak", "StartCounting.hook_queue"):
        assert one[name] == other[name]


@pytest.mark.parametrize(
    ("chapter", "lines"),
    [
        (
            NAIVE,
            [
                "250 2.0.0 queued as 1",
                "452 4.3.0 disk full",
                "552 5.3.0 no",
                "452 4.3.0 Cannot queue the message now, try again later",
                "8 MB to forward: 3 times as much in use",
            ],
        ),
        (STREAMING, ["8 MB to forward: 0 MB in use", "552 5.3.4 too big for us"]),
        (
            WRONG,
            [
                "accept('ok')",
                "    250 2.0.0 ok",
                "    copies: 1 server, 0 next plugin",
                "huge_length()",
                "    452 4.3.0 Cannot queue the message now, try again later",
                "    copies: 0 server, 0 next plugin",
            ],
        ),
    ],
)
def test_program(chapter: str, lines: list[str]) -> None:
    """Plain Python runs a chapter's program, and it shows what the chapter came to."""
    run = subprocess.run(
        [sys.executable, NOTEBOOKS / "programs" / f"{chapter}.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    said = run.stdout.splitlines()
    assert [line for line in lines if line not in said] == []


def test_definitions() -> None:
    """A class may be continued; comments belong to what follows them; the last one counts."""
    text = (
        "import x\n\nLIMIT = 1\n\nclass A(B):\n    '''Doc.'''\n\n    # why\n    def f(self):\n"
        "        return 1\n\nclass A(A):\n    def g(self):\n        return 2\n\n"
        "class A(A):\n    def g(self):\n        return 3\n"
    )
    assert definitions(text) == {
        "LIMIT": "LIMIT = 1",
        "A": "class A(B)",
        "A.__doc__": "    '''Doc.'''",
        "A.f": "    # why\n    def f(self):\n        return 1",
        "A.g": "    def g(self):\n        return 3",
    }
    assert list(definitions(text, functions_only=True)) == ["A.f", "A.g"]
