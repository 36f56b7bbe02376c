"""Who lives among the hubs, as one of them judges."""

from __future__ import annotations

from agent_bus.store.postgres.cluster.members import DEAD_S, Members
from tests.support.clock import FakeClock


def members() -> tuple[Members, FakeClock]:
    clock = FakeClock()
    found = Members("b", clock)
    for name in ("a", "c"):
        found.hear(name)
    return found, clock


def pass_time(clock: FakeClock, one: Members, seconds: int, *heard: str) -> None:
    """Seconds in which this hub's writes are acknowledged, and some others are heard."""
    for _ in range(seconds):
        clock.advance(1)
        one.acknowledge()
        for name in heard:
            one.hear(name)


def test_a_hub_that_is_not_heard_is_dead_after_a_while() -> None:
    one, clock = members()
    pass_time(clock, one, int(DEAD_S) - 1, "a")
    assert (one.lives("c"), one.live_count()) == (True, 3)
    pass_time(clock, one, 1, "a")
    assert (one.lives("a"), one.lives("b"), one.lives("c"), one.live_count()) == (
        *(True, True, False),
        2,
    )


def test_a_hub_that_hears_nothing_judges_nobody() -> None:
    one, clock = members()
    clock.advance(100)
    assert one.live_count() == 3
    one.acknowledge()
    assert one.live_count() == 3, "the others may have been away, too"
    pass_time(clock, one, int(DEAD_S), "c")
    assert (one.lives("a"), one.lives("c")) == (False, True)


def test_the_first_by_name_among_those_that_live_leads() -> None:
    one, clock = members()
    assert not one.is_first()
    pass_time(clock, one, int(DEAD_S), "c")
    assert one.is_first()
    one.hear("a")
    assert not one.is_first()
    one.drop("a")
    assert one.is_first()


def test_who_is_behind_is_known_until_it_is_dead() -> None:
    one, clock = members()
    one.hear_told("a", 7)
    assert one.behind(7) == ["c"]
    assert sorted(one.behind(8)) == ["a", "c"]
    pass_time(clock, one, int(DEAD_S))
    assert one.behind(8) == []
