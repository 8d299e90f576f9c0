"""The words of plugins and their numbers, which are qpsmtpd's."""

import pytest

from qpsdk import constants
from qpsdk.constants import Constant, LogLevel

CONSTANTS = {
    "OK": 900,
    "DENY": 901,
    "DENYSOFT": 902,
    "DENY_DISCONNECT": 903,
    "DENYHARD": 903,
    "DENYSOFT_DISCONNECT": 904,
    "DECLINED": 909,
    "DONE": 910,
}

LEVELS = {
    "LOGEMERG": 0,
    "LOGRADAR": 0,
    "LOGALERT": 1,
    "LOGCRIT": 2,
    "LOGERROR": 3,
    "LOGWARN": 4,
    "LOGNOTICE": 5,
    "LOGINFO": 6,
    "LOGDEBUG": 7,
}


def test_constants() -> None:
    """The return constants have qpsmtpd's names and numbers, and there are no others."""
    assert {name: int(member) for name, member in Constant.__members__.items()} == CONSTANTS


def test_levels() -> None:
    """So have the log levels."""
    assert {name: int(member) for name, member in LogLevel.__members__.items()} == LEVELS


@pytest.mark.parametrize(("name", "number"), (CONSTANTS | LEVELS).items())
def test_module_names(name: str, number: int) -> None:
    """Each is a name of the module too, as plugins import it."""
    assert getattr(constants, name) == number


@pytest.mark.parametrize(
    ("old", "new"), [("DENYHARD", "DENY_DISCONNECT"), ("LOGRADAR", "LOGEMERG")]
)
def test_old_names(old: str, new: str) -> None:
    """An old name is the same thing, and is shown by its new one."""
    assert getattr(constants, old) is getattr(constants, new)
    assert getattr(constants, old).name == new


@pytest.mark.parametrize(
    ("constant", "is_denial"),
    [(900, False), (901, True), (902, True), (903, True), (904, True), (909, False), (910, False)],
)
def test_is_denial(constant: int, is_denial: bool) -> None:
    """The four DENY constants are denials, no other is."""
    assert Constant(constant).is_denial is is_denial


@pytest.mark.parametrize("number", [0, 1, 899, 905, 908, 911])
def test_no_other_number(number: int) -> None:
    """Another number is no constant."""
    with pytest.raises(ValueError):
        Constant(number)
