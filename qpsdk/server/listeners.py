"""The sockets that a host listens on: opened by itself, or handed to it by systemd."""

import contextlib
import errno
import itertools
import os
import socket
import stat
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from qpsdk.errors import SetupError
from qpsdk.server.stream import reason
from qpsdk.stream import Endpoint

BACKLOG: Final = 1024
"""Connections that the kernel holds until we accept them."""

FIRST_INHERITED: Final = 3
"""Where inherited descriptors begin: SD_LISTEN_FDS_START (sd_listen_fds(3))."""


class Listener(NamedTuple):
    """A socket to listen on.

    Attributes:
        tls: For clients that begin with TLS at once.
        path: Of a unix socket that we have made, and take away in the end.
        inode: Of that file: by then another host may have its own there.
    """

    socket: socket.socket
    tls: bool = False
    path: str = ""
    inode: int = 0

    @property
    def endpoint(self) -> Endpoint:
        """Where it is, with the port that port 0 became."""
        name = self.socket.getsockname()
        is_unix = self.socket.family == socket.AF_UNIX
        at = Endpoint(path=name) if is_unix else Endpoint(name[0], name[1])
        return at._replace(tls=self.tls)

    @property
    def is_for_all(self) -> bool:
        """It is a unix socket to which every user of this machine may connect."""
        if self.socket.family != socket.AF_UNIX:
            return False
        name = self.socket.getsockname()
        if isinstance(name, bytes):  # without a file, and so without a mode: abstract (unix(7))
            return True
        path = Path(name).absolute()
        try:
            ways = all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
            return ways and bool(path.stat().st_mode & stat.S_IWOTH)
        except OSError:  # systemd has it where we cannot look
            return False

    def close(self) -> None:
        """Give it up."""
        self.socket.close()
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                if os.stat(self.path).st_ino == self.inode:
                    os.unlink(self.path)


def bind(endpoint: Endpoint) -> list[Listener]:
    """Sockets for an address: one, or one for each address that a host's name has.

    Raises:
        SetupError: It cannot be listened on.
    """
    (listeners,) = bind_for_each(endpoint, 1)
    return listeners


def bind_for_each(endpoint: Endpoint, workers: int) -> list[list[Listener]]:
    """Sockets for an address, for each of several workers.

    They share a port, and the kernel spreads the connections over those that listen
    (SO_REUSEPORT); a unix socket they all have in common.

    Raises:
        SetupError: It cannot be listened on.
    """
    try:
        if endpoint.path:
            path = endpoint.path
            made = _bind_unix(path)
            return [[Listener(made, endpoint.tls, path, os.stat(path).st_ino)]] * workers
        found = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # Each once: /etc/hosts may have a name on two lines.
        families = dict.fromkeys((family, address) for family, *_, address in found)
        bound = [_bind_tcp(family, address, workers) for family, address in families]
        # Now, and not when all is loaded: until then another host could bind to it as well.
        for own in itertools.chain(*bound):
            own.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        raise cannot_listen(endpoint, error, "--listen") from None
    return [[Listener(own, endpoint.tls) for own in row] for row in zip(*bound, strict=True)]


def renewed(listener: Listener) -> Listener:
    """The same address on a TCP socket that does not listen yet, in place of one that does.

    To be shared with the others of `bind_for_each`, which get what would have come to this one.

    Raises:
        OSError: It cannot be had, and the one before is as it was.
    """
    old = listener.socket
    made = _tcp_socket(old.family, old.getsockname(), share=True)
    old.close()
    return listener._replace(socket=made)


def cannot_listen(endpoint: Endpoint, error: OSError | UnicodeError, option: str) -> SetupError:
    """Why an address cannot be listened on; and the option that names another, if it is taken."""
    told = f"cannot listen on {endpoint}: {reason(error)}"
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        told += f"; {option} names another"
    elif number == errno.EACCES and not endpoint.path:
        told += "; a port below 1024 is for root, or for systemd to open"
    return SetupError(told)


def _bind_tcp(family: int, address: tuple[object, ...], number: int) -> list[socket.socket]:
    """So many sockets on one port."""
    sockets = [_tcp_socket(family, address)]
    if number > 1:
        # The first was there to learn whether the port is free, and which one port 0 is: those
        # that share it would share it with another host of the same user, too.
        (first,) = sockets
        address = first.getsockname()
        first.close()
        sockets = [_tcp_socket(family, address, share=True) for _ in range(number)]
    return sockets


def _tcp_socket(family: int, address: tuple[object, ...], share: bool = False) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _bind_unix(path: str) -> socket.socket:
    """A socket at a path, in place of one that a host has left behind there.

    Raises:
        SetupError: Somebody listens there, or it is another file.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise SetupError(f"cannot listen on unix:{path}: it is there, and no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
            except BlockingIOError:
                pass  # its queue is full, so there is one
    made = socket.socket(socket.AF_UNIX)
    try:
        made.bind(path)
        made.listen(BACKLOG)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def inherited(environment: MutableMapping[str, str]) -> list[Listener]:
    """The sockets that systemd's socket activation hands to this process (sd_listen_fds(3)).

    Those that are called ``tls``, by FileDescriptorName= of their unit, are for clients that
    begin with TLS at once.

    Args:
        environment: The process's; what it says of the sockets is taken out.

    Raises:
        SetupError: One of them is no listening stream socket.
    """
    pid = environment.pop("LISTEN_PID", "")
    number = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not number.isdigit():
        return []
    descriptors = range(FIRST_INHERITED, FIRST_INHERITED + int(number))
    names += [""] * (len(descriptors) - len(names))
    return [_inherit(fd, name) for fd, name in zip(descriptors, names, strict=False)]


def _inherit(descriptor: int, name: str) -> Listener:
    try:
        os.set_inheritable(descriptor, False)
        taken = socket.socket(fileno=descriptor)
        listens = taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SetupError(f"LISTEN_FDS: descriptor {descriptor}: {reason(error)}") from None
    if taken.type != socket.SOCK_STREAM or not listens:
        raise SetupError(
            f"LISTEN_FDS: descriptor {descriptor} is no listening stream socket;"
            " write ListenStream= and Accept=no in the socket unit"
        )
    taken.setblocking(False)
    return Listener(taken, tls=name == "tls")


def parse_endpoints(texts: Sequence[str]) -> list[Endpoint]:
    """Read addresses to listen on.

    Raises:
        SetupError: One of them is none.
    """
    try:
        return [Endpoint.parse_listen(text) for text in texts]
    except ValueError as error:
        raise SetupError(f"listen: {error}") from None
