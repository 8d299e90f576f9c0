"""Transcripts as tests of pytest: ``.smtp`` files, and blocks in Markdown.

``pytest --update-transcripts`` writes what the server says into the files.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from qpsdk.errors import TranscriptError
from qpsdk.testing.dialogue import Result, run, update
from qpsdk.testing.transcripts import Transcript, parse

OPTION = "--update-transcripts"
_UPDATED = pytest.StashKey[list[str]]()


class DifferentError(Exception):
    """The dialogue was not as its transcript has it."""


class TranscriptItem(pytest.Item):
    """A transcript as a test."""

    def __init__(self, *, transcript: Transcript, **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self.transcript = transcript

    def runtest(self) -> None:
        """Hold the dialogue; with the option, correct the file."""
        result = asyncio.run(run(self.transcript))
        if not result.is_right and self.config.getoption(OPTION) and not result.problem:
            file = self.getparent(TranscriptFile)
            assert file is not None
            file.update(result)
        elif not result.is_right:
            raise DifferentError(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: object) -> str:
        """What differs; a traceback only where we fail ourselves."""
        if isinstance(excinfo.value, DifferentError | TranscriptError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it is: pytest counts lines from 0."""
        return self.path, self.transcript.number - 1, self.name


class TranscriptFile(pytest.File):
    """A file with transcripts."""

    def collect(self) -> Iterator[TranscriptItem]:
        """Its transcripts."""
        self._text = self.path.read_bytes().decode()
        self._results: list[Result] = []
        try:
            transcripts = parse(self._text, self._shown_path())
        except TranscriptError as error:
            raise self.CollectError(str(error)) from None
        for transcript in transcripts:
            yield TranscriptItem.from_parent(self, name=transcript.title, transcript=transcript)

    def update(self, result: Result) -> None:
        """Write what the server said into the file."""
        self._results.append(result)
        self.path.write_bytes(update(self._text, self._results).encode())
        self.config.stash[_UPDATED].append(f"{self.nodeid}: {result.transcript.title}")

    def _shown_path(self) -> Path:
        """The path as a user would type it."""
        here = self.config.invocation_params.dir
        return self.path.relative_to(here) if self.path.is_relative_to(here) else self.path


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our option."""
    parser.getgroup("qpsdk").addoption(
        OPTION,
        action="store_true",
        help="write what the server says into the transcripts (.smtp, and blocks in Markdown)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to have one file written by several processes."""
    config.stash[_UPDATED] = []
    if config.getoption(OPTION) and config.getoption("numprocesses", None):
        raise pytest.UsageError(f"{OPTION} writes files: run it without -n")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> TranscriptFile | None:
    """Take ``.smtp`` files, and Markdown with a block fenced as ``smtp``."""
    if file_path.suffix == ".smtp" or (
        file_path.suffix == ".md" and b"``smtp" in file_path.read_bytes()
    ):
        return TranscriptFile.from_parent(parent, path=file_path)
    return None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which transcripts were changed."""
    for name in config.stash[_UPDATED]:
        terminalreporter.write_line(f"updated {name}")
