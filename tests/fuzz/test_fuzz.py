"""The corpus once more: what broke something once, and what reaches furthest, in every run."""

from pathlib import Path

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS


def test_each_target_has_a_corpus() -> None:
    """No target is forgotten, and no corpus is without its target."""
    assert corpus.names() == sorted(TARGETS)


@pytest.mark.parametrize("name", corpus.names())
def test_corpus(name: str) -> None:
    """What must hold for any bytes holds for those of the corpus."""
    inputs = corpus.inputs(name)
    assert len(inputs) > 1
    for data in inputs:
        TARGETS[name](data)


def test_a_corpus_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs survive the way into files and back, in order of their size."""
    monkeypatch.setattr(corpus, "FOLDER", tmp_path)
    (tmp_path / "x.txt").write_text("b'longer'\nb'\\n\\xff'\nb''\n")
    files = tmp_path / "files"
    files.mkdir()
    corpus.unpack("x", files)
    assert corpus.pack("x", files) == 3
    assert corpus.inputs("x") == [b"", b"\n\xff", b"longer"]
