"""Tests of each hook's behaviour: what it does, and what it lets pass or fails at."""
# ruff: noqa: ARG002 - a hook's arguments are the table's

import hmac
from pathlib import Path
from typing import NamedTuple

import pytest

from qpsdk import (
    DECLINED,
    DENY,
    DENYSOFT,
    LOGALERT,
    LOGINFO,
    OK,
    Address,
    Connection,
    Constant,
    Parameters,
    Plugin,
    Result,
    Transaction,
)
from qpsdk.scaffold.sample.plugin import Sample
from qpsdk.testing import PluginContract, capture_log, memory_host, smtp

PLUGIN = "qpsdk.scaffold.sample.plugin.Sample"
"""As in config/plugins."""

HELLO = "EHLO client.example.org"
MAIL = "MAIL FROM:<sender@example.org>"
RCPT = "RCPT TO:<recipient@example.com>"
MESSAGE = "From: sender@example.org\nSubject: hello\n\nHow are you?\n"
SEND = (HELLO, MAIL, RCPT, "DATA", MESSAGE)


class Rest(Plugin):
    """Stands for the plugins behind ours: takes every recipient and, if told so, every message."""

    def __init__(self, queue: Constant = OK) -> None:
        super().__init__()
        self.queue = queue
        self.messages: list[bytes] = []

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        return OK

    def hook_queue(self, transaction: Transaction) -> Result:
        self.messages.append(b"".join(transaction.message_blocks()))
        return self.queue


class Talk(NamedTuple):
    """What came of a dialogue: the replies, what the plugins saw of it, and the log."""

    replies: list[str]
    connection: Connection
    log: list[str]


def talk(
    *lines: str, plugin: str = PLUGIN, rest: Plugin | None = None, client: Connection | None = None
) -> Talk:
    """Say these lines to a host with the plugin; what has several lines is a message.

    Args:
        plugin: Its line in config/plugins.
        rest: The plugin behind it.
        client: What the plugins see of the client.
    """

    with (
        capture_log() as log,
        smtp(plugin, rest or Rest(), connection=client) as host,
    ):
        replies = [str(host.greeting)]
        for line in lines:
            say = host.send_data if "\n" in line else host.command
            replies.append(str(say(line)))
    return Talk(replies, host.connection, log.lines(level=LOGINFO))


def on_a_host(**settings: str) -> Sample:
    """The plugin alone, on a host with these settings."""
    plugin = Sample()
    plugin.attach(memory_host(settings))
    return plugin


def test_a_message_passes() -> None:
    """A message that the plugin has nothing against is taken by the plugins behind it."""
    assert talk(*SEND).replies[-1] == "250 2.0.0 Queued"


def test_pre_connection_refuses_an_address() -> None:
    """A client from the refused address is told so, and nothing else."""
    client = Connection("c1", remote_ip="192.0.2.66")
    assert talk(client=client).replies == ["550 We take no mail from your address"]


def test_connect_puts_a_network_off() -> None:
    """A client from that network is told to come again."""
    client = Connection("c1", remote_ip="198.51.100.7")
    assert talk(client=client).replies == ["450 No time for your network, try again later"]


def test_helo_parse_drops_the_dot() -> None:
    """A dot at the end of the client's name is none of it."""
    assert talk("HELO client.example.org.").connection.hello_host == b"client.example.org"


def test_helo_parse_refuses_two_words() -> None:
    """A client that says two words is told what is wrong."""
    reply = "501 Say the name of your host, in one word"
    assert talk("HELO my computer").replies[-1] == reply


def test_helo_refuses_localhost() -> None:
    """A client from elsewhere cannot be localhost."""
    assert talk("HELO localhost").replies[-1] == "550 You are not localhost"


def test_helo_takes_localhost_from_here() -> None:
    """One from here can."""
    client = Connection("c1", remote_ip="127.0.0.1")
    assert talk("HELO localhost", client=client).replies[-1] == "250 mx.example.com"


