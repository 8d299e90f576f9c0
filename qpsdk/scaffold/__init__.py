"""Samples to start from: a config directory, a plugin in a file, a project with all around it."""

from importlib.resources import files


def sample_config() -> dict[str, str]:
    """The sample config directory: the text of each file by its name."""
    folder = files("qpsdk.scaffold") / "config"
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
