"""A small behaviour for each hook; `qpsdk new` takes out those that are asked for."""
# ruff: noqa: ARG002, PLR0917 - a hook's arguments are the table's

import hmac
import os
import sys
from email.utils import formatdate
from pathlib import Path
from typing import Any

from qpsdk import (
    DECLINED,
    DENY,
    DENY_DISCONNECT,
    DENYSOFT,
    DONE,
    LOGINFO,
    LOGWARN,
    OK,
    Address,
    Connection,
    Constant,
    Host,
    LogLevel,
    Outcome,
    Parameters,
    Plugin,
    Result,
    Transaction,
    blocking,
)

MAX_RECEIVED = 50
"""Hosts that a message may have passed; one that goes in circles passes more."""


class Sample(Plugin):
    def register(self, qp: Host, folder: str = "archive") -> None:
        """Take the words of the line in config/plugins.

        Args:
            folder: Where messages are kept, as seen from the config directory.
        """
        self.folder = qp.configuration.resolve(folder)

    def hook_pre_connection(self, connection: Connection) -> Result:
        """Refuse a client by its address, before anything is said."""
        if connection.remote_ip == "192.0.2.66":
            return DENY, "We take no mail from your address"
        return DECLINED

    def hook_connect(self, connection: Connection) -> Result:
        """Put off the clients of one network."""
        if connection.remote_ip.startswith("198.51.100."):
            return DENYSOFT, "No time for your network, try again later"
        return DECLINED

    def hook_helo_parse(self, connection: Connection) -> Result:
        """Lend the host a parser for what stands behind HELO."""
        return OK, read_name

    def hook_helo(self, connection: Connection, host: bytes) -> Result:
        """Refuse a client from elsewhere that calls itself localhost."""
        if host.lower() == b"localhost" and connection.remote_ip != "127.0.0.1":
            return DENY, "You are not localhost"
        return DECLINED

    def hook_ehlo_parse(self, connection: Connection) -> Result:
        """Lend the host a parser for what stands behind EHLO."""
        return OK, read_name

    def hook_ehlo(self, connection: Connection, host: bytes) -> Result:
        """Refuse a client from elsewhere that calls itself localhost."""
        if host.lower() == b"localhost" and connection.remote_ip != "127.0.0.1":
            return DENY, "You are not localhost"
        return DECLINED

    def hook_auth_parse(self, connection: Connection) -> Result:
        """Lend the host a parser for what stands behind AUTH."""
        return OK, read_mechanism

    def hook_auth_plain(
        self,
        connection: Connection,
        mechanism: str,
        user: bytes,
        password: bytes,
        hashed: bytes,
        ticket: bytes,
    ) -> Result:
        """Know the users of config/users, a line of `user:password` each."""
        known = secret_of(user, self.config("users"))
        if known is None:
            return DECLINED  # another plugin may know this user
        return OK if hmac.compare_digest(known, password) else DENY

    def hook_auth_login(
        self,
        connection: Connection,
        mechanism: str,
        user: bytes,
        password: bytes,
        hashed: bytes,
        ticket: bytes,
    ) -> Result:
        """Know the users of config/users, a line of `user:password` each."""
        known = secret_of(user, self.config("users"))
        if known is None:
            return DECLINED  # another plugin may know this user
        return OK if hmac.compare_digest(known, password) else DENY

    def hook_auth_cram_md5(
        self,
        connection: Connection,
        mechanism: str,
        user: bytes,
        password: bytes,
        hashed: bytes,
        ticket: bytes,
    ) -> Result:
        """Know the users of config/users, who prove that they know their password (RFC 2195)."""
        known = secret_of(user, self.config("users"))
        if known is None:
            return DECLINED  # another plugin may know this user
        proof = hmac.new(known, ticket, "md5").hexdigest().encode()
        return OK if hmac.compare_digest(proof, hashed) else DENY

    def hook_auth(
        self,
        connection: Connection,
        mechanism: str,
        user: bytes,
        password: bytes,
        hashed: bytes,
        ticket: bytes,
    ) -> Result:
        """Know the users of config/users, if they send their password as it is."""
        known = secret_of(user, self.config("users"))
        if known is None or not password:
            return DECLINED  # another plugin may know this user, or this mechanism
        return OK if hmac.compare_digest(known, password) else DENY

    def hook_mail_parse(self, connection: Connection) -> Result:
        """Lend the host a parser that does without the colon."""
        return OK, read_path

    def hook_mail_pre(self, transaction: Transaction, address: bytes, params: Parameters) -> Result:
        """Read a sender that is written with a dot at its end."""
        if address.endswith(b".>"):
            return OK, address.removesuffix(b".>") + b">"
        return DECLINED

    def hook_mail(self, transaction: Transaction, sender: Address, params: Parameters) -> Result:
        """Refuse a sender by the domain."""
        if sender.host.lower() == b"spam.example":
            return DENY, "We take no mail from this domain"
        return DECLINED

    def hook_rcpt_parse(self, connection: Connection) -> Result:
        """Lend the host a parser that does without the colon."""
        return OK, read_path

    def hook_rcpt_pre(self, transaction: Transaction, address: bytes, params: Parameters) -> Result:
        """Read a recipient that is written with a dot at its end."""
        if address.endswith(b".>"):
            return OK, address.removesuffix(b".>") + b">"
        return DECLINED

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        """Refuse one recipient; whether the others are ours, another plugin says."""
        if recipient.user.lower() == b"nobody":
            return DENY, "Nobody lives here"
        return DECLINED

    def hook_data(self, transaction: Transaction) -> Result:
        """Refuse a bounce for several recipients: bounces go to one sender."""
        sender = transaction.sender
        if sender is not None and sender.is_null and len(transaction.recipients) > 1:
            return DENY, "A bounce has one recipient"
        return DECLINED

    def hook_data_headers_end(self, transaction: Transaction) -> Result:
        """Stop a message that goes in circles while its body is still coming."""
        header = transaction.header
        if header is not None and header.count("Received") > MAX_RECEIVED:
            return DENY_DISCONNECT, "This message goes in circles"
        return DECLINED

    def hook_data_post_headers(self, transaction: Transaction) -> Result:
        """Refuse a message that does not say whom it is from (RFC 5322, 3.6)."""
        header = transaction.header
        if header is None or not header.get("From"):
            return DENY, "The message has no From field"
        return DECLINED

    def hook_received_line(
        self, transaction: Transaction, smtp: str, auth: str, tls: str
    ) -> Result:
        """Keep the addresses of our own clients out of the Received field."""
        if not transaction.connection.relay_client:
            return DECLINED
        date = formatdate(self.qp.clock())
        return OK, f"by {self.qp.settings.me} with {smtp} id {transaction.id};\n\t{date}"

    @blocking  # a long body takes long to read: others are served meanwhile
    def hook_data_post(self, transaction: Transaction) -> Result:
        """Refuse a message by a word in its body."""
        if any(b"lottery" in line.lower() for line in transaction.body_lines()):
            return DENY, "We do not play"
        return DECLINED

    def hook_queue_pre(self, transaction: Transaction) -> Result:
        """Put a field on top of the message before a queue plugin takes it."""
        if transaction.header is not None:
            transaction.header.prepend("X-Seen-By", self.name)
        return DECLINED

    @blocking
    def hook_queue(self, transaction: Transaction) -> Result:
        """Keep what is for archive@ alone in a folder; another plugin takes the rest.

        OK means that we answer for the message from now on: so not before it is on the disk.
        """
        if any(recipient.user != b"archive" for recipient in transaction.recipients):
            return DECLINED
        path = self.folder / f"{transaction.id}.eml"
        part = path.with_suffix(".part")  # until it is whole
        try:
            self.folder.mkdir(exist_ok=True)
            with part.open("wb") as file:
                file.writelines(transaction.message_blocks())
                file.flush()
                os.fsync(file.fileno())
            path.hardlink_to(part)  # which, unlike rename, never replaces another message
            sync(self.folder)
        except OSError as error:
            self.log(LOGWARN, f"{path}: {error.strerror}")
            return DENYSOFT, "The archive is closed, try again later"
        finally:
            part.unlink(missing_ok=True)
        return OK, f"Kept as {path.name}"

    def hook_queue_post(self, connection: Connection, answer: Outcome) -> None:
        """Count this client's messages that were queued."""
        if answer.constant is OK:
            connection.notes["queued"] = connection.notes.get("queued", 0) + 1

    def hook_reset_transaction(self, transaction: Transaction) -> None:
        """Count this client's transactions, however they end."""
        notes = transaction.connection.notes
        notes["transactions"] = notes.get("transactions", 0) + 1

    def hook_vrfy(self, connection: Connection, text: bytes) -> Result:
        """Verify postmaster, and say of root that we do not tell."""
        if text.lower() == b"postmaster":
            return OK, "<postmaster>"
        if text.lower() == b"root":
            return DENY, "We do not tell"
        return DECLINED

    def hook_noop(self, connection: Connection, text: bytes) -> Result:
        """Refuse a NOOP that has something to say."""
        if text:
            return DENY, "NOOP stands alone here"
        return DECLINED

    def hook_help(self, connection: Connection, text: bytes) -> Result:
        """Say where help is."""
        if text:
            return DENY, "No help on that"
        return OK, "Write to postmaster"

    def hook_unrecognized_command(
        self, connection: Connection, command: bytes, arguments: bytes
    ) -> Result:
        """Send away a client that speaks HTTP."""
        if command.upper() in (b"GET", b"POST"):
            return DENY_DISCONNECT, "This is a mail host"
        return DECLINED

    def hook_quit(self, connection: Connection) -> Result:
        """Say goodbye ourselves to a client that has said hello."""
        if not connection.hello:
            return DECLINED
        connection.respond(221, "Farewell", "2.0.0")
        return DONE

    def hook_disconnect(self, connection: Connection) -> None:
        """Log who leaves."""
        self.log(LOGINFO, "goodbye", connection.hello_host.decode("ascii", "replace") or "stranger")

    def hook_post_connection(self, connection: Connection) -> None:
        """Log how much was asked about a client."""
        self.log(LOGINFO, "done with", connection.remote_ip)

    def hook_deny(
        self,
        connection: Connection,
        transaction: Transaction | None,
        hook: str,
        plugin: str,
        constant: Constant,
        message: Any,
    ) -> None:
        """Log every refusal of every plugin."""
        self.log(LOGINFO, f"{plugin} refused in {hook}: {message}")

    def hook_ok(
        self,
        connection: Connection,
        transaction: Transaction | None,
        hook: str,
        plugin: str,
        constant: Constant,
        message: Any,
    ) -> None:
        """Log which plugin has accepted what."""
        if constant is OK:
            self.log(LOGINFO, f"{plugin} accepted in {hook}")

    def hook_logging(
        self,
        connection: Connection | None,
        transaction: Transaction | None,
        level: LogLevel,
        hook: str,
        plugin: str,
        text: str,
    ) -> Result:
        """Write what is grave in a form of our own, and leave the rest to the host."""
        if level > LOGWARN:
            return DECLINED
        print(f"!! {plugin or 'host'}: {text}", file=sys.stderr)
        return OK

    def hook_config(self, name: str) -> Result:
        """Say ourselves which domains are ours, in place of config/rcpthosts."""
        if name == "rcpthosts":
            return OK, ["example.com", "example.net"]
        return DECLINED

    def hook_user_config(self, address: Address, name: str) -> Result:
        """Give one user a setting that differs from the others'."""
        if name == "greeting" and address.user == b"ann":
            return OK, ["hello Ann"]
        return DECLINED

    def hook_post_fork(self) -> None:
        """Open here what a worker process needs for itself."""
        self.log(LOGINFO, "a worker is ready")


