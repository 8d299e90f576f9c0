"""The command line: what it prints, and that a wrong set-up is one line and exit status 2."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import qpsdk
from qpsdk.server.process import ROOT

QPSDK = [sys.executable, "-m", "qpsdk"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*QPSDK, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config directory that could be served."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "me").write_text("mx.example.com\n")
    (folder / "listen").write_text("127.0.0.1:0\n")
    (folder / "rcpthosts").write_text("example.com\n")
    (folder / "plugins").write_text("# all\nrcpt_ok\nqueue/discard\n")
    return folder


def test_version() -> None:
    """--version prints name and version; what only some commands need is not loaded for that."""
    command = [sys.executable, "-X", "importtime", *QPSDK[1:], "--version"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (result.returncode, result.stdout) == (0, f"qpsdk {qpsdk.__version__}\n")
    loaded = set(re.findall(r"(\S+)$", result.stderr, re.MULTILINE))
    assert "typer" in loaded
    assert loaded.isdisjoint({"rich", "smtplib", "importlib.metadata", "qpsdk.scaffold"})


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(option: str) -> None:
    """Help names the commands, and what each is for."""
    result = run(option)
    assert result.returncode == 0
    for words in (
        "serve",
        "fake-qmqp",
        "lab",
        "netstring",
        "new",
        "update",
        "Run plugins on real mail",
        "--version",
    ):
        assert words in result.stdout


def test_without_command() -> None:
    """Without a command there is help, and nothing is run."""
    result = run()
    assert result.returncode == 2
    assert "Usage: " in result.stdout + result.stderr


def test_serve_needs_a_config() -> None:
    """What `serve` cannot do without is asked for."""
    result = run("serve")
    assert result.returncode == 2
    assert "--config" in result.stderr


WRONG = [
    # file, its text, what is told
    (
        "plugins",
        "rcpt_ok\nrcpt_okay",
        "{c}/plugins:2: rcpt_okay: no such plugin; did you mean rcpt_ok?",
    ),
    ("plugins", "../x", "{c}/plugins:1: '../x' is no plugin name; name its folder in"),
    (
        "plugins",
        "queue/qmqp_forward",
        "{c}/plugins:1: queue/qmqp_forward: missing a required argument",
    ),
    ("loglevel", "loud", "{c}/loglevel:1: 'loud' is no log level; write 0 to 7, or a name such as"),
    ("me", "a b", "{c}/me:1: 'a b' is no host name; write one such as mx.example.com"),
    (
        "databytes",
        "\n1G",
        "{c}/databytes:2: '1G' is no number of bytes; write one such as 10485760",
    ),
    ("listen", "", "{c}/listen: no address to listen on; write one such as 127.0.0.1:2525, or use"),
    (
        "listen",
        "#\nport 25",
        "{c}/listen:2: 'port 25' is no address; write HOST:PORT, [V6]:PORT or",
    ),
    ("listen", "192.0.2.1:0", "cannot listen on 192.0.2.1:0: "),
    ("spool_dir", "/proc/no/spool", "/proc/no/spool: the spool folder cannot be made: "),
]


@pytest.mark.parametrize(("name", "text", "told"), WRONG, ids=[f"{n} {t!r}" for n, t, _ in WRONG])
def test_wrong_config(name: str, text: str, told: str, config: Path) -> None:
    """A config that cannot be served is told in one line: file, line, what would be right."""
    (config / name).write_text(text)
    result = run("serve", "--config", config)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("qpsdk: " + told.format(c=config))
    assert result.stderr.count("\n") == 1


def test_no_config_directory(tmp_path: Path) -> None:
    """So is a config directory that is none."""
    result = run("serve", "--config", tmp_path / "nothing")
    assert (result.returncode, result.stderr) == (
        2,
        f"qpsdk: {tmp_path}/nothing: not a directory;"
        " a config directory holds one file a setting\n",
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fake-qmqp", "--listen", "nowhere"], "'nowhere' is no address; write HOST:PORT"),
        (["fake-qmqp", "--listen", "unix:/no/x"], "cannot listen on unix:/no/x: "),
        (["fake-qmqp", "--listen", "192.0.2.1:0"], "cannot listen on 192.0.2.1:0: "),
        (["fake-qmqp", "--profile", "x"], "--profile: 'x' is none; write strict, qmail, postfix"),
        (["fake-qmqp", "--script", "x"], "--script: x at character 1: no such act; "),
        (["lab", "--listen", "25"], "'25' is no address; write HOST:PORT"),
        (["lab", "--qmqp", "unix:/x"], "'unix:/x' is no TCP address; write HOST:PORT or"),
        (["lab", "--listen", "127.0.0.1:0", "--site", "/no"], "/no: no built site, which has"),
        (["lab", "--http", "unix:/x"], "'unix:/x' is no TCP address; write HOST:PORT or"),
        (["lab", "--config", "/no"], "/no: not a directory; a config directory holds"),
        (["lab", "--config", ""], "--config: the path is empty; write . for the current folder"),
        (["try", "relay", "--config", ""], "--config: the path is empty; write . for"),
        (["plugins", "--config", ""], "--config: the path is empty; write . for"),
        (["check", "--config", ""], "--config: the path is empty; write . for"),
        (["serve", "--listen", "25"], "listen: '25' is no address; write HOST:PORT"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options(arguments: list[str], told: str, config: Path) -> None:
    """An option that is wrong is told in one line by every command."""
    extra = ["--config", str(config)] if arguments[0] == "serve" else []
    result = run(*arguments, *extra)
    assert result.returncode == 2
    assert result.stderr.startswith("qpsdk: " + told)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["serve --listen", "fake-qmqp --listen", "lab --qmqp"])
def test_port_taken(command: str, config: Path) -> None:
    """Where something listens already, the option that names another port is told."""
    name, option = command.split()
    extra = ["--config", str(config)] if name == "serve" else []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run(name, *extra, option, at)
    told = f"qpsdk: cannot listen on {at}: Address already in use; {option} names another\n"
    assert (result.returncode, result.stderr) == (2, told)


@pytest.mark.parametrize(
    ("number", "listen"), [(signal.SIGTERM, "127.0.0.1:0"), (signal.SIGINT, "unix:./[b]/s")]
)
@pytest.mark.parametrize("command", ["serve", "fake-qmqp"])
def test_listening(command: str, number: signal.Signals, listen: str, config: Path) -> None:
    """A server says at once where it listens, and ends in peace when it is told to."""
    extra = ["--config", config] if command == "serve" else []
    (config.parent / "[b]").mkdir()  # what Rich would take for a colour
    with subprocess.Popen(
        [*QPSDK, command, *map(str, extra), "--listen", listen],
        cwd=config.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    at = re.escape(listen).removesuffix(":0") + (":[1-9][0-9]*" if listen.endswith(":0") else "")
    assert re.fullmatch(rf"listening on {at}\n", first)
    told = [line for line in errors.splitlines() if ROOT not in line]
    assert (process.returncode, rest, told) == (0, "", [])


def test_serve_warns(config: Path) -> None:
    """What `check` warns of, `serve` logs at its start and at each reload."""
    (config / "rcpthosts").rename(config / "rcpthost")
    with subprocess.Popen(
        [*QPSDK, "serve", "--config", config],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        lines = (line for line in iter(process.stderr.readline, "") if ROOT not in line)
        plugin, near = next(lines), next(lines)
        process.send_signal(signal.SIGHUP)
        again = [next(lines), next(lines)]
        process.terminate()
        _, rest = process.communicate(timeout=20)
    assert " LOGWARN (register) rcpt_ok: neither rcpthosts nor morercpthosts has a dom" in plugin
    assert near.endswith(
        f" LOGWARN {config}/rcpthost: no setting of this name is known; did you mean rcpthosts?\n"
    )
    assert [line.split(" ", 2)[2] for line in again] == [
        line.split(" ", 2)[2] for line in (plugin, near)
    ]
    assert rest == ""


def test_demo() -> None:
    """The demo shows a message as dialogue, hooks and QMQP: plain where there is no terminal."""
    result = run("lab", "--demo")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    for words in (
        "C: mail FROM:<you@example.org>",
        "S: 354 Go ahead, end with a dot on a line of its own",
        "rcpt: rcpt_ok answered OK",
        "queue: queue/qmqp_forward answered OK, 'fake, nothing is queued'",
        "15:you@example.org,",
        "18:friend@example.com,",
        "S: 250 2.0.0 fake, nothing is queued",
        "the message has arrived",
    ):
        assert words in result.stdout
