"""Forwards each message to a QMQP server, which queues it.

In `config/plugins`::

    queue/qmqp_forward SERVER [PORT] [option=value ...]

SERVER is a host or the path of a socket, or several with commas between them, in the order of
preference: ``192.0.2.1,[2001:db8::1]:6280,unix:/run/qmqp``. Without a port it is 628. The
addresses of one name share a connect_timeout, so name them one by one if some may be dead. The
options, with what they are unless given::

    balance=failover      the first server that works; rotate: every server in its turn
    on_defer=tell         "try later" is an answer for our client; next: ask the next server
    rest=10               seconds that a server is left alone after a failure, then 20, 40 ...
    connect_timeout=10    seconds until a connection stands
    io_timeout=60         seconds that a server may neither take nor give a byte
    session_timeout=486   seconds for one message, at however many servers it is tried; with
                          timeout=100, which is the host's limit, 90: nine tenths of that

Addresses go out as QMQP has them, without the quotes of SMTP.

QMQP is plain text and knows no password: let it cross loopback or a VPN only. Nor does its server
ask whether a recipient is one of ours: that is for the plugins before this one, as `rcpt_ok`.
"""

from itertools import chain

from qpsdk import (
    DENY,
    DENYSOFT,
    LOGERROR,
    LOGINFO,
    LOGWARN,
    OK,
    Constant,
    Endpoint,
    Host,
    Plugin,
    QMQPError,
    QMQPResponseError,
    QMQPUnconfirmedError,
    Result,
    StreamError,
    Transaction,
    qmqp,
)

ANSWERS = {
    qmqp.Verdict.ACCEPTED: (OK, "accepted"),
    qmqp.Verdict.DEFERRED: (DENYSOFT, "deferred"),
    qmqp.Verdict.REJECTED: (DENY, "rejected"),
}
TRY_LATER = DENYSOFT, "Cannot queue the message now, try again later"


class QMQPForward(Plugin):
    """Hand a message to a QMQP server; its K is our OK, its Z DENYSOFT, its D DENY."""

    def register(
        self,
        qp: Host,
        server: str,
        port: str = "",
        *more: str,
        balance: str = "failover",
        on_defer: str = "tell",
        rest: str = "10",
        connect_timeout: str = str(qmqp.CONNECT_TIMEOUT),
        io_timeout: str = str(qmqp.IO_TIMEOUT),
        session_timeout: str = "",
    ) -> None:
        """Check the arguments: what cannot be meant stops the host from starting."""
        if more:
            self.log(LOGWARN, "ignoring arguments after the port:", *more)
        self.servers = qmqp.ServerList(
            qmqp.parse_servers(server, port),
            qp.clock,
            rotate=is_second("balance", balance, "failover", "rotate"),
            rest=seconds("rest", rest),
        )
        self.asks_on = is_second("on_defer", on_defer, "tell", "next")
        self.set_time_limits(connect_timeout, io_timeout, session_timeout)

    def set_time_limits(self, connect: str, io: str, session: str) -> None:
        """Read the three options: they must fit into each other and into the hook's."""
        self.connect_timeout = seconds("connect_timeout", connect)
        self.io_timeout = seconds("io_timeout", io)
        # The host gives up before its client does, and we before the host.
        limit = self.time_limit("queue")
        self.session_timeout = min(limit * 0.9, qmqp.SESSION_TIMEOUT)
        if session:
            self.session_timeout = seconds("session_timeout", session)
        mine = self.connect_timeout, self.io_timeout, self.session_timeout
        qmqp.check_time_limits(*mine)
        if self.session_timeout >= limit:
            raise ValueError(
                f"session_timeout={session}: the host gives this plugin {limit:g}"
                " seconds (timeout=); write less"
            )
        if self.connect_timeout * len(self.servers) >= self.session_timeout:
            raise ValueError(
                f"connect_timeout={mine[0]:g}: for {len(self.servers)} server(s) it"
                f" does not fit into session_timeout={mine[2]:g}"
            )

    async def hook_queue(self, transaction: Transaction) -> Result:
        """Try one server after the other, as long as surely none has the message."""
        started = self.qp.clock()
        try:
            package = self.package(transaction)
        except QMQPError as error:
            self.log(LOGERROR, f"not sent: {error}")
            return TRY_LATER
        answer = TRY_LATER
        for server in self.servers.candidates():
            began = self.qp.clock()
            time_left = self.session_timeout - max(began - started, 0)
            if time_left <= 0:
                break
            try:
                response = await self.send(server, package, transaction, time_left)
            except (QMQPResponseError, StreamError) as error:
                self.servers.failed(server)
                self.qp.forwarded(server, "failed", began)
                self.log(LOGERROR, f"{server}: {error}")
                if isinstance(error, QMQPUnconfirmedError):
                    break  # the next server might deliver it a second time
                continue
            self.servers.answered(server)
            self.qp.forwarded(server, response.verdict.name.lower(), began)
            ms = round((self.qp.clock() - started) * 1000)
            count = len(transaction.recipients)
            sent = f"{package.message_size} bytes for {count} recipients in {ms} ms"
            answer = self.answer(server, response, sent)
            if answer[0] is not DENYSOFT or not self.asks_on:
                break
        return answer

    def package(self, transaction: Transaction) -> qmqp.Package:
        """All that goes before and after the message; its lengths are known by now."""
        assert transaction.sender is not None
        return qmqp.Package.of(
            transaction.message_size() + len(last_lf(transaction)),
            transaction.sender.unquoted,
            [recipient.unquoted for recipient in transaction.recipients],
            smtputf8=transaction.smtputf8,
        )

    async def send(
        self,
        server: Endpoint,
        package: qmqp.Package,
        transaction: Transaction,
        time_left: float,
    ) -> qmqp.Response:
        """One try: the lengths first, then the message in blocks, then the envelope."""
        stream = await self.qp.connect(
            server,
            connect_timeout=min(self.connect_timeout, time_left),
            io_timeout=self.io_timeout,
            session_timeout=time_left,
        )
        message = chain(transaction.message_blocks(), [last_lf(transaction)])
        try:
            return await qmqp.deliver(stream, package, message, transaction.hand_over)
        finally:
            stream.abort()

    def answer(
        self,
        server: Endpoint,
        response: qmqp.Response,
        sent: str,
    ) -> tuple[Constant, str]:
        """What the server said, for our client and for the log."""
        constant, verb = ANSWERS[response.verdict]
        text = response.text.decode("ascii", "replace")
        self.log(LOGINFO, server, verb, f"{sent}: {text}")
        if excess := response.excess:
            self.log(LOGWARN, f"{server}: ignoring {excess} bytes after its answer")
        return constant, text


def last_lf(transaction: Transaction) -> bytes:
    """The LF that a plugin left off the last line; qmail cannot deliver without it."""
    return b"" if transaction.ends_in_lf() else b"\n"


def seconds(option: str, text: str) -> float:
    """The number of seconds that an option gives."""
    if not text.isascii() or not text.replace(".", "", 1).isdigit():
        raise ValueError(f"{option}={text}: write a number of seconds, such as 10")
    return float(text)


def is_second(option: str, word: str, first: str, second: str) -> bool:
    """Which of two words an option gives."""
    if word not in (first, second):
        raise ValueError(f"{option}={word}: write {first} or {second}")
    return word == second
