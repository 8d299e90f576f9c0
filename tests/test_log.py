"""The log: eight levels, one line each that nobody can forge, and who was at work."""

import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import LOGERROR, LOGINFO, Connection, LogLevel
from qpsdk.log import Formatter, Scene, configure, escape, log, logger, scene

C1 = Connection("c1")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Put the process's log back as it was."""
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate, logger.level = before


def formatted(text: str, at: Scene | None = None, error: Exception | None = None) -> str:
    """A line of the log without its time."""
    record = logging.LogRecord("qpsdk", logging.INFO, "file", 1, "%s", (text,), None)
    if at is not None:
        record.scene = at
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    line = Formatter().format(record)
    assert TIME.match(line)
    return line[24:]


def test_levels_are_the_standard_librarys() -> None:
    """Each of qpsmtpd's levels has a number of its own in the standard library, gravest highest."""
    records: list[logging.LogRecord] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    configure(LogLevel.LOGDEBUG)
    logger.handlers[:] = [Keeps()]
    for level in LogLevel:
        log(level, "hello")
    assert [record.levelno for record in records] == [70, 60, 50, 40, 30, 25, 20, 10]
    assert [Formatter().format(record).split()[2] for record in records] == [
        "LOGEMERG",
        "LOGALERT",
        "LOGCRIT",
        "LOGERROR",
        "LOGWARN",
        "LOGNOTICE",
        "LOGINFO",
        "LOGDEBUG",
    ]


def test_other_libraries_keep_their_names() -> None:
    """Our names are in our lines alone: ERROR stays ERROR everywhere else."""
    assert [logging.getLevelName(number) for number in (50, 40, 30, 20, 10)] == [
        "CRITICAL",
        "ERROR",
        "WARNING",
        "INFO",
        "DEBUG",
    ]


@pytest.mark.parametrize("switch", LogLevel)
def test_switch(switch: LogLevel, capsys: pytest.CaptureFixture[str]) -> None:
    """A line is written if its level is at most the switch's."""
    configure(switch)
    for level in LogLevel:
        log(level, level.value)
    assert [int(line.split()[-1]) for line in capsys.readouterr().err.splitlines()] == list(
        range(switch + 1)
    )


def test_default_switch(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a word warnings are written, notices are not."""
    configure()
    log(LogLevel.LOGWARN, "warning")
    log(LogLevel.LOGNOTICE, "notice")
    assert capsys.readouterr().err.endswith("LOGWARN warning\n")


def test_configured_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """To configure again replaces, and does not double."""
    configure()
    configure()
    log(LOGERROR, "once")
    assert capsys.readouterr().err.count("once") == 1


@pytest.mark.parametrize(
    ("at", "line"),
    [
        (None, "LOGINFO hello"),
        (Scene(), "LOGINFO hello"),
        (Scene(C1), "LOGINFO [c1] hello"),
        (Scene(C1, None, "rcpt"), "LOGINFO [c1] (rcpt) hello"),
        (Scene(C1, None, "rcpt", "queue/x:1"), "LOGINFO [c1] (rcpt) queue/x:1: hello"),
        (Scene(plugin="rcpt_ok"), "LOGINFO rcpt_ok: hello"),
        (Scene(hook="register", plugin="rcpt_ok"), "LOGINFO (register) rcpt_ok: hello"),
        (Scene(Connection("c\n1"), None, "é", "\t"), r"LOGINFO [c\n1] (\xe9) \t: hello"),
    ],
)
def test_format(at: Scene | None, line: str) -> None:
    """A line is time, level, connection, hook, plugin, text: what is not known is left out."""
    assert formatted("hello", at) == line


def test_scene_and_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Words of any type are joined by spaces; the scene of the moment is in the line."""
    configure(LOGINFO)
    scene.set(Scene(C1, None, "mail", "a"))
    log(LOGINFO, "size", 7, b"x", None)
    scene.set(Scene())
    log(LOGINFO, "100 %s")
    first, second = capsys.readouterr().err.splitlines()
    assert first[24:] == "LOGINFO [c1] (mail) a: size 7 b'x' None"
    assert second[24:] == "LOGINFO 100 %s"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("a\r\nb", r"a\r\nb"),
        ("tab\t", r"tab\t"),
        ("\0\x1b[31m\x7f", r"\x00\x1b[31m\x7f"),
        ("é\u2028\U0001f600", r"\xe9\u2028\U0001f600"),
        ("\udc80", r"\udc80"),
        ("back\\slash", "back\\slash"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    """What is not printable ASCII is written as Python writes it."""
    assert escape(text) == escaped


@given(st.text(st.characters(categories=None)) | st.binary().map(lambda b: b.decode("latin-1")))
def test_any_text_is_one_line(text: str) -> None:
    """Whatever is logged gives one line of printable ASCII; plain text stays as it is."""
    line = formatted(text, Scene(C1, None, "mail", text))
    assert re.fullmatch(r"[ -~]+", line)
    if re.fullmatch(r"[ -~]+", text):
        assert line == f"LOGINFO [c1] (mail) {text}: {text}"


def test_traceback() -> None:
    """A traceback follows its line, each of its lines indented and escaped."""
    try:
        raise ValueError("two\nlines\x1b é")
    except ValueError as error:
        first, *trace = formatted("failed", None, error).split("\n")
    assert first == "LOGINFO failed"
    assert trace[0] == "    Traceback (most recent call last):"
    assert trace[-2:] == ["    ValueError: two", r"    lines\x1b \xe9"]
    assert all(re.fullmatch("    [ -~]+", line) for line in trace)


def test_error_given(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception that is given to log() comes with its traceback."""
    configure()
    log(LOGERROR, "failed:", error=KeyError("x"))
    assert capsys.readouterr().err.splitlines()[1:] == ["    KeyError: 'x'"]
