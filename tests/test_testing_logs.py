"""Capturing the log."""

import logging
from typing import Any

from qpsdk import DECLINED, LOGDEBUG, LOGINFO, LOGWARN, Plugin
from qpsdk.log import log as write
from qpsdk.log import logger
from qpsdk.testing import LogLine, capture_log, smtp


class Talks(Plugin):
    def hook_vrfy(self, connection: Any, text: bytes) -> Any:
        self.log(LOGWARN, "careful:", text)
        self.log(LOGDEBUG, "details")
        return DECLINED

    def hook_noop(self, connection: Any, text: bytes) -> Any:
        raise LookupError("oh")


def test_filters() -> None:
    """Lines are chosen by gravity, plugin and hook."""
    with capture_log() as log, smtp(Talks()) as client:
        client.command("VRFY me")
        client.command("NOOP")
    assert log.lines(level=LOGWARN, hook="vrfy") == ["careful: b'me'"]
    assert log.lines(plugin="Talks", hook="vrfy") == ["careful: b'me'", "details"]
    assert log.lines(level=LOGINFO, plugin="") == ["connection from 192.0.2.1"]
    assert "careful" in log
    assert "careless" not in log
    (failure,) = [line for line in log.records if line.hook == "noop"]
    assert (failure.level.name, failure.text) == ("LOGCRIT", "failed: LookupError: oh")
    assert failure.trace.endswith("LookupError: oh")
    assert failure.connection == "c1"


def test_shown() -> None:
    """The log is shown line by line, as a failing assertion does."""
    with capture_log() as log:
        write(LOGWARN, "one")
        write(LOGINFO, "two")
    assert str(log) == "LOGWARN one\nLOGINFO two"
    assert repr(log) == "<the log:\nLOGWARN one\nLOGINFO two>"
    assert (
        str(LogLine(LOGINFO, "text", "plugin", "rcpt", "c1", "")) == "LOGINFO (rcpt) plugin: text"
    )
    log.clear()
    assert repr(log) == "<the log: empty>"


def test_only_inside() -> None:
    """What comes before and after is not captured, and the logger is as before."""
    level, handlers = logger.level, logger.handlers[:]
    write(LOGWARN, "before")
    with capture_log() as log:
        assert logger.isEnabledFor(logging.DEBUG)
    write(LOGWARN, "after")
    assert log.records == []
    assert (logger.level, logger.handlers) == (level, handlers)
