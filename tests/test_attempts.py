"""Failures by client: how many are remembered, of whom, and for how long."""

from qpsdk.attempts import MAX_CLIENTS, WINDOW, Attempts


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_by_network() -> None:
    """An IPv4 client is its address, an IPv6 client its network of 64 bits."""
    attempts = Attempts(Clock())
    for ip in ("192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
        attempts.add(ip)
    assert [attempts.count(ip) for ip in ("192.0.2.1", "2001:db8::ffff", "2001:db8:0:1::9")] == [
        2,
        2,
        1,
    ]
    assert attempts.count("192.0.2.2") == 0


def test_window() -> None:
    """They are forgotten 15 minutes after the first; a clock that is set back forgets them too."""
    clock = Clock()
    attempts = Attempts(clock)
    attempts.add("192.0.2.1")
    clock.now += 899
    attempts.add("192.0.2.1")
    assert attempts.count("192.0.2.1") == 2
    clock.now += 1
    assert attempts.count("192.0.2.1") == 0
    attempts.add("192.0.2.1")
    assert attempts.count("192.0.2.1") == 1
    clock.now -= WINDOW
    assert attempts.count("192.0.2.1") == 0


def test_another_window() -> None:
    """The window may be another."""
    clock = Clock()
    attempts = Attempts(clock, 60.0)
    attempts.add("192.0.2.1")
    clock.now += 59
    assert attempts.count("192.0.2.1") == 1
    clock.now += 1
    assert attempts.count("192.0.2.1") == 0


def test_bounded() -> None:
    """Of too many clients those are forgotten whose last failure is the oldest."""
    attempts = Attempts(Clock())
    attempts.add("192.0.2.1")
    attempts.add("192.0.2.2")
    attempts.add("192.0.2.1")
    for number in range(MAX_CLIENTS - 1):
        attempts.add(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert attempts.count("192.0.2.1") == 2
    assert attempts.count("192.0.2.2") == 0
    assert len(attempts._clients) == MAX_CLIENTS