def test_ehlo_parse_drops_the_dot() -> None:
    """A dot at the end of the client's name is none of it."""
    assert talk("EHLO client.example.org.").connection.hello_host == b"client.example.org"


def test_ehlo_parse_refuses_two_words() -> None:
    """A client that says two words is told what is wrong."""
    reply = "501 Say the name of your host, in one word"
    assert talk("EHLO my computer").replies[-1] == reply


def test_ehlo_refuses_localhost() -> None:
    """A client from elsewhere cannot be localhost."""
    assert talk("EHLO localhost").replies[-1] == "550 You are not localhost"


def test_ehlo_takes_localhost_from_here() -> None:
    """One from here can."""
    client = Connection("c1", remote_ip="127.0.0.1")
    assert talk("EHLO localhost", client=client).replies[-1].startswith("250 mx.example.com\n")


def test_auth_parse_reads_the_mechanism() -> None:
    """The parser gives the mechanism in capitals, and the first response if there is one."""
    answer = on_a_host().hook_auth_parse(Connection())
    assert isinstance(answer, tuple)
    constant, read = answer
    assert constant is OK
    assert read(b"plain AGFubg==") == ("PLAIN", b"AGFubg==")
    assert read(b"login") == ("LOGIN", None)


def test_auth_parse_refuses_what_is_no_word() -> None:
    """What is not ASCII is a syntax error."""
    answer = on_a_host().hook_auth_parse(Connection())
    assert isinstance(answer, tuple)
    _, read = answer
    with pytest.raises(ValueError, match="ascii"):
        read(b"pl\xc3\xa4in")


def test_auth_plain_knows_a_user() -> None:
    """The right password is accepted."""
    plugin = on_a_host(users="ann:secret")
    answer = plugin.hook_auth_plain(Connection(), "PLAIN", b"ann", b"secret", b"", b"")
    assert answer is OK


def test_auth_plain_refuses_a_wrong_password() -> None:
    """Another is refused; of another user the plugin has no opinion."""
    plugin = on_a_host(users="ann:secret")
    assert plugin.hook_auth_plain(Connection(), "PLAIN", b"ann", b"guess", b"", b"") is DENY
    assert plugin.hook_auth_plain(Connection(), "PLAIN", b"bob", b"secret", b"", b"") is DECLINED


def test_auth_login_knows_a_user() -> None:
    """The right password is accepted."""
    plugin = on_a_host(users="ann:secret")
    answer = plugin.hook_auth_login(Connection(), "LOGIN", b"ann", b"secret", b"", b"")
    assert answer is OK


def test_auth_login_refuses_a_wrong_password() -> None:
    """Another is refused; of another user the plugin has no opinion."""
    plugin = on_a_host(users="ann:secret")
    assert plugin.hook_auth_login(Connection(), "LOGIN", b"ann", b"guess", b"", b"") is DENY
    assert plugin.hook_auth_login(Connection(), "LOGIN", b"bob", b"secret", b"", b"") is DECLINED


def test_auth_cram_md5_knows_a_user() -> None:
    """The proof of the right password is accepted."""
    plugin = on_a_host(users="ann:secret")
    proof = hmac.new(b"secret", b"<1@mx>", "md5").hexdigest().encode()
    answer = plugin.hook_auth_cram_md5(Connection(), "CRAM-MD5", b"ann", b"", proof, b"<1@mx>")
    assert answer is OK


def test_auth_cram_md5_refuses_a_wrong_proof() -> None:
    """The proof for another ticket is refused; of another user the plugin has no opinion."""
    plugin = on_a_host(users="ann:secret")
    old = hmac.new(b"secret", b"<1@mx>", "md5").hexdigest().encode()
    client = Connection()
    assert plugin.hook_auth_cram_md5(client, "CRAM-MD5", b"ann", b"", old, b"<2@mx>") is DENY
    assert plugin.hook_auth_cram_md5(client, "CRAM-MD5", b"bob", b"", old, b"<1@mx>") is DECLINED


