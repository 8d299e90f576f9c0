"""What lets a host start, but hardly as it is meant. What each is, `test_check` has in full."""

from pathlib import Path
from tempfile import TemporaryDirectory

from qpsdk import Host, Plugin
from qpsdk.config import Config
from qpsdk.doubts import near_misses, of_host, of_secrets, of_settings
from qpsdk.testing import memory_host, plugin


class Silent(Plugin):
    """Has no hook."""

    def register(self, qp: Host) -> None:
        """Ask for a setting of its own."""
        self.name = "silent"
        qp.config("subject_words")

    def on_rcpt(self) -> None:
        """Never called."""


def test_all() -> None:
    """Of a host with its plugins all is told: settings, lines, hooks, files."""
    config = {
        "me": "",
        "plugin_dirs": "/nowhere",
        "plugins": "# one\n\nsilent loglevel 5\nsilent\n",
        "subject_word": "x",
    }
    host = memory_host(config)
    told = [str(doubt) for doubt in of_host(host, [plugin(Silent, qp=host)])]
    assert told.pop(0).startswith("config/me: not there, so the host calls itself ")
    assert told == [
        "config/plugin_dirs:1: /nowhere is no folder, so no plugin is found there",
        "config/plugins:3: silent: takes any words; qpsmtpd's `loglevel 5` is written"
        " loglevel=5 here",
        "config/plugins:4: silent is named twice, first in line 3; if that is meant,"
        " write silent:1 and silent:2",
        "config/plugins: no plugin has the hook rcpt, so every recipient is put off; add rcpt_ok",
        "config/plugins: no plugin has the hook queue, so every message is put off;"
        " add one such as queue/qmqp_forward",
        "config/subject_word: no setting of this name is known; did you mean subject_words?",
    ]


def test_folder_that_cannot_be() -> None:
    """A folder with a name that none can have is told as one that is not there."""
    config = Config({"me": "mx", "plugin_dirs": "x" * 300})
    assert [str(doubt) for doubt in of_settings(config, "mx")] == [
        f"config/plugin_dirs:1: {'x' * 300} is no folder, so no plugin is found there"
    ]


def test_secrets() -> None:
    """Passwords and keys that everybody may read are told, whichever file they are in."""
    # A folder of pytest's is closed to others.
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            "flat_auth_pw": "ann:one\n$include more",
            "more": "bob:two",
            "store": "redis://:three@127.0.0.1/0",
            "plugins": "tls cert.pem\nother key=key.pem /nowhere ./",
            "cert.pem": "-----BEGIN CERTIFICATE-----",
            "key.pem": "-----BEGIN EC PRIVATE KEY-----",
        }
        for file, text in files.items():
            (folder / file).write_text(text)
            (folder / file).chmod(0o644)
        assert list(of_secrets(Config(folder))) == []
        folder.chmod(0o755)
        told = [str(doubt).replace(name, "C") for doubt in of_secrets(Config(folder))]
        why = "and every user of this machine may read it; chmod o-r it"
        assert told == [
            f"C/flat_auth_pw: has passwords, {why}",
            f"C/more: has passwords, {why}",
            f"C/store: has a password, {why}",
            f"C/key.pem: has a private key, {why}",
        ]
        for file in files:
            (folder / file).chmod(0o640)
        (folder / "store").chmod(0o644)
        (folder / "store").write_text("redis://127.0.0.1/0")
        assert list(of_secrets(Config(folder))) == []


def test_near_misses() -> None:
    """A name is a slip if it is near to a setting that is not there, and is none itself."""

    def meant(asked: set[str], *names: str) -> list[str]:
        found = near_misses(Config(dict.fromkeys(names, "x")), asked)
        return [str(doubt).rpartition(" ")[2] for doubt in found]

    assert meant(set(), "rcpthost", "SPOOL-DIR", "notes") == ["spool_dir?", "rcpthosts?"]
    assert meant(set(), "rcpthost", "rcpthosts") == []
    assert meant({"rcpthost"}, "rcpthost") == []
    assert meant({"note"}, "notes") == ["note?"]
    assert meant({"note"}, "note", "notes") == []
