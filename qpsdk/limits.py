"""How much of the host all clients together may use; `qpsdk.smtp.limits` is about one of them."""

from typing import Final

MAX_CONNECTIONS: Final = 10_000
"""Clients that are connected at a time. An idle one costs some kilobytes and a descriptor."""

MAX_CONNECTIONS_PER_ADDRESS: Final = 50
"""Those of one address, or IPv6 network of 64 bits. A busy relay uses twenty, Postfix allows 50."""

MAX_CONNECTION_RATE: Final = 0
"""New ones of one address within a minute: no limit, as in Postfix. What is too often differs: a
relay that sends a mailing list connects for each message."""

MAX_AUTH_FAILURES_PER_ADDRESS: Final = 30
"""Failed attempts to authenticate that are borne with from one address within
`qpsdk.attempts.WINDOW`: an office behind one address, in which everybody mistypes, has them."""

UNLIMITED_CLIENTS: Final = ("127.0.0.1", "::1")
"""Ourselves: a proxy or a webmail on this machine brings the connections of all its users."""

SESSION_TIMEOUT: Final = 3600
"""Seconds that a connection may last. Relays that keep one for many messages give it up within
minutes (Postfix: 300 s), and every one of them connects again."""

MIN_DATA_RATE: Final = 500
"""Bytes a second, after the first `timeout` seconds: Postfix's `smtpd_min_data_rate`, which is a
tenth of what a modem brought."""

MAX_FORWARDS: Final = 200
"""Messages that queue plugins have in hand at a time. A server behind us that takes more than that
at a time is rare (Postfix's qmqpd: 100 processes), and what it cannot take would wait there."""

MAX_THREADS: Final = 32
"""Threads for what blocks: most of them wait for a disk or a server, and each holds a stack."""

MIN_FREE_DISK: Final = 64 * 1024 * 1024
"""Bytes that spool files leave free, so that the logs of this machine can still be written."""