def test_auth_knows_a_user() -> None:
    """The right password is accepted."""
    plugin = on_a_host(users="ann:secret")
    assert plugin.hook_auth(Connection(), "PLAIN", b"ann", b"secret", b"", b"") is OK


def test_auth_refuses_a_wrong_password() -> None:
    """Another is refused; without one the plugin has no opinion."""
    plugin = on_a_host(users="ann:secret")
    assert plugin.hook_auth(Connection(), "PLAIN", b"ann", b"guess", b"", b"") is DENY
    assert plugin.hook_auth(Connection(), "CRAM-MD5", b"ann", b"", b"x", b"y") is DECLINED


def test_mail_parse_needs_no_colon() -> None:
    """A client that forgets the colon is understood, and so are its parameters."""
    assert talk(HELLO, "MAIL FROM <a@example.org> SIZE=10").replies[-1] == "250 2.1.0 Sender OK"


def test_mail_parse_wants_brackets() -> None:
    """A client that forgets the brackets is told so."""
    reply = "501 5.5.4 Write the address in angle brackets"
    assert talk(HELLO, "MAIL FROM:a@example.org").replies[-1] == reply


def test_mail_pre_drops_the_dot() -> None:
    """A sender is read without the dot at the end."""
    assert talk(HELLO, "MAIL FROM:<a@example.org.>").replies[-1] == "250 2.1.0 Sender OK"


def test_mail_pre_leaves_the_rest() -> None:
    """What is no address without the dot either is refused as ever."""
    assert talk(HELLO, "MAIL FROM:<a@example..>").replies[-1].startswith("501 5.1.7 ")


def test_mail_refuses_a_domain() -> None:
    """A sender in that domain is refused."""
    replies = talk(HELLO, "MAIL FROM:<any@spam.example>").replies
    assert replies[-1] == "550 5.7.1 We take no mail from this domain"


def test_mail_takes_others() -> None:
    """Bounces, which have no sender, are taken."""
    assert talk(HELLO, "MAIL FROM:<>").replies[-1] == "250 2.1.0 Sender OK"


def test_rcpt_parse_needs_no_colon() -> None:
    """A client that forgets the colon is understood."""
    assert talk(HELLO, MAIL, "RCPT TO <a@example.com>").replies[-1] == "250 2.1.5 Recipient OK"


def test_rcpt_parse_wants_brackets() -> None:
    """A client that forgets the brackets is told so."""
    reply = "501 5.5.4 Write the address in angle brackets"
    assert talk(HELLO, MAIL, "RCPT TO:a@example.com").replies[-1] == reply


def test_rcpt_pre_drops_the_dot() -> None:
    """A recipient is read without the dot at the end."""
    assert talk(HELLO, MAIL, "RCPT TO:<a@example.com.>").replies[-1] == "250 2.1.5 Recipient OK"


def test_rcpt_pre_leaves_the_rest() -> None:
    """What is no address without the dot either is refused as ever."""
    assert talk(HELLO, MAIL, "RCPT TO:<a@example..>").replies[-1].startswith("501 5.1.3 ")


def test_rcpt_refuses_nobody() -> None:
    """The one recipient is refused, and the message still goes to the other."""
    replies = talk(HELLO, MAIL, "RCPT TO:<Nobody@example.com>", RCPT, "DATA", MESSAGE).replies
    assert replies[3:5] == ["550 5.7.1 Nobody lives here", "250 2.1.5 Recipient OK"]
    assert replies[-1] == "250 2.0.0 Queued"


def test_data_refuses_a_bounce_for_two() -> None:
    """A bounce for two recipients is refused before it is sent."""
    two = (RCPT, "RCPT TO:<second@example.com>")
    replies = talk(HELLO, "MAIL FROM:<>", *two, "DATA").replies
    assert replies[-1] == "554 5.7.1 A bounce has one recipient"