def read_name(arguments: bytes) -> bytes:
    """The name of a host, without the dot that some write at its end.

    Raises:
        ValueError: It is no single word; the client is told so.
    """
    words = arguments.split()
    if len(words) != 1:
        raise ValueError("Say the name of your host, in one word")
    return words[0].removesuffix(b".")


def read_mechanism(arguments: bytes) -> tuple[str, bytes | None]:
    """The mechanism, in capitals, and the first response if one came with it."""
    mechanism, _, response = arguments.strip().partition(b" ")
    return mechanism.decode("ascii").upper(), response or None


def read_path(arguments: bytes) -> tuple[bytes, dict[str, str]]:
    """The address, and the parameters by their names in lower case.

    Raises:
        ValueError: There is no address; the client is told so.
    """
    _, bracket, rest = arguments.partition(b"<")
    if not bracket:
        raise ValueError("Write the address in angle brackets")
    address, *words = (bracket + rest).split()
    pairs = [word.decode("ascii").partition("=") for word in words]
    return address, {name.lower(): value for name, _, value in pairs}


def sync(folder: Path) -> None:
    """Have the names in a folder on the disk, too: those of files are not the files' own.

    Raises:
        OSError: They cannot be written.
    """
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def secret_of(user: bytes, lines: list[str]) -> bytes | None:
    """The password that goes with a user's name in lines of `user:password`."""
    secrets = dict(line.encode().partition(b":")[::2] for line in lines)
    return secrets.get(user)
