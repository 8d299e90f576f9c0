"""What is said of qpsmtpd's plugins and settings is complete, and leads to what there is."""

import re
from pathlib import Path

import pytest

from qpsdk import qpsmtpd
from qpsdk.check import check
from qpsdk.finder import bundled_plugins
from qpsdk.hooks import HOOKS
from qpsdk.settings import SETTINGS
from tests.programs import needs

TEXTS = {**qpsmtpd.PLUGINS, **qpsmtpd.SETTINGS}
DOCS = Path(__file__).parents[1]


def test_every_plugin_of_qpsmtpd() -> None:
    """Each plugin of Debian's qpsmtpd has a counterpart of its name, or is told about."""
    needs("qpsmtpd-forkserver")
    folder = Path("/usr/share/qpsmtpd/plugins")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    known = {*bundled_plugins(), *qpsmtpd.PLUGINS}
    no_plugins = {"registry.txt", "karma_tool"}
    assert {name for name in names if name.replace("-", "_") not in known} == no_plugins


def test_every_setting_of_qpsmtpd() -> None:
    """Each setting that Debian's qpsmtpd asks for is one here, or is told about."""
    needs("qpsmtpd-forkserver")
    found: set[str] = set()
    for folder in ("/usr/share/qpsmtpd/plugins", "/usr/share/perl5/Qpsmtpd"):
        for path in Path(folder).rglob("*"):
            if path.is_file():
                text = path.read_text(errors="replace")
                found.update(re.findall(r"->config\(\s*['\"]([a-zA-Z_-]+)['\"]", text))
    assert "rcpthosts" in found
    assert found - SETTINGS.keys() - qpsmtpd.SETTINGS.keys() == set()


def test_nothing_that_is_here() -> None:
    """What is found as it was needs no advice: a plugin that is added takes its row away."""
    assert not qpsmtpd.PLUGINS.keys() & set(bundled_plugins())
    assert not qpsmtpd.SETTINGS.keys() & SETTINGS.keys()
    assert not [name for name in qpsmtpd.PLUGINS if "-" in name]


@pytest.mark.parametrize("name", TEXTS)
def test_leads_to_what_there_is(name: str) -> None:
    """The plugins, settings, hooks and pages that an advice names are there."""
    text = TEXTS[name]
    plugins = re.findall(r"\bwrite ([a-z][a-z_/]+)", text)
    own = {"one", "its", "the", "greylisting_allow"}
    assert {word for word in plugins if "config/" not in word} - own <= set(bundled_plugins())
    settings = {word for word in re.findall(r"\bconfig/(\w+)", text) if not word.endswith("terns")}
    assert settings <= {*SETTINGS, *qpsmtpd.SETTINGS, "plugins"}
    for hooks in re.findall(r"\bhooks? ([a-z_]+(?: and [a-z_]+)?)", text):
        assert set(hooks.split(" and ")) <= HOOKS.keys()
    for page in re.findall(r"docs/\S+\.md", text):
        assert (DOCS / page).is_file()


def test_a_folder_of_qpsmtpd(tmp_path: Path) -> None:
    """`qpsdk check` says line by line what to do with a folder as it was."""
    for name, text in {
        "me": "mx.example.com",
        "listen": "127.0.0.1:2525",
        "rcpthosts": "example.com",
        "logging": "logging/warn 6",
        "badhelo": "# none yet",
        "timeoutsmtpd": "1200",
        "plugins": "check_earlytalker wait 2\nearlytalker wait 2 reject 0\nrhsbl\nrcpt_ok\n"
        "logging/file loglevel LOGINFO /var/log/smtpd\nqueue/qmail-queue:1 /var/qmail/bin/q\n",
    }.items():
        (tmp_path / name).write_text(f"{text}\n")
    takes = (
        "earlytalker [wait=...] [check_at=...] [defer_reject=...] [reject=...] [reject_type=...]"
    )
    assert [str(finding).replace(f"{tmp_path}/", "") for finding in check(tmp_path)] == [
        "error: plugins:1: check_earlytalker: no such plugin; write earlytalker",
        "error: plugins:2: earlytalker: too many positional arguments; given: wait 2 reject 0; it"
        f" takes: {takes}; qpsmtpd's `wait 2 reject 0` is written wait=2 reject=0 here",
        "error: plugins:3: rhsbl: no such plugin; none is bundled: write one that asks DNS, as the"
        " bundled dnsbl does, in a hook mail, for sender.host",
        "error: plugins:5: logging/file: too many positional arguments; given: loglevel LOGINFO"
        " /var/log/smtpd; it takes: logging/file PATH [maxlevel=...] [then=...]; qpsmtpd's"
        " `loglevel LOGINFO` is written maxlevel=LOGINFO here",
        "error: plugins:6: queue/qmail-queue:1: no such plugin; write queue/qmqp_forward 127.0.0.1,"
        " and run qmail-qmqpd there",
        "warning: logging: nothing reads this file of qpsmtpd's: the logging plugins stand in"
        " config/plugins, first of all: move the lines there",
        "warning: timeoutsmtpd: nothing reads this file of qpsmtpd's: write config/timeout",
    ]


def test_files_that_somebody_reads(tmp_path: Path) -> None:
    """Nothing is said of a file of qpsmtpd's that a plugin has asked for."""
    for name, text in {
        "me": "mx.example.com",
        "listen": "127.0.0.1:2525",
        "rcpthosts": "example.com",
        "badhelo": "liar.example",
        "plugin_dirs": "mine",
        "plugins": "helo\nrcpt_ok\nqueue/discard\n",
    }.items():
        (tmp_path / name).write_text(f"{text}\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "helo.py").write_text(
        "from qpsdk import Plugin\n\n\nclass Helo(Plugin):\n"
        "    def register(self, qp):\n        self.config('badhelo')\n\n"
        "    def hook_helo(self, connection, host): ...\n"
    )
    assert check(tmp_path) == []