def test_data_takes_a_bounce_for_one() -> None:
    """A bounce for one, and a message for two, are taken."""
    assert talk(HELLO, "MAIL FROM:<>", RCPT, "DATA", MESSAGE).replies[-1] == "250 2.0.0 Queued"
    two = (RCPT, "RCPT TO:<second@example.com>")
    assert talk(HELLO, MAIL, *two, "DATA", MESSAGE).replies[-1] == "250 2.0.0 Queued"


def test_data_headers_end_stops_a_circle() -> None:
    """A message that has passed too many hosts is refused."""
    circling = "Received: from a by b\n" * 51 + MESSAGE
    replies = talk(HELLO, MAIL, RCPT, "DATA", circling).replies
    assert replies[-1] == "554 5.7.1 This message goes in circles"


def test_data_headers_end_lets_a_long_way_pass() -> None:
    """One that has passed as many as it may is taken."""
    travelled = "Received: from a by b\n" * 50 + MESSAGE
    assert talk(HELLO, MAIL, RCPT, "DATA", travelled).replies[-1] == "250 2.0.0 Queued"


def test_data_post_headers_wants_a_sender() -> None:
    """A message without a From field is refused."""
    replies = talk(HELLO, MAIL, RCPT, "DATA", "Subject: guess who\n\nHello!\n").replies
    assert replies[-1] == "552 5.7.1 The message has no From field"


def test_received_line_hides_our_clients() -> None:
    """The field of a client that may relay has no address in it."""
    rest = Rest()
    talk(*SEND, rest=rest, client=Connection("c1", "192.0.2.1", relay_client=True))
    assert b"Received: by mx.example.com with ESMTP id c1.1;\n\t" in rest.messages[0]


def test_received_line_shows_others() -> None:
    """The field of another client is the host's own, with the address."""
    rest = Rest()
    talk(*SEND, rest=rest, client=Connection("c1", "192.0.2.1"))
    assert b"Received: from client.example.org ([192.0.2.1])\n\t" in rest.messages[0]


def test_data_post_refuses_a_word() -> None:
    """A message is refused for a word in its body, in any case."""
    replies = talk(HELLO, MAIL, RCPT, "DATA", "From: a@b\n\nYou won our\nLottery\n").replies
    assert replies[-1] == "552 5.7.1 We do not play"


def test_data_post_reads_the_body_alone() -> None:
    """That word in the header is no matter, and other messages are taken."""
    replies = talk(HELLO, MAIL, RCPT, "DATA", "From: lottery@example.org\n\nHello!\n").replies
    assert replies[-1] == "250 2.0.0 Queued"


def test_queue_pre_adds_a_field() -> None:
    """The message goes to the queue with our field on top."""
    rest = Rest()
    talk(*SEND, rest=rest)
    assert rest.messages[0].startswith(b"X-Seen-By: " + PLUGIN.encode() + b"\n")


def test_queue_pre_adds_it_once() -> None:
    """Each message of a client gets it once."""
    rest = Rest()
    talk(*SEND, *SEND, rest=rest)
    assert [message.count(b"X-Seen-By") for message in rest.messages] == [1, 1]


def test_queue_keeps_a_message(tmp_path: Path) -> None:
    """A message for archive@ is in the folder when the client is told so."""
    folder = tmp_path / "archive"
    lines = (HELLO, MAIL, "RCPT TO:<archive@example.com>", "DATA", MESSAGE)
    assert talk(*lines, plugin=f"{PLUGIN} {folder}").replies[-1] == "250 2.0.0 Kept as c1.1.eml"
    assert (folder / "c1.1.eml").read_bytes().endswith(MESSAGE.encode())


def test_queue_cannot_keep_it(tmp_path: Path) -> None:
    """A message that cannot be kept stays with the client, who is told to come again."""
    lines = (HELLO, MAIL, "RCPT TO:<archive@example.com>", "DATA", MESSAGE)
    replies = talk(*lines, plugin=f"{PLUGIN} {tmp_path}/not/there").replies
    assert replies[-1] == "452 4.3.0 The archive is closed, try again later"


