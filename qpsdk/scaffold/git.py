"""The few things that a new project needs of git."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from qpsdk.errors import SetupError

_NOT_OURS: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""What git sets for hooks and aliases: another repository than the one that is meant here."""

_SOMEBODY: Final = {"user.name": "qpsdk", "user.email": "qpsdk@localhost"}
"""Who commits where git knows nobody."""


class GitError(SetupError):
    """Git could not do it; the text is what it said."""


class Repository:
    """A folder under git."""

    def __init__(self, folder: Path) -> None:
        """`folder` is there, and is in a repository or is made one.

        Raises:
            SetupError: There is no git.
        """
        if shutil.which("git") is None:
            raise SetupError("git is needed, and is not installed")
        self.folder = folder

    def run(self, *words: str | Path, options: Sequence[str] = ()) -> str:
        """What a git command prints, without its line end.

        Args:
            options: Git's own, before the command.

        Raises:
            GitError: It failed.
        """
        result = self._run(*options, *words)
        if result.returncode != 0:
            said = (result.stderr.strip() or result.stdout.strip()).replace("\n", "; ")
            raise GitError(f"git {words[0]}: {said}")
        return result.stdout.rstrip("\n")

    def succeeds(self, *words: str | Path) -> bool:
        """Whether a git command does."""
        return self._run(*words).returncode == 0

    def identity(self) -> list[str]:
        """Options by which a commit has an author where git knows of none."""
        unknown = [key for key in _SOMEBODY if not self.succeeds("config", "--get", key)]
        return [word for key in unknown for word in ("-c", f"{key}={_SOMEBODY[key]}")]

    def has_changed(self) -> bool:
        """Whether the folder differs from its last commit; it is staged, ignored files too."""
        self.run("add", "--all", "--force", ".")
        return not self.succeeds("diff", "--cached", "--quiet")

    def commit_all(self, message: str) -> bool:
        """Commit the folder as it is; False if nothing has changed."""
        if not self.has_changed():
            return False
        # Nobody is asked for a passphrase, and no hook of the user's has a say, not even those that
        # --no-verify lets run: it is no work of theirs that is committed here.
        options = [*self.identity(), "-c", f"core.hooksPath={os.devnull}"]
        self.run("commit", "--quiet", "--no-gpg-sign", "--message", message, options=options)
        return True

    def _run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k not in _NOT_OURS}
        return subprocess.run(
            ["git", *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
