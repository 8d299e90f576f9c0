"""Stores each message in a Maildir, so that a crash leaves it whole or not at all.

In `config/plugins`::

    queue/maildir /var/mail/incoming
    queue/maildir /var/mail/domains %d/%l

The second word gives each recipient a folder below the first: ``%l`` is its local part, ``%d`` its
domain in lower case, ``%a`` (in qpsmtpd ``%u``) the address. What could lead elsewhere is written
as ``%2F``; a name of more than 255 bytes is cut, and ends in its SHA-256. Folders are made as
needed, with mode 0700; what is above the first word is never made, so that a disk that is not
mounted is a temporary failure. Which recipients there are is for other plugins to say. The steps
are those of https://cr.yp.to/proto/maildir.html.
"""

import itertools
import os
import re
import socket
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote_from_bytes

from qpsdk import (
    DENYSOFT,
    LOGERROR,
    LOGINFO,
    OK,
    Address,
    Host,
    Plugin,
    Result,
    Transaction,
    blocking,
)

MAX_NAME = 255
"""Bytes of a file's name, on most file systems."""


class Maildir(Plugin):
    """Store the message for all its recipients, or for none of them."""

    def register(self, qp: Host, folder: str, pattern: str = "") -> None:
        """Check the arguments: the folder is absolute, the pattern stays below it."""
        if not folder.startswith("/"):
            raise ValueError(
                f"{folder!r} is no absolute path; write one such as /var/mail/incoming"
            )
        literal = re.sub("%[ldau]", "x", pattern)
        if pattern and ("%" in literal or {"", ".", ".."} & set(literal.split("/"))):
            raise ValueError(f"{pattern!r} is no path of %l, %d or %a; write one such as %d/%l")
        self.folder = Path(folder)
        self.pattern = pattern
        self.numbers = itertools.count(1)

    @blocking
    def hook_queue(self, transaction: Transaction) -> Result:
        """Write all files into ``tmp``, then link all into ``new``; any failure is DENYSOFT."""
        if not transaction.recipients:  # a plugin has removed them: it would be stored for nobody
            self.log(LOGERROR, f"{transaction.id} has no recipients")
            return DENYSOFT, "Cannot store the message now, try again later"
        files: list[tuple[Path, Path]] = []  # each one in tmp, and where it goes
        try:
            for maildir, recipients in self.maildirs(transaction).items():
                make_maildir(maildir, self.folder)
                name = self.unique_name()
                with open(maildir / "tmp" / name, "xb", opener=private) as file:
                    files.append((maildir / "tmp" / name, maildir / "new" / name))
                    write(file, transaction, recipients)
            transaction.hand_over()
            publish(files)
        except OSError as error:
            self.log(LOGERROR, f"cannot store {transaction.id}: {error}")
            return DENYSOFT, "Cannot store the message now, try again later"
        finally:
            for temporary, _ in files:
                with suppress(OSError):
                    temporary.unlink()
        self.log(LOGINFO, "stored", transaction.id, "as", *(new for _, new in files))
        return OK, "Stored"

    def maildirs(self, transaction: Transaction) -> dict[Path, list[Address]]:
        """The maildirs that the message goes to, each with its recipients."""
        found: dict[Path, list[Address]] = {}
        for recipient in transaction.recipients:
            # <postmaster> comes without a domain, and is ours (RFC 5321, 4.5.1).
            domain = recipient.host.lower() or self.qp.settings.me.encode()
            below = expand(self.pattern, safe(recipient.user), safe(domain))
            found.setdefault(self.folder / below, []).append(recipient)
        return found

    def unique_name(self) -> str:
        """A name that no other delivery has, on any host."""
        seconds, fraction = divmod(self.qp.clock(), 1)
        host = socket.gethostname().replace("/", r"\057").replace(":", r"\072")
        unique = f"M{int(fraction * 1e6)}P{os.getpid()}Q{next(self.numbers)}"
        return f"{int(seconds)}.{unique}.{host}"


def expand(pattern: str, local: str, domain: str) -> str:
    """The pattern with an address in it.

    >>> len(expand("%d/%l", "%2F" * 86, "example.com"))
    118
    """
    words = {"%l": local, "%d": domain, "%a": f"{local}@{domain}", "%u": f"{local}@{domain}"}
    path = re.sub("%[ldau]", lambda found: words[found[0]], pattern)
    return "/".join(map(short, path.split("/")))


def short(name: str) -> str:
    """A name that a folder can have, and that no other address gets: `safe` writes no ``%%``."""
    data = os.fsencode(name)
    return name if len(data) <= MAX_NAME else f"{name[:40]}%%{sha256(data).hexdigest()}"


def safe(word: bytes) -> str:
    """A part of an address as the name of a folder: neither hidden, nor another's, nor a path.

    >>> safe(b"jo+lists"), safe(b"../../x"), safe(b"")
    ('jo+lists', '%2E.%2F..%2Fx', '%')
    """
    text = quote_from_bytes(word, safe="+=,") or "%"
    return "%2E" + text[1:] if text.startswith(".") else text


def make_maildir(maildir: Path, base: Path) -> None:
    """Make what is missing of a maildir, and of the folders from `base` down to it."""
    above = [path for path in reversed(maildir.parents) if path.is_relative_to(base)]
    for path in (*above, maildir, maildir / "tmp", maildir / "new", maildir / "cur"):
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
            sync(path.parent)


def private(path: str, flags: int) -> int:
    """Open a file that only its owner may read."""
    return os.open(path, flags, 0o600)


def write(file: BinaryIO, transaction: Transaction, recipients: list[Address]) -> None:
    """Write the message under the fields of its delivery, down to the disk."""
    assert transaction.sender is not None
    file.write(b"Return-Path: <%b>\n" % transaction.sender.address)  # RFC 5321, 4.4
    file.writelines(b"Delivered-To: %b\n" % recipient.address for recipient in recipients)
    file.writelines(transaction.message_blocks())
    file.flush()
    os.fsync(file.fileno())


def publish(files: list[tuple[Path, Path]]) -> None:
    """Link all files into place; if one cannot be, take the others back.

    A mail reader that was quick keeps what it has seen, and gets it again when the client comes
    again.
    """
    linked: list[Path] = []
    try:
        for temporary, new in files:
            new.hardlink_to(temporary)
            linked.append(new)
        for new in linked:
            sync(new.parent)
    except OSError:
        for new in linked:
            with suppress(OSError):
                new.unlink()
        raise


def sync(folder: Path) -> None:
    """Have the names in a folder survive a crash."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
