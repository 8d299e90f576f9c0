"""The log: eight levels, one line each that nobody can forge, and who was at work."""

import asyncio
import contextvars
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpsdk import (
    DECLINED,
    DENY,
    LOGDEBUG,
    LOGERROR,
    LOGINFO,
    LOGWARN,
    OK,
    Connection,
    LogLevel,
    Plugin,
    PluginError,
    Transaction,
)
from qpsdk.dispatcher import Dispatcher
from qpsdk.log import (
    Formatter,
    JSONFormatter,
    LogChain,
    LogFormat,
    Reader,
    Scene,
    configure,
    enabled,
    escape,
    log,
    logger,
    scene,
)
from qpsdk.spool import Spool, SpoolDirectory
from qpsdk.testing import smtp

_T = TypeVar("_T")
C1 = Connection("c1")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


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
    """Our names are in our lines alone: ERROR stays ERROR elsewhere, and Level 25 is LOGNOTICE."""
    assert [logging.getLevelName(number) for number in (50, 40, 30, 20, 10)] == [
        "CRITICAL",
        "ERROR",
        "WARNING",
        "INFO",
        "DEBUG",
    ]
    unnamed = [logging.getLevelName(number) for number in (70, 60, 25)]
    assert unnamed == ["LOGEMERG", "LOGALERT", "LOGNOTICE"]


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


