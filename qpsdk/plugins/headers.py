"""Refuses messages whose header is not one.

In `config/plugins`::

    headers [require=From,Date] [past=DAYS] [future=DAYS]
            [reject=0|1|naughty] [reject_type=...]

- `require`: fields that must be there, parted by commas; `From,Date` if it is left out, as
  RFC 5322, 3.6 demands.
- `past`, `future`: how many days old or early the Date may be; no limit if left out. A Date that
  nobody can read is let pass.
- `reject`, `reject_type`: as in `RejectMixin`. Begin with `reject=0`, and see in the log what
  would be refused.

Fields that may stand there only once are refused the second time. Relay clients are left alone:
mail programs hand in unfinished messages.

It teaches how to read a message's header, and that bytes stay bytes until somebody has to
understand them.
"""

from email.utils import mktime_tz, parsedate_tz

from qpsdk import DECLINED, LOGINFO, Header, HeaderError, Host, RejectMixin, Result, Transaction

SINGULAR = (
    *("Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc"),
    *("Message-ID", "In-Reply-To", "References", "Subject"),
)
"""Fields of which a message has one at most (RFC 5322, 3.6)."""

DAY = 24 * 60 * 60


class Headers(RejectMixin):
    """Look at the header of each message."""

    def register(
        self,
        qp: Host,
        *,
        require: str = "From,Date",
        past: str = "",
        future: str = "",
        reject: str = "1",
        reject_type: str = "",
    ) -> None:
        """Check the options."""
        self.set_reject(reject, reject_type)
        self.required = require.split(",")
        for name in self.required:
            try:
                Header().get(name)
            except HeaderError:
                raise ValueError(
                    f"require={require}: write names of fields, as From,Date"
                ) from None
        self.past = seconds("past", past)
        self.future = seconds("future", future)

    def hook_data_post(self, transaction: Transaction) -> Result:
        """Refuse the first fault."""
        assert transaction.header is not None
        if self.is_immune(transaction.connection):
            return DECLINED
        fault = self.fault(transaction.header)
        return self.get_reject(transaction.connection, fault) if fault else DECLINED

    def fault(self, header: Header) -> str:
        """What is wrong with a header; empty if nothing is."""
        for name in self.required:
            if not header.get(name):
                return f"The message has no {name} field, see RFC 5322, section 3.6"
        for name in SINGULAR:
            if header.count(name) > 1:
                return f"The message has more than one {name} field, see RFC 5322, section 3.6"
        return self.date_fault(header.get("Date", b""))

    def date_fault(self, date: bytes) -> str:
        """What is wrong with a date; empty if nothing is, or it cannot be read."""
        try:
            parsed = parsedate_tz(date.decode("ascii"))
            if parsed is None:
                raise ValueError("no date")
            age = self.qp.clock() - mktime_tz(parsed)
        except (ValueError, TypeError, IndexError, OverflowError):
            if date:
                self.log(LOGINFO, f"cannot read the date {date[:100]!r}")
            return ""
        if self.past is not None and age > self.past:
            return "The Date of the message is too far in the past"
        if self.future is not None and age < -self.future:
            return "The Date of the message is too far in the future"
        return ""


def seconds(option: str, days: str) -> int | None:
    """Read a number of days."""
    if not days:
        return None
    if not (days.isascii() and days.isdigit() and int(days) > 0):
        raise ValueError(f"{option}={days}: write a number of days, such as 7")
    return int(days) * DAY
