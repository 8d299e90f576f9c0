"""The client of the lab: the standard library's, which shows what is said."""

import re
import smtplib
from collections.abc import Iterable, Sequence
from email import policy
from email.message import EmailMessage
from typing import Final

from qpsdk.log import escape
from qpsdk.stream import Endpoint

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


def sample(sender: str, recipients: Iterable[str], *, date: str, message_id: str) -> bytes:
    """A short message, with a line that begins with a dot.

    Args:
        date: As `email.utils.formatdate` writes it. A message has to have one (RFC 5322, 3.6).
        message_id: As `email.utils.make_msgid` makes it. Each message should have its own (3.6.4).
    """
    message = EmailMessage(policy.default.clone(utf8=True))
    message["Date"] = date
    message["Message-ID"] = message_id
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = "Hello over QMQP"
    message.set_content("A line of text,\n.and one that begins with a dot.\n")
    return message.as_bytes()


class Client(smtplib.SMTP):
    """Prints each command and each reply.

    Raises:
        smtplib.SMTPException: The host does not speak SMTP, or closes.
        OSError: It cannot be reached, or does not answer in time.
    """

    def __init__(self, host: Endpoint, *, helo: str, timeout: float) -> None:
        """`helo` is what it calls itself; `timeout` is in seconds, for each answer."""
        super().__init__(host.host, host.port, local_hostname=helo, timeout=timeout)

    def putcmd(self, cmd: str, args: str = "") -> None:
        print("C:", escape(f"{cmd} {args}".rstrip()))
        super().putcmd(cmd, args)

    def getreply(self) -> tuple[int, bytes]:
        code, text = super().getreply()
        *lines, last = text.split(b"\n")
        for between, line in [*(("-", line) for line in lines), (" ", last)]:
            print(f"S: {code}{between}{escape(line.decode('utf-8', 'backslashreplace'))}")
        return code, text

    def forward(self, sender: str, recipients: Sequence[str], message: bytes) -> int:
        """Send one message, if all recipients are accepted; the code of the last reply.

        `sendmail` of the standard library would not tell that reply when all goes well.

        Args:
            message: With LF or CRLF.

        Raises:
            smtplib.SMTPNotSupportedError: An address has characters beyond ASCII, for which the
                host has no SMTPUTF8 (RFC 6531).
        """
        self.ehlo_or_helo_if_needed()
        options = []
        if not message.isascii() and self.has_extn("8bitmime"):
            options.append("BODY=8BITMIME")
        if not "".join([sender, *recipients]).isascii():
            options.append("SMTPUTF8")
        code, _ = self.mail(sender, options)
        for recipient in recipients:
            if code < 300:
                code, _ = self.rcpt(recipient)
        if code >= 300:
            return code
        try:
            code, _ = self.data(_BARE_LF.sub(b"\r\n", message))
        except smtplib.SMTPDataError as error:
            return error.smtp_code
        return code
