"""Makes a project for a new plugin, and keeps its template up to date.

The branch ``template`` of a project's git repository has what was rendered, untouched. An update
renders there again and merges the branch, so it is a merge like any other.
"""

import datetime
import json
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import qpsdk
from qpsdk.errors import SetupError
from qpsdk.hooks import HOOKS
from qpsdk.scaffold import sample_config
from qpsdk.scaffold.compose import code_of_plugin, code_of_tests
from qpsdk.scaffold.git import Repository
from qpsdk.scaffold.names import Names

BRANCH: Final = "template"
"""The branch that has the project as it was rendered."""

ANSWERS: Final = ".qpsdk.toml"
"""What the template was rendered from."""

MAX_TEXT: Final = 80
"""Letters of a description or an author's name: it has to fit on a line of code."""

_UNFIT: Final = re.compile(r'["\\]|[^\S ]|[\x00-\x1f\x7f-\x9f\u2028\u2029]')


@dataclass(frozen=True, slots=True)
class Answers:
    """What a project is rendered from; None is asked for, or has a default.

    Attributes:
        qpsdk_from: A requirement in place of qpsdk's release, as pip takes it; or empty.
        year: Of the copyright.
    """

    names: Names
    description: str | None = None
    author: str | None = None
    hooks: tuple[str, ...] | None = None
    qpsdk_from: str = ""
    year: int = 0

    def __post_init__(self) -> None:
        for what, text in (("description", self.description), ("author", self.author)):
            if text is not None and (told := fault(text)):
                raise SetupError(f"{what}: {told}")
        if self.hooks is not None and not (self.hooks and HOOKS.keys() >= {*self.hooks}):
            raise SetupError("hooks: write one or several of those that `qpsdk hooks` lists")

    @classmethod
    def read(cls, path: Path) -> "Answers":
        """The answers that a project was rendered from.

        Raises:
            SetupError: The file is not as `new` has written it.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls(
                Names.of(values["name"]),
                str(values["description"]),
                str(values["author"]),
                tuple(values["hooks"]),
                str(values["qpsdk_from"]),
                int(values["year"]),
            )
        except (OSError, KeyError, TypeError, ValueError, SetupError) as error:
            told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise SetupError(f"{path}: {told}") from None


DEFAULT_DESCRIPTION: Final = "A plugin for qpsdk"


def fault(text: str) -> str:
    """Why a text cannot be put into code; empty if it can."""
    if text.strip() and len(text) <= MAX_TEXT and _UNFIT.search(text) is None:
        return ""
    return f'write one line of at most {MAX_TEXT} letters, without " and \\'


def new(answers: Answers, parent: Path, *, ask: bool = False) -> Path:
    """Make a project in a folder of its own, under git.

    Args:
        parent: The folder that it is put into.
        ask: Ask on the terminal for what `answers` do not say.

    Returns:
        The project's folder.

    Raises:
        SetupError: It is there already, or a program that is needed is not.
    """
    folder = free_path(parent, answers.names.project)
    repository = Repository(folder)
    try:
        render(answers, folder, ask=ask)
        repository.run("init", "--quiet", "--initial-branch", "main")
        repository.commit_all(_message("New"))
        repository.run("branch", BRANCH)
    except BaseException:  # Ctrl-C at a question, too
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def free_path(parent: Path, name: str) -> Path:
    """Where something new can be put.

    Raises:
        SetupError: There is something already, or no folder for it.
    """
    if not parent.is_dir():
        raise SetupError(f"{parent}: no such folder")
    path = parent / name
    if path.exists() or path.is_symlink():
        raise SetupError(f"{path} is there already, and is left as it is")
    return path


def update(folder: Path, *, dry: bool = False) -> list[str] | None:
    """Render a project's template again and merge what has changed.

    Args:
        folder: In the project.
        dry: Only look whether something would change; nothing is kept.

    Returns:
        None if nothing has changed; else the files that are in conflict.

    Raises:
        SetupError: It is no such project, or has changes that are not committed.
    """
    project = _project(folder)
    answers = Answers.read(project.folder / ANSWERS)
    with _worktree(project) as template:
        template.run("rm", "-r", "--force", "--quiet", ".")
        render(answers, template.folder)
        if dry:
            return [] if template.has_changed() else None
        template.commit_all(_message("Update to"))
    if project.succeeds("merge-base", "--is-ancestor", BRANCH, "HEAD"):
        return None
    merge = ("merge", "--quiet", "--no-ff", "-m", f"Update the template to {_version()}", BRANCH)
    if project.succeeds(*project.identity(), *merge):
        return []
    conflicts = project.run("diff", "--name-only", "--diff-filter=U").splitlines()
    if not conflicts:
        project.run(*merge, options=project.identity())  # it never began: say why
    return conflicts


def _project(folder: Path) -> Repository:
    """The project that a folder is in, ready for a merge."""
    if not folder.is_dir():
        raise SetupError(f"{folder}: no such folder")
    repository = Repository(folder)
    no_project = SetupError(f"{folder}: not in a project that `qpsdk new` has made")
    if not repository.succeeds("rev-parse", "--show-toplevel"):
        raise no_project
    project = Repository(Path(repository.run("rev-parse", "--show-toplevel")))
    if not (project.folder / ANSWERS).is_file():
        raise no_project
    if project.succeeds("rev-parse", "--quiet", "--verify", "MERGE_HEAD"):
        raise SetupError(
            f"{project.folder}: a merge is not finished; solve what is in conflict and"
            " `git commit`, or give it up with `git merge --abort`"
        )
    if project.run("status", "--porcelain"):
        raise SetupError(
            f"{project.folder} has changes that are not committed; commit them,"
            " or put them away with: git stash --include-untracked"
        )
    if project.run("branch", "--show-current") == BRANCH:
        raise SetupError(f"the branch {BRANCH} is for `qpsdk update` alone; git switch main")
    return project


@contextmanager
def _worktree(project: Repository) -> Iterator[Repository]:
    """The branch `template` in a folder of its own, for a while."""
    project.run("worktree", "prune")
    with tempfile.TemporaryDirectory(prefix="qpsdk-") as temporary:
        folder = Path(temporary) / BRANCH
        # Of a clone, only the remote's branch is there: git makes one of ours from it.
        if not project.run("branch", "--all", "--list", BRANCH, f"*/{BRANCH}"):
            raise SetupError(
                f"there is no branch {BRANCH}, which has the project as `qpsdk new` has made it;"
                f" get it with: git fetch origin {BRANCH}:{BRANCH}"
            )
        project.run("worktree", "add", "--quiet", folder, BRANCH)
        try:
            worktree = Repository(folder)
            # Somebody else may have updated it, and we have fetched that.
            worktree.succeeds("merge", "--quiet", "--ff-only", "@{upstream}")
            yield worktree
        finally:
            project.run("worktree", "remove", "--force", folder)


def render(answers: Answers, folder: Path, *, ask: bool = False) -> None:
    """Render the template into a folder that is empty, or is made.

    Raises:
        SetupError: Copier is not installed, or was given up at a question.
    """
    try:
        import copier
        from copier.errors import (
            CopierAnswersInterrupt,
            CopierError,
            InteractiveSessionError,
        )
    except ImportError:
        raise SetupError(
            "a project is rendered with Copier, which is not installed; install it with:"
            " pip install 'qpsdk[new]'  (--single-file needs nothing)"
        ) from None
    description = answers.description or (None if ask else DEFAULT_DESCRIPTION)
    hooks = None if answers.hooks is None else list(answers.hooks)
    asked = {"description": description, "author": answers.author, "hooks": hooks}
    said = {name: value for name, value in asked.items() if value is not None}
    with as_file(files("qpsdk.scaffold")) as scaffold:
        try:
            copier.run_copy(
                str(scaffold),
                folder,
                data=_context(answers) | said,
                defaults=not ask,
                quiet=True,
            )
        except CopierAnswersInterrupt:
            raise SetupError("given up; nothing was made") from None
        except InteractiveSessionError:  # Ctrl-D at a question, or the terminal is gone
            raise SetupError("no answer came, so nothing was made; --yes asks nothing") from None
        except CopierError as error:
            raise SetupError(f"{error}") from None


def _context(answers: Answers) -> dict[str, Any]:
    """What the template uses besides the questions that Copier may ask."""
    names = answers.names
    return {
        "all_hooks": list(HOOKS),
        "names": names,
        "code_of_plugin": code_of_plugin,
        "code_of_tests": code_of_tests,
        "config": sample_config(),
        "fault": fault,
        "git_author": _git_author(),
        "qpsdk_from": answers.qpsdk_from,
        "qpsdk_range": compatible_range(qpsdk.__version__),
        "qpsdk_version": qpsdk.__version__,
        "sentence": sentence,
        "toml": toml,
        "year": answers.year or datetime.date.today().year,
    }


def _git_author() -> str:
    """Who the user is, as git knows; or empty."""
    here = Repository(Path.cwd())
    name = here.run("config", "user.name") if here.succeeds("config", "user.name") else ""
    return "" if fault(name) else name


def compatible_range(version: str) -> str:
    """The releases that keep the promises of this one (semantic versioning).

    >>> compatible_range("0.3.1"), compatible_range("1.4.0")
    ('>=0.3.1,<0.4', '>=1.4.0,<2')
    """
    major, minor = (int(number) for number in version.split(".")[:2])
    return f">={version},<{major + 1}" if major else f">={version},<0.{minor + 1}"


def sentence(text: str) -> str:
    """The text with a full stop.

    >>> sentence("Keeps mail"), sentence("Keeps mail?")
    ('Keeps mail.', 'Keeps mail?')
    """
    return text if text.endswith((".", "!", "?")) else f"{text}."


def toml(value: object) -> str:
    r"""A string or a list of them as TOML, of which JSON's are a part.

    >>> toml("Ann O'Hara"), toml(["rcpt", "queue"])
    ('"Ann O\'Hara"', '["rcpt", "queue"]')
    """
    return json.dumps(value, ensure_ascii=False)


def installed_from() -> str:
    """The requirement for the very qpsdk that runs, if it is not a release (PEP 610); or empty."""
    try:
        text = distribution("qpsdk").read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    if not text:
        return ""
    origin = json.loads(text)
    url = str(origin["url"])
    if (vcs := origin.get("vcs_info")) is not None:
        url = f"{vcs['vcs']}+{url}@{vcs.get('requested_revision') or vcs['commit_id']}"
    return f"qpsdk @ {url}"


def requirement(source: str) -> str:
    """The requirement for a qpsdk from a folder or a git address; or empty for a release.

    >>> requirement("git+https://git.example.org/qpsdk@main"), requirement("")
    ('qpsdk @ git+https://git.example.org/qpsdk@main', '')

    Raises:
        SetupError: It is neither.
    """
    if not source:
        return ""
    if "://" in source and not any(letter.isspace() for letter in source):
        return f"qpsdk @ {source}"
    if not (Path(source) / "pyproject.toml").is_file():
        raise SetupError(
            f"--qpsdk: {source!r} is no folder with a pyproject.toml, and no address;"
            " write one such as git+https://git.example.org/qpsdk@main"
        )
    return f"qpsdk @ {Path(source).resolve().as_uri()}"


def _message(what: str) -> str:
    return f"{what} template of {_version()}"


def _version() -> str:
    return f"qpsdk {qpsdk.__version__}"
