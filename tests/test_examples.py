"""The example project in docs/ is what `qpsdk new` makes now.

Renew it with: python -m tests.test_examples
"""

import shutil
from pathlib import Path

from qpsdk.scaffold.names import Names
from qpsdk.scaffold.project import Answers, render

EXAMPLES = Path(__file__).parent.parent / "docs/examples"

GREYLIST = Answers(
    Names.of("greylist-by-domain"),
    "Puts off mail from a domain that has not written before",
    "The qpsdk authors",
    ("rcpt",),
    year=2026,
)


def files(folder: Path) -> dict[str, str]:
    """Each file by its path; caches are none."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and "cache" not in str(path.relative_to(folder))
    }


def test_the_example_is_in_step(tmp_path: Path) -> None:
    """The example has the files of a new project, each to the letter."""
    render(GREYLIST, tmp_path / "new")
    assert files(EXAMPLES / "greylist-by-domain") == files(tmp_path / "new")


if __name__ == "__main__":
    shutil.rmtree(EXAMPLES / "greylist-by-domain", ignore_errors=True)
    render(GREYLIST, EXAMPLES / "greylist-by-domain")
