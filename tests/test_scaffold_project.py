"""Projects: what a new one has, and how it takes over what a later template brings."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from qpsdk.errors import SetupError
from qpsdk.hooks import HOOKS
from qpsdk.scaffold.git import GitError, Repository
from qpsdk.scaffold.names import Names
from qpsdk.scaffold.project import Answers, installed_from, new, requirement, update

ROOT = Path(__file__).parent.parent

ANSWERS = Answers(
    Names.of("greylist-by-domain"),
    "Puts off unknown senders",
    "Ann Author",
    ("rcpt",),
    year=2020,
)

FILES = """\
.github/workflows/publish.yml
.github/workflows/test.yml
.gitignore
.qpsdk.toml
CHANGELOG.md
LICENSE
Makefile
README.md
config/listen
config/loglevel
config/me
config/plugins
config/rcpthosts
pyproject.toml
qpsdk.txt
src/greylist_by_domain/__init__.py
src/greylist_by_domain/py.typed
tests/test_greylist_by_domain.py
"""


@pytest.fixture
def project(tmp_path: Path) -> Repository:
    """A new project."""
    return Repository(new(ANSWERS, tmp_path))


def write(project: Repository, name: str, text: str) -> None:
    """Change a file of the project and commit it."""
    (project.folder / name).write_text(text)
    project.commit_all(f"Change {name}")


def older(project: Repository, name: str, text: str) -> None:
    """Have the project made by an older template, whose file `name` had another text."""
    project.run("switch", "--quiet", "template")
    write(project, name, text)
    project.run("switch", "--quiet", "main")
    project.run(*project.identity(), "merge", "--quiet", "template")


def test_files(project: Repository) -> None:
    """A new project has these files, all committed, on main and on template alike."""
    assert project.run("ls-files") + "\n" == FILES
    assert project.run("status", "--porcelain") == ""
    assert project.run("branch", "--format=%(refname:short)").split() == ["main", "template"]
    assert project.run("rev-parse", "main") == project.run("rev-parse", "template")


def test_what_was_told(project: Repository) -> None:
    """What was told stands where it belongs."""
    about = tomllib.loads((project.folder / "pyproject.toml").read_text())["project"]
    assert about["name"] == "greylist-by-domain"
    assert about["description"] == "Puts off unknown senders"
    assert about["authors"] == [{"name": "Ann Author"}]
    assert about["dependencies"] == ["qpsdk>=0.1.0,<0.2"]
    assert about["entry-points"] == {
        "qpsdk.plugins": {"greylist_by_domain": "greylist_by_domain:GreylistByDomain"}
    }
    assert "Copyright (c) 2020 Ann Author\n" in (project.folder / "LICENSE").read_text()
    plugins = (project.folder / "config/plugins").read_text()
    lines = [line for line in plugins.splitlines() if line and not line.startswith("#")]
    assert lines == ["greylist_by_domain", "rcpt_ok", "queue/qmqp_forward 127.0.0.1 6280"]
    answers = (project.folder / ".qpsdk.toml").read_text()
    assert tomllib.loads(answers) == {
        "qpsdk_version": "0.1.0",
        "name": "greylist-by-domain",
        "description": "Puts off unknown senders",
        "author": "Ann Author",
        "year": 2020,
        "hooks": ["rcpt"],
        "qpsdk_from": "",
    }


def test_nothing_is_left_to_render(project: Repository) -> None:
    """No file has anything of Jinja's, nor an address of this machine, nor trailing space."""
    for name in FILES.split():
        text = (project.folder / name).read_text()
        assert re.findall(r"(?<!\$)\{\{|\{%|\{#", text) == [], name
        assert str(ROOT) not in text, name
        assert re.findall(r"[ \t]$|\n\n\Z", text, re.MULTILINE) == [], name
        assert text == "" or text.endswith("\n"), name
        if not name.startswith("LICENSE") and not name.endswith(".md"):
            assert [line for line in text.splitlines() if len(line) > 100] == [], name


