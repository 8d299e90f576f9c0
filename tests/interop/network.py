"""Machines of a network of their own, made of the kernel's network namespaces.

Nothing of it has a name outside: a namespace is a descriptor of this process, and what runs in
it. So it cannot meet another test's or a stranger's, and ends with those however the test ends.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from tests.programs import missing, needs

_NEW_NETWORK: Final = 0x40000000
"""CLONE_NEWNET of sched.h. Python has it, and the two calls, since 3.12 (`os.setns`)."""

_SWITCH: Final = "switch"
"""The namespace in the middle, where the other end of each machine's cable is."""


class NotAllowedError(Exception):
    """The kernel makes no such networks for this process; the text says what it said."""


class Machines:
    """Machines that are all on one switch, each with addresses of its own."""

    def __init__(self, addresses: Mapping[str, str], stack: ExitStack) -> None:
        """Plug them all in.

        Args:
            addresses: Of each machine, by its name of at most 15 letters: one for each of its
                networks, with the length of the prefix and spaces between them.
            stack: What ends them.

        Raises:
            NotAllowedError: Not even root may, as in many containers. That is no failure of CI's,
                which could do nothing about it.
        """
        self._ip = needs("ip")
        if os.geteuid() != 0:
            missing("only root can make network namespaces")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._home = self._namespace(stack)
        self._namespaces: dict[str, int] = {}
        for name in (_SWITCH, *addresses):
            try:
                self._call("unshare", _NEW_NETWORK)
            except OSError as error:
                raise NotAllowedError(f"no network namespaces here: {error}") from error
            self._namespaces[name] = self._namespace(stack)
            self._call("setns", self._home, _NEW_NETWORK)
        try:
            self.configure(_SWITCH, f"link add {_SWITCH} type bridge", f"link set {_SWITCH} up")
            for name in addresses:
                end = f"/proc/{os.getpid()}/fd/{self._namespaces[name]}"
                cable = f"link add {name} type veth peer name eth0 netns {end}"
                self.configure(_SWITCH, cable, f"link set {name} master {_SWITCH} up")
        except subprocess.CalledProcessError as error:
            why = error.stderr.splitlines()[0]
            raise NotAllowedError(f"no bridge and veth here: {why}") from error
        for name, of_machine in addresses.items():
            added = (f"address add {address} dev eth0" for address in of_machine.split())
            # So that whoever asks for an address elsewhere, such as a resolver's, is told at once.
            self.configure(
                name,
                "link set lo up",
                *added,
                "link set eth0 up",
                "route add unreachable default metric 1000",
            )

    def _namespace(self, stack: ExitStack) -> int:
        """The one that this thread is in."""
        descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        stack.callback(os.close, descriptor)
        return descriptor

    def _call(self, name: str, *arguments: int) -> None:
        if getattr(self._libc, name)(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")

    def configure(self, machine: str, *commands: str) -> None:
        """Give commands to `ip` on a machine."""
        with self.at(machine):
            subprocess.run(
                [self._ip, "-batch", "-"],
                input="\n".join(commands),
                capture_output=True,
                text=True,
                check=True,
            )

    @contextmanager
    def at(self, machine: str) -> Iterator[None]:
        """Let this thread be on a machine: there are the sockets and processes that it makes."""
        self._call("setns", self._namespaces[machine], _NEW_NETWORK)
        try:
            yield
        finally:
            self._call("setns", self._home, _NEW_NETWORK)

    def cut_off(self, machine: str) -> None:
        """Move its cable to nowhere: packets vanish, and nobody is told, not even its own end."""
        self.configure(_SWITCH, f"link set {machine} nomaster")

    def join(self, machine: str) -> None:
        """Move its cable back."""
        self.configure(_SWITCH, f"link set {machine} master {_SWITCH}")