def test_escape_opens_no_file() -> None:
    """With too many open files the log still says so: nothing is imported for it then."""
    code = (
        "import resource; from qpsdk.log import escape\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "print(escape('a\\r\\n\\x85\\u2028'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("a\\r\\n\\x85\\u2028\n", "")


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


def test_libraries_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """What libraries log has the same form: a client's text in it forges no line either."""
    configure(LOGDEBUG)
    logging.getLogger("asyncio").error("bad\n2026-01-01 00:00:00,000 LOGINFO forged")
    logging.getLogger("asyncio").info("of no interest")
    (line,) = capsys.readouterr().err.splitlines()
    assert line[24:] == r"LOGERROR asyncio: bad\n2026-01-01 00:00:00,000 LOGINFO forged"


def test_word_that_cannot_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A word whose str() fails does not fail the one who logs it."""

    class Mute:
        def __str__(self) -> str:
            raise ValueError

    configure()
    log(LOGERROR, "said", Mute())
    assert re.search(r" LOGERROR said <.*Mute object at .*>$", capsys.readouterr().err)


# JSON

T1 = Transaction(Connection("c1", "192.0.2.1"), "c1.1", Spool(100, SpoolDirectory()), 100)


def as_json(text: str, at: Scene | None = None, error: Exception | None = None) -> Any:
    """What a JSON line says; it is one line of printable ASCII."""
    record = logging.LogRecord("qpsdk", logging.INFO, "file", 1, text, None, None)
    record.created = 1_700_000_000.25
    if at is not None:
        record.scene = at
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    line = JSONFormatter().format(record)
    assert re.fullmatch("[ -~]+", line)
    return json.loads(line)


def test_json() -> None:
    """All that is known has a field of its own; time is UTC, text is as it was."""
    assert as_json("hello é\r\n", Scene(T1.connection, T1, "rcpt", "rcpt_ok")) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "LOGINFO",
        "connection": "c1",
        "transaction": "c1.1",
        "remote_ip": "192.0.2.1",
        "hook": "rcpt",
        "plugin": "rcpt_ok",
        "text": "hello é\r\n",
    }


def test_json_leaves_out_what_is_not_known() -> None:
    """Without connection, hook and plugin there are time, level and text."""
    expected = {"time": "2023-11-14T22:13:20.250Z", "level": "LOGINFO", "text": ""}
    assert as_json("") == as_json("", Scene()) == expected


def test_json_exception() -> None:
    """A traceback is one field, with the line ends that it has."""
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        said = as_json("failed", None, error)
    assert said["text"] == "failed"
    assert said["exception"].startswith("Traceback (most recent call last):\n  File ")
    assert said["exception"].endswith("\nValueError: two\nlines")


def test_json_of_libraries() -> None:
    """A library's line says whose it is."""
    record = logging.LogRecord("asyncio", logging.ERROR, "file", 1, "%s!", ("oh",), None)
    said = json.loads(JSONFormatter().format(record))
    assert (said["logger"], said["level"], said["text"]) == ("asyncio", "LOGERROR", "oh!")


@given(st.text(st.characters(categories=None)) | st.binary().map(lambda b: b.decode("latin-1")))
def test_any_text_is_one_object(text: str) -> None:
    """Whatever is logged gives one line, one object; only half a surrogate pair is changed."""
    said = as_json(text, Scene(Connection("c1"), None, text, text), ValueError(text))
    expected = text.encode("utf-8", "backslashreplace").decode()
    assert said["text"] == expected
    assert said.get("hook", "") == said.get("plugin", "") == expected
    said["exception"].encode()  # valid Unicode


def test_configured_for_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The format can be chosen; the latest choice counts."""
    configure()
    configure(LOGINFO, LogFormat.JSON)
    log(LOGINFO, "hello")
    assert json.loads(capsys.readouterr().err)["text"] == "hello"


# The hook


class Reads(Plugin):
    """Reads the log, and answers each line the same."""

    def __init__(self, answer: Any = OK, maxlevel: LogLevel | None = None) -> None:
        super().__init__()
        self.answer = answer
        self.maxlevel = maxlevel
        self.lines: list[tuple[Any, ...]] = []

    def hook_logging(self, *line: Any) -> Any:
        self.lines.append(line)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer

    @property
    def texts(self) -> list[str]:
        """What it has read."""
        return [line[-1] for line in self.lines]


def alone(function: Callable[[], _T]) -> _T:
    """Run a function in a context of its own: what is lent there is lent nowhere else."""
    return contextvars.copy_context().run(function)


def told(plugins: list[Reads], *levels: LogLevel, switch: LogLevel = LOGWARN) -> None:
    """Log "LEVEL" at each level, before these plugins."""

    def run() -> None:
        for number, plugin in enumerate(plugins):
            plugin.name = f"p{number}"
        chain = Dispatcher(plugins, asyncio.to_thread).log_chain()
        chain.lend()
        for level in levels:
            log(level, level.name)
        chain.take_back()

    configure(switch)
    alone(run)


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on standard error, without their time."""
    return [
        line[24:] if line[:2] == "20" else line for line in capsys.readouterr().err.splitlines()
    ]


def test_ok_stops(capsys: pytest.CaptureFixture[str]) -> None:
    """The plugins are asked in order until one has written the line; then nobody else does."""
    plugins = [Reads(DECLINED), Reads(OK), Reads(OK)]
    told(plugins, LOGERROR)
    assert [plugin.texts for plugin in plugins] == [["LOGERROR"], ["LOGERROR"], []]
    assert written(capsys) == []


@pytest.mark.parametrize("answer", [OK, (OK, None), (OK, "a message")])
def test_ok_with_message(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """OK may come with a message, which says nothing here."""
    told([Reads(answer)], LOGERROR)
    assert written(capsys) == []


def test_nobody_took_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What all decline is written as if they were not there."""
    plugins = [Reads(DECLINED), Reads((DECLINED, None))]
    told(plugins, LOGERROR, LOGINFO)
    assert [plugin.texts for plugin in plugins] == [["LOGERROR"], ["LOGERROR"]]
    assert written(capsys) == ["LOGERROR LOGERROR"]


def test_what_a_reader_is_given() -> None:
    """Who was at work, and a text that is safe to write as it is, a traceback indented below."""
    reader = Reads()

    def run() -> None:
        LogChain([Reader("reads", reader.hook_logging)]).lend()
        scene.set(Scene(T1.connection, T1, "rcpt", "rcpt_ok"))
        log(LOGERROR, "bad\r\nguy", 7, error=ValueError("two\nlines"))

    alone(run)
    ((*who, text),) = reader.lines
    assert who == [T1.connection, T1, LOGERROR, "rcpt", "rcpt_ok"]
    assert text == "bad\\r\\nguy 7\n    ValueError: two\n    lines"


@given(st.text(st.characters(categories=None)), st.booleans())
def test_any_text_can_be_written_as_it_is(text: str, fails: bool) -> None:
    """No text that a reader is given begins a line of the log but the first."""
    reader = Reads()

    def run() -> None:
        LogChain([Reader("reads", reader.hook_logging)]).lend()
        log(LOGERROR, text, error=ValueError(text) if fails else None)

    alone(run)
    first, *others = reader.texts[0].split("\n")
    assert re.fullmatch("[ -~]*", first)
    assert all(re.fullmatch("    [ -~]*", other) for other in others)
    assert bool(others) == fails


@pytest.mark.parametrize(
    ("maxlevel", "read"),
    [(None, [3, 4]), (LOGERROR, [3]), (LOGINFO, [3, 4, 6]), (LOGDEBUG, [3, 4, 6, 7])],
)
def test_maxlevel(
    maxlevel: LogLevel | None, read: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A plugin reads up to its maxlevel, or up to config/loglevel, which alone rules the rest."""
    plugin = Reads(DECLINED, maxlevel)
    told([plugin], LOGERROR, LOGWARN, LOGINFO, LOGDEBUG, switch=LOGWARN)
    assert [line[2] for line in plugin.lines] == read
    assert written(capsys) == ["LOGERROR LOGERROR", "LOGWARN LOGWARN"]


@pytest.mark.parametrize("maxlevel", [None, *LogLevel])
def test_enabled(maxlevel: LogLevel | None) -> None:
    """A line is worth making if the built-in writes it, or some plugin wants it."""
    configure(LOGERROR)

    def run() -> list[bool]:
        LogChain([Reader("a", Reads().hook_logging, maxlevel)]).lend()
        return [enabled(level) for level in LogLevel]

    highest = 3 if maxlevel is None else max(3, maxlevel)
    assert alone(run) == [level <= highest for level in LogLevel]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (ZeroDivisionError("oh"), "failed: ZeroDivisionError: oh"),
        (SystemExit(1), "failed: SystemExit: 1"),
        (None, "answered None; logging takes OK and DECLINED"),
        (900, "answered 900; logging takes OK and DECLINED"),
        ((OK, 1, 2), "answered (<Constant.OK: 900>, 1, 2); logging takes OK and DECLINED"),
        (DENY, "answered <Constant.DENY: 901>; logging takes OK and DECLINED"),
    ],
)
def test_reader_fails(answer: Any, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A plugin that fails loses no line: it goes on, and what is wrong is told once."""
    second = Reads(DECLINED)
    told([Reads(answer), second], LOGERROR, LOGWARN)
    assert second.texts == ["LOGERROR", "LOGWARN"]
    lines = [line for line in written(capsys) if not line.startswith("    ")]
    assert lines == [
        f"LOGERROR (logging) p0: {problem}; not reported again until it works",
        "LOGERROR LOGERROR",
        "LOGWARN LOGWARN",
    ]


def test_reader_fails_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Once it has worked in between, it is told again."""
    answers = iter([None, None, OK, None])
    told([Reads(lambda: next(answers))], *[LOGERROR] * 4)
    assert [line[:22] for line in written(capsys)] == [
        "LOGERROR (logging) p0:",
        "LOGERROR LOGERROR",
        "LOGERROR LOGERROR",
        "LOGERROR (logging) p0:",
        "LOGERROR LOGERROR",
    ]


def test_nested(capsys: pytest.CaptureFixture[str]) -> None:
    """What a reader logs itself goes to the built-in, and to no plugin."""

    def talk() -> Any:
        log(LOGERROR, "nested")
        return OK

    plugins = [Reads(talk), Reads(OK)]
    told(plugins, LOGERROR)
    assert [plugin.texts for plugin in plugins] == [["LOGERROR"], []]
    assert written(capsys) == ["LOGERROR nested"]


def test_slow_reader(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that holds everybody up is told of; it has written its line all the same."""
    monkeypatch.setattr("qpsdk.log.HELD_LOOP", -1.0)
    told([Reads(OK)], LOGERROR)
    (line,) = written(capsys)
    assert line.startswith("LOGERROR (logging) p0: held up all connections for 0.0 s")


def test_from_threads() -> None:
    """A line that a @blocking hook logs in its thread is read too; readers see one at a time."""
    at_work: list[int] = []
    most: list[int] = []

    def read() -> Any:
        at_work.append(1)
        threading.Event().wait(0.001)
        most.append(len(at_work))
        at_work.pop()
        return OK

    def run() -> None:
        LogChain([Reader("a", Reads(read).hook_logging)]).lend()
        contexts = [contextvars.copy_context() for _ in range(8)]
        threads = [threading.Thread(target=c.run, args=(log, LOGERROR, "x")) for c in contexts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    alone(run)
    assert most == [1] * 8


def test_async_reader_is_refused() -> None:
    """A logging hook is reached from plain calls: an async one does not load."""

    class Waits(Plugin):
        async def hook_logging(self, *line: Any) -> Any:
            return OK

    with pytest.raises(PluginError, match="hook_logging is async"):
        Dispatcher([Waits()], asyncio.to_thread)


class Talks(Plugin):
    """Logs who it is when a client says NOOP."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def hook_noop(self, connection: Connection, text: bytes) -> Any:
        self.log(LOGERROR, self.text)
        return OK


def test_several_hosts(capsys: pytest.CaptureFixture[str]) -> None:
    """Hosts in one process keep to themselves; when one is gone its plugins read no more."""
    a, b = Reads(), Reads()
    configure()

    async def main() -> None:
        async with smtp(Talks("of a"), a) as one:
            async with smtp(Talks("of b"), b) as two:
                await one.command("NOOP")
                await two.command("NOOP")
                await one.command("NOOP")
            await one.command("NOOP")
        log(LOGERROR, "of nobody")

    asyncio.run(main())
    assert [line[3:] for line in a.lines] == [("noop", "Talks", "of a")] * 3
    assert [line[3:] for line in b.lines] == [("noop", "Talks", "of b")]
    assert written(capsys) == ["LOGERROR of nobody"]
