"""The name of a project, and the names that are made of it."""

import keyword
import re
import sys
import unicodedata
from typing import Final, NamedTuple

from qpsdk.errors import SetupError
from qpsdk.finder import bundled_plugins
from qpsdk.scaffold.compose import taken_names

MAX_LENGTH: Final = 60
"""Letters of a name: it becomes the name of a folder, a package and a class."""

_VALID: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_OTHERS: Final = frozenset({"hypothesis", "mypy", "pytest", "qpsdk", "ruff", "test", "tests"})
_LIBRARIES: Final = frozenset(
    {"aiosmtplib", "copier", "dns", "prometheus_client", "redis", "rich", "typer", "uvloop"}
)
"""What the host imports: a package of that name would be found in its place."""


class Names(NamedTuple):
    """What a project's parts are called.

    Attributes:
        project: Its folder, and what pip installs: ``greylist-by-domain``.
        package: What Python imports, and a line of `config/plugins` names: ``greylist_by_domain``.
        class_name: The plugin: ``GreylistByDomain``.
    """

    project: str
    package: str
    class_name: str

    @classmethod
    def of(cls, name: str) -> "Names":
        """The names of a project.

        >>> Names.of("greylist-by-domain").class_name
        'GreylistByDomain'

        Raises:
            SetupError: The name is not valid; the text says which would be.
        """
        if (fault := _fault(name)) is not None:
            remedy = _nearest(name)
            told = f"such as greylist-by-domain: {name!r}" if not remedy else f"{remedy}: {name!r}"
            raise SetupError(f"name a project {told} {fault}")
        return cls(name, name.replace("-", "_"), _class_name(name))


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _fault(name: str) -> str | None:
    """What is wrong with a name."""
    if _VALID.fullmatch(name) is None:
        return "is not made of words of a-z and 0-9, joined by dashes, with a letter in front"
    if len(name) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} letters"
    package, class_name = name.replace("-", "_"), _class_name(name)
    # A class cannot be called True, either.
    if any(map(keyword.iskeyword, (package, class_name))) or package in sys.stdlib_module_names:
        return "is a word or module of Python's own"
    if package in bundled_plugins():
        return "is a plugin that comes with qpsdk"
    if package in _OTHERS | _LIBRARIES:
        return "is the name of another package"
    if class_name in taken_names():
        return f"would have a class {class_name}, which is another one in its code"
    return None


def _nearest(name: str) -> str:
    """The valid name that is most like this one; empty if there is none.

    >>> _nearest("Greylist by_domain"), _nearest("2nd Grüße"), _nearest("email")
    ('greylist-by-domain', 'plugin-2nd-grusse', 'email-plugin')
    """
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    words = "-".join(re.findall(r"[a-z0-9]+", plain))
    if words[:1].isdigit():
        words = f"plugin-{words}"
    words = words[:MAX_LENGTH].rstrip("-")
    if words and _fault(words) is not None:
        words = f"{words}-plugin"
    return words if words and _fault(words) is None else ""
