from __future__ import annotations

from agent_bus.core import limits
from agent_bus.core.limits import RateLimiter
from tests.support.clock import FakeClock


def limiter(clock: FakeClock) -> RateLimiter:
    return RateLimiter(per_s=2, burst=3, clock=clock)


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    clock = FakeClock()
    one = limiter(clock)
    assert [one.take("a") for _ in range(3)] == [0.0] * 3
    assert one.take("a") == 0.5
    assert one.take("b") == 0.0
    clock.advance(0.5)
    assert one.take("a") == 0.0
    assert one.take("a") == 0.5


def test_a_refusal_takes_nothing_and_a_return_undoes_a_take() -> None:
    clock = FakeClock()
    one = limiter(clock)
    for _ in range(3):
        one.take("a")
    assert one.take("a") == one.take("a") == 0.5
    one.give_back("a")
    assert one.take("a") == 0.0


def test_nothing_is_saved_beyond_the_burst() -> None:
    clock = FakeClock()
    one = limiter(clock)
    one.take("a")
    clock.advance(3600)
    one.give_back("a")
    assert [one.take("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_ever_new_keys_cost_a_bounded_memory_and_the_busy_one_stays_held_back() -> None:
    clock = FakeClock()
    one = limiter(clock)
    for number in range(3 * limits.KEPT):
        one.take(f"address-{number}")
        one.take("busy")
    assert len(one._buckets) <= limits.KEPT
    assert one.take("busy") > 0
