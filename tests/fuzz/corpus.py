"""The corpus: a text file for each target in `corpus/`, each line an input as a Python literal."""

import ast
import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


def names() -> list[str]:
    """The targets."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def inputs(name: str) -> list[bytes]:
    """The inputs of a target."""
    lines = (FOLDER / f"{name}.txt").read_text().splitlines()
    return [ast.literal_eval(line) for line in lines]


def unpack(name: str, folder: Path) -> None:
    """Write each input into a file, as libFuzzer wants them."""
    for data in inputs(name):
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def pack(name: str, folder: Path) -> int:
    """Make the corpus anew of the files in a folder; how many inputs it has."""
    found = sorted((path.read_bytes() for path in folder.iterdir()), key=lambda d: (len(d), d))
    (FOLDER / f"{name}.txt").write_text("".join(f"{data!r}\n" for data in found))
    return len(found)
