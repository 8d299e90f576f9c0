"""The fields that we put on top of each message, once its data_post_headers has been answered."""

from qpsdk.authresults import NAME, authentication_results, rename_forged
from qpsdk.constants import LOGERROR, LOGINFO, OK
from qpsdk.errors import HeaderError
from qpsdk.message import Transaction
from qpsdk.received import auth_comment, protocol, received, tls_comment
from qpsdk.settings import Settings
from qpsdk.verdicts import Verdicts


async def add_trace(
    verdicts: Verdicts, transaction: Transaction, settings: Settings, now: float
) -> None:
    """Add Received and Authentication-Results, and rename those that only look like ours.

    A plugin on `received_line` may give another text for Received; one that no field can hold is
    logged, and ours stands.

    Args:
        now: Seconds since the epoch.
    """
    header = transaction.header
    assert header is not None  # it has come
    if forged := rename_forged(header, (settings.auth_results, settings.me)):
        verdicts.log(LOGINFO, f"forged Authentication-Results renamed: {forged}")
    header.prepend(NAME, authentication_results(transaction, settings.auth_results))
    ours = received(transaction, settings.me, now)
    if "received_line" not in verdicts.hooks or not await _add_other(verdicts, transaction):
        header.prepend("Received", ours)


async def _add_other(verdicts: Verdicts, transaction: Transaction) -> bool:
    """Add the Received field that a plugin would have in place of ours; True if there is one."""
    connection, header = transaction.connection, transaction.header
    assert header is not None
    comments = (auth_comment(connection), tls_comment(connection))
    outcome = await verdicts.ask(
        "received_line", transaction, transaction, protocol(transaction), *comments
    )
    value = outcome.message
    if outcome.constant is not OK or not value:
        return False
    if not isinstance(value, str | bytes):
        text = f"received_line: not used, {value!r:.200} is no text"
        verdicts.log(LOGERROR, text, outcome.plugin)
        return False
    try:
        header.prepend("Received", value)
    except HeaderError as error:
        verdicts.log(LOGERROR, f"received_line: not used: {error}", outcome.plugin)
        return False
    return True
