"""The names of projects: which are valid, and which would be in their place."""

import pytest

from qpsdk.errors import SetupError
from qpsdk.scaffold.names import Names


@pytest.mark.parametrize(
    ("name", "package", "class_name"),
    [
        ("greylist-by-domain", "greylist_by_domain", "GreylistByDomain"),
        ("x", "x", "X"),
        ("ipv6-only", "ipv6_only", "Ipv6Only"),
    ],
)
def test_valid(name: str, package: str, class_name: str) -> None:
    """A valid name gives package and class theirs."""
    assert Names.of(name) == (name, package, class_name)


WORDS = "is not made of words of a-z and 0-9, joined by dashes, with a letter in front"


@pytest.mark.parametrize(
    ("name", "remedy", "fault"),
    [
        ("greylist by domain", "greylist-by-domain", WORDS),
        ("Greylist_By--Domain", "greylist-by-domain", WORDS),
        ("-x", "x", WORDS),
        ("../x", "x", WORDS),
        ("x\n", "x", WORDS),
        ("2nd-try", "plugin-2nd-try", WORDS),
        ("Grüße", "grusse", WORDS),
        ("Class", "class-plugin", WORDS),
        ("email", "email-plugin", "is a word or module of Python's own"),
        ("lambda", "lambda-plugin", "is a word or module of Python's own"),
        ("none", "none-plugin", "is a word or module of Python's own"),
        ("true", "true-plugin", "is a word or module of Python's own"),
        ("rcpt-ok", "rcpt-ok-plugin", "is a plugin that comes with qpsdk"),
        ("qpsdk", "qpsdk-plugin", "is the name of another package"),
        ("tests", "tests-plugin", "is the name of another package"),
        ("a" * 61, "a" * 60, "is longer than 60 letters"),
    ],
)
def test_not_valid(name: str, remedy: str, fault: str) -> None:
    """Another is refused; what is wrong is said, and which name would be right."""
    with pytest.raises(SetupError) as caught:
        Names.of(name)
    assert str(caught.value) == f"name a project {remedy}: {name!r} {fault}"
    assert Names.of(remedy).project == remedy


@pytest.mark.parametrize("name", ["", "日本", "--"])
def test_nothing_is_like_it(name: str) -> None:
    """Where no valid name is like it, one is given as a pattern."""
    with pytest.raises(SetupError, match=r"^name a project such as greylist-by-domain: "):
        Names.of(name)
