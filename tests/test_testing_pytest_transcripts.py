"""Transcripts as tests: what pytest collects, shows and updates."""

from pathlib import Path

import pytest

from qpsdk.testing import pytest_transcripts

pytest_plugins = ["pytester"]

RIGHT = "S: 220 mx.example.com ESMTP qpsdk ready\nC: NOOP\nS: 250 2.0.0 OK\n"
WRONG = "S: 220 mx.example.com ESMTP qpsdk ready\nC: NOOP\nS: 250 2.0.0 no\n"


@pytest.fixture
def sample(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder to run pytest in, with our plugin and no other."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "qpsdk.testing.pytest_transcripts")
    return pytester


def write(sample: pytest.Pytester, name: str, text: str) -> Path:
    """Make a file."""
    path = sample.path / name
    path.write_bytes(text.encode())
    return path


def test_collected(sample: pytest.Pytester) -> None:
    """Each transcript of a file is a test, named by its title; a page without any is left alone."""
    write(sample, "one.smtp", f"[first]\n{RIGHT}[second]\n{RIGHT}")
    write(sample, "two.smtp", RIGHT)
    write(sample, "page.md", f"# Page\n\n```smtp\n{RIGHT}```\n")
    write(sample, "other.md", "# Page\n")
    result = sample.runpytest_inprocess("-v")
    result.assert_outcomes(passed=4)
    for name in ("one.smtp::first ", "one.smtp::second ", "page.md::line 4 ", "two.smtp::two "):
        assert name in result.stdout.str()


def test_selected(sample: pytest.Pytester) -> None:
    """A transcript is chosen by its title."""
    write(sample, "one.smtp", f"[first]\n{RIGHT}[second]\n{WRONG}")
    sample.runpytest_inprocess("-k", "first").assert_outcomes(passed=1, deselected=1)
    sample.runpytest_inprocess("one.smtp::first").assert_outcomes(passed=1)


def test_difference(sample: pytest.Pytester) -> None:
    """One that is different fails with file, line and difference, and without a traceback."""
    write(sample, "one.smtp", f"[first]\n{RIGHT}[second]\n{WRONG}")
    result = sample.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["one.smtp:8: something else came *", "-S: 250 2.0.0 no", "+S: 250 2.0.0 OK"]
    )
    assert "Traceback" not in result.stdout.str()
    assert ".py:" not in result.stdout.str().partition("Captured log")[0]


def test_wrong_line(sample: pytest.Pytester) -> None:
    """A line that cannot be read is told with file and line, when the tests are collected."""
    write(sample, "one.smtp", "S: 220 *\nNOOP\n")
    result = sample.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["one.smtp:2: 'NOOP' is no line of a transcript: write *"])


def test_wrong_plugin(sample: pytest.Pytester) -> None:
    """A plugin that cannot be loaded is told with file and line."""
    write(sample, "one.smtp", f"plugin: nosuch\n{RIGHT}")
    result = sample.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["one.smtp:1: nosuch: no such plugin *"])


def test_our_own_failure(sample: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other exception is shown with its traceback."""

    def broken(_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(pytest_transcripts, "run", broken)
    write(sample, "one.smtp", RIGHT)
    result = sample.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*RuntimeError: broken"])


def test_update(sample: pytest.Pytester) -> None:
    """With --update-transcripts the files say what the server says, and that is told."""
    one = write(sample, "one.smtp", f"[first]\n{WRONG}\n[second]\n{RIGHT}\n[third]\n{WRONG}")
    page = write(sample, "page.md", "# Grüße\r\n\r\n* ```smtp\r\n  S:\r\n  ```\r\n")
    sample.runpytest_inprocess().assert_outcomes(passed=1, failed=3)
    result = sample.runpytest_inprocess("--update-transcripts")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        ["updated one.smtp: first", "updated one.smtp: third", "updated page.md: line 4"]
    )
    assert one.read_text() == f"[first]\n{RIGHT}\n[second]\n{RIGHT}\n[third]\n{RIGHT}"
    assert page.read_bytes().decode() == (
        "# Grüße\r\n\r\n* ```smtp\r\n  S: 220 mx.example.com ESMTP qpsdk ready\r\n  ```\r\n"
    )
    sample.runpytest_inprocess().assert_outcomes(passed=4)


def test_update_is_for_one_process(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several processes would write one file over each other."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = pytester.runpytest_inprocess(
        *("-p", "xdist", "-p", "qpsdk.testing.pytest_transcripts"),
        *("-n", "2", "--update-transcripts"),
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--update-transcripts writes files: run it without -n*"])