def test_queue_replaces_nothing(tmp_path: Path) -> None:
    """Where there is a message of this name already, ours stays with the client."""
    (tmp_path / "c1.1.eml").write_text("another message")
    lines = (HELLO, MAIL, "RCPT TO:<archive@example.com>", "DATA", MESSAGE)
    assert talk(*lines, plugin=f"{PLUGIN} {tmp_path}").replies[-1].startswith("452 ")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["another message"]


def test_queue_leaves_the_rest(tmp_path: Path) -> None:
    """A message that is for others too goes to the next queue plugin, and is not kept."""
    lines = (HELLO, MAIL, "RCPT TO:<archive@example.com>", RCPT, "DATA", MESSAGE)
    rest = Rest()
    talk(*lines, plugin=f"{PLUGIN} {tmp_path}", rest=rest)
    assert len(rest.messages) == 1
    assert list(tmp_path.iterdir()) == []


def test_queue_post_counts_messages() -> None:
    """Each message that is queued counts."""
    assert talk(*SEND, *SEND).connection.notes["queued"] == 2


def test_queue_post_counts_no_failure() -> None:
    """One that no plugin could take does not."""
    assert "queued" not in talk(*SEND, rest=Rest(queue=DENYSOFT)).connection.notes


def test_reset_transaction_counts_messages() -> None:
    """A transaction that ends with its message counts."""
    assert talk(*SEND).connection.notes["transactions"] == 1


def test_reset_transaction_counts_what_is_dropped() -> None:
    """So does one that the client gives up, by RSET or by going."""
    assert talk(HELLO, MAIL, "RSET", MAIL).connection.notes["transactions"] == 2


def test_vrfy_knows_postmaster() -> None:
    """Postmaster is verified."""
    assert talk(HELLO, "VRFY Postmaster").replies[-1] == "250 2.0.0 <postmaster>"


def test_vrfy_refuses_root() -> None:
    """Of root nothing is said, and of others what the host says of anybody."""
    replies = talk(HELLO, "VRFY root", "VRFY ann").replies
    assert replies[-2] == "554 5.7.1 We do not tell"
    assert replies[-1].startswith("252 ")


def test_noop_stands_alone() -> None:
    """A NOOP that has nothing to say is answered as ever."""
    assert talk(HELLO, "NOOP").replies[-1] == "250 2.0.0 OK"


def test_noop_refuses_words() -> None:
    """One that has something to say is refused."""
    assert talk(HELLO, "NOOP hello").replies[-1] == "500 5.5.1 NOOP stands alone here"


def test_help_says_whom_to_write_to() -> None:
    """HELP is answered with our words."""
    assert talk(HELLO, "HELP").replies[-1] == "214 2.0.0 Write to postmaster"


def test_help_has_no_subjects() -> None:
    """HELP with a subject is refused."""
    assert talk(HELLO, "HELP me").replies[-1] == "500 5.5.1 No help on that"


def test_unrecognized_command_sends_http_away() -> None:
    """A browser is sent away."""
    assert talk("GET / HTTP/1.1").replies[-1] == "521 5.5.1 This is a mail host"


def test_unrecognized_command_leaves_others() -> None:
    """Another unknown word is answered as ever, and the dialogue goes on."""
    replies = talk(HELLO, "HELLO", "NOOP").replies
    assert replies[-2:] == ["500 5.5.1 Unrecognized command", "250 2.0.0 OK"]


def test_quit_says_farewell() -> None:
    """A client that has said hello is told farewell."""
    assert talk(HELLO, "QUIT").replies[-1] == "221 2.0.0 Farewell"


def test_quit_without_hello() -> None:
    """One that has not hears what the host says."""
    assert talk("QUIT").replies[-1] == "221 2.0.0 mx.example.com Closing the connection"