def test_an_unreleased_qpsdk(tmp_path: Path) -> None:
    """An unreleased qpsdk is named in qpsdk.txt, and nowhere else but in the answers."""
    answers = Answers(Names.of("x"), qpsdk_from="qpsdk @ file:///far/away")
    folder = new(answers, tmp_path)
    having = [p.name for p in folder.rglob("*") if p.is_file() and b"far/away" in p.read_bytes()]
    assert sorted(having) == [".qpsdk.toml", "qpsdk.txt"]
    lines = (folder / "qpsdk.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["qpsdk @ file:///far/away"]


def test_requirement(tmp_path: Path) -> None:
    """A folder with a package, and an address, can be required; anything else is refused."""
    assert requirement(str(ROOT)) == f"qpsdk @ {ROOT.as_uri()}"
    for wrong in (str(tmp_path), "nowhere", "git+https://a b"):
        with pytest.raises(
            SetupError, match=r"is no folder with a pyproject\.toml, and no address"
        ):
            requirement(wrong)


@pytest.mark.parametrize(
    ("origin", "required"),
    [
        (None, ""),
        ('{"url": "file:///q", "dir_info": {"editable": true}}', "qpsdk @ file:///q"),
        (
            '{"url": "https://git.example/q", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "qpsdk @ git+https://git.example/q@abc",
        ),
        ('{"url": "file:///q.whl", "archive_info": {}}', "qpsdk @ file:///q.whl"),
    ],
    ids=["release", "folder", "git", "wheel"],
)
def test_installed_from(
    origin: str | None, required: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A qpsdk that did not come as a release is required from where it came."""
    info = tmp_path / "qpsdk-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: qpsdk\nVersion: 0.1.0\n")
    if origin is not None:
        (info / "direct_url.json").write_text(origin)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_from() == required


def test_hard_words(tmp_path: Path) -> None:
    """Whatever may stand in a description or a name is the same text where it arrives."""
    answers = Answers(Names.of("x"), "Vérifie 'tout' & {{ rien }} # <x>?", "Zoë O'Hara-Łoś")
    folder = new(answers, tmp_path)
    about = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert about["description"] == "Vérifie 'tout' & {{ rien }} # <x>?"
    assert about["authors"] == [{"name": "Zoë O'Hara-Łoś"}]
    module = ast.parse((folder / "src/x/__init__.py").read_text())
    assert (ast.get_docstring(module) or "").startswith("Vérifie 'tout' & {{ rien }} # <x>?\n")
    assert Answers.read(folder / ".qpsdk.toml").author == "Zoë O'Hara-Łoś"
    assert update(folder) is None


@pytest.mark.parametrize("text", ["", "  ", 'a "quote"', "back\\slash", "two\nlines", "x" * 81])
def test_unfit_words(text: str) -> None:
    """What has no place in code is refused."""
    with pytest.raises(SetupError, match=r"^description: write one line of at most 80 letters, "):
        Answers(Names.of("x"), description=text)
    with pytest.raises(SetupError, match=r"^author: write one line of at most 80 letters, "):
        Answers(Names.of("x"), author=text)


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_nothing_is_overwritten(kind: str, tmp_path: Path) -> None:
    """What is there already is left as it is, and said."""
    path = tmp_path / "greylist-by-domain"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to("nowhere")
    with pytest.raises(SetupError, match="greylist-by-domain is there already, and is left as"):
        new(ANSWERS, tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a project cannot be made whole, nothing of it is left."""

    def fail(*_: object) -> str:
        raise GitError("git init: no")

    monkeypatch.setattr(Repository, "run", fail)
    with pytest.raises(GitError):
        new(ANSWERS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_folder_to_put_it_into(tmp_path: Path) -> None:
    """The folder that it is put into has to be there."""
    with pytest.raises(SetupError, match="not/there: no such folder"):
        new(ANSWERS, tmp_path / "not/there")


def test_without_copier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Copier the error says what to install."""
    monkeypatch.setitem(sys.modules, "copier", None)
    with pytest.raises(SetupError, match=r"install it with: pip install 'qpsdk\[new\]'"):
        new(ANSWERS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_update_to_the_same(project: Repository) -> None:
    """With the same template there is nothing to do, and nothing is done."""
    before = project.run("rev-parse", "--all")
    assert update(project.folder) is None
    assert project.run("rev-parse", "--all") == before


def test_update_merges(project: Repository) -> None:
    """What the template has changed arrives beside what the author has changed, as a merge."""
    makefile = (project.folder / "Makefile").read_text()
    older(project, "Makefile", makefile.replace("PYTHON ?= python3", "PYTHON ?= python"))
    write(project, "Makefile", (project.folder / "Makefile").read_text() + "\nmine:\n\t@true\n")
    write(project, "src/greylist_by_domain/__init__.py", "mine = True\n")
    assert update(project.folder) == []
    assert (project.folder / "Makefile").read_text() == makefile + "\nmine:\n\t@true\n"
    assert (project.folder / "src/greylist_by_domain/__init__.py").read_text() == "mine = True\n"
    assert project.run("log", "-1", "--format=%s") == "Update the template to qpsdk 0.1.0"
    assert len(project.run("log", "-1", "--format=%P").split()) == 2
    assert project.run("status", "--porcelain") == ""
    assert project.run("show", "template:Makefile") + "\n" == makefile
    assert update(project.folder) is None


def test_update_brings_and_takes_files(project: Repository) -> None:
    """A file that the template has no more goes; one that the author has dropped stays dropped."""
    older(project, "setup.cfg", "old\n")
    (project.folder / "CHANGELOG.md").unlink()
    project.commit_all("Drop the changelog")
    assert update(project.folder) == []
    assert not (project.folder / "setup.cfg").exists()
    assert not (project.folder / "CHANGELOG.md").exists()


def test_update_in_conflict(project: Repository) -> None:
    """Where both have changed the same lines, both stand in the file, as after any merge."""
    older(project, "config/me", "old.example.com\n")
    write(project, "config/me", "mine.example.com\n")
    assert update(project.folder) == ["config/me"]
    text = (project.folder / "config/me").read_text()
    assert "<<<<<<<" in text
    assert "mine.example.com" in text
    assert "mx.example.com" in text
    with pytest.raises(SetupError, match="a merge is not finished; solve what is in conflict and"):
        update(project.folder)
    project.run("merge", "--abort")
    assert (project.folder / "config/me").read_text() == "mine.example.com\n"
    assert update(project.folder) == ["config/me"]
    (project.folder / "config/me").write_text("mine.example.com\n")  # solved
    project.run(*project.identity(), "commit", "--quiet", "--all", "--no-edit")
    assert update(project.folder) is None


def test_update_after_another_answer(project: Repository) -> None:
    """An answer that was changed and committed is what the template is made from."""
    answers = (project.folder / ".qpsdk.toml").read_text()
    write(project, ".qpsdk.toml", answers.replace('["rcpt"]', '["rcpt", "quit"]'))
    assert update(project.folder) == []
    assert "def hook_quit" in (project.folder / "src/greylist_by_domain/__init__.py").read_text()


def test_update_keeps_the_year(project: Repository) -> None:
    """The year of the copyright is the one in which the project was made."""
    assert update(project.folder) is None
    assert "(c) 2020" in (project.folder / "LICENSE").read_text()


def test_update_check_changes_nothing(project: Repository) -> None:
    """A dry run says whether there is something, and leaves all as it is."""
    assert update(project.folder, dry=True) is None
    older(project, "config/me", "old.example.com\n")
    before = project.run("rev-parse", "--all")
    assert update(project.folder, dry=True) == []
    assert project.run("rev-parse", "--all") == before
    assert project.run("worktree", "list").count("\n") == 0


def test_update_in_a_clone(project: Repository, tmp_path: Path) -> None:
    """In a clone, which has the branch template only as its origin's, all is the same."""
    older(project, "config/me", "old.example.com\n")
    project.run("clone", "--quiet", ".", tmp_path / "clone")
    clone = Repository(tmp_path / "clone")
    assert update(clone.folder) == []
    assert (clone.folder / "config/me").read_text().endswith("\nmx.example.com\n")


def test_update_after_somebody_else_has(project: Repository, tmp_path: Path) -> None:
    """Where another clone was updated and its work fetched, nothing is merged twice."""
    older(project, "config/me", "old.example.com\n")
    project.run("clone", "--quiet", ".", tmp_path / "clone")
    clone = Repository(tmp_path / "clone")
    clone.run("branch", "template", "origin/template")
    update(project.folder)
    clone.run("pull", "--quiet", "--ff-only")
    assert update(clone.folder) is None
    assert clone.run("rev-parse", "template") == project.run("rev-parse", "template")


def test_update_from_below(project: Repository) -> None:
    """A folder inside the project will do."""
    assert update(project.folder / "src") is None


def test_update_refuses_a_dirty_tree(project: Repository) -> None:
    """Changes that are not committed are in the way, new files too; nothing is touched."""
    (project.folder / "notes.txt").write_text("mine\n")
    with pytest.raises(SetupError, match="has changes that are not committed; commit them, or"):
        update(project.folder)
    assert project.run("status", "--porcelain") == "?? notes.txt"


def test_update_refuses_elsewhere(project: Repository, tmp_path: Path) -> None:
    """Outside a project that `new` has made there is nothing to update."""
    no_project = "not in a project that `qpsdk new` has made"
    with pytest.raises(SetupError, match=no_project):
        update(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    Repository(other).run("init", "--quiet")
    with pytest.raises(SetupError, match=no_project):
        update(other)
    with pytest.raises(SetupError, match="no such folder"):
        update(tmp_path / "nowhere")


def test_update_refuses_on_its_own_branch(project: Repository) -> None:
    """On the branch template there is nothing to merge into."""
    project.run("switch", "--quiet", "template")
    with pytest.raises(SetupError, match="the branch template is for `qpsdk update` alone"):
        update(project.folder)


def test_update_without_its_branch(project: Repository) -> None:
    """Without the branch, the error says how to get it."""
    project.run("branch", "-D", "template")
    with pytest.raises(SetupError, match="git fetch origin template:template"):
        update(project.folder)


@pytest.mark.parametrize(
    ("found", "put", "told"),
    [
        ('name = "greylist-by-domain"', "", "'name' is missing"),
        ('["rcpt"]', '["rcptt"]', "hooks: write one or several of those that `qpsdk hooks` lists"),
        ('["rcpt"]', "[]", "hooks: write one or several of those that `qpsdk hooks` lists"),
        ("2020", "'MMXX'", "invalid literal"),
        ("year = 2020", "year", "Expected '='"),
    ],
)
def test_update_with_broken_answers(found: str, put: str, told: str, project: Repository) -> None:
    """Answers that are none are told with their file; nothing is rendered."""
    answers = (project.folder / ".qpsdk.toml").read_text()
    write(project, ".qpsdk.toml", answers.replace(found, put))
    with pytest.raises(SetupError, match=re.escape(told)) as caught:
        update(project.folder)
    assert str(caught.value).startswith(f"{project.folder / '.qpsdk.toml'}: ")


@pytest.mark.timeout(180)
def test_every_hook_has_its_project(tmp_path: Path) -> None:
    """For each hook, and for all at once, style and strict types are clean, and tests green."""
    choices = {"try-all": tuple(HOOKS)}
    choices |= {f"try-{hook.replace('_', '-')}": (hook,) for hook in HOOKS}
    names = [Names.of(name) for name in choices]
    for of in names:
        new(Answers(of, hooks=choices[of.project]), tmp_path)
    # Installed, as far as Python can tell.
    info = tmp_path / "tries-1.dist-info"
    info.mkdir()
    points = [f"{of.package} = {of.package}:{of.class_name}" for of in names]
    (info / "entry_points.txt").write_text("\n".join(["[qpsdk.plugins]", *points]))
    paths = [ROOT, tmp_path, *(tmp_path / of.project / "src" for of in names)]
    found_in = os.pathsep.join(map(str, paths))
    for command in (
        ["ruff", "check", "--quiet", "--no-cache", "."],
        ["ruff", "format", "--quiet", "--no-cache", "--check", "."],
        ["mypy", "--config-file", "try-all/pyproject.toml", "--cache-dir", tmp_path / "cache", "."],
        [
            "pytest",
            "-q",
            "-W",
            "error",
            "--import-mode=importlib",
            "-p",
            "no:cacheprovider",
            "-k",
            "not TestContract or try_all",
            ".",
        ],
    ):
        result = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": found_in, "MYPYPATH": found_in},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed is not None
    assert int(passed[1]) >= 2 * len(choices)
