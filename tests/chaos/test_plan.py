"""What the campaigns plan."""

from qpsdk.testing.qmqp_script import WORDS, parse
from tests.chaos.plan import Forward, Leave, plan


def plans(seed: int, *, crowd: bool = False) -> list[Forward]:
    """Many of them."""
    return [plan(seed, "lane", number, 2, crowd=crowd) for number in range(4000)]


def test_all_that_can_happen_is_planned() -> None:
    """Every word of the fake server's vocabulary, client and kill; small, large and huge."""
    forwards = plans(1)
    words = {str(act).partition("(")[0] for forward in forwards for act in forward.acts}
    assert words == set(WORDS)
    assert {forward.client.leaves for forward in forwards} == {None, *Leave}
    assert {forward.kill.victim for forward in forwards if forward.kill} == {"host", "server"}
    sizes = [forward.size for forward in forwards]
    assert min(sizes) < 1000
    assert sum(size > 64 * 1024 for size in sizes) > 300
    assert max(sizes) > 3_000_000


def test_a_seed_is_a_plan() -> None:
    """The same seed plans the same, another one something else; a forward needs no other."""
    assert plans(1) == plans(1)
    assert plans(1) != plans(2)
    assert plan(1, "lane", 77, 2) == plans(1)[77]


def test_acts_can_be_told_to_a_server() -> None:
    """What is planned goes to the servers as text, and is the same there."""
    for forward in plans(3):
        for act in forward.acts:
            assert parse(str(act)) == (act,)


def test_a_crowd_shuts_no_door() -> None:
    """Nobody is refused a connection where many clients share the servers."""
    acts = {str(act) for forward in plans(1, crowd=True) for act in forward.acts}
    assert not [act for act in acts if act.startswith("refuse") or "too early" in act]