def test_disconnect_logs_who_leaves() -> None:
    """A client that says QUIT is logged by its name."""
    assert "goodbye client.example.org" in talk(HELLO, "QUIT").log


def test_disconnect_without_quit() -> None:
    """So is one that just goes; if it said no name, as a stranger."""
    assert "goodbye client.example.org" in talk(HELLO).log
    assert "goodbye stranger" in talk().log


def test_post_connection_logs_the_client() -> None:
    """A client that says QUIT is logged by its address."""
    assert "done with 192.0.2.1" in talk(HELLO, "QUIT").log


def test_post_connection_without_quit() -> None:
    """So is one that just goes, in the middle of its message's envelope."""
    assert "done with 192.0.2.1" in talk(HELLO, MAIL).log


class Refusing(Plugin):
    """Stands for a plugin behind ours that refuses."""

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        return DENY, "no such user"


def test_deny_logs_a_refusal() -> None:
    """The refusal of another plugin is logged, with what it said."""
    log = talk(HELLO, MAIL, RCPT, rest=Refusing()).log
    assert "Refusing refused in rcpt: no such user" in log


def test_deny_logs_nothing_else() -> None:
    """Nothing is said of what is accepted."""
    assert not any("refused in" in line for line in talk(*SEND).log)


def test_ok_logs_who_accepts() -> None:
    """It is logged which plugin has accepted the recipient."""
    assert "Rest accepted in rcpt" in talk(HELLO, MAIL, RCPT).log


def test_ok_logs_no_refusal() -> None:
    """Nothing is said of what is refused."""
    log = talk(HELLO, MAIL, RCPT, rest=Refusing()).log
    assert not any(line.endswith("accepted in rcpt") for line in log)


def test_logging_writes_what_is_grave(capsys: pytest.CaptureFixture[str]) -> None:
    """A grave line is ours, and nobody else writes it."""
    answer = Sample().hook_logging(None, None, LOGALERT, "queue", "queue/any", "disk full")
    assert answer is OK
    assert capsys.readouterr().err == "!! queue/any: disk full\n"


def test_logging_leaves_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    """Another is the host's to write."""
    assert Sample().hook_logging(None, None, LOGINFO, "", "", "stopping") is DECLINED
    assert capsys.readouterr().err == ""


def test_config_says_which_domains_are_ours() -> None:
    """The plugin rcpt_ok takes mail for the domains that we say."""

    with smtp(PLUGIN, "rcpt_ok") as host:
        replies = [str(host.command(line)) for line in (HELLO, MAIL, RCPT)]
        replies.append(str(host.rcpt("a@elsewhere.example")))
    assert replies[-2:] == ["250 2.1.5 Recipient OK", "550 5.7.1 Relaying denied"]


def test_config_leaves_other_settings() -> None:
    """Other settings are read from their files."""
    assert Sample().hook_config("me") is DECLINED


def test_user_config_knows_ann() -> None:
    """Ann has a setting of her own."""
    answer = Sample().hook_user_config(Address.parse("ann@example.com"), "greeting")
    assert answer == (OK, ["hello Ann"])


def test_user_config_leaves_others() -> None:
    """Bob has everybody's, and so has Ann all others."""
    plugin = Sample()
    assert plugin.hook_user_config(Address.parse("bob@example.com"), "greeting") is DECLINED
    assert plugin.hook_user_config(Address.parse("ann@example.com"), "quota") is DECLINED


def test_post_fork_is_first() -> None:
    """What it does is done before any client is greeted."""
    assert talk().log[0] == "a worker is ready"


def test_post_fork_is_once() -> None:
    """It is done once, however much mail comes."""
    assert talk(*SEND, *SEND).log.count("a worker is ready") == 1


class TestContract(PluginContract):
    """What holds for every plugin, whatever it does: see `qpsdk.testing.PluginContract`."""

    plugin = PLUGIN
