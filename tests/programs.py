"""The real mail programs that tests and benchmarks run, and where Debian keeps them.

`python -m tests.programs` prints the Debian packages whose programs are missing here;
`make test` and `make bench` install those.
"""

import os
import shutil
import socket
import subprocess
import sys
from typing import NoReturn

import pytest

PACKAGES = {
    "chromium": "chromium",
    "Net::SSLeay": "libnet-ssleay-perl",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "openssl": "openssl",
    "perl": "perl",
    "qmqp-sink": "postfix",
    "qmqp-source": "postfix",
    "postconf": "postfix",
    "postfix": "postfix",
    "qmqpd": "postfix",
    "qpsmtpd-forkserver": "qpsmtpd",
    "qpsmtpd-prefork": "qpsmtpd",
    "redis-server": "redis-server",
    "smtp-sink": "postfix",
    "smtp-source": "postfix",
    "swaks": "swaks",
    "systemd-analyze": "systemd",
    "systemd-socket-activate": "systemd",
}
"""Each program, or Perl module that one needs, with the Debian package that brings it."""

# Debian's postfix keeps its programs where an ordinary user's PATH does not lead.
_FOLDERS = ("/usr/sbin", "/usr/libexec", "/usr/libexec/postfix", "/usr/lib/postfix/sbin")


def find(program: str) -> str | None:
    """The path of a program of `PACKAGES`, or None where it is not installed.

    Of a Perl module it is perl's.
    """
    if "::" in program:
        perl = shutil.which("perl")
        check = [perl or "", f"-M{program}", "-e", ""]
        return (
            perl
            if perl and not subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode
            else None
        )
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), *_FOLDERS)))


def needs(program: str) -> str:
    """The path of a program; without it the running test is skipped, or under CI fails."""
    path = find(program)
    if path is None:
        missing(
            f"{program} is not installed (Debian: {PACKAGES[program]}); "
            "`make test` as root installs it"
        )
    return path


def missing(reason: str) -> NoReturn:
    """Skip the running test for something that this machine lacks; under CI, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def needs_ipv6() -> None:
    """Skip the running test where there is no IPv6, as in many containers; under CI, fail it."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        missing("there is no IPv6 loopback here")


def last_word_without(module: str, script: str) -> str:
    """The last line of the traceback of a Python script that cannot import a module."""
    command = [sys.executable, "-c", f"import sys; sys.modules[{module!r}] = None\n{script}"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return process.stderr.splitlines()[-1]


def missing_packages() -> list[str]:
    """The Debian packages that would bring the programs not found here."""
    return sorted({package for program, package in PACKAGES.items() if find(program) is None})


if __name__ == "__main__":
    print(*missing_packages())
