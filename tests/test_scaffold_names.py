"""The names of projects: which are valid, and which would be in their place."""

import re
import tomllib
from pathlib import Path

import pytest

from qpsdk.errors import SetupError
from qpsdk.scaffold.names import Names


@pytest.mark.parametrize(
    ("name", "package", "class_name"),
    [
        ("greylist-by-domain", "greylist_by_domain", "GreylistByDomain"),
        ("x", "x", "X"),
        ("ipv6-only", "ipv6_only", "Ipv6Only"),
        ("sample", "sample", "Sample"),
    ],
)
def test_valid(name: str, package: str, class_name: str) -> None:
    """A valid name gives package and class theirs."""
    assert Names.of(name) == (name, package, class_name)


WORDS = "is not made of words of a-z and 0-9, joined by dashes, with a letter in front"
CLASS = "would have a class {}, which is another one in its code"


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
        ("redis", "redis-plugin", "is the name of another package"),
        ("plugin", "plugin-plugin", CLASS.format("Plugin")),
        ("named-tuple", "named-tuple-plugin", CLASS.format("NamedTuple")),
        ("rest", "rest-plugin", CLASS.format("Rest")),
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


def test_dependencies_keep_their_names() -> None:
    """No project has the name of a package that the host or a new project needs."""
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8")
    needed = tomllib.loads(text)["project"]
    extras = ("fast", "new", "smtp-forward", "dns", "redis", "metrics")
    lines = [
        *needed["dependencies"],
        *(x for e in extras for x in needed["optional-dependencies"][e]),
    ]
    modules = {"dnspython": "dns"}
    for name in (re.split(r"[^\w-]", line)[0] for line in lines):
        with pytest.raises(SetupError, match="is the name of another package"):
            Names.of(modules.get(name, name))
