"""Git as `qpsdk new` uses it: on a machine that knows nobody, and inside others' hooks."""

from pathlib import Path

import pytest

from qpsdk.errors import SetupError
from qpsdk.scaffold.git import GitError, Repository


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A new repository of a user whom git does not know."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{name}_NAME", raising=False)
        monkeypatch.delenv(f"GIT_{name}_EMAIL", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    repository = Repository(folder)
    repository.run("init", "--quiet")
    (folder / "file").write_text("text\n")
    return repository


def test_commit_without_identity(repository: Repository) -> None:
    """Where git knows nobody, qpsdk commits; nothing is written into git's settings."""
    assert repository.commit_all("First")
    assert repository.run("log", "--format=%an <%ae> %s") == "qpsdk <qpsdk@localhost> First"
    assert not repository.succeeds("config", "--get", "user.name")


def test_commit_by_the_user(repository: Repository) -> None:
    """Whom git knows is the author."""
    repository.run("config", "user.name", "Ann")
    repository.run("config", "user.email", "ann@example.org")
    repository.commit_all("First")
    assert repository.run("log", "--format=%an <%ae>") == "Ann <ann@example.org>"


def test_nothing_to_commit(repository: Repository) -> None:
    """Without a change there is no commit."""
    repository.commit_all("First")
    assert not repository.commit_all("Second")
    assert repository.run("log", "--format=%s") == "First"


def test_ignored_files_are_committed(repository: Repository) -> None:
    """What a project is made of is committed whatever the user has git ignore."""
    (repository.folder / ".gitignore").write_text("*\n")
    repository.commit_all("First")
    assert repository.run("ls-files").split() == [".gitignore", "file"]


def test_inside_a_hook_of_git(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Git's own variables, as its hooks have them, lead to no other repository."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere/index"))
    assert repository.commit_all("First")
    assert not (tmp_path / "elsewhere").exists()


def test_no_hook_has_a_say(repository: Repository) -> None:
    """Hooks that the user has git run in every repository do not run for what is none of theirs."""
    hooks = repository.folder.parent / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {hooks}/ran; exit 1\n")
        (hooks / name).chmod(0o700)
    repository.run("config", "core.hooksPath", str(hooks))
    assert repository.commit_all("First")
    assert not (hooks / "ran").exists()


def test_an_error_is_what_git_says(repository: Repository) -> None:
    """A failure says which command failed, and on one line why."""
    with pytest.raises(GitError, match=r"^git switch: fatal: .*nowhere") as caught:
        repository.run("switch", "nowhere", options=repository.identity())
    assert "\n" not in str(caught.value)


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no git, that is said."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"^git is needed, and is not installed$"):
        Repository(tmp_path)
