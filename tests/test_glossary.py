"""The glossary has each term of the tutorial once, and leads to where it is introduced."""

import re
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")

ENTRY = re.compile(
    r"^## (?P<term>.+)\n\n(?P<meaning>.+)\n\n"
    r"In the tutorial: \[.+\]\(tutorial/(?P<chapter>\w+)\.md(?:#(?P<section>[\w-]+))?\)\.$",
    re.MULTILINE,
)
ENTRIES = {entry["term"]: entry for entry in ENTRY.finditer(PAGE)}

INTRODUCED = re.compile(r"\b(?:[Aa]|[Aa]n|[Oo]ur|[Tt]he)\s\*([a-z][a-z -]*)\*")
"""How a chapter brings in a term: in italics, behind an article."""

NO_TERMS = {"size"}
"""What is stressed like that, and means no more than it says."""


def prose(chapter: str) -> str:
    """What a chapter says between its code."""
    notebook = jupytext.read(ROOT / f"notebooks/{chapter}.py", fmt="py:percent")
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return "\n\n".join(cells)


CHAPTERS = {path.stem: prose(path.stem) for path in sorted((ROOT / "notebooks").glob("*.py"))}


def test_each_term_once() -> None:
    """Every heading is an entry, in alphabetical order."""
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert headings == list(ENTRIES)
    assert headings == sorted(set(headings), key=str.lower)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_terms_of_a_chapter(chapter: str) -> None:
    """What a chapter introduces is in the glossary."""
    terms = {re.sub(r"\s+", " ", term) for term in INTRODUCED.findall(CHAPTERS[chapter])}
    known = set(ENTRIES) | {f"{term}s" for term in ENTRIES} | NO_TERMS
    assert terms - known == set()


@pytest.mark.parametrize("term", ENTRIES)
def test_where_a_term_is_introduced(term: str) -> None:
    """The chapter that an entry leads to uses the term, and none before it introduces it."""
    entry = ENTRIES[term]
    word = re.compile(rf"\b{term.replace(' ', '[ _]')}s?\b", re.IGNORECASE)
    source = (ROOT / f"notebooks/{entry['chapter']}.py").read_text(encoding="utf-8")
    assert word.search(source), entry["chapter"]
    for chapter, text in CHAPTERS.items():
        if chapter == entry["chapter"]:
            break
        assert not re.search(rf"\*{re.escape(term)}s?\*", text), chapter


@pytest.mark.parametrize("term", ENTRIES)
def test_the_section_exists(term: str) -> None:
    """The link goes to a heading, as the theme makes anchors of them."""
    entry = ENTRIES[term]
    headings = re.findall(r"^#+ (.+)$", CHAPTERS[entry["chapter"]], re.MULTILINE)
    anchors = {re.sub(r"[^\w\s-]", "", h).strip().lower().replace(" ", "-") for h in headings}
    assert entry["section"] is None or entry["section"] in anchors
