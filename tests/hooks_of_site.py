"""The modules in docs/hooks, which mkdocs runs when it builds the site."""

import importlib.util
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent.parent / "docs/hooks"


def hook(name: str) -> ModuleType:
    """One of them, loaded as mkdocs does: from its file."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
