"""`qpsdk new` and `qpsdk update` on the command line: what they print, ask and refuse."""

import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from qpsdk.scaffold.git import Repository

QPSDK = [sys.executable, "-m", "qpsdk"]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, without a terminal."""
    return subprocess.run(
        [*QPSDK, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def answers(folder: Path) -> dict[str, object]:
    """What a project was rendered from."""
    return tomllib.loads((folder / ".qpsdk.toml").read_text())


MADE = """\
long-gone is a project of its own. Next:

  cd long-gone
  make test   # its tests, which are green
  make run    # a host that serves it, to send messages to

README.md says what comes then.
"""


def test_new(tmp_path: Path) -> None:
    """All that can be told is; nothing is asked, and what comes next is said."""
    told = ["--description", "Refuses some", "--author", "Ann", "--qpsdk", "", "--yes"]
    result = run(tmp_path, "new", "long-gone", "--hook", "queue", "--hook", "hook_data-post", *told)
    assert (result.returncode, result.stdout, result.stderr) == (0, MADE, "")
    assert list(tmp_path.iterdir()) == [tmp_path / "long-gone"]
    found = answers(tmp_path / "long-gone")
    assert found["hooks"] == ["data_post", "queue"]  # as a message meets them
    assert (found["description"], found["author"]) == ("Refuses some", "Ann")


def test_new_with_nothing_said(tmp_path: Path) -> None:
    """With --yes the rest has defaults; the author is the one whom git knows."""
    (tmp_path / "gitconfig").write_text('[user]\n\tname = "Ann of Git"\n')
    (tmp_path / "mail").mkdir()
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    command = [*QPSDK, "new", "long-gone", "--yes", "--dir", "mail", "--qpsdk", "git+https://g/q"]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    assert "\n  cd mail/long-gone\n" in result.stdout
    assert result.stdout.endswith(
        "This qpsdk is no release, so qpsdk.txt has: qpsdk @ git+https://g/q\n"
    )
    found = answers(tmp_path / "mail/long-gone")
    assert found["hooks"] == ["rcpt"]
    assert (found["description"], found["author"]) == ("A plugin for qpsdk", "Ann of Git")


def dialogue(folder: Path, *steps: tuple[bytes, bytes]) -> tuple[int, bytes]:
    """Run `qpsdk new long-gone` on a terminal; exit status, and what it has shown.

    Args:
        steps: Something that is shown, and what is typed then.
    """
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*QPSDK, "new", "long-gone"], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        todo = list(steps)
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # its end of the terminal is closed
                break
            if todo and todo[0][0] in shown:
                os.write(ours, todo.pop(0)[1])
        os.close(ours)
        return process.wait(), shown


def test_new_asks(tmp_path: Path) -> None:
    """On a terminal, what was not told is asked for: what it does, who the author is, the hooks."""
    status, shown = dialogue(
        tmp_path,
        (b"in one sentence?", b"Refuses all\r"),
        (b"the author?", b"\r"),
        (b"Which hooks", b" \r"),  # the first of the list, beside the default
    )
    assert status == 0
    assert b"E.g. Refuses mail for people who left" in shown
    assert b"long-gone is a project of its own" in shown
    found = answers(tmp_path / "long-gone")
    assert found["description"] == "Refuses all"
    assert found["hooks"] == ["pre_connection", "rcpt"]


def test_new_given_up(tmp_path: Path) -> None:
    """Ctrl-C at a question leaves nothing behind."""
    status, shown = dialogue(
        tmp_path, (b"in one sentence?", b"Refuses all\r"), (b"the author?", b"\x03")
    )
    assert status == 2
    assert shown.endswith(b"qpsdk: given up; nothing was made\r\n")
    assert list(tmp_path.iterdir()) == []


def test_new_without_an_answer(tmp_path: Path) -> None:
    """So does the end of the input there; what to do is said in words of this command."""
    status, shown = dialogue(tmp_path, (b"in one sentence?", b"\x04"))
    assert status == 2
    assert shown.endswith(b"qpsdk: no answer came, so nothing was made; --yes asks nothing\r\n")
    assert list(tmp_path.iterdir()) == []


WRONG = [
    (["long gone", "--yes"], "name a project long-gone: 'long gone' is not made of words of"),
    (["long-gone", "--hook", "rcp", "--yes"], "there is no hook 'rcp'; did you mean 'rcpt'?"),
    (["long-gone", "--dir", "no", "--yes"], "no: no such folder"),
    (["long-gone", "--author", 'a"b', "--yes"], "author: write one line of at most 80 letters,"),
    (["long-gone", "--qpsdk", "no", "--yes"], "--qpsdk: 'no' is no folder with a pyproject.toml,"),
    (["long-gone"], "there is no terminal to ask at; --yes asks nothing"),
]


@pytest.mark.parametrize(("words", "told"), WRONG, ids=[told for _, told in WRONG])
def test_new_refuses(words: list[str], told: str, tmp_path: Path) -> None:
    """What cannot be made is told in one line, and nothing is made."""
    result = run(tmp_path, "new", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("qpsdk: " + told)
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_single_file(tmp_path: Path) -> None:
    """One file, nothing asked, and what comes next."""
    result = run(tmp_path, "new", "--single-file", "long-gone", "--hook", "mail")
    assert (result.returncode, result.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["long_gone.py"]
    assert result.stdout == (
        "long_gone.py is a plugin. To try it on one message:\n\n"
        "  qpsdk try long_gone.py\n\n"
        "On a host, with CONFIG for its config directory:\n\n"
        f"  echo {tmp_path} >>CONFIG/plugin_dirs\n"
        "  put the line long_gone into CONFIG/plugins, at its place\n"
        "  qpsdk check --config CONFIG\n"
    )


def test_update(tmp_path: Path) -> None:
    """An update is told: that there is something, that it was merged, that there is nothing."""
    run(tmp_path, "new", "long-gone", "--yes", "--qpsdk", "")
    project = Repository(tmp_path / "long-gone")
    path = project.folder / ".qpsdk.toml"
    path.write_text(path.read_text().replace('"rcpt"', '"mail"'))
    project.commit_all("Another hook")

    check = run(project.folder, "update", "--check")
    assert (check.returncode, check.stdout) == (1, "`qpsdk update` would change something\n")
    result = run(tmp_path, "update", "long-gone")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "updated; `git show --stat -m HEAD` says what has changed\n"
    for words in (["update"], ["update", "--check"]):
        result = run(project.folder, *words)
        assert (result.returncode, result.stdout) == (0, "up to date\n")


def test_update_in_conflict(tmp_path: Path) -> None:
    """Files in conflict are listed with what to do, and exit status 1."""
    run(tmp_path, "new", "long-gone", "--yes", "--qpsdk", "")
    project = Repository(tmp_path / "long-gone")
    (project.folder / "src/long_gone/__init__.py").write_text("# mine\n")
    path = project.folder / ".qpsdk.toml"
    path.write_text(path.read_text().replace('"rcpt"', '"mail"'))
    project.commit_all("Mine")
    result = run(project.folder, "update")
    assert result.returncode == 1
    assert result.stdout == (
        "in conflict, as both you and the template have changed them:\n"
        "  src/long_gone/__init__.py\n"
        "solve it and `git commit`, or give it up with `git merge --abort`\n"
    )


def test_update_refuses(tmp_path: Path) -> None:
    """Elsewhere there is nothing to update."""
    result = run(tmp_path, "update")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "qpsdk: .: not in a project that `qpsdk new` has made\n"


@pytest.mark.parametrize("option", ["--yes", "--single-file"])
def test_folder_that_takes_nothing(option: str, tmp_path: Path) -> None:
    """A folder where nothing can be made is told in one line."""
    done = run(tmp_path, "new", "long-gone", option, "--dir", "/proc")
    told = (
        "qpsdk: /proc: cannot be written to: No such file or directory;"
        " --dir names another folder\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
