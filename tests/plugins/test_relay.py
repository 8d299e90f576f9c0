"""relay: which clients may send to anyone."""

import pytest

from qpsdk import DECLINED, Connection, Plugin, Result
from tests.dialogue import hold, refusal

CONFIG = {
    "relayclients": "# our office\n198.51.100.\n2001:db8:7::/48",
    "morerelayclients": "203.0.113.9",
    "norelayclients": "198.51.100.66",
}

TO_ANYONE = """
    C: MAIL FROM:<a@example.org>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<b@elsewhere.example>
    S: 250 2.1.5 Recipient OK
"""

DENIED = """
    C: MAIL FROM:<a@example.org>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<b@elsewhere.example>
    S: 550 5.7.1 Relaying denied
"""


@pytest.mark.parametrize("ip", ["198.51.100.7", "2001:db8:7::1", "203.0.113.9"])
def test_relay_clients(ip: str) -> None:
    """Who is in one of the two lists may send to anyone."""
    connection = hold(TO_ANYONE, "relay", "rcpt_ok", config=CONFIG, remote_ip=ip)
    assert connection.relay_client is True


@pytest.mark.parametrize("ip", ["198.51.100.66", "198.51.101.1", "2001:db8:8::1", ""])
def test_others(ip: str) -> None:
    """Who is in none, or in norelayclients, may not; nor a client on a unix socket."""
    connection = hold(DENIED, "relay", "rcpt_ok", config=CONFIG, remote_ip=ip)
    assert connection.relay_client is False


class LetsAllRelay(Plugin):
    """Runs before, and is generous."""

    def hook_pre_connection(self, connection: Connection) -> Result:
        connection.relay_client = True
        return DECLINED


def test_norelayclients_has_the_last_word() -> None:
    """Who is in norelayclients may not, even if another plugin has said so."""
    plugins = (LetsAllRelay(), "relay", "rcpt_ok")
    hold(DENIED, *plugins, config=CONFIG, remote_ip="198.51.100.66")
    hold(TO_ANYONE, *plugins, config=CONFIG, remote_ip="192.0.2.1")


def test_no_lists() -> None:
    """Without lists nobody may."""
    hold(DENIED, "relay", "rcpt_ok")


def test_only() -> None:
    """With `only` nobody but relay clients may send anything, not even to us."""
    config = CONFIG | {"rcpthosts": "elsewhere.example"}
    hold(TO_ANYONE, "relay only", "rcpt_ok", config=config, remote_ip="203.0.113.9")
    hold(DENIED, "relay only", "rcpt_ok", config=config)


def test_refuses_to_start() -> None:
    """A wrong argument or line is told."""
    assert refusal("relay on") == "relay: 'on' is not known; write only, or nothing"
    for name in ("relayclients", "morerelayclients", "norelayclients"):
        assert refusal("relay", {name: "192.0.2.\nlocalhost"}) == (
            f"config/{name}:2: 'localhost' is no address or network;"
            " write one such as 192.0.2.7, 192.0.2.0/24, 192.0.2. or 2001:db8::/32"
        )
