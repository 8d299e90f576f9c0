"""`qpsdk systemd-units`."""

import os
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

import typer

from qpsdk.cli.app import app
from qpsdk.cli.show import ConfigDirectory
from qpsdk.config import Config
from qpsdk.errors import ConfigError, SetupError
from qpsdk.server.listeners import BACKLOG
from qpsdk.server.workers import STOP_LIMIT
from qpsdk.settings import Settings
from qpsdk.stream import Endpoint

WATCHDOG: Final = 60
"""Seconds: no plugin that is right keeps the others waiting so long, nor does its loading."""

SERVICE: Final = """\
# Written by `qpsdk systemd-units`; changes of your own belong into `systemctl edit qpsdk`.
[Unit]
Description=qpsdk mail host
After=network.target
Requires={sockets}

[Service]
Type=notify
Sockets={sockets}
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
SyslogIdentifier=qpsdk
Restart=on-failure
# 2: it cannot start as it is told to, which another try does not change.
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec={stop}
# A host that says nothing for so long hangs in a plugin; its last lines in the log say where.
WatchdogSec={watchdog}
LimitNOFILE=65536

# A user that exists while the host runs, and owns nothing but its state: /var/lib/qpsdk.
DynamicUser=yes
StateDirectory=qpsdk
StateDirectoryMode=0700
UMask=0077

# All that the host does not need is out of its reach, and that of its plugins.
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""

SOCKET: Final = """\
# Written by `qpsdk systemd-units` from {listen}.
[Unit]
Description=qpsdk mail host: {what}

[Socket]
{addresses}
FileDescriptorName={name}
Service=qpsdk.service
Backlog={backlog}
# systemd makes the socket for both families else, and an address 0.0.0.0 could not be one too.
BindIPv6Only=ipv6-only

[Install]
WantedBy=sockets.target
"""


@app.command()
def systemd_units(
    config: ConfigDirectory,
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where systemd looks for units.")
    ] = Path("/etc/systemd/system"),
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="As of `serve`.")] = 1,
) -> None:
    """Write units for systemd: the host in a sandbox, and the sockets of config/listen.

    systemd opens the ports, so that the host needs no privilege ever; and it keeps them open, so
    that no client is refused while the host restarts. The host runs by the Python that runs this.
    """
    directory = config.resolve()
    configuration = Config(directory)
    texts = Settings.read(configuration).listen
    if not texts:
        told = "no address to listen on; write one such as 0.0.0.0:25"
        raise ConfigError(told, configuration.path("listen"))
    endpoints = [_numeric(configuration, Endpoint.parse_listen(text)) for text in texts]
    words = [sys.executable, "-m", "qpsdk", "serve", "--config", str(directory)]
    if workers > 1:
        words += ["--workers", str(workers)]
    units = {}
    for name, what, tls in (("smtp", "SMTP", False), ("tls", "SMTP, by TLS only", True)):
        own = [endpoint for endpoint in endpoints if endpoint.tls is tls]
        if own:
            units["qpsdk-tls.socket" if tls else "qpsdk.socket"] = SOCKET.format(
                listen=configuration.path("listen"),
                what=what,
                addresses="\n".join(f"ListenStream={_stream(endpoint)}" for endpoint in own),
                name=name,
                backlog=BACKLOG,
            )
    units["qpsdk.service"] = SERVICE.format(
        sockets=" ".join(units),
        command=" ".join(map(_quoted, words)),
        stop=f"{STOP_LIMIT + 10:.0f}",
        watchdog=WATCHDOG,
    )
    _write(folder, units)
    for path in {Path(sys.prefix), Path(sys.base_prefix), directory}:
        if path.resolve().is_relative_to("/home") or path.resolve().is_relative_to("/root"):
            told = f"{path} is in a home folder, which the unit hides from the host"
            print(f"qpsdk: {told}; move it, or override ProtectHome=", file=sys.stderr)


def _write(folder: Path, units: dict[str, str]) -> None:
    if not folder.is_dir():
        told = "no such folder; make it, or name one where systemd looks for units"
        raise SetupError(f"{folder}: {told}")
    for name, text in units.items():
        path = folder / name
        try:
            path.write_bytes(os.fsencode(text))  # a path in it need not be UTF-8
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", path) from None
        print(path)


def _numeric(config: Config, endpoint: Endpoint) -> Endpoint:
    """An address that systemd can listen on: it resolves no names."""
    if not endpoint.path:
        try:
            ip_address(endpoint.host)
        except ValueError:
            told = f"{str(endpoint)!r}: systemd takes no names; write an IP address"
            raise ConfigError(told, config.path("listen")) from None
    return endpoint


def _stream(endpoint: Endpoint) -> str:
    """What ListenStream= is to say; % begins a specifier there."""
    return (endpoint.path or str(endpoint._replace(tls=False))).replace("%", "%%")


def _quoted(word: str) -> str:
    """A word of ExecStart=, as it is (systemd.service(5), COMMAND LINES)."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if plain and all(c.isalnum() or c in "/._-%$+=:@," for c in plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
